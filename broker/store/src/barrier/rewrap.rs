//! Encrypting old values again under the newest term, a page at a time. Whoever owns background
//! work calls it until it is done.
//!
//! A rewrapped key gets a new revision, as any write does; a write of somebody else wins.

use warder_core::{
    error::Result,
    port::storage::{Check, Outcome},
};

use super::{Barrier, RESERVED, decrypted, keyring, term};
use crate::engine::{RawBatch, RawWrite, Stored};

/// Most keys of one page.
pub const MAX_PAGE: usize = 1_000;

/// Progress of one page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrapped {
    /// Keys looked at.
    pub seen: usize,
    /// Values encrypted again.
    pub rewrapped: usize,
    /// Where the next page begins; none when it is done.
    pub next: Option<String>,
}

impl Barrier {
    /// Looks at up to `page` keys after `after` and encrypts again what is under an older term.
    ///
    /// # Errors
    /// `sealed`, what storage says, `upstream_protocol` for a record that does not open.
    pub async fn rewrap(&self, after: Option<&str>, page: usize) -> Result<Rewrapped> {
        self.upkeep(&keyring(&self.open)?).await;
        let keyring = keyring(&self.open)?;
        let newest = keyring.status().term;
        let records = self.engine.view().await?.scan(after, page.clamp(1, MAX_PAGE)).await?;
        let (seen, next) = (records.len(), records.last().map(|(key, _)| key.clone()));
        let mut fresh = Vec::new();
        for (key, Stored { bytes, revision }) in records {
            // A head that cannot be read is left to `decrypted`, which names the key.
            if key.starts_with(RESERVED) || term::number(&key, &bytes).is_ok_and(|number| number == newest) {
                continue;
            }
            let plain = decrypted(&keyring, &key, bytes)?;
            let bytes = Some(keyring.encrypt(&key, plain.expose())?);
            let check = Check::Unchanged { key: key.clone(), revision: Some(revision) };
            fresh.push((check, RawWrite { key, bytes }));
        }
        Ok(Rewrapped { seen, rewrapped: self.exchange(fresh).await?, next })
    }

    /// All in one commit, or, when somebody else wrote one of the keys meanwhile, each by itself.
    async fn exchange(&self, fresh: Vec<(Check, RawWrite)>) -> Result<usize> {
        let count = fresh.len();
        let (checks, writes) = fresh.iter().cloned().unzip();
        if matches!(self.engine.commit(RawBatch { checks, writes }).await?, Outcome::Committed(_)) {
            return Ok(count);
        }
        let mut exchanged = 0;
        for (check, write) in fresh {
            let batch = RawBatch { checks: vec![check], writes: vec![write] };
            exchanged += usize::from(matches!(self.engine.commit(batch).await?, Outcome::Committed(_)));
        }
        Ok(exchanged)
    }
}
