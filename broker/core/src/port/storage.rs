//! Port: ordered, revisioned storage behind the barrier.
//!
//! One global revision counts commits; each key remembers the revision that last wrote it
//! (etcd's model). Commits are optimistic: a batch carries what it depends on as checks.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    error::{Error, Result},
    news::News,
    secret::Secret,
};

/// A count of commits; 0 is the empty store.
pub type Revision = u64;

/// A stored value and the commit that wrote it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Decrypted bytes.
    pub value: Secret,
    /// Revision of the commit that last wrote this key.
    pub revision: Revision,
}

/// A condition of a batch, evaluated against the state just before it applies.
#[derive(Clone, Debug)]
pub enum Check {
    /// The key still has this revision; none: the key is still absent.
    Unchanged {
        /// Storage key.
        key: String,
        /// Revision seen.
        revision: Option<Revision>,
    },
    /// `children(prefix, after, limit)` would still answer `seen`.
    Children {
        /// As in [`Snapshot::children`].
        prefix: String,
        /// As in [`Snapshot::children`].
        after: Option<String>,
        /// As in [`Snapshot::children`].
        limit: usize,
        /// The answer seen.
        seen: Vec<String>,
    },
}

/// A change of one key.
#[derive(Clone, Debug)]
pub enum Write {
    /// Remove; absent keys are no error.
    Delete {
        /// Storage key.
        key: String,
    },
    /// Insert or replace.
    Put {
        /// Storage key.
        key: String,
        /// Plain bytes; the barrier encrypts them.
        value: Secret,
    },
}

impl Write {
    /// The key that changes.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Delete { key } | Self::Put { key, .. } => key,
        }
    }
}

/// All or nothing.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Every one must hold.
    pub checks: Vec<Check>,
    /// Applied together; at most one per key.
    pub writes: Vec<Write>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Durable, at this revision.
    Committed(Revision),
    /// A check did not hold; nothing was written.
    Conflict,
}

/// A consistent view of one revision.
#[async_trait]
pub trait Snapshot: Send + Sync {
    /// The revision of this view.
    fn revision(&self) -> Revision;

    /// The entry under `key`.
    ///
    /// # Errors
    /// `sealed`, `unavailable`, or `upstream_protocol` when a record fails authentication.
    async fn get(&self, key: &str) -> Result<Option<Entry>>;

    /// Direct children of `prefix` (which ends in `/` or is empty), sorted bytewise, folders
    /// ending in `/`; only those greater than `after`; at most `limit`.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    async fn children(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<String>>;
}

/// Told about every commit of this process, around its becoming visible. Must not block.
pub trait Observer: Send + Sync {
    /// These keys are about to change: no reader sees the new state yet.
    fn before(&self, keys: &[&str]);
    /// The commit is visible (`committed`) or was abandoned; not acknowledged yet.
    fn after(&self, keys: &[&str], committed: bool);
    /// A batch with news is visible; not acknowledged yet. In the order of commits.
    fn announced(&self, _revision: Revision, _news: &Arc<News>) {}
    /// The barrier was sealed: forget everything.
    fn forget(&self);
}

/// One change as seen by a watcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The commit.
    pub revision: Revision,
    /// The key.
    pub key: String,
    /// Removed rather than written.
    pub deleted: bool,
}

/// Why a watch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchEnd {
    /// The store went away.
    #[error("storage was closed")]
    Closed,
    /// Changes before this revision are no longer kept: read again, then watch from it.
    #[error("changes up to revision {0} are no longer kept: read again and watch from there")]
    Compacted(Revision),
}

/// A stream of changes.
#[async_trait]
pub trait Watch: Send {
    /// The next change, in commit order.
    ///
    /// # Errors
    /// [`WatchEnd`]; after it the watch is over.
    ///
    /// # Cancel safety
    /// Dropping the future loses no change.
    async fn next(&mut self) -> Result<Change, WatchEnd>;
}

/// Ordered storage with encrypted values.
#[async_trait]
pub trait Storage: Send + Sync + 'static {
    /// A view of the newest committed revision.
    ///
    /// # Errors
    /// `sealed` or `unavailable`.
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>>;

    /// Applies a batch durably. Batches of many callers share one sync.
    ///
    /// # Errors
    /// `sealed`, `storage_full`, `unavailable`; on any error nothing of the batch is visible.
    ///
    /// # Cancel safety
    /// A batch that was handed over is applied even if the future is dropped.
    async fn commit(&self, batch: Batch) -> Result<Outcome> {
        self.announce(batch, None).await
    }

    /// The same for a batch that means something to those who watch: once it is committed, and
    /// before it is acknowledged, observers are told its revision and its news.
    ///
    /// # Errors
    /// As [`Storage::commit`].
    ///
    /// # Cancel safety
    /// As [`Storage::commit`].
    async fn announce(&self, batch: Batch, news: Option<Arc<News>>) -> Result<Outcome>;

    /// Registers an observer for the life of the storage.
    fn observe(&self, observer: Arc<dyn Observer>);

    /// Changes with a revision greater than `from`.
    ///
    /// # Errors
    /// [`WatchEnd::Compacted`] when they are no longer kept.
    async fn watch(&self, from: Revision) -> Result<Box<dyn Watch>, WatchEnd>;
}

/// Reads one key of the newest revision.
///
/// # Errors
/// As [`Snapshot::get`].
pub async fn get(storage: &dyn Storage, key: &str) -> Result<Option<Entry>> {
    storage.snapshot().await?.get(key).await
}

/// Writes one key, whatever is there.
///
/// # Errors
/// As [`Storage::commit`].
pub async fn put(storage: &dyn Storage, key: &str, value: Secret) -> Result<()> {
    let batch = Batch { checks: Vec::new(), writes: vec![Write::Put { key: key.to_owned(), value }] };
    match storage.commit(batch).await? {
        Outcome::Committed(_) => Ok(()),
        Outcome::Conflict => Err(Error::internal("a batch without checks cannot conflict")),
    }
}
