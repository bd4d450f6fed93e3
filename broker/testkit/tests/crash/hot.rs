//! A secret that all clients write at once, with and without check-and-set.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use warder_testkit::{Http, Reply, Result};

use crate::{
    attempt::Attempt,
    records::Log,
    secret::{Change, Fate, seen},
};

/// What its clients know together.
pub(crate) struct Hot {
    path: String,
    /// The greatest version that was acknowledged.
    newest: AtomicU64,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    versions: BTreeMap<u64, Attempt>,
    /// Sent and not answered yet, with the version that was expected before it.
    pending: BTreeMap<Attempt, Option<u64>>,
}

impl Hot {
    pub(crate) fn new(path: String) -> Self {
        Self { path, newest: AtomicU64::new(0), known: Mutex::default() }
    }

    /// Writes once. None: no answer; false: the expected version was not the newest any more.
    pub(crate) fn write(&self, http: &Http, attempt: Attempt, checked: bool) -> Option<bool> {
        let expected = checked.then(|| self.newest.load(Ordering::Acquire));
        self.known.lock().unwrap().pending.insert(attempt, expected);
        let change = Change::Put { checked };
        let newest = usize::try_from(expected.unwrap_or_default()).unwrap();
        let reply = change.send(http, &self.path, newest, attempt).ok().filter(|reply| !undecided(reply))?;
        if reply.status == 412 && checked {
            self.known.lock().unwrap().pending.remove(&attempt);
            return Some(false);
        }
        assert!(matches!(reply.status, 200 | 201), "{}: {} {}", self.path, reply.status, reply.text());
        let version = reply.json().expect("an answer in JSON")["version"].as_u64().expect("a version");
        assert!(expected.is_none_or(|expected| version == expected + 1), "{}: {version} after {expected:?}", self.path);
        let mut known = self.known.lock().unwrap();
        known.pending.remove(&attempt);
        let other = known.versions.insert(version, attempt);
        assert!(other.is_none(), "{}: version {version} was given to {attempt} and {other:?}", self.path);
        self.newest.fetch_max(version, Ordering::AcqRel);
        Some(true)
    }

    /// Every acknowledged version is there, and every other is the whole work of one attempt that
    /// was not answered; from now on all of them are known.
    pub(crate) fn check(&self, http: &Http, log: &Log) -> Result {
        let mut known = self.known.lock().unwrap();
        let found = seen(http, &self.path)?;
        let newest = known.versions.last_key_value().map_or(0, |(version, _)| *version);
        assert!(found.len() as u64 >= newest, "{}: {} versions, {newest} acknowledged", self.path, found.len());
        for (version, (by, fate)) in (1..).zip(found) {
            let by = by.filter(|_| fate == Fate::Live).unwrap_or_else(|| panic!("{}: {version} is gone", self.path));
            match known.versions.get(&version) {
                Some(wrote) => assert_eq!(by, *wrote, "{}: version {version}", self.path),
                None => known.adopt(&self.path, version, by, log),
            }
        }
        known.pending.clear();
        let newest = known.versions.last_key_value().map_or(0, |(version, _)| *version);
        self.newest.store(newest, Ordering::Release);
        Ok(())
    }
}

impl Known {
    fn adopt(&mut self, path: &str, version: u64, by: Attempt, log: &Log) {
        let Some(expected) = self.pending.remove(&by) else {
            panic!("{path}: version {version} is by {by}, which was refused or is there already");
        };
        assert!(expected.is_none_or(|expected| version == expected + 1), "{path}: {version} after {expected:?}");
        assert!(log.opened.contains(&by), "{path}: {by} had an effect without an open record");
        self.versions.insert(version, by);
    }
}

/// Whether the answer leaves open what happened: the disk or the machine was too slow for a
/// deadline, and what has begun is finished all the same.
pub(crate) const fn undecided(reply: &Reply) -> bool {
    matches!(reply.status, 503 | 504)
}
