//! Removal of tokens whose time or uses ran out. They are refused without it; this frees the
//! storage and ends their children.

use std::sync::atomic::Ordering;

use super::{
    Tokens,
    entry::Entry,
    keys::{self, Digest},
    revoke::{BATCH, Fate, Target, count},
};
use crate::{
    clock::Timestamp,
    error::{Error, Result},
    port::storage::{Batch, Check, Snapshot, Write},
};

/// An entry of the expiry index.
#[derive(Clone, Copy)]
struct Due {
    at: Timestamp,
    digest: Digest,
}

impl Tokens {
    /// Finishes interrupted revocations, then removes at most `limit` tokens that are due, with
    /// their children; returns how many were looked at. To be called every few seconds, and again
    /// at once while it returns `limit`.
    ///
    /// # Errors
    /// What storage says; what is left is found again.
    ///
    /// # Cancel safety
    /// As on errors.
    pub async fn expire(&self, limit: usize) -> Result<usize> {
        self.resume().await?;
        let now = self.clock.now();
        let snapshot = self.storage.snapshot().await?;
        let (due, next) = overdue(&*snapshot, now, limit).await?;
        self.next_expiry.store(next.map_or(0, |at| at.0), Ordering::Relaxed);
        for some in due.chunks(BATCH) {
            self.tidy(&*snapshot, some).await?;
            let targets: Vec<_> = some.iter().map(|due| Target { digest: due.digest, parent: None }).collect();
            let (felled, marked) = self.fell(&targets, Fate::Tree, Some(now)).await?;
            count(&self.counters.expired, felled);
            self.finish(marked, &self.counters.expired).await?;
        }
        Ok(due.len())
    }

    /// Deletes index entries whose token is gone or due at another time.
    async fn tidy(&self, snapshot: &dyn Snapshot, some: &[Due]) -> Result<()> {
        let mut batch = Batch::default();
        for Due { at, digest } in some.iter().copied() {
            let stored = snapshot.get(&keys::id(digest)).await?;
            let due =
                stored.as_ref().map(|stored| Entry::parse(&stored.value)).transpose()?.and_then(|entry| entry.due);
            if due != Some(at) {
                let revision = stored.map(|stored| stored.revision);
                batch.checks.push(Check::Unchanged { key: keys::id(digest), revision });
                batch.writes.push(Write::Delete { key: keys::expiry(at, digest) });
            }
        }
        if !batch.writes.is_empty() {
            // A conflict leaves them for the next time.
            self.storage.commit(batch).await?;
        }
        Ok(())
    }
}

/// Those that are due, and when the first of the others will be.
async fn overdue(snapshot: &dyn Snapshot, now: Timestamp, limit: usize) -> Result<(Vec<Due>, Option<Timestamp>)> {
    let mut due = Vec::new();
    for folder in snapshot.children(keys::EXPIRIES, None, limit).await? {
        let at = folder.trim_end_matches('/').parse().map(Timestamp).map_err(Error::internal)?;
        if at > now || due.len() >= limit {
            return Ok((due, Some(at)));
        }
        let names = snapshot.children(&format!("{}{folder}", keys::EXPIRIES), None, limit - due.len()).await?;
        due.extend(names.iter().filter_map(|name| Some(Due { at, digest: Digest::parse(name)? })));
    }
    Ok((due, None))
}
