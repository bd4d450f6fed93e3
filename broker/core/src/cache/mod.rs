//! Answers kept in memory, exact: an entry lives as long as what the host saw it depend on.
//!
//! Called by `broker` alone, with a permit in hand: a hit was authorized like a miss.
//! Invariant: after a commit is acknowledged no entry that read a changed key is ever served,
//! and an answer read before a commit is never kept after it (see `index.rs`).

mod flight;
mod index;

use std::{
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use moka::sync::Cache as Moka;

pub use flight::{Flight, Flights, Lead};
pub use index::Ticket;

use crate::{
    audit::AnswerDigest,
    clock::Timestamp,
    path::Path,
    port::storage::Observer,
    request::{Answer, Operation, Shown},
    txn::ReadSet,
};
use index::Index;

/// What distinguishes two answers. Parameters stand in it as a digest: they may be secrets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Uuid of the mount.
    pub mount: Arc<str>,
    /// Operation, canonical path and parameters.
    pub operation: Operation,
    /// Canonical path.
    pub path: Path,
    /// Digest of the parameters; none when there are none.
    pub parameters: Option<Arc<str>>,
    /// Who asked, when the answer depends on it.
    pub caller: Option<Arc<str>>,
}

impl Key {
    fn len(&self) -> usize {
        self.path.as_str().len() + self.parameters.as_ref().map_or(0, |text| text.len())
    }
}

/// An answer with what it depends on.
pub struct Entry {
    /// Emptied when the entry dies: the map frees what it removed only later.
    held: RwLock<Option<(Answer, Shown)>>,
    /// Only the mark "depends on the caller" is kept.
    mark: bool,
    /// For people.
    pub warnings: Vec<String>,
    /// When it was made.
    pub made: Timestamp,
    /// Not served from this moment on.
    pub until: Option<Timestamp>,
    /// Its audit form, computed once per sink.
    pub digest: Arc<AnswerDigest>,
    reads: ReadSet,
    dead: AtomicBool,
}

impl Entry {
    /// A live entry; without an answer it is the mark "depends on the caller".
    #[must_use]
    pub fn new(
        answer: Option<Answer>,
        warnings: Vec<String>,
        made: Timestamp,
        until: Option<Timestamp>,
        reads: ReadSet,
    ) -> Self {
        let digest = Arc::new(AnswerDigest::default());
        let mark = answer.is_none();
        let held = RwLock::new(answer.map(|answer| (answer, Shown::default())));
        Self { held, mark, warnings, made, until, digest, reads, dead: AtomicBool::new(false) }
    }

    /// The answer and what the door made of it, unless the entry died meanwhile.
    pub fn answer(&self) -> Option<(Answer, Shown)> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Not served any more, and its answer forgotten at once.
    fn die(&self) {
        self.dead.store(true, Ordering::SeqCst);
        drop(self.held.write().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn alive(&self, now: Timestamp) -> bool {
        !self.dead.load(Ordering::SeqCst) && self.until.is_none_or(|until| now < until)
    }

    fn weight(&self) -> usize {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let answer = match held.as_ref().map(|(answer, _)| answer) {
            Some(Answer::Document(text) | Answer::Gone(text)) => text.len(),
            Some(Answer::Names { keys }) => keys.iter().map(|key| key.len() + 24).sum(),
            Some(Answer::Raw { body, .. }) => body.len(),
            Some(Answer::Nothing) | None => 0,
        };
        let keys: usize = self.reads.keys.keys().map(|key| key.len() + 64).sum();
        let listings: usize = self.reads.listings.iter().map(|l| l.prefix.len() + 64).sum();
        // Twice: as the plugin gave it, and as the door shows it.
        256 + 2 * answer + keys + listings
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("made", &self.made).field("until", &self.until).finish_non_exhaustive()
    }
}

/// Hits and misses since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Served from memory.
    pub hits: u64,
    /// Asked of a plugin.
    pub misses: u64,
    /// Entries now.
    pub entries: u64,
    /// Their weight in bytes.
    pub bytes: u64,
}

/// The cache of one broker.
pub struct Cache {
    entries: Moka<Key, Arc<Entry>>,
    index: Arc<Index>,
    flights: Flights,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Cache {
    /// Holds at most `bytes` of answers and their dependencies.
    #[must_use]
    pub fn new(bytes: u64) -> Arc<Self> {
        let index = Arc::new(Index::default());
        let evicted = index.clone();
        let entries = Moka::builder()
            .max_capacity(bytes)
            .weigher(|key: &Key, entry: &Arc<Entry>| u32::try_from(entry.weight() + key.len()).unwrap_or(u32::MAX))
            .eviction_listener(move |_, entry, _| {
                evicted.drop_entry(&entry);
                entry.die();
            })
            .build();
        Arc::new(Self {
            entries,
            index,
            flights: Flights::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        })
    }

    /// The live answer to this question. `caller` is used only where the answer depends on it.
    pub fn find(&self, key: &Key, caller: &str, now: Timestamp) -> Option<Arc<Entry>> {
        let found = self.look(key, now).and_then(|entry| match entry.mark {
            false => Some(entry),
            true => self.look(&Key { caller: Some(caller.into()), ..key.clone() }, now),
        });
        let count = if found.is_some() { &self.hits } else { &self.misses };
        count.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// To be taken before the snapshot that the answer is made from.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        self.index.ticket()
    }

    /// Keeps an answer, unless something it read changed since the ticket. With `caller` it is
    /// kept for that caller alone.
    pub fn keep(&self, ticket: Ticket, key: &Key, caller: Option<&str>, entry: Entry) {
        let reads = &entry.reads;
        let mark = caller.map(|_| Arc::new(Entry::new(None, Vec::new(), entry.made, entry.until, reads.clone())));
        for (caller, entry) in [(None, mark), (caller, Some(Arc::new(entry)))] {
            let Some(entry) = entry else { continue };
            if !self.index.admit(ticket, &entry) {
                return;
            }
            self.entries.insert(Key { caller: caller.map(Arc::from), ..key.clone() }, entry);
        }
    }

    /// Questions that are being asked right now.
    #[must_use]
    pub const fn flights(&self) -> &Flights {
        &self.flights
    }

    /// Counters for metrics.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        // moka counts entries only when it does its chores, and an idle cache does none.
        self.entries.run_pending_tasks();
        CacheStats {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            entries: self.entries.entry_count(),
            bytes: self.entries.weighted_size(),
        }
    }

    fn look(&self, key: &Key, now: Timestamp) -> Option<Arc<Entry>> {
        self.entries.get(key).filter(|entry| entry.alive(now))
    }
}

impl Observer for Cache {
    fn before(&self, keys: &[&str]) {
        self.index.begin(keys);
    }

    fn after(&self, keys: &[&str], _committed: bool) {
        self.index.end(keys);
    }

    fn forget(&self) {
        self.index.forget();
        self.entries.invalidate_all();
        self.entries.run_pending_tasks();
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
