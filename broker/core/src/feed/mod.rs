//! What changed lately, and those who wait for it: one history for all, a place in it for each.
//!
//! Storage announces commits in their order; the feed keeps them for a while and wakes the watchers
//! of the prefixes concerned. A watcher holds no queue: it has the revision up to which it was told
//! everything, and takes what comes after that out of the history. One that falls behind the
//! history is told so, and with it the revision from which to go on. `broker` alone calls it.
//!
//! Invariants: the history is bounded in number and bytes, whatever watchers do; a watcher is told
//! each change below its prefix once and in order, or that it has lost some, never less; the
//! committer is held up by no watcher.

mod config;
mod item;
mod slot;
#[cfg(test)]
mod tests;
mod topic;

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;

pub use config::FeedConfig;
pub use item::{Item, Spelling};
pub use slot::Stop;

use crate::{
    clock::Timestamp,
    error::{Error, ErrorKind, Result},
    news::News,
    port::storage::{Observer, Revision},
};
use slot::Slot;
use topic::{Topic, prefixes};

/// Below it the storage keys of tokens, by digest.
const TOKENS: &str = "core/token/id/";
/// Below it the storage keys of policies.
const POLICIES: &str = "core/policy/";

/// The feed.
pub struct Feed {
    config: FeedConfig,
    state: Mutex<State>,
    /// Counts what may change what a watcher may see: its token, or a policy.
    changes: AtomicU64,
    ticks: AtomicU64,
    /// There are topics to wake.
    dirty: Notify,
}

struct State {
    history: VecDeque<Arc<Item>>,
    bytes: usize,
    /// What happened up to this revision is not told any more; none: that is not known yet.
    floor: Option<Revision>,
    newest: Revision,
    topics: HashMap<Arc<str>, Arc<Topic>>,
    /// Topics that have something new.
    unsaid: Vec<Arc<Topic>>,
    /// Watchers by the token that they came with.
    holders: HashMap<Arc<str>, HashMap<u64, Arc<Slot>>>,
    watchers: usize,
    /// Watchers whose tokens are not stored: any token may be their parent.
    unstored: usize,
    next: u64,
    stopped: Option<Stop>,
}

/// Who joins.
#[derive(Debug)]
pub(crate) struct Joining<'a> {
    /// Names the token.
    pub(crate) holder: &'a str,
    /// Whether the name is the digest of a stored token.
    pub(crate) stored: bool,
    /// What to watch: the native name of a folder or a secret, without a slash at its end.
    pub(crate) prefix: &'a str,
    /// Up to where the watcher was told everything; none: up to now.
    pub(crate) from: Option<Revision>,
    /// A revision that was current a moment ago.
    pub(crate) current: Revision,
}

/// A watcher's place in the feed; it leaves when it drops.
pub(crate) struct Place {
    feed: Arc<Feed>,
    holder: Arc<str>,
    stored: bool,
    id: u64,
    pub(crate) slot: Arc<Slot>,
    topic: Arc<Topic>,
    /// Everything up to it was told.
    pub(crate) seen: Revision,
    epoch: u64,
}

/// What comes next for a watcher.
pub(crate) enum Next {
    /// Changes that it was not told yet, oldest first.
    Items(Vec<(Arc<Item>, Spelling)>),
    /// Some are gone.
    Lost,
    /// None.
    Nothing,
}

impl Feed {
    /// An empty feed.
    #[must_use]
    pub fn new(config: FeedConfig) -> Arc<Self> {
        let state = State {
            history: VecDeque::new(),
            bytes: 0,
            floor: None,
            newest: 0,
            topics: HashMap::new(),
            unsaid: Vec::new(),
            holders: HashMap::new(),
            watchers: 0,
            unstored: 0,
            next: 0,
            stopped: None,
        };
        Arc::new(Self {
            config,
            state: Mutex::new(state),
            changes: AtomicU64::new(0),
            ticks: AtomicU64::new(0),
            dirty: Notify::new(),
        })
    }

    /// The history begins after this revision, unless it has begun.
    pub fn begin(&self, revision: Revision) {
        let mut state = self.state();
        state.floor.get_or_insert(revision);
        state.newest = state.newest.max(revision);
        state.stopped = None;
    }

    /// Watchers at this moment.
    #[must_use]
    pub fn watchers(&self) -> usize {
        self.state().watchers
    }

    /// Moves whenever what a watcher may see could have changed.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Everything up to it has been handed to the topics.
    pub(crate) fn newest(&self) -> Revision {
        self.state().newest
    }

    /// Takes a place. None for the revision that it begins at: what came after `from` is not known
    /// any more, and it begins at `current`.
    ///
    /// # Errors
    /// `rate_limited` when there are too many, `unavailable` when the feed was stopped.
    pub(crate) fn join(self: &Arc<Self>, joining: &Joining<'_>) -> Result<(Place, bool)> {
        let mut state = self.state();
        if let Some(stop) = state.stopped {
            return Err(stop.error());
        }
        let holder: Arc<str> = joining.holder.into();
        let held = state.holders.get(&holder).map_or(0, HashMap::len);
        for (count, most, whose) in [
            (state.watchers, self.config.watchers, "watchers are connected"),
            (held, self.config.token_watchers, "watchers have come with this token"),
        ] {
            if count >= most {
                return Err(Error::new(ErrorKind::RateLimited, format!("{most} {whose} already")));
            }
        }
        let floor = *state.floor.get_or_insert(joining.current);
        let known = joining.from.is_none_or(|from| (floor..=joining.current).contains(&from));
        let seen = joining.from.filter(|_| known).unwrap_or(joining.current);
        let topic = state.topic(joining.prefix);
        let (id, slot) = (state.next, Arc::new(Slot::default()));
        state.next += 1;
        state.watchers += 1;
        state.unstored += usize::from(!joining.stored);
        state.holders.entry(holder.clone()).or_default().insert(id, slot.clone());
        topic.enter(id, slot.clone());
        let epoch = topic.epoch();
        drop(state);
        let place = Place { feed: self.clone(), holder, stored: joining.stored, id, slot, topic, seen, epoch };
        Ok((place, known))
    }

    /// Wakes watchers as long as there is something to tell them.
    ///
    /// # Cancel safety
    /// Dropping it wakes nobody any more; another one goes on where it was.
    pub(crate) async fn fan_out(&self) {
        loop {
            self.dirty.notified().await;
            loop {
                let unsaid = std::mem::take(&mut self.state().unsaid);
                if unsaid.is_empty() {
                    break;
                }
                unsaid.iter().for_each(|topic| topic.wake());
                tokio::task::yield_now().await;
            }
        }
    }

    /// Housekeeping, about once a second: wakes those whose time is over, and a share of all
    /// watchers for their heartbeat.
    pub fn tick(&self, now: Timestamp) {
        let period = self.config.heartbeat.as_secs().max(1);
        let tick = self.ticks.fetch_add(1, Ordering::Relaxed);
        for (id, slot) in self.state().holders.values().flatten() {
            if id % period == tick % period {
                slot.beat();
            }
            if slot.is_over(now) {
                slot.wake();
            }
        }
    }

    /// Ends every watch; none begins before [`Feed::begin`].
    pub fn stop(&self, stop: Stop) {
        let mut state = self.state();
        state.stopped = Some(stop);
        state.holders.values().flat_map(HashMap::values).for_each(|slot| slot.stop(stop));
    }

    /// A panic cannot leave it torn in a way that matters: at worst a watcher is told twice to look.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells those whose tokens these keys are of to look again.
    fn tokens_changed(&self, keys: &[&str], wake: bool) {
        let digests = keys.iter().filter_map(|key| key.strip_prefix(TOKENS));
        let mut digests = digests.peekable();
        if digests.peek().is_none() {
            return;
        }
        let state = self.state();
        let mut concerned = false;
        for slots in digests.filter_map(|digest| state.holders.get(digest)) {
            concerned = true;
            if wake {
                slots.values().for_each(|slot| slot.wake());
            }
        }
        if concerned || state.unstored > 0 {
            self.changes.fetch_add(1, Ordering::SeqCst);
        }
        if wake && state.unstored > 0 {
            state.holders.values().flat_map(HashMap::values).for_each(|slot| slot.wake());
        }
    }
}

impl State {
    /// The topic of a prefix, with all that the history has for it.
    fn topic(&mut self, prefix: &str) -> Arc<Topic> {
        if let Some(topic) = self.topics.get(prefix) {
            return topic.clone();
        }
        let topic = Arc::new(Topic::new(prefix));
        for item in &self.history {
            if let Some(spelling) = topic::spelling(&item.news, prefix) {
                topic.keep(item, spelling);
            }
        }
        self.topics.insert(prefix.into(), topic.clone());
        topic
    }

    /// The topics that a change belongs to, with how it is spelled there.
    fn concerned(&self, news: &News) -> Vec<(Arc<Topic>, Spelling)> {
        if topic::reaches_below(news) {
            let all = self.topics.iter();
            return all.filter_map(|(prefix, topic)| Some((topic.clone(), topic::spelling(news, prefix)?))).collect();
        }
        let short = news.short.as_deref().into_iter().flat_map(prefixes).map(|prefix| (prefix, Spelling::Short));
        // The prefix of everything is the first of both.
        let whole = prefixes(&news.path).skip(usize::from(news.short.is_some()));
        short
            .chain(whole.map(|prefix| (prefix, Spelling::Whole)))
            .filter_map(|(prefix, spelling)| Some((self.topics.get(prefix)?.clone(), spelling)))
            .collect()
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.history.pop_front() else { return };
        self.bytes -= oldest.weight();
        self.floor = Some(oldest.revision);
        for (topic, _) in self.concerned(&oldest.news) {
            topic.forget(oldest.revision);
        }
    }
}

impl Observer for Feed {
    fn before(&self, keys: &[&str]) {
        self.tokens_changed(keys, false);
    }

    fn after(&self, keys: &[&str], _: bool) {
        if keys.iter().any(|key| key.starts_with(POLICIES)) {
            self.changes.fetch_add(1, Ordering::SeqCst);
        }
        self.tokens_changed(keys, true);
    }

    fn announced(&self, revision: Revision, news: &Arc<News>) {
        let item = Arc::new(Item::new(revision, news.clone()));
        let mut state = self.state();
        state.bytes += item.weight();
        state.history.push_back(item.clone());
        let concerned = state.concerned(news);
        let anybody = !concerned.is_empty();
        for (topic, spelling) in concerned {
            topic.keep(&item, spelling);
            if topic.is_news() {
                state.unsaid.push(topic);
            }
        }
        state.newest = state.newest.max(revision);
        while state.history.len() > self.config.history || state.bytes > self.config.history_bytes {
            state.forget_oldest();
        }
        drop(state);
        if anybody {
            self.dirty.notify_one();
        }
    }

    fn forget(&self) {
        let mut state = self.state();
        state.history.clear();
        (state.bytes, state.floor) = (0, None);
        state.topics.values().for_each(|topic| topic.lose());
        state.holders.values().flat_map(HashMap::values).for_each(|slot| slot.wake());
        self.changes.fetch_add(1, Ordering::SeqCst);
    }
}

impl Place {
    /// What the watcher was not told yet, at most so many changes.
    pub(crate) fn next(&mut self, most: usize) -> Next {
        self.topic.next(self.seen, self.epoch, most)
    }

    /// It goes on after this revision, whatever came before.
    pub(crate) fn go_on(&mut self, revision: Revision, epoch: u64) {
        (self.seen, self.epoch) = (revision, epoch);
    }

    /// Moves with each loss that concerns everybody. To be read before the revision to go on from.
    pub(crate) fn epoch(&self) -> u64 {
        self.topic.epoch()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.feed.state();
        state.watchers -= 1;
        state.unstored -= usize::from(!self.stored);
        if let Some(slots) = state.holders.get_mut(&self.holder) {
            slots.remove(&self.id);
            if slots.is_empty() {
                state.holders.remove(&self.holder);
            }
        }
        if self.topic.leave(self.id) {
            state.topics.remove(self.topic.prefix());
        }
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("config", &self.config).finish_non_exhaustive()
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("prefix", &self.topic.prefix()).field("seen", &self.seen).finish_non_exhaustive()
    }
}
