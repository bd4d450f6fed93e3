//! Revocation: a token first, then everything below it.
//!
//! A token with children leaves a marker in the batch that deletes it, and the marker stays until
//! the last child is gone. So a crash at any point leaves work that is written down, and nobody
//! is told "revoked" before the whole tree is refused.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{TRIES, Tokens, Which, entry::Entry, keys, keys::Digest, refusal::Refusal, text};
use crate::{
    clock::Timestamp,
    error::{Error, Result},
    port::storage::{Batch, Check, Outcome, Snapshot, Write, get},
    secret::Secret,
};

/// Tokens deleted by one batch (up to four keys each).
pub(super) const BATCH: usize = 250;

/// What becomes of a deleted token's children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// They live on without a parent.
    Orphans,
    /// They go too.
    Tree,
}

impl Fate {
    const fn word(self) -> &'static str {
        match self {
            Self::Orphans => "orphans",
            Self::Tree => "tree",
        }
    }
}

/// A token to delete; `parent` when it was found below one.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub digest: Digest,
    pub parent: Option<Digest>,
}

impl Tokens {
    /// Ends a token and all its descendants, orphans apart. Unknown tokens are ended already.
    ///
    /// When this returns, none of them is recognized any more.
    ///
    /// # Errors
    /// `invalid_request` (`invalid accessor`, batch tokens), or what storage says: the token may
    /// then be gone with children left, which [`Tokens::expire`] and [`Tokens::resume`] finish.
    ///
    /// # Cancel safety
    /// As on errors.
    pub async fn revoke(&self, which: Which<'_>) -> Result<()> {
        let digest = match which {
            Which::Accessor(accessor) => Some(self.behind(accessor).await?.ok_or(Refusal::InvalidAccessor)?),
            Which::Own(_, token) | Which::Token(token) => self.revocable(token).await?,
        };
        match digest {
            Some(digest) => self.end(digest, Fate::Tree).await.map(|_| ()),
            None => Ok(()),
        }
    }

    /// Ends a token; its children live on without a parent. Batch tokens that it made end with it.
    ///
    /// # Errors
    /// `invalid_request` when there is no such token or it is a batch token; otherwise as
    /// [`Tokens::revoke`].
    ///
    /// # Cancel safety
    /// As [`Tokens::revoke`].
    pub async fn revoke_orphan(&self, token: &Secret) -> Result<()> {
        let digest = self.revocable(token).await?.ok_or(Refusal::RevokeNotFound)?;
        match self.end(digest, Fate::Orphans).await? {
            0 => Err(Refusal::RevokeNotFound.into()),
            _ => Ok(()),
        }
    }

    /// Finishes the revocations that a crash or an error interrupted. To be called after unseal,
    /// before requests are served.
    ///
    /// # Errors
    /// What storage says; what is left stays written down.
    ///
    /// # Cancel safety
    /// As on errors.
    pub async fn resume(&self) -> Result<()> {
        loop {
            let names = self.storage.snapshot().await?.children(keys::REVOKING, None, BATCH).await?;
            if names.is_empty() {
                return Ok(());
            }
            for name in names {
                self.finish_marked(parsed(&name)?, &self.counters.revoked).await?;
            }
        }
    }

    /// None when nothing like it was ever stored.
    async fn revocable(&self, token: &Secret) -> Result<Option<Digest>> {
        let Some(body) = text::batch_body(token) else { return self.digest(token).await };
        match self.open_batch(body).await? {
            Some(_) => Err(Refusal::BatchRevocation.into()),
            None => Ok(None),
        }
    }

    /// Deletes a token and settles its children; returns how many tokens were deleted.
    async fn end(&self, digest: Digest, fate: Fate) -> Result<usize> {
        let (felled, marked) = self.fell(&[Target { digest, parent: None }], fate, None).await?;
        count(&self.counters.revoked, felled);
        if felled == 0 {
            // Somebody else is at it: their word is not ours before the tree is gone.
            return self.finish_marked(digest, &self.counters.revoked).await.map(|()| 0);
        }
        self.finish(marked.into_iter().map(|digest| (digest, fate)).collect(), &self.counters.revoked).await?;
        Ok(felled)
    }

    async fn finish_marked(&self, digest: Digest, counter: &AtomicU64) -> Result<()> {
        let Some(marker) = get(self.storage.as_ref(), &keys::revoking(digest)).await? else { return Ok(()) };
        let fate = if marker.value.ct_eq(Fate::Orphans.word().as_bytes()) { Fate::Orphans } else { Fate::Tree };
        self.finish(vec![(digest, fate)], counter).await
    }

    /// Settles the children of deleted tokens, depth first, and removes the markers.
    pub(super) async fn finish(&self, mut open: Vec<(Digest, Fate)>, counter: &AtomicU64) -> Result<()> {
        let mut done = Vec::new();
        while let Some((parent, fate)) = open.pop() {
            // Nobody adds a child to a deleted parent: an empty listing is the last word.
            let names = self.storage.snapshot().await?.children(&keys::children(parent), None, BATCH).await?;
            if names.is_empty() {
                done.push(Write::Delete { key: keys::revoking(parent) });
                self.flush(&mut done, BATCH).await?;
                continue;
            }
            open.push((parent, fate));
            let children: Vec<Digest> = names.iter().map(|name| parsed(name)).collect::<Result<_>>()?;
            if fate == Fate::Orphans {
                for child in children {
                    self.release(parent, child).await?;
                }
                continue;
            }
            let targets: Vec<_> = children.into_iter().map(|digest| Target { digest, parent: Some(parent) }).collect();
            let (felled, marked) = self.fell(&targets, Fate::Tree, None).await?;
            count(counter, felled);
            open.extend(marked.into_iter().map(|digest| (digest, Fate::Tree)));
        }
        self.flush(&mut done, 1).await
    }

    async fn flush(&self, writes: &mut Vec<Write>, at_least: usize) -> Result<()> {
        if writes.len() >= at_least {
            self.storage.commit(Batch { checks: Vec::new(), writes: std::mem::take(writes) }).await?;
        }
        Ok(())
    }

    /// Makes an orphan of a child.
    async fn release(&self, parent: Digest, child: Digest) -> Result<()> {
        let key = keys::id(child);
        for _ in 0..TRIES {
            let stored = get(self.storage.as_ref(), &key).await?;
            let mut writes = vec![Write::Delete { key: keys::child(parent, child) }];
            if let Some(stored) = &stored {
                let orphan = Entry { parent: None, ..Entry::parse(&stored.value)? };
                writes.push(Write::Put { key: key.clone(), value: orphan.to_json()? });
            }
            let unchanged = Check::Unchanged { key: key.clone(), revision: stored.map(|stored| stored.revision) };
            if let Outcome::Committed(_) = self.storage.commit(Batch { checks: vec![unchanged], writes }).await? {
                return Ok(());
            }
        }
        Err(Refusal::Raced.into())
    }

    /// Deletes tokens in one batch; returns how many there were and which ones left a marker.
    /// With `due_by`, spares those that are no longer due.
    pub(super) async fn fell(
        &self,
        targets: &[Target],
        fate: Fate,
        due_by: Option<Timestamp>,
    ) -> Result<(usize, Vec<Digest>)> {
        for attempt in 1..=TRIES {
            let snapshot = self.storage.snapshot().await?;
            // A revocation wins in the end: its last attempt has no conditions, and needs none
            // but for tidiness. Expiry yields to whoever renews.
            let firm = attempt == TRIES && due_by.is_none();
            let mut felling = Felling::new(&*snapshot, fate, due_by, firm);
            for target in targets {
                felling.add(*target).await?;
            }
            let Felling { batch, felled, marked, .. } = felling;
            if batch.writes.is_empty() {
                return Ok((0, Vec::new()));
            }
            if let Outcome::Committed(_) = self.storage.commit(batch).await? {
                return Ok((felled, marked));
            }
        }
        if due_by.is_some() { Ok((0, Vec::new())) } else { Err(Refusal::Raced.into()) }
    }
}

/// One batch of deletions in the making.
struct Felling<'a> {
    snapshot: &'a dyn Snapshot,
    fate: Fate,
    due_by: Option<Timestamp>,
    firm: bool,
    batch: Batch,
    felled: usize,
    marked: Vec<Digest>,
}

impl<'a> Felling<'a> {
    fn new(snapshot: &'a dyn Snapshot, fate: Fate, due_by: Option<Timestamp>, firm: bool) -> Self {
        Self { snapshot, fate, due_by, firm, batch: Batch::default(), felled: 0, marked: Vec::new() }
    }

    async fn add(&mut self, target: Target) -> Result<()> {
        let Target { digest, parent } = target;
        let key = keys::id(digest);
        let stored = self.snapshot.get(&key).await?;
        let entry = stored.as_ref().map(|stored| Entry::parse(&stored.value)).transpose()?;
        let (Some(stored), Some(entry)) = (stored, entry.filter(|entry| self.wants(entry, parent))) else {
            // The link goes in any case, so that no listing shows it for ever.
            self.batch.writes.extend(parent.map(|parent| Write::Delete { key: keys::child(parent, digest) }));
            return Ok(());
        };
        self.settle_children(digest).await?;
        if !self.firm {
            self.batch.checks.push(Check::Unchanged { key: key.clone(), revision: Some(stored.revision) });
        }
        let gone = [
            Some(key),
            Some(keys::accessor(&entry.accessor)),
            entry.due.map(|due| keys::expiry(due, digest)),
            entry.parent.map(|parent| keys::child(parent, digest)),
        ];
        self.batch.writes.extend(gone.into_iter().flatten().map(|key| Write::Delete { key }));
        self.felled += 1;
        Ok(())
    }

    fn wants(&self, entry: &Entry, parent: Option<Digest>) -> bool {
        let still_below = parent.is_none() || entry.parent == parent;
        let still_due = self.due_by.is_none_or(|now| entry.due.is_some_and(|due| due <= now));
        still_below && still_due
    }

    /// Leaves a marker, unless it is sure that there are no children.
    async fn settle_children(&mut self, digest: Digest) -> Result<()> {
        let prefix = keys::children(digest);
        let childless = self.snapshot.children(&prefix, None, 1).await?.is_empty();
        if childless && !self.firm {
            self.batch.checks.push(Check::Children { prefix, after: None, limit: 1, seen: Vec::new() });
            return Ok(());
        }
        let value = Secret::from(self.fate.word());
        self.batch.writes.push(Write::Put { key: keys::revoking(digest), value });
        self.marked.push(digest);
        Ok(())
    }
}

fn parsed(name: &str) -> Result<Digest> {
    Digest::parse(name).ok_or_else(|| Error::internal("a token index holds something that is no digest"))
}

pub(super) fn count(counter: &AtomicU64, more: usize) {
    counter.fetch_add(u64::try_from(more).unwrap_or(u64::MAX), Ordering::Relaxed);
}
