//! One sink as its callers see it: how full, how healthy, worth offering a record or not.
//!
//! Invariant: nothing here blocks; what may block is behind the queue, in the worker.

use std::{
    collections::HashSet,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::{SyncSender, TrySendError},
    },
    thread::Thread,
    time::{Duration, Instant},
};

use super::{digest::Keys, entry::Pending, worker::Order};
use crate::{
    error::{Error, Result},
    shards::Shards,
};

/// How often a failed sink is offered a record, to see whether it recovered.
const PROBE_EVERY: Duration = Duration::from_millis(100);
/// An append that should wait for nothing and took longer means that the sink is in trouble.
pub(super) const SLOW: Duration = Duration::from_millis(10);
/// How long callers then leave the sink to its worker.
const DISTRUST: Duration = Duration::from_secs(1);

/// How one sink is driven.
#[derive(Clone, Debug)]
pub struct SinkConfig {
    /// What operators call it; unique, and the name that its salt goes by.
    pub name: String,
    /// The word of its kind: `file`, `stdout`, ...
    pub kind: &'static str,
    /// Records that may wait for it; at least 1.
    pub queue: usize,
    /// How long a record may wait to be taken.
    pub deadline: Duration,
}

impl SinkConfig {
    /// A queue of 4,096 records and a deadline of 2 seconds.
    #[must_use]
    pub fn new(name: impl Into<String>, kind: &'static str) -> Self {
        Self { name: name.into(), kind, queue: 4096, deadline: Duration::from_secs(2) }
    }
}

/// The defaults of [`SinkConfig::new`], for a name and a kind to be filled in.
impl Default for SinkConfig {
    fn default() -> Self {
        Self::new("", "")
    }
}

/// What operators see of a sink.
#[derive(Clone, Debug, serde::Serialize)]
pub struct SinkStatus {
    /// Its name.
    pub name: String,
    /// The word of its kind.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Whether it took the last record that it was offered, and is not overdue with one.
    pub healthy: bool,
    /// Records waiting for it.
    pub queued: usize,
    /// Records it took since the start.
    pub records: u64,
    /// Records it did not take since the start: refused, queue full, or skipped while failed.
    pub failures: u64,
    /// Why it last failed, in the words of the operating system.
    pub last_error: Option<String>,
}

/// Refuses configurations that cannot work.
pub(super) fn check<'a>(configs: impl Iterator<Item = &'a SinkConfig>) -> Result<()> {
    let mut names = HashSet::new();
    for config in configs {
        if config.name.is_empty() || !names.insert(&config.name) {
            return Err(Error::invalid("audit.name", format!("audit sink name {:?} is empty or taken", config.name)));
        }
        if config.queue == 0 || config.deadline.is_zero() {
            let detail = format!("audit sink {:?} needs a queue of at least 1 and a deadline over 0", config.name);
            return Err(Error::invalid("audit.queue", detail));
        }
    }
    Ok(())
}

/// Microseconds since the audit log started, never 0: 0 stands for "not".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(u64);

impl Moment {
    pub(super) fn since(started: Instant) -> Self {
        Self(u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX).max(1))
    }

    /// The moment that [`Moment::count`] stands for.
    pub(super) const fn at(count: u64) -> Self {
        Self(count)
    }

    /// Microseconds.
    pub(super) const fn count(self) -> u64 {
        self.0
    }

    pub(super) fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// The state that callers and the worker share.
pub(super) struct Lane {
    config: SinkConfig,
    started: Instant,
    /// Callers may write records that wait for no disk themselves.
    quick: bool,
    /// Until when they leave even those to the worker.
    distrusted: AtomicU64,
    keys: Shards<Option<Arc<Keys>>>,
    queued: AtomicUsize,
    records: AtomicU64,
    failures: AtomicU64,
    last_error: Mutex<Option<String>>,
    /// When the worker went into the sink; 0 while it is not there.
    busy_since: AtomicU64,
    /// When a failed sink may be offered the next record; 0 while it is healthy.
    probe_at: AtomicU64,
    reopen: AtomicBool,
    /// The worker sleeps, or is about to: orders from now on must be followed by a nudge.
    asleep: AtomicBool,
}

impl Lane {
    pub(super) fn new(config: SinkConfig, quick: bool, started: Instant) -> Self {
        Self {
            config,
            started,
            quick,
            distrusted: AtomicU64::new(0),
            keys: Shards::default(),
            queued: AtomicUsize::new(0),
            records: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            last_error: Mutex::new(None),
            busy_since: AtomicU64::new(0),
            probe_at: AtomicU64::new(0),
            reopen: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
        }
    }

    pub(super) fn now(&self) -> Moment {
        Moment::since(self.started)
    }

    pub(super) fn name(&self) -> &str {
        &self.config.name
    }

    pub(super) const fn deadline(&self) -> Duration {
        self.config.deadline
    }

    pub(super) fn set_keys(&self, keys: Option<Arc<Keys>>) {
        self.keys.each(|kept| *kept = keys.as_deref().map(|keys| Arc::new(keys.clone())));
    }

    pub(super) fn keys(&self) -> Option<Arc<Keys>> {
        self.keys.read().clone()
    }

    /// Whether to offer it a record: yes while healthy, once in a while when failed, no while hung.
    pub(super) fn admits(&self, now: Moment) -> bool {
        let admitted = !self.hangs(now) && self.may_probe(now);
        if !admitted {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }

    fn hangs(&self, now: Moment) -> bool {
        let since = self.busy_since.load(Ordering::Acquire);
        let hangs = since != 0 && now > Moment(since).plus(self.config.deadline);
        if hangs && self.probe_at.compare_exchange(0, now.0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.explain(format!("no answer within {:?}", self.config.deadline));
            if self.busy_since.load(Ordering::Acquire) != since {
                // It came back meanwhile, and nobody else would take the mark away.
                let _ = self.probe_at.compare_exchange(now.0, 0, Ordering::AcqRel, Ordering::Acquire);
            }
        }
        hangs
    }

    fn may_probe(&self, now: Moment) -> bool {
        let at = self.probe_at.load(Ordering::Acquire);
        let next = now.plus(PROBE_EVERY).0;
        at == 0
            || (at <= now.0 && self.probe_at.compare_exchange(at, next, Ordering::AcqRel, Ordering::Acquire).is_ok())
    }

    /// Puts the record into the worker's queue, or not when there is no room.
    pub(super) fn enqueue(&self, orders: &SyncSender<Order>, pending: &Arc<Pending>) -> bool {
        self.queued.fetch_add(1, Ordering::Relaxed);
        let Err(refused) = orders.try_send(Order::Write(Arc::clone(pending))) else {
            return true;
        };
        self.queued.fetch_sub(1, Ordering::Relaxed);
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.explain(match refused {
            TrySendError::Full(_) => format!("its queue of {} records is full", self.config.queue),
            TrySendError::Disconnected(_) => "its worker has ended".to_owned(),
        });
        false
    }

    /// The worker: found nothing to do.
    pub(super) fn sleepy(&self) {
        self.asleep.store(true, Ordering::SeqCst);
    }

    /// The worker said that it has nothing to do, and nobody nudged it since.
    pub(super) fn idle(&self) -> bool {
        self.asleep.load(Ordering::SeqCst)
    }

    /// Callers, after they gave orders: wakes the worker if it sleeps.
    pub(super) fn nudge(&self, worker: &Thread) {
        if self.asleep.swap(false, Ordering::SeqCst) {
            worker.unpark();
        }
    }

    pub(super) fn dequeued(&self) {
        self.queued.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn ask_reopen(&self) {
        self.reopen.store(true, Ordering::Release);
    }

    pub(super) fn take_reopen(&self) -> bool {
        self.reopen.swap(false, Ordering::AcqRel)
    }

    /// Whether a caller may write a record itself: nobody waits before it, and the sink was quick.
    pub(super) fn takes_at_once(&self) -> bool {
        self.quick
            && self.idle()
            && self.probe_at.load(Ordering::Acquire) == 0
            && match self.distrusted.load(Ordering::Acquire) {
                0 => true,
                until => until <= self.now().0,
            }
    }

    /// Somebody goes into the sink, which may never return.
    pub(super) fn enter(&self) {
        self.busy_since.store(self.now().0, Ordering::Release);
    }

    /// And is back from it.
    pub(super) fn leave(&self) {
        self.busy_since.store(0, Ordering::Release);
    }

    /// An append that should have waited for nothing began then and has ended.
    pub(super) fn judge(&self, began: Moment) {
        let now = self.now();
        if now > began.plus(SLOW) {
            self.distrusted.store(now.plus(DISTRUST).0, Ordering::Release);
        }
    }

    /// The sink took `count` records.
    pub(super) fn took(&self, count: usize) {
        self.records.fetch_add(count as u64, Ordering::Relaxed);
        if self.probe_at.swap(0, Ordering::AcqRel) != 0 {
            tracing::info!(audit.sink = self.name(), "audit sink recovered");
        }
    }

    /// The sink refused `count` records.
    pub(super) fn refused(&self, count: usize, error: &io::Error) {
        self.failures.fetch_add(count as u64, Ordering::Relaxed);
        self.probe_at.store(self.now().plus(PROBE_EVERY).0, Ordering::Release);
        self.explain(error.to_string());
    }

    /// One record is not offered to the sink at all.
    pub(super) fn left_out(&self, reason: &str) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.explain(reason.to_owned());
    }

    /// Records that the sink did not take since the start.
    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Keeps the reason for operators, and logs it when it is a new one.
    pub(super) fn explain(&self, reason: String) {
        let mut last = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref() != Some(&reason) {
            tracing::error!(audit.sink = self.name(), reason, "audit sink failed");
            *last = Some(reason);
        }
    }

    pub(super) fn status(&self, now: Moment) -> SinkStatus {
        SinkStatus {
            name: self.config.name.clone(),
            kind: self.config.kind,
            healthy: !self.hangs(now) && self.probe_at.load(Ordering::Acquire) == 0,
            queued: self.queued.load(Ordering::Relaxed),
            records: self.records.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            last_error: self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
