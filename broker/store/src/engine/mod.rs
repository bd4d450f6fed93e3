//! Engines: raw, ordered, revisioned storage. Only the barrier calls them; what they hold is
//! already encrypted.
//!
//! Invariant: one global revision counts the batches that wrote something, every key remembers
//! the revision that last wrote it, a view never changes, and nothing is acknowledged that a
//! reopened engine would not show.
//!
//! To add a kind: a folder with a type that implements [`Engine`] (one that can only take one
//! writer at a time implements `group::Ground` and gets queue, groups, observers and watches for
//! nothing), a variant of [`EngineConfig`] and a line in [`KINDS`].

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use warder_core::{
    error::{Error, ErrorKind},
    news::News,
    port::storage::{Check, Observer, Outcome, Revision, Watch, WatchEnd},
};

mod children;
mod group;
mod memory;
mod redb;
mod ring;

pub use self::{children::MAX_CHILDREN, redb::RedbOpenError};

/// Longest key, bytes.
pub const MAX_KEY_BYTES: usize = 4096;
/// Largest encrypted value, bytes.
pub const MAX_VALUE_BYTES: usize = 32 << 20;
/// Most bytes of keys and values in one batch.
pub const MAX_BATCH_BYTES: usize = 64 << 20;
/// A page of a scan ends with the value that passes this.
pub const MAX_SCAN_BYTES: usize = 16 << 20;

/// Which engine, and where.
#[derive(Clone, Debug)]
pub enum EngineConfig {
    /// In memory; gone with the process.
    Memory,
    /// One file.
    Redb {
        /// The file; its folder must exist.
        path: PathBuf,
    },
}

/// How an engine of one kind is opened.
pub type Opener = fn(&EngineConfig) -> Result<Arc<dyn Engine>, EngineError>;

/// Every kind by name.
pub const KINDS: &[(&str, Opener)] = &[("memory", memory::open), ("redb", redb::open)];

impl EngineConfig {
    /// The name of its kind in [`KINDS`].
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Redb { .. } => "redb",
        }
    }
}

/// Opens an engine.
///
/// # Errors
/// [`EngineError::Open`] says what is wrong with the file; nothing was changed in it.
pub fn open(config: &EngineConfig) -> Result<Arc<dyn Engine>, EngineError> {
    let known = KINDS.iter().find(|(name, _)| *name == config.kind());
    known.map_or(Err(EngineError::UnknownKind { kind: config.kind() }), |(_, open)| open(config))
}

/// Raw ordered storage.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// Its name in [`KINDS`].
    fn kind(&self) -> &'static str;

    /// The newest state, unchanging.
    ///
    /// # Errors
    /// [`EngineError::Closed`] and what the medium says.
    async fn view(&self) -> Result<Arc<dyn View>, EngineError>;

    /// Applies a batch durably, as one of a group. A batch without writes changes nothing and
    /// answers with the newest revision.
    ///
    /// # Errors
    /// On any error nothing of the batch is visible. One exception: when the medium failed while
    /// it was writing and again while it recovered, its state is learnt only when it is back, and
    /// the batch may be there; observers are then told to forget and watches are compacted.
    ///
    /// # Cancel safety
    /// A batch that was handed over is applied even if the future is dropped.
    async fn commit(&self, batch: RawBatch) -> Result<Outcome, EngineError> {
        self.announce(batch, None).await
    }

    /// The same for a batch with news: observers are told them in the order of commits, before the
    /// batch is answered.
    ///
    /// # Errors
    /// As [`Engine::commit`].
    ///
    /// # Cancel safety
    /// As [`Engine::commit`].
    async fn announce(&self, batch: RawBatch, news: Option<Arc<News>>) -> Result<Outcome, EngineError>;

    /// Puts the records of `source` in the place of all that is there, with `instead` in the place of
    /// those with the same keys, in one commit whose revision is greater than `floor` and than every
    /// one before. Observers are told to forget, and watches are compacted.
    ///
    /// # Errors
    /// What the source and the medium say; everything is as it was then.
    async fn replace(&self, source: Source, floor: Revision, instead: Vec<RawWrite>) -> Result<Revision, EngineError>;

    /// Registers an observer for life. May tell it to forget at any time. Blocks while a group is being written, so that no commit
    /// falls between the cracks; not to be called by an observer.
    fn observe(&self, observer: Arc<dyn Observer>);

    /// Changes with a revision greater than `from`.
    ///
    /// # Errors
    /// [`WatchEnd::Compacted`] when they are no longer kept.
    async fn watch(&self, from: Revision) -> Result<Box<dyn Watch>, WatchEnd>;

    /// What it has done so far.
    fn tally(&self) -> Tally;
}

/// The next record of many, keys in order; none at the end.
pub type Source = Box<dyn FnMut() -> Result<Option<(String, Vec<u8>)>, EngineError> + Send>;

/// A consistent view of one revision.
#[async_trait]
pub trait View: Send + Sync {
    /// The revision of this view.
    fn revision(&self) -> Revision;

    /// The bytes under `key`.
    ///
    /// # Errors
    /// What the medium says.
    async fn get(&self, key: &str) -> Result<Option<Stored>, EngineError>;

    /// As in core's `Snapshot::children`. Costs one seek per folder listed, whatever is in it.
    ///
    /// # Errors
    /// What the medium says.
    async fn children(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<String>, EngineError>;

    /// Keys greater than `after` with their bytes, in order; at most `limit`, and none after
    /// [`MAX_SCAN_BYTES`] were read.
    ///
    /// # Errors
    /// What the medium says.
    async fn scan(&self, after: Option<&str>, limit: usize) -> Result<Vec<(String, Stored)>, EngineError>;
}

/// Bytes and the commit that wrote them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// As handed over.
    pub bytes: Vec<u8>,
    /// Revision of the commit.
    pub revision: Revision,
}

/// A change of one key, in bytes that may lie on a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawWrite {
    /// Storage key.
    pub key: String,
    /// New bytes; none removes.
    pub bytes: Option<Vec<u8>>,
}

/// All or nothing; the exchanges beside it each by itself.
#[derive(Clone, Debug, Default)]
pub struct RawBatch {
    /// Every one must hold.
    pub checks: Vec<Check>,
    /// Applied together; at most one per key.
    pub writes: Vec<RawWrite>,
    /// Other bytes for the same values: no revision changes and nobody is told. Applied when the
    /// checks hold, and before the writes.
    pub exchanges: Vec<Exchange>,
    /// Dropped when the batch was settled, also for a caller that went away.
    pub hold: Option<Hold>,
}

/// Other bytes for the value of one key, unless it was written meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Storage key.
    pub key: String,
    /// The commit that wrote the value, and stays the one that did.
    pub revision: Revision,
    /// New bytes.
    pub bytes: Vec<u8>,
}

/// Says that somebody still works with what was there: see the barrier.
#[derive(Clone, Debug, Default)]
pub struct Hold(Arc<()>);

impl Hold {
    /// Whether anybody beside the caller has it.
    #[must_use]
    pub fn is_held(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

/// What an engine has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Batches that wrote something.
    pub commits: u64,
    /// Groups made durable: transactions, each with one sync.
    pub groups: u64,
    /// Batches that met a conflict: nothing of them was written.
    pub conflicts: u64,
    /// Batches that the medium did not take.
    pub failures: u64,
}

/// Why an engine did not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The engine was dropped.
    #[error("storage is closed")]
    Closed,
    /// The file holds something that it cannot hold.
    #[error("storage is damaged: {what}")]
    Damaged {
        /// Where.
        what: String,
    },
    /// The device is full.
    #[error("no space left on the storage device")]
    Full {
        /// The medium's words.
        #[source]
        source: Cause,
    },
    /// A batch breaks a bound.
    #[error("{what} is over its bound of {bound}")]
    OverBound {
        /// What.
        what: &'static str,
        /// The bound.
        bound: usize,
    },
    /// An empty key, or two writes of one key.
    #[error("a batch is malformed: {0}")]
    Malformed(&'static str),
    /// The file was refused.
    #[error(transparent)]
    Open(#[from] RedbOpenError),
    /// The medium cannot be read or written now.
    #[error("storage cannot be {doing}")]
    Medium {
        /// `read` or `written`.
        doing: &'static str,
        /// The medium's words.
        #[source]
        source: Cause,
    },
    /// No such engine.
    #[error("there is no engine of kind {kind}")]
    UnknownKind {
        /// As configured.
        kind: &'static str,
    },
}

/// The words of a medium, shared by all batches of a group that failed with it.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

impl EngineError {
    /// The same refusal for one more batch of the group.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Full { source } => Self::Full { source: Arc::clone(source) },
            Self::Medium { doing, source } => Self::Medium { doing, source: Arc::clone(source) },
            Self::Damaged { what } => Self::Damaged { what: what.clone() },
            other => Self::Damaged { what: other.to_string() },
        }
    }
}

impl From<EngineError> for Error {
    fn from(error: EngineError) -> Self {
        let (kind, detail) = match &error {
            EngineError::Full { .. } => (ErrorKind::StorageFull, "no space left on the storage device"),
            EngineError::OverBound { .. } => (ErrorKind::TooLarge, "too many bytes for one key or one commit"),
            EngineError::Malformed(_) => return Self::internal(error),
            _ => (ErrorKind::Unavailable, "storage cannot answer now; the log has the reason"),
        };
        Self::new(kind, detail).because(error)
    }
}

/// The page of a scan.
fn page(
    entries: impl Iterator<Item = Result<(String, Stored), EngineError>>,
    limit: usize,
) -> Result<Vec<(String, Stored)>, EngineError> {
    let mut room = MAX_SCAN_BYTES;
    let mut page = Vec::new();
    for entry in entries.take(limit) {
        let entry = entry?;
        let more = room.checked_sub(entry.1.bytes.len());
        page.push(entry);
        let Some(left) = more else { break };
        room = left;
    }
    Ok(page)
}
