//! Storage for tests of core's rooms: a map in memory with revisions, observers and a fuse.
//! Crash and format tests use the real store.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Bound,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::{
    error::{Error, ErrorKind, Result},
    news::News,
    port::{
        keyring::{KeyStatus, Keyring, Step},
        seal::Quorum,
        snapshots::{Receiving, Saving, Snapshots},
        storage::{
            Batch, Change, Check, Entry, Observer, Outcome, Revision, Snapshot, Storage, Watch, WatchEnd, Write,
        },
    },
    secret::Secret,
};

type Map = BTreeMap<String, Entry>;

/// Ordered storage in memory; nothing is encrypted and nothing survives.
#[derive(Default)]
pub struct MemoryStorage {
    state: Mutex<State>,
    changed: Arc<Notify>,
}

#[derive(Default)]
struct State {
    map: Arc<Map>,
    revision: Revision,
    observers: Vec<Arc<dyn Observer>>,
    log: Arc<Mutex<Vec<Change>>>,
    fuse: Option<u64>,
}

impl MemoryStorage {
    /// An empty store at revision 0.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Lets `commits` more batches through and then refuses every one; none: no limit.
    pub fn fail_after(&self, commits: Option<u64>) {
        self.state().fuse = commits;
    }

    /// Every key, sorted.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.state().map.keys().cloned().collect()
    }

    /// Every stored byte, keys and values one after the other.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let map = self.state().map.clone();
        map.iter().flat_map(|(key, entry)| [key.as_bytes(), entry.value.expose()].concat()).collect()
    }

    /// Tells every observer that the barrier was sealed.
    pub fn forget(&self) {
        let observers = self.state().observers.clone();
        observers.iter().for_each(|observer| observer.forget());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Storage for MemoryStorage {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        let state = self.state();
        Ok(Box::new(View { map: state.map.clone(), revision: state.revision }))
    }

    async fn announce(&self, batch: Batch, news: Option<Arc<News>>) -> Result<Outcome> {
        let outcome = self.state().commit(&batch, news.as_ref())?;
        self.changed.notify_waiters();
        Ok(outcome)
    }

    fn observe(&self, observer: Arc<dyn Observer>) {
        self.state().observers.push(observer);
    }

    async fn watch(&self, from: Revision) -> Result<Box<dyn Watch>, WatchEnd> {
        let log = self.state().log.clone();
        let at = log.lock().unwrap_or_else(PoisonError::into_inner).partition_point(|change| change.revision <= from);
        Ok(Box::new(Follow { log, at, changed: self.changed.clone() }))
    }
}

impl State {
    fn commit(&mut self, batch: &Batch, news: Option<&Arc<News>>) -> Result<Outcome> {
        match &mut self.fuse {
            Some(0) => return Err(Error::new(ErrorKind::Unavailable, "storage stopped by the test")),
            Some(left) => *left -= 1,
            None => {}
        }
        if !batch.checks.iter().all(|check| self.holds(check)) {
            return Ok(Outcome::Conflict);
        }
        let keys: Vec<&str> = batch.writes.iter().map(Write::key).collect();
        self.observers.iter().for_each(|observer| observer.before(&keys));
        self.apply(&batch.writes);
        self.observers.iter().for_each(|observer| observer.after(&keys, true));
        if let Some(news) = news {
            self.observers.iter().for_each(|observer| observer.announced(self.revision, news));
        }
        Ok(Outcome::Committed(self.revision))
    }

    fn holds(&self, check: &Check) -> bool {
        match check {
            Check::Unchanged { key, revision } => self.map.get(key).map(|entry| entry.revision) == *revision,
            Check::Children { prefix, after, limit, seen } => {
                children(&self.map, prefix, after.as_deref(), *limit) == *seen
            }
        }
    }

    fn apply(&mut self, writes: &[Write]) {
        self.revision += 1;
        let map = Arc::make_mut(&mut self.map);
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        for write in writes {
            let deleted = match write {
                Write::Delete { key } => map.remove(key).map(|_| true),
                Write::Put { key, value } => {
                    map.insert(key.clone(), Entry { value: value.clone(), revision: self.revision });
                    Some(false)
                }
            };
            if let Some(deleted) = deleted {
                log.push(Change { revision: self.revision, key: write.key().to_owned(), deleted });
            }
        }
    }
}

struct View {
    map: Arc<Map>,
    revision: Revision,
}

#[async_trait]
impl Snapshot for View {
    fn revision(&self) -> Revision {
        self.revision
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        Ok(self.map.get(key).cloned())
    }

    async fn children(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<String>> {
        Ok(children(&self.map, prefix, after, limit))
    }
}

fn children(map: &Map, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
    let mut names = BTreeSet::new();
    for key in map.range::<str, _>((Bound::Included(prefix), Bound::Unbounded)).map(|(key, _)| key) {
        let Some(rest) = key.strip_prefix(prefix) else { break };
        let name = rest.find('/').map_or(rest, |at| &rest[..=at]);
        if !name.is_empty() && after.is_none_or(|after| name > after) {
            names.insert(name.to_owned());
        }
        if names.len() >= limit {
            break;
        }
    }
    names.into_iter().take(limit).collect()
}

struct Follow {
    log: Arc<Mutex<Vec<Change>>>,
    at: usize,
    changed: Arc<Notify>,
}

#[async_trait]
impl Watch for Follow {
    async fn next(&mut self) -> Result<Change, WatchEnd> {
        loop {
            let changed = self.changed.clone();
            let notified = changed.notified();
            let next = self.log.lock().unwrap_or_else(PoisonError::into_inner).get(self.at).cloned();
            if let Some(change) = next {
                self.at += 1;
                return Ok(change);
            }
            notified.await;
        }
    }
}

impl fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStorage").field("revision", &self.state().revision).finish_non_exhaustive()
    }
}

/// A keyring of storage that encrypts nothing: it counts its terms.
#[derive(Debug, Default)]
pub struct Terms(AtomicU32);

#[async_trait]
impl Keyring for Terms {
    fn key_status(&self) -> Result<KeyStatus> {
        let term = self.0.load(Ordering::Relaxed) + 1;
        Ok(KeyStatus { term, oldest: term, terms: 1, ..KeyStatus::default() })
    }

    async fn rotate(&self) -> Result<u32> {
        Ok(self.0.fetch_add(1, Ordering::Relaxed) + 2)
    }

    async fn rewrap(&self) -> Result<Step> {
        Ok(Step::Idle)
    }
}

/// Nobody: a seal without shares, over storage that is no file.
#[derive(Debug, Default)]
pub struct Nobody;

impl Nobody {
    fn error() -> Error {
        Error::new(ErrorKind::PreconditionFailed, "nobody is there")
    }
}

#[async_trait]
impl Quorum for Nobody {
    fn number(&self, _: &Secret) -> Result<u8> {
        Err(Self::error())
    }

    async fn prove(&self, _: &[Secret]) -> Result<()> {
        Err(Self::error())
    }

    fn split(&self, _: u8, _: u8) -> Result<Vec<Secret>> {
        Err(Self::error())
    }

    async fn adopt(&self, _: &[Secret], _: u8, _: u8) -> Result<()> {
        Err(Self::error())
    }
}

#[async_trait]
impl Snapshots for Nobody {
    async fn save(&self) -> Result<Saving> {
        Err(Self::error())
    }

    async fn receive(&self) -> Result<Box<dyn Receiving>> {
        Err(Self::error())
    }
}
