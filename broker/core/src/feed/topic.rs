//! One prefix that somebody watches: its part of the history, and its watchers.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    Next,
    item::{Item, Spelling},
    slot::Slot,
};
use crate::{
    news::{Kind, News},
    port::storage::Revision,
};

/// One prefix.
pub(super) struct Topic {
    prefix: Box<str>,
    kept: RwLock<Kept>,
    slots: RwLock<HashMap<u64, Arc<Slot>>>,
    /// It is among those that are to be woken.
    unsaid: AtomicBool,
}

#[derive(Default)]
struct Kept {
    items: VecDeque<(Arc<Item>, Spelling)>,
    /// The newest change of this prefix that is forgotten.
    floor: Revision,
    /// How often everything was lost.
    epoch: u64,
}

impl Topic {
    pub(super) fn new(prefix: &str) -> Self {
        let (kept, slots) = (RwLock::default(), RwLock::default());
        Self { prefix: prefix.into(), kept, slots, unsaid: AtomicBool::new(false) }
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(super) fn epoch(&self) -> u64 {
        self.kept.read().unwrap_or_else(PoisonError::into_inner).epoch
    }

    pub(super) fn enter(&self, id: u64, slot: Arc<Slot>) {
        self.slots.write().unwrap_or_else(PoisonError::into_inner).insert(id, slot);
    }

    /// Says whether that was the last one.
    pub(super) fn leave(&self, id: u64) -> bool {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        slots.remove(&id);
        slots.is_empty()
    }

    pub(super) fn keep(&self, item: &Arc<Item>, spelling: Spelling) {
        self.kept.write().unwrap_or_else(PoisonError::into_inner).items.push_back((item.clone(), spelling));
    }

    /// Says that it has something new; true: nobody had said so yet.
    pub(super) fn is_news(&self) -> bool {
        !self.unsaid.swap(true, Ordering::AcqRel)
    }

    /// The change of this revision is forgotten, if it is the oldest.
    pub(super) fn forget(&self, revision: Revision) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if kept.items.front().is_some_and(|(item, _)| item.revision == revision) {
            kept.items.pop_front();
            kept.floor = revision;
        }
    }

    /// Everything is forgotten, and perhaps some of what was told did not happen.
    pub(super) fn lose(&self) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        kept.items.clear();
        kept.epoch += 1;
    }

    pub(super) fn wake(&self) {
        // Before anybody looks: what comes after that wakes them again.
        self.unsaid.store(false, Ordering::Release);
        self.slots.read().unwrap_or_else(PoisonError::into_inner).values().for_each(|slot| slot.wake());
    }

    pub(super) fn next(&self, seen: Revision, epoch: u64, most: usize) -> Next {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        if kept.epoch != epoch || kept.floor > seen {
            return Next::Lost;
        }
        // Mostly it is the last one or none.
        if kept.items.back().is_none_or(|(item, _)| item.revision <= seen) {
            return Next::Nothing;
        }
        let at = kept.items.partition_point(|(item, _)| item.revision <= seen);
        Next::Items(kept.items.range(at..).take(most).cloned().collect())
    }
}

/// Everything that holds a path, outermost first: `""`, `a`, `a/b`, ... and the path itself.
pub(super) fn prefixes(path: &str) -> impl Iterator<Item = &str> {
    let path = path.trim_end_matches('/');
    let folders = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
    std::iter::once("").chain(folders).chain(std::iter::once(path).filter(|path| !path.is_empty()))
}

/// How a change is spelled for those who watch `prefix`; none when it does not concern them.
pub(super) fn spelling(news: &News, prefix: &str) -> Option<Spelling> {
    if reaches_below(news) {
        let concerned = holds(prefix, news.path.trim_end_matches('/')) || concerns_below(news, prefix);
        return concerned.then_some(Spelling::Whole);
    }
    if news.short.as_deref().is_some_and(|short| holds(prefix, short)) {
        return Some(Spelling::Short);
    }
    holds(prefix, &news.path).then_some(Spelling::Whole)
}

/// Whether it concerns prefixes that are longer than its path.
pub(super) const fn reaches_below(news: &News) -> bool {
    matches!(news.kind, Kind::Unmounted)
}

/// The names of the default mount's secrets may leave it out, so that they can be any.
fn concerns_below(news: &News, prefix: &str) -> bool {
    news.short.is_some() || prefix.starts_with(&news.path)
}

/// Whether `path` is `prefix` or lies below it.
fn holds(prefix: &str, path: &str) -> bool {
    match path.strip_prefix(prefix) {
        Some(rest) => prefix.is_empty() || rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_lies_below_its_folders_and_itself() {
        let all = |path| prefixes(path).collect::<Vec<_>>();
        assert_eq!(all("a/b/c"), ["", "a", "a/b", "a/b/c"]);
        assert_eq!((all("a"), all(""), all("a/")), (vec!["", "a"], vec![""], vec!["", "a"]));
        for path in ["a/b/c", "a", "ab/c"] {
            assert!(all(path).iter().all(|prefix| holds(prefix, path)), "{path}");
        }
        assert!(!holds("a", "ab/c") && !holds("a/b", "a"));
    }
}
