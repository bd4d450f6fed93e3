//! The `redb` engine: one file, one process, one sync per group.
//!
//! Layout: table `warder.meta` (name to u64: `magic`, `format`, `revision`) and table
//! `warder.records` (key to `revision u64 BE ‖ bytes`). Invariant: `revision` in the meta table is
//! the greatest in the records, written in the same transaction.

use std::{
    io,
    ops::{Bound, ControlFlow},
    path::Path,
    sync::Arc,
};

use async_trait::async_trait;
use redb::{Database, ReadOnlyTable, ReadableDatabase, ReadableTable, Table, TableDefinition};
use warder_core::port::storage::Revision;

use super::{
    Engine, EngineConfig, EngineError, Exchange, RawWrite, Source, Stored, View,
    children::{self, Keys},
    group::{Draft, Ground, Grouped, Work},
    memory::text,
    page,
};

mod file;
mod synced;
#[cfg(test)]
mod tests;
mod trial;

pub use self::file::RedbOpenError;
use self::synced::Syncs;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("warder.meta");
const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("warder.records");
/// `warder` and what text tools and line-end converters would break.
const MAGIC: u64 = u64::from_be_bytes(*b"warder\x1a\n");
/// Of the tables above.
const FORMAT: u64 = 1;
/// Memory for pages, bytes; the operating system caches the file besides.
const CACHE_BYTES: usize = 64 << 20;

/// Bytes of the disk that are left alone: a disk that is filled to the last byte fails in the
/// middle of a group, and then readers wait until the file was recovered.
const MARGIN: u64 = 1 << 20;
/// Bytes that a write may take beside twice its own: pages of the tree on the way to it.
const PER_WRITE: u64 = 16 << 10;

pub(super) fn open(config: &EngineConfig) -> Result<Arc<dyn Engine>, EngineError> {
    let EngineConfig::Redb { path } = config else {
        return Err(EngineError::UnknownKind { kind: config.kind() });
    };
    file::prepare(path)?;
    Ok(Arc::new(start(file::Place(path.clone()))?))
}

/// Where a database lies; opened now and after each failure of the medium.
trait Place: Send + 'static {
    /// Opens it, telling the syncs what became of them.
    fn open(&self, syncs: &Syncs) -> Result<Database, RedbOpenError>;

    /// Opens what is there for reading: what recovery would write stays in memory.
    fn look(&self) -> Result<Database, RedbOpenError>;

    /// Bytes that can be written still.
    fn room(&self) -> io::Result<u64>;
}

/// The engine over a database.
fn start(place: impl Place) -> Result<Grouped, EngineError> {
    let syncs = Syncs::default();
    let database = place.open(&syncs)?;
    let view = newest(&database)?;
    let ground = Redb { database: Some(database), looking: None, place, syncs };
    Grouped::start(ground, view).map_err(|source| EngineError::Medium { doing: "started", source: Arc::new(source) })
}

/// Whether a folder for the file is there, for errors that name it.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

struct Redb<P> {
    /// None only when reopening failed.
    database: Option<Database>,
    /// For readers, when reopening failed.
    looking: Option<Database>,
    place: P,
    syncs: Syncs,
}

impl<P: Place> Ground for Redb<P> {
    fn kind(&self) -> &'static str {
        "redb"
    }

    fn group(&mut self, work: Work<'_>) -> Result<Arc<dyn View>, EngineError> {
        let database = self.database.as_ref().ok_or(EngineError::Closed)?;
        let txn = database.begin_write().map_err(written)?;
        let mut draft = RedbDraft { records: txn.open_table(RECORDS).map_err(written)?, revision: None };
        let wrote = work(&mut draft)?;
        let revision = draft.revision;
        drop(draft);
        if !wrote {
            txn.abort().map_err(written)?;
            return newest(database);
        }
        // A group of exchanges alone leaves the revision as it is.
        if let Some(revision) = revision {
            txn.open_table(META).map_err(written)?.insert("revision", revision).map_err(written)?;
        }
        txn.commit().map_err(written)?;
        newest(database)
    }

    fn replace(&mut self, revision: Revision, source: &mut Source) -> Result<Arc<dyn View>, EngineError> {
        let database = self.database.as_ref().ok_or(EngineError::Closed)?;
        let txn = database.begin_write().map_err(written)?;
        txn.delete_table(RECORDS).map_err(written)?;
        let mut draft = RedbDraft { records: txn.open_table(RECORDS).map_err(written)?, revision: None };
        while let Some((key, bytes)) = source()? {
            draft.put(&key, revision, &bytes)?;
        }
        drop(draft);
        txn.open_table(META).map_err(written)?.insert("revision", revision).map_err(written)?;
        txn.commit().map_err(written)?;
        newest(database)
    }

    fn recover(&mut self) -> Result<Arc<dyn View>, EngineError> {
        // Dropped first: it holds the lock of the file.
        self.database = None;
        if self.syncs.failed() {
            return Err(EngineError::Damaged { what: "a sync failed: restart to recover".to_owned() });
        }
        let reopened = self.place.open(&self.syncs);
        let database = reopened.map_err(|error| EngineError::Medium { doing: "reopened", source: Arc::new(error) })?;
        self.looking = None;
        newest(self.database.insert(database))
    }

    fn room(&self, writes: usize, bytes: usize) -> Result<(), EngineError> {
        let need = [writes as u64 * PER_WRITE, 2 * bytes as u64].into_iter().fold(MARGIN, u64::saturating_add);
        match self.place.room() {
            Ok(room) if room < need => Err(io::Error::from(io::ErrorKind::StorageFull)),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
        .map_err(|error| failed("written", redb::Error::Io(error)))
    }

    fn remains(&mut self) -> Option<Arc<dyn View>> {
        // After a failed sync the file may show what is not on the disk.
        if self.syncs.failed() {
            return None;
        }
        if self.looking.is_none() {
            let looked = self.place.look().map_err(|error| tracing::error!(%error, "storage cannot be read either"));
            self.looking = looked.ok();
        }
        newest(self.looking.as_ref()?).ok()
    }
}

/// One transaction's table, where reads see the writes before them.
struct RedbDraft<'txn> {
    records: Table<'txn, &'static [u8], &'static [u8]>,
    revision: Option<Revision>,
}

impl Draft for RedbDraft<'_> {
    fn revision_of(&self, key: &str) -> Result<Option<Revision>, EngineError> {
        let found = self.records.get(key.as_bytes()).map_err(read)?;
        found.map(|record| Ok(parse(record.value())?.0)).transpose()
    }

    fn children(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<String>, EngineError> {
        children::children(&self.records, prefix, after, limit)
    }

    fn write(&mut self, revision: Revision, writes: &[RawWrite]) -> Result<(), EngineError> {
        for RawWrite { key, bytes } in writes {
            match bytes {
                Some(bytes) => self.put(key, revision, bytes)?,
                None => _ = self.records.remove(key.as_bytes()).map_err(written)?,
            }
        }
        self.revision = Some(revision);
        Ok(())
    }

    fn exchange(&mut self, exchange: &Exchange) -> Result<bool, EngineError> {
        let Exchange { key, revision, bytes } = exchange;
        let same = self.revision_of(key)? == Some(*revision);
        if same {
            self.put(key, *revision, bytes)?;
        }
        Ok(same)
    }
}

impl RedbDraft<'_> {
    fn put(&mut self, key: &str, revision: Revision, bytes: &[u8]) -> Result<(), EngineError> {
        let len = size_of::<Revision>() + bytes.len();
        let mut record = self.records.insert_reserve(key.as_bytes(), len).map_err(written)?;
        let (head, body) = record.as_mut().split_at_mut(size_of::<Revision>());
        head.copy_from_slice(&revision.to_be_bytes());
        body.copy_from_slice(bytes);
        Ok(())
    }
}

/// An open read transaction: keeps its pages until it is dropped.
struct RedbView {
    records: ReadOnlyTable<&'static [u8], &'static [u8]>,
    revision: Revision,
}

fn newest(database: &Database) -> Result<Arc<dyn View>, EngineError> {
    let txn = database.begin_read().map_err(read)?;
    let meta = txn.open_table(META).map_err(read)?;
    let revision = meta.get("revision").map_err(read)?;
    let revision = revision.ok_or_else(|| EngineError::Damaged { what: "there is no revision".to_owned() })?.value();
    Ok(Arc::new(RedbView { records: txn.open_table(RECORDS).map_err(read)?, revision }))
}

#[async_trait]
impl View for RedbView {
    fn revision(&self) -> Revision {
        self.revision
    }

    async fn get(&self, key: &str) -> Result<Option<Stored>, EngineError> {
        let found = self.records.get(key.as_bytes()).map_err(read)?;
        found.map(|record| stored(record.value())).transpose()
    }

    async fn children(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<String>, EngineError> {
        children::children(&self.records, prefix, after, limit)
    }

    async fn scan(&self, after: Option<&str>, limit: usize) -> Result<Vec<(String, Stored)>, EngineError> {
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.as_bytes()));
        let entries = self.records.range::<&[u8]>((from, Bound::Unbounded)).map_err(read)?;
        let entries = entries.map(|entry| {
            let (key, record) = entry.map_err(read)?;
            Ok((text(key.value())?, stored(record.value())?))
        });
        page(entries, limit)
    }
}

impl<T: ReadableTable<&'static [u8], &'static [u8]>> Keys for T {
    fn walk(&self, from: Bound<&[u8]>, visit: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Result<(), EngineError> {
        for entry in self.range::<&[u8]>((from, Bound::Unbounded)).map_err(read)? {
            if visit(entry.map_err(read)?.0.value()).is_break() {
                break;
            }
        }
        Ok(())
    }
}

fn parse(record: &[u8]) -> Result<(Revision, &[u8]), EngineError> {
    let (revision, bytes) = record
        .split_first_chunk()
        .ok_or_else(|| EngineError::Damaged { what: "a record is shorter than its revision".to_owned() })?;
    Ok((Revision::from_be_bytes(*revision), bytes))
}

fn stored(record: &[u8]) -> Result<Stored, EngineError> {
    let (revision, bytes) = parse(record)?;
    Ok(Stored { bytes: bytes.to_vec(), revision })
}

fn read(error: impl Into<redb::Error>) -> EngineError {
    failed("read", error.into())
}

fn written(error: impl Into<redb::Error>) -> EngineError {
    failed("written", error.into())
}

fn failed(doing: &'static str, error: redb::Error) -> EngineError {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    match error {
        redb::Error::Io(source) if matches!(source.kind(), StorageFull | QuotaExceeded) => {
            EngineError::Full { source: Arc::new(source) }
        }
        redb::Error::Corrupted(what) => EngineError::Damaged { what },
        error => EngineError::Medium { doing, source: Arc::new(error) },
    }
}
