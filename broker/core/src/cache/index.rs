//! From storage keys to the entries that read them.
//!
//! A commit passes `begin` (before it is visible) and `end` (after). Both kill what read its
//! keys. A reader's ticket is the count of such passes when it began; `admit` refuses an entry if
//! any pass since then, or any commit still between `begin` and `end`, touched what it read.
//! When the list of recent passes no longer reaches back to the ticket, the entry is refused.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use super::Entry;
use crate::txn::ReadSet;

const REMEMBERED: usize = 1024;

/// Proof of when a read began.
#[derive(Clone, Copy, Debug)]
pub struct Ticket(u64);

#[derive(Default)]
pub(super) struct Index(Mutex<State>);

#[derive(Default)]
struct State {
    by_key: HashMap<String, Vec<Weak<Entry>>>,
    by_prefix: HashMap<String, Vec<Weak<Entry>>>,
    pending: HashMap<Arc<str>, usize>,
    recent: VecDeque<Arc<[Arc<str>]>>,
    passes: u64,
}

impl Index {
    pub(super) fn ticket(&self) -> Ticket {
        Ticket(self.lock().passes)
    }

    pub(super) fn admit(&self, ticket: Ticket, entry: &Arc<Entry>) -> bool {
        let mut state = self.lock();
        if state.touched_since(ticket, &entry.reads) {
            return false;
        }
        for key in entry.reads.keys.keys() {
            state.by_key.entry(key.clone()).or_default().push(Arc::downgrade(entry));
        }
        for listing in &entry.reads.listings {
            state.by_prefix.entry(listing.prefix.clone()).or_default().push(Arc::downgrade(entry));
        }
        true
    }

    pub(super) fn begin(&self, keys: &[&str]) {
        // Made before anybody has to wait for it.
        let owned: Arc<[Arc<str>]> = keys.iter().map(|key| Arc::from(*key)).collect();
        let mut state = self.lock();
        for key in &*owned {
            *state.pending.entry(key.clone()).or_default() += 1;
        }
        state.pass(owned);
    }

    pub(super) fn end(&self, keys: &[&str]) {
        let owned = keys.iter().map(|key| Arc::from(*key)).collect();
        let mut state = self.lock();
        state.pass(owned);
        for key in keys {
            if let Some(count) = state.pending.get_mut(*key) {
                *count -= 1;
                if *count == 0 {
                    state.pending.remove(*key);
                }
            }
        }
    }

    pub(super) fn forget(&self) {
        let mut state = self.lock();
        let all: Vec<_> = state.by_key.drain().map(|(_, v)| v).collect();
        let listings: Vec<_> = state.by_prefix.drain().map(|(_, v)| v).collect();
        all.into_iter().chain(listings).flatten().for_each(|entry| kill(&entry));
        // Nothing that began before may be kept: make every ticket too old.
        state.passes += REMEMBERED as u64 + 1;
        state.recent.clear();
    }

    /// Takes an evicted entry out.
    pub(super) fn drop_entry(&self, entry: &Arc<Entry>) {
        let mut state = self.lock();
        let same = |other: &Weak<Entry>| std::ptr::eq(other.as_ptr(), Arc::as_ptr(entry)) || other.strong_count() == 0;
        for key in entry.reads.keys.keys() {
            prune(&mut state.by_key, key, same);
        }
        for listing in &entry.reads.listings {
            prune(&mut state.by_prefix, &listing.prefix, same);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // A panic while holding it leaves lists that are at worst too long.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn pass(&mut self, keys: Arc<[Arc<str>]>) {
        self.passes += 1;
        for key in &*keys {
            self.by_key.remove(&**key).into_iter().flatten().for_each(|entry| kill(&entry));
            for prefix in ancestors(key) {
                if self.by_prefix.is_empty() {
                    break;
                }
                self.by_prefix.remove(prefix).into_iter().flatten().for_each(|entry| kill(&entry));
            }
        }
        self.recent.push_back(keys);
        if self.recent.len() > REMEMBERED {
            self.recent.pop_front();
        }
    }

    fn touched_since(&self, ticket: Ticket, reads: &ReadSet) -> bool {
        let Ok(since) = usize::try_from(self.passes - ticket.0) else { return true };
        since > self.recent.len()
            || self.recent.iter().rev().take(since).flat_map(|keys| &**keys).any(|key| touches(key, reads))
            || self.pending.keys().any(|key| touches(key, reads))
    }
}

fn touches(key: &str, reads: &ReadSet) -> bool {
    reads.keys.contains_key(key) || reads.listings.iter().any(|listing| key.starts_with(&listing.prefix))
}

/// `a/b/c` lies under `a/b/`, `a/` and the empty prefix.
fn ancestors(key: &str) -> impl Iterator<Item = &str> {
    key.match_indices('/').map(|(at, _)| &key[..=at]).chain(std::iter::once(""))
}

fn kill(entry: &Weak<Entry>) {
    if let Some(entry) = entry.upgrade() {
        entry.die();
    }
}

fn prune(map: &mut HashMap<String, Vec<Weak<Entry>>>, key: &str, gone: impl Fn(&Weak<Entry>) -> bool) {
    if let Some(list) = map.get_mut(key) {
        list.retain(|entry| !gone(entry));
        if list.is_empty() {
            map.remove(key);
        }
    }
}
