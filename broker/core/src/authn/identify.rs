//! From a credential to an identity: the first step of every request.

use std::sync::Arc;

use super::{
    MAX_CREDENTIAL_BYTES, TRIES, Tokens,
    entry::{Entry, Known},
    keys::{self, Digest},
    refusal::Refusal,
    text,
};
use crate::{
    clock::Timestamp,
    error::Result,
    identity::Identity,
    port::storage::{Batch, Check, Outcome, Revision, Write, get},
    secret::Secret,
};

/// Times a counted use that lost a race is tried again: each loss is another caller's use.
const SPEND_TRIES: usize = 1024;

impl Tokens {
    /// Who comes with this credential.
    ///
    /// # Errors
    /// `unauthenticated`, in the same words whatever is wrong with it; or what storage says.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn identify(&self, credential: &Secret) -> Result<Arc<Identity>> {
        if credential.is_empty() || credential.len() > MAX_CREDENTIAL_BYTES {
            return Err(Refusal::Unauthenticated.into());
        }
        let now = self.clock.now();
        if let Some(body) = text::batch_body(credential) {
            let entry = Box::pin(self.open_batch(body)).await?.filter(|entry| entry.lives(now));
            return Ok(entry.ok_or(Refusal::Unauthenticated)?.identity(String::new()));
        }
        let Some(digest) = self.digest(credential).await? else { return Err(Refusal::Unauthenticated.into()) };
        let known = self.recall(digest).await?.filter(|known| known.entry.lives(now));
        Ok(known.ok_or(Refusal::Unauthenticated)?.identity.clone())
    }

    /// Whether this is a batch token, or one that is in memory because it was good: what can be told
    /// without looking it up.
    ///
    /// # Errors
    /// What storage says.
    pub async fn remembers(&self, credential: &Secret) -> Result<bool> {
        if text::batch_body(credential).is_some() {
            return Ok(true);
        }
        let Some(digest) = self.digest(credential).await? else { return Ok(false) };
        let now = self.clock.now();
        Ok(self.known.find(&digest).is_some_and(|known| known.entry.lives(now)))
    }

    /// Counts one use, durably, before anything happens; nothing to do for uncounted tokens.
    ///
    /// The last use spends the token: it is recognized no more, and the next
    /// [`Tokens::expire`] removes it.
    ///
    /// # Errors
    /// `unauthenticated` when no use is left or the token is gone; or what storage says.
    ///
    /// # Cancel safety
    /// Dropping the future may leave the use counted.
    pub async fn spend(&self, identity: &Identity) -> Result<()> {
        let digest = match Digest::parse(&identity.digest) {
            _ if !identity.counted => return Ok(()),
            Some(digest) => digest,
            None => return Err(Refusal::Unauthenticated.into()),
        };
        for _ in 0..SPEND_TRIES {
            let (mut entry, revision) = self.living(digest).await?.ok_or(Refusal::Unauthenticated)?;
            entry.num_uses -= 1;
            let old = entry.due;
            if entry.spent() {
                entry.due = Some(self.clock.now());
            }
            if self.replace(digest, &entry, old, revision).await? {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
        Err(Refusal::Raced.into())
    }

    /// What holds as long as the token stands that ends what this identity is given. To be checked by
    /// the batch that gives it.
    ///
    /// # Errors
    /// `unauthenticated` when it has ended, or just spent its last use; or what storage says.
    pub async fn standing(&self, identity: &Identity) -> Result<Option<Check>> {
        let Some(holder) = Digest::parse(&identity.holder) else { return Ok(None) };
        let (_, revision) = self.living(holder).await?.ok_or(Refusal::Unauthenticated)?;
        Ok(Some(Check::Unchanged { key: keys::id(holder), revision: Some(revision) }))
    }

    /// The entry from memory or storage, dead or alive.
    pub(super) async fn recall(&self, digest: Digest) -> Result<Option<Arc<Known>>> {
        if let Some(known) = self.known.find(&digest) {
            return Ok(Some(known));
        }
        let ticket = self.known.ticket();
        let Some(entry) = Box::pin(get(self.storage.as_ref(), &keys::id(digest))).await? else { return Ok(None) };
        let known = Arc::new(Known::parse(digest, &entry.value)?);
        self.known.keep(ticket, digest, known.clone());
        Ok(Some(known))
    }

    /// The entry in storage, to be changed: only if it is alive.
    pub(super) async fn living(&self, digest: Digest) -> Result<Option<(Entry, Revision)>> {
        let Some(stored) = get(self.storage.as_ref(), &keys::id(digest)).await? else { return Ok(None) };
        let entry = Entry::parse(&stored.value)?;
        Ok(entry.lives(self.clock.now()).then_some((entry, stored.revision)))
    }

    /// Writes a changed entry, moving it in the expiry index from `old`; false when somebody
    /// else was faster.
    pub(super) async fn replace(
        &self,
        digest: Digest,
        entry: &Entry,
        old: Option<Timestamp>,
        revision: Revision,
    ) -> Result<bool> {
        let key = keys::id(digest);
        let mut writes = vec![Write::Put { key: key.clone(), value: entry.to_json()? }];
        if entry.due != old {
            writes.extend(old.map(|due| Write::Delete { key: keys::expiry(due, digest) }));
            writes.extend(entry.due.map(|due| mark(keys::expiry(due, digest))));
        }
        let checks = vec![Check::Unchanged { key, revision: Some(revision) }];
        let outcome = self.storage.commit(Batch { checks, writes }).await?;
        Ok(matches!(outcome, Outcome::Committed(_)))
    }

    /// The digest of the token with this accessor.
    pub(super) async fn behind(&self, accessor: &str) -> Result<Option<Digest>> {
        if accessor.is_empty() || accessor.len() > 64 || !accessor.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Ok(None);
        }
        let entry = get(self.storage.as_ref(), &keys::accessor(accessor)).await?;
        Ok(entry.and_then(|entry| Digest::parse(entry.value.expose_str()?)))
    }

    /// Changes a living entry until no race is lost; none when there is no living entry.
    pub(super) async fn change<T>(
        &self,
        digest: Digest,
        change: impl Fn(&mut Entry) -> Result<T> + Send + Sync,
    ) -> Result<Option<(Entry, T)>> {
        for _ in 0..TRIES {
            let Some((mut entry, revision)) = self.living(digest).await? else { return Ok(None) };
            let old = entry.due;
            let made = change(&mut entry)?;
            if self.replace(digest, &entry, old, revision).await? {
                return Ok(Some((entry, made)));
            }
        }
        Err(Refusal::Raced.into())
    }
}

/// A key whose presence is all that it says.
pub(super) fn mark(key: String) -> Write {
    Write::Put { key, value: Secret::from("") }
}
