//! Renewal: more time for a token that may have it.

use std::{sync::atomic::Ordering, time::Duration};

use super::{
    Issued, Tokens, Which,
    entry::Entry,
    refusal::Refusal,
    text,
    ttl::{self, Terms},
};
use crate::{
    error::{Error, ErrorKind, Result},
    secret::Secret,
};

impl Tokens {
    /// Grants more time, by `increment` if there is one, within the token's ceilings.
    ///
    /// # Errors
    /// `invalid_request` (`token not found`, `invalid accessor`, `lease is not renewable`,
    /// `past the max TTL, cannot renew`, batch tokens), or what storage says.
    ///
    /// # Cancel safety
    /// Dropping the future may leave the token renewed.
    pub async fn renew(&self, which: Which<'_>, increment: Option<Duration>) -> Result<Issued> {
        let token = match which {
            Which::Own(_, token) | Which::Token(token) => token.clone(),
            Which::Accessor(_) => Secret::from(""),
        };
        if let Some(body) = text::batch_body(&token) {
            let refusal = self.open_batch(body).await?.map_or(Refusal::NotFound, |_| Refusal::BatchRenewal);
            return Err(refusal.into());
        }
        let missing = |error: Error| match error.kind {
            ErrorKind::PermissionDenied => Refusal::NotFound.into(),
            _ => error,
        };
        let (digest, _) = self.known(which).await.map_err(missing)?;
        let extend = |entry: &mut Entry| self.extend(entry, increment.unwrap_or_default()).map_err(Into::into);
        let (entry, warnings) = self.change(digest, extend).await?.ok_or(Refusal::NotFound)?;
        self.counters.renewed.fetch_add(1, Ordering::Relaxed);
        Ok(self.issued(token, &entry, warnings))
    }

    fn extend(&self, entry: &mut Entry, increment: Duration) -> Result<Vec<String>, Refusal> {
        if !entry.renewable || entry.expires.is_none() {
            return Err(Refusal::NotRenewable);
        }
        let terms = Terms {
            increment,
            ttl: Duration::from_secs(entry.ttl),
            period: Duration::from_secs(entry.period),
            explicit_max: Duration::from_secs(entry.explicit_max_ttl),
        };
        let now = self.clock.now();
        let life = ttl::life(self.config, terms, entry.issued, now)?;
        entry.ttl = life.ttl.as_secs();
        (entry.expires, entry.due, entry.renewed) = (Some(life.expires), Some(life.expires), Some(now));
        Ok(life.warnings)
    }
}
