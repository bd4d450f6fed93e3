//! Revocation: a token first, then everything below it.
//!
//! A token with children leaves a marker in the batch that deletes it; the marker, and the link by
//! which its parent knows it, stay until the last child is gone. So a crash at any point leaves
//! work that is written down, and whoever revokes a token meets all that others have not finished
//! below it: nobody is told "revoked" before the whole tree is refused.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{TRIES, Tokens, Which, entry::Entry, keys, keys::Digest, refusal::Refusal, text};
use crate::{
    clock::Timestamp,
    error::{Error, Result},
    lease,
    port::storage::{Batch, Check, Outcome, Revision, Snapshot, Write, get},
    secret::Secret,
};

/// Tokens deleted by one batch (up to five keys each).
pub(super) const BATCH: usize = 250;

/// What becomes of a deleted token's children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// They live on without a parent.
    Orphans,
    /// They go too.
    Tree,
}

/// A revocation under way, as it is stored: the fate, and the parent's digest if there is one.
struct Mark {
    fate: Fate,
    parent: Option<Digest>,
}

impl Mark {
    fn parse(value: &Secret) -> Result<Self> {
        let text = value.expose_str().unwrap_or_default();
        let (fate, parent) = text.split_once(' ').map_or((text, None), |(fate, parent)| (fate, Some(parent)));
        let fate = if fate == "orphans" { Fate::Orphans } else { Fate::Tree };
        Ok(Self { fate, parent: parent.map(parsed).transpose()? })
    }

    fn value(&self) -> Secret {
        let fate = match self.fate {
            Fate::Orphans => "orphans",
            Fate::Tree => "tree",
        };
        Secret::from(self.parent.map_or_else(|| fate.to_owned(), |parent| format!("{fate} {parent}")))
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
            let open = names.iter().map(|name| parsed(name)).collect::<Result<_>>()?;
            self.finish(open, &self.counters.revoked).await?;
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
        // Where somebody else is at it: their word is not ours before the tree is gone.
        let open = if felled == 0 { vec![digest] } else { marked };
        self.finish(open, &self.counters.revoked).await?;
        Ok(felled)
    }

    /// Settles the children of deleted tokens, depth first, and removes the markers.
    pub(super) async fn finish(&self, mut open: Vec<Digest>, counter: &AtomicU64) -> Result<()> {
        while let Some(parent) = open.pop() {
            let marker = get(self.storage.as_ref(), &keys::revoking(parent)).await?;
            let Some(marker) = marker else { continue };
            let mark = Mark::parse(&marker.value)?;
            // Nobody adds a child to a deleted parent: an empty listing is the last word.
            let names = self.storage.snapshot().await?.children(&keys::children(parent), None, BATCH).await?;
            if names.is_empty() {
                self.settled(parent, &mark, marker.revision).await?;
                continue;
            }
            open.push(parent);
            let children: Vec<Digest> = names.iter().map(|name| parsed(name)).collect::<Result<_>>()?;
            if mark.fate == Fate::Orphans {
                for child in children {
                    self.release(parent, child).await?;
                }
                continue;
            }
            let targets: Vec<_> = children.into_iter().map(|digest| Target { digest, parent: Some(parent) }).collect();
            let (felled, marked) = self.fell(&targets, Fate::Tree, None).await?;
            count(counter, felled);
            open.extend(marked);
        }
        Ok(())
    }

    /// Removes a marker and the link to its token; on a conflict somebody else did.
    async fn settled(&self, digest: Digest, mark: &Mark, revision: Revision) -> Result<()> {
        let key = keys::revoking(digest);
        let link = mark.parent.map(|parent| keys::child(parent, digest));
        let writes = [Some(key.clone()), link].into_iter().flatten().map(|key| Write::Delete { key }).collect();
        let checks = vec![Check::Unchanged { key, revision: Some(revision) }];
        self.storage.commit(Batch { checks, writes }).await.map(drop)
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

    /// Deletes tokens in one batch; returns how many there were and which ones have a marker now,
    /// those included that others deleted and have not finished.
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
                return Ok((0, marked));
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
        if stored.is_none() && self.snapshot.get(&keys::revoking(digest)).await?.is_some() {
            self.marked.push(digest);
            return Ok(());
        }
        let (Some(stored), Some(entry)) = (stored, entry.filter(|entry| self.wants(entry, parent))) else {
            // The link goes in any case, so that no listing shows it for ever.
            self.batch.writes.extend(parent.map(|parent| Write::Delete { key: keys::child(parent, digest) }));
            return Ok(());
        };
        let marked = self.settle_children(digest, entry.parent).await?;
        lease::token_ends(self.snapshot, &digest.to_string(), self.firm, &mut self.batch).await?;
        if !self.firm {
            self.batch.checks.push(Check::Unchanged { key: key.clone(), revision: Some(stored.revision) });
        }
        let gone = [
            Some(key),
            Some(keys::accessor(&entry.accessor)),
            entry.due.map(|due| keys::expiry(due, digest)),
            entry.parent.filter(|_| !marked).map(|parent| keys::child(parent, digest)),
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

    /// Leaves a marker, unless it is sure that there are no children; says whether it did.
    async fn settle_children(&mut self, digest: Digest, parent: Option<Digest>) -> Result<bool> {
        let prefix = keys::children(digest);
        let childless = self.snapshot.children(&prefix, None, 1).await?.is_empty();
        if childless && !self.firm {
            self.batch.checks.push(Check::Children { prefix, after: None, limit: 1, seen: Vec::new() });
            return Ok(false);
        }
        let value = Mark { fate: self.fate, parent }.value();
        self.batch.writes.push(Write::Put { key: keys::revoking(digest), value });
        self.marked.push(digest);
        Ok(true)
    }
}

fn parsed(name: &str) -> Result<Digest> {
    Digest::parse(name).ok_or_else(|| Error::internal("a token index holds something that is no digest"))
}

pub(super) fn count(counter: &AtomicU64, more: usize) {
    counter.fetch_add(u64::try_from(more).unwrap_or(u64::MAX), Ordering::Relaxed);
}
