//! The recent changes of an engine and those who watch them.
//!
//! Invariant: bounded bytes whatever watchers do; one that falls behind is told `Compacted` and
//! never sees a gap.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use tokio::sync::watch;
use warder_core::port::storage::{Change, Revision, Watch, WatchEnd};

/// Bytes of changes kept for watchers.
pub(crate) const RING_BYTES: usize = 8 << 20;

/// Recent changes, newest last.
pub(crate) struct Ring {
    kept: Mutex<Kept>,
    news: watch::Sender<Revision>,
}

struct Kept {
    commits: VecDeque<Arc<[Change]>>,
    /// Every change up to this revision is forgotten.
    floor: Revision,
    bytes: usize,
    bound: usize,
}

impl Ring {
    /// Knows nothing of what happened up to `floor`; keeps at most `bound` bytes.
    pub(crate) fn new(floor: Revision, bound: usize) -> Self {
        let kept = Kept { commits: VecDeque::new(), floor, bytes: 0, bound };
        Self { kept: Mutex::new(kept), news: watch::Sender::new(floor) }
    }

    /// Adds visible commits, oldest first, each with at least one change.
    pub(crate) fn extend(&self, commits: impl IntoIterator<Item = Arc<[Change]>>) {
        let newest = {
            let mut kept = self.kept();
            commits.into_iter().for_each(|commit| kept.push(commit));
            kept.newest()
        };
        self.news.send_replace(newest);
    }

    /// Forgets every change up to `floor`, which nobody can tell one by one.
    pub(crate) fn compact(&self, floor: Revision) {
        {
            let mut kept = self.kept();
            kept.commits.clear();
            (kept.floor, kept.bytes) = (floor, 0);
        }
        self.news.send_replace(floor);
    }

    /// Watches changes after `from`.
    pub(crate) fn watch(self: &Arc<Self>, from: Revision) -> Result<RingWatch, WatchEnd> {
        let floor = self.kept().floor;
        if from < floor {
            return Err(WatchEnd::Compacted(floor));
        }
        Ok(RingWatch {
            ring: Arc::downgrade(self),
            news: self.news.subscribe(),
            seen: from,
            commit: Arc::from([]),
            at: 0,
        })
    }

    fn after(&self, seen: Revision) -> Result<Option<Arc<[Change]>>, WatchEnd> {
        let kept = self.kept();
        if seen < kept.floor {
            return Err(WatchEnd::Compacted(kept.floor));
        }
        let at = kept.commits.partition_point(|commit| revision(commit) <= seen);
        Ok(kept.commits.get(at).cloned())
    }

    /// A panic cannot leave it torn: every step keeps it whole.
    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn push(&mut self, commit: Arc<[Change]>) {
        self.bytes += weight(&commit);
        self.commits.push_back(commit);
        while self.bytes > self.bound {
            let Some(oldest) = self.commits.pop_front() else { break };
            self.bytes -= weight(&oldest);
            self.floor = revision(&oldest);
        }
    }

    fn newest(&self) -> Revision {
        self.commits.back().map_or(self.floor, |commit| revision(commit))
    }
}

fn revision(commit: &[Change]) -> Revision {
    commit.first().map_or(0, |change| change.revision)
}

fn weight(commit: &[Change]) -> usize {
    commit.iter().map(|change| change.key.len() + size_of::<Change>()).sum()
}

/// One watcher: holds the commit it is in the middle of and a number.
pub(crate) struct RingWatch {
    ring: std::sync::Weak<Ring>,
    news: watch::Receiver<Revision>,
    seen: Revision,
    commit: Arc<[Change]>,
    at: usize,
}

#[async_trait]
impl Watch for RingWatch {
    async fn next(&mut self) -> Result<Change, WatchEnd> {
        loop {
            if let Some(change) = self.commit.get(self.at) {
                self.at += 1;
                return Ok(change.clone());
            }
            // Marked before looking: news that come in between wake the wait below at once.
            self.news.borrow_and_update();
            let ring = self.ring.upgrade().ok_or(WatchEnd::Closed)?;
            match ring.after(self.seen)? {
                Some(commit) => {
                    self.seen = revision(&commit);
                    (self.commit, self.at) = (commit, 0);
                }
                None => {
                    drop(ring);
                    self.news.changed().await.map_err(|_| WatchEnd::Closed)?;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(revision: Revision, keys: &[&str]) -> Arc<[Change]> {
        keys.iter().map(|key| Change { revision, key: (*key).to_owned(), deleted: false }).collect()
    }

    #[tokio::test]
    async fn a_watch_resumes_by_revision_and_sees_every_change_in_order() {
        let ring = Arc::new(Ring::new(5, RING_BYTES));
        ring.extend([commit(6, &["a", "b"]), commit(7, &["c"])]);
        assert_eq!(ring.watch(4).err(), Some(WatchEnd::Compacted(5)));
        for (from, expected) in [(5, vec!["a", "b", "c", "d"]), (6, vec!["c", "d"]), (7, vec!["d"])] {
            let mut watch = ring.watch(from).unwrap();
            let mut seen = Vec::new();
            if from == 5 {
                ring.extend([commit(8, &["d"])]);
            }
            while seen.len() < expected.len() {
                seen.push(watch.next().await.unwrap().key);
            }
            assert_eq!(seen, expected);
        }
    }

    #[tokio::test]
    async fn a_lagging_watch_is_told_and_memory_stays_bounded() {
        let ring = Arc::new(Ring::new(0, 1000));
        let mut watch = ring.watch(0).unwrap();
        for revision in 1..=500 {
            ring.extend([commit(revision, &["some key"])]);
        }
        assert!(ring.kept().bytes <= 1000 && ring.kept().commits.len() < 50);
        let floor = ring.kept().floor;
        assert_eq!(watch.next().await, Err(WatchEnd::Compacted(floor)));
        assert_eq!(ring.watch(floor).unwrap().next().await.unwrap().revision, floor + 1);
    }

    #[tokio::test]
    async fn a_watch_ends_with_its_engine() {
        let ring = Arc::new(Ring::new(0, 1000));
        let mut watch = ring.watch(0).unwrap();
        let waiting = tokio::spawn(async move { watch.next().await });
        tokio::task::yield_now().await;
        drop(ring);
        assert_eq!(waiting.await.unwrap(), Err(WatchEnd::Closed));
    }
}
