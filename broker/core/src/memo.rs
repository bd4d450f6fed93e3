//! A bounded memory of values derived from storage, exact by construction: nothing that a commit
//! touched is ever found again. Rooms use it for parsed tokens, policies and the mount table.
//!
//! How it stays exact: a reader takes a [`Ticket`] before it reads storage and hands it in with
//! the value; any commit below the prefix between the two voids the ticket.
//!
//! Threads find copies of their own (see `shards.rs`). A copy is made under the lock that a change
//! takes first, so that the change finds it.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{port::storage::Observer, shards::Shards};

/// Copies that one group of threads keeps; then it begins anew.
const COPIES: usize = 1024;

/// Values derived from the storage keys below one prefix.
pub struct Memo<K, V> {
    prefix: String,
    key_of: Forget<K>,
    capacity: usize,
    /// Bumped before and after every commit below the prefix; odd bits do not matter, change does.
    changes: AtomicU64,
    /// Commits under way below the prefix.
    pending: AtomicU64,
    values: RwLock<HashMap<K, V>>,
    copies: Shards<HashMap<K, V>>,
    copy: fn(&V) -> V,
}

/// What a changed storage key voids.
pub enum Forget<K> {
    /// Everything.
    All,
    /// The value under the key that this makes of the storage key.
    One(fn(&str) -> K),
}

/// Proof of when a read began.
#[derive(Clone, Copy, Debug)]
pub struct Ticket(u64);

impl<K: Eq + Hash + Clone, V: Clone> Memo<K, V> {
    /// Remembers at most `capacity` values derived from keys that start with `prefix`. What `copy`
    /// makes shares as little with its original as is worth the memory.
    #[must_use]
    pub fn new(prefix: impl Into<String>, key_of: Forget<K>, capacity: usize, copy: fn(&V) -> V) -> Self {
        Self {
            prefix: prefix.into(),
            key_of,
            capacity,
            changes: AtomicU64::new(0),
            pending: AtomicU64::new(0),
            values: RwLock::new(HashMap::new()),
            copies: Shards::default(),
            copy,
        }
    }

    /// The value, if it is still exact.
    pub fn find(&self, key: &K) -> Option<V> {
        let near = self.copies.read().get(key).cloned();
        if near.is_some() {
            return near;
        }
        let values = self.values.read().ok()?;
        let found = (self.copy)(values.get(key)?);
        let mut copies = self.copies.write();
        if copies.len() >= COPIES {
            copies.clear();
        }
        copies.insert(key.clone(), found.clone());
        Some(found)
    }

    /// To be taken before storage is read.
    pub fn ticket(&self) -> Ticket {
        Ticket(self.changes.load(Ordering::SeqCst))
    }

    /// Remembers `value`, unless something changed since the ticket was taken.
    pub fn keep(&self, ticket: Ticket, key: K, value: V) {
        let Ok(mut values) = self.values.write() else { return };
        // Both are read under the lock that `void` takes: a change after this finds the value.
        if self.pending.load(Ordering::SeqCst) > 0 || self.changes.load(Ordering::SeqCst) != ticket.0 {
            return;
        }
        if values.len() >= self.capacity {
            values.clear();
        }
        self.copies.write().remove(&key);
        values.insert(key, value);
    }

    fn void(&self, keys: &[&str]) {
        let mut touched = keys.iter().filter(|key| key.starts_with(&self.prefix)).peekable();
        if touched.peek().is_none() {
            return;
        }
        let Ok(mut values) = self.values.write() else { return };
        self.changes.fetch_add(1, Ordering::SeqCst);
        match &self.key_of {
            Forget::All => {
                values.clear();
                self.copies.each(HashMap::clear);
            }
            Forget::One(key_of) => {
                let gone: Vec<K> = touched.map(|key| key_of(key)).collect();
                gone.iter().for_each(|key| _ = values.remove(key));
                self.copies.each(|copies| gone.iter().for_each(|key| _ = copies.remove(key)));
            }
        }
    }

    fn concerns(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| key.starts_with(&self.prefix))
    }
}

impl<K: Eq + Hash + Clone + Send + Sync, V: Clone + Send + Sync> Observer for Memo<K, V> {
    fn before(&self, keys: &[&str]) {
        if self.concerns(keys) {
            self.pending.fetch_add(1, Ordering::SeqCst);
            self.void(keys);
        }
    }

    fn after(&self, keys: &[&str], _committed: bool) {
        if self.concerns(keys) {
            self.void(keys);
            self.pending.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn forget(&self) {
        if let Ok(mut values) = self.values.write() {
            self.changes.fetch_add(1, Ordering::SeqCst);
            values.clear();
            self.copies.each(HashMap::clear);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memo() -> Memo<String, u8> {
        Memo::new("p/", Forget::One(str::to_owned), 2, u8::clone)
    }

    #[test]
    fn a_value_read_before_a_commit_is_not_kept_after_it() {
        let memo = memo();
        let ticket = memo.ticket();
        memo.before(&["p/x"]);
        memo.after(&["p/x"], true);
        memo.keep(ticket, "p/a".into(), 1);
        assert_eq!(memo.find(&"p/a".into()), None);
    }

    #[test]
    fn nothing_is_kept_while_a_commit_is_under_way() {
        let memo = memo();
        memo.before(&["p/a"]);
        memo.keep(memo.ticket(), "p/a".into(), 1);
        assert_eq!(memo.find(&"p/a".into()), None);
        memo.after(&["p/a"], true);
        memo.keep(memo.ticket(), "p/a".into(), 2);
        assert_eq!(memo.find(&"p/a".into()), Some(2));
    }

    #[test]
    fn a_commit_voids_its_own_key_only_and_foreign_prefixes_nothing() {
        let memo = memo();
        memo.keep(memo.ticket(), "p/a".into(), 1);
        memo.keep(memo.ticket(), "p/b".into(), 2);
        memo.before(&["p/a", "q/b"]);
        memo.after(&["p/a", "q/b"], true);
        assert_eq!((memo.find(&"p/a".into()), memo.find(&"p/b".into())), (None, Some(2)));
        memo.forget();
        assert_eq!(memo.find(&"p/b".into()), None);
    }

    #[test]
    fn a_change_reaches_the_copies_of_every_thread() {
        let changes: [fn(&Memo<String, u8>); 2] = [|memo| memo.before(&["p/a"]), |memo| memo.forget()];
        for change in changes {
            let memo = memo();
            memo.keep(memo.ticket(), "p/a".into(), 1);
            std::thread::scope(|scope| {
                let (found, look) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
                let memo = &memo;
                let other = scope.spawn(move || {
                    assert_eq!(memo.find(&"p/a".into()), Some(1));
                    found.0.send(()).unwrap();
                    look.1.recv().unwrap();
                    memo.find(&"p/a".into())
                });
                assert_eq!(memo.find(&"p/a".into()), Some(1));
                found.1.recv().unwrap();
                change(memo);
                look.0.send(()).unwrap();
                assert_eq!((memo.find(&"p/a".into()), other.join().unwrap()), (None, None));
            });
        }
    }
}
