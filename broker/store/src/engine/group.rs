//! Group commit: one thread per engine takes the batches of all callers, judges them one after
//! another inside one transaction of the medium, makes the group durable with one sync and then
//! answers each batch by itself. Engines that take one writer at a time are built on it.
//!
//! Invariant: observers hear `before` before the new state can be read and `after`, then the news in
//! the order of commits, before anybody is answered; what was answered `Committed` is durable; what was refused is not visible.

use std::{
    collections::HashSet,
    io, slice,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use warder_core::{
    news::News,
    port::storage::{Change, Check, Observer, Outcome, Revision, Watch, WatchEnd},
};

use super::{
    Engine, EngineError, Exchange, MAX_BATCH_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES, RawBatch, RawWrite, Source, Tally,
    View,
    ring::{RING_BYTES, Ring},
};

/// Batches that wait for the thread; more callers wait for room.
const QUEUE: usize = 1024;
/// Most batches and bytes that share one sync.
const GROUP_BATCHES: usize = 1024;
const GROUP_BYTES: usize = 16 << 20;

/// A medium with one writer.
pub(crate) trait Ground: Send + 'static {
    /// Its name in `KINDS`.
    fn kind(&self) -> &'static str;

    /// Runs `work` over the newest state. `Ok(true)`: everything it wrote is made durable;
    /// otherwise nothing is. Answers with the newest view.
    fn group(&mut self, work: Work<'_>) -> Result<Arc<dyn View>, EngineError>;

    /// Puts the records of `source` in the place of everything, under `revision`, durably or not at
    /// all.
    fn replace(&mut self, revision: Revision, source: &mut Source) -> Result<Arc<dyn View>, EngineError>;

    /// Called after `group` failed: makes the medium usable again and tells how it now stands.
    /// An error when what is durable cannot be known.
    fn recover(&mut self) -> Result<Arc<dyn View>, EngineError>;

    /// Refuses, before anything is touched, what the medium has no room for. What it lets pass
    /// may fail all the same.
    fn room(&self, _writes: usize, _bytes: usize) -> Result<(), EngineError> {
        Ok(())
    }

    /// Called after `recover` failed: what is durable, for readers, until it can be written again.
    fn remains(&mut self) -> Option<Arc<dyn View>> {
        None
    }
}

/// Judges and writes one group.
pub(crate) type Work<'a> = &'a mut dyn FnMut(&mut dyn Draft) -> Result<bool, EngineError>;

/// A state that is being written: reads see the writes before them.
pub(crate) trait Draft {
    /// Who last wrote `key`.
    fn revision_of(&self, key: &str) -> Result<Option<Revision>, EngineError>;
    /// As in [`View::children`].
    fn children(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<String>, EngineError>;
    /// Applies the writes of one batch under `revision`.
    fn write(&mut self, revision: Revision, writes: &[RawWrite]) -> Result<(), EngineError>;
    /// Puts other bytes where they belong, if the revision there is still that one; says whether.
    fn exchange(&mut self, exchange: &Exchange) -> Result<bool, EngineError>;
}

/// An engine over a [`Ground`].
pub(crate) struct Grouped {
    kind: &'static str,
    jobs: Option<mpsc::Sender<Job>>,
    shared: Arc<Shared>,
    committer: Option<JoinHandle<()>>,
}

struct Shared {
    newest: RwLock<Arc<dyn View>>,
    ring: Arc<Ring>,
    /// Held by the committer while a group becomes visible: nobody registers in between.
    observers: Mutex<Vec<Arc<dyn Observer>>>,
    commits: AtomicU64,
    groups: AtomicU64,
    conflicts: AtomicU64,
    failures: AtomicU64,
}

enum Job {
    Batch(RawBatch, Waiting),
    Replace(Source, Revision, oneshot::Sender<Result<Revision, EngineError>>),
}

type Answer = oneshot::Sender<Result<Outcome, EngineError>>;
/// What becomes of a batch when it is settled: it is told, then its caller is answered.
type Waiting = (Option<Arc<News>>, Answer);

impl Grouped {
    /// Starts the committer of `ground`, whose newest view is `view`.
    pub(crate) fn start(ground: impl Ground, view: Arc<dyn View>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            ring: Arc::new(Ring::new(view.revision(), RING_BYTES)),
            newest: RwLock::new(view),
            observers: Mutex::new(Vec::new()),
            commits: AtomicU64::new(0),
            groups: AtomicU64::new(0),
            conflicts: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        });
        let kind = ground.kind();
        let (jobs, queue) = mpsc::channel(QUEUE);
        let committer = Committer { ground, shared: Arc::clone(&shared), failed: false };
        let thread = thread::Builder::new().name(format!("store-{kind}")).spawn(move || committer.run(queue))?;
        Ok(Self { kind, jobs: Some(jobs), shared, committer: Some(thread) })
    }
}

#[async_trait]
impl Engine for Grouped {
    fn kind(&self) -> &'static str {
        self.kind
    }

    async fn view(&self) -> Result<Arc<dyn View>, EngineError> {
        Ok(self.shared.newest())
    }

    async fn announce(&self, batch: RawBatch, news: Option<Arc<News>>) -> Result<Outcome, EngineError> {
        within_bounds(&batch)?;
        let (answer, answered) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or(EngineError::Closed)?;
        jobs.send(Job::Batch(batch, (news, answer))).await.map_err(|_| EngineError::Closed)?;
        answered.await.map_err(|_| EngineError::Closed)?
    }

    async fn replace(
        &self,
        mut source: Source,
        floor: Revision,
        instead: Vec<RawWrite>,
    ) -> Result<Revision, EngineError> {
        let source: Source = Box::new(move || {
            let Some((key, bytes)) = source()? else { return Ok(None) };
            let other = instead.iter().find(|write| write.key == key).and_then(|write| write.bytes.clone());
            Ok(Some((key, other.unwrap_or(bytes))))
        });
        let (answer, answered) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or(EngineError::Closed)?;
        jobs.send(Job::Replace(source, floor, answer)).await.map_err(|_| EngineError::Closed)?;
        answered.await.map_err(|_| EngineError::Closed)?
    }

    fn observe(&self, observer: Arc<dyn Observer>) {
        self.shared.observers().push(observer);
    }

    async fn watch(&self, from: Revision) -> Result<Box<dyn Watch>, WatchEnd> {
        Ok(Box::new(self.shared.ring.watch(from)?))
    }

    fn tally(&self) -> Tally {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Shared { commits, groups, conflicts, failures, .. } = &*self.shared;
        Tally { commits: read(commits), groups: read(groups), conflicts: read(conflicts), failures: read(failures) }
    }
}

impl Drop for Grouped {
    /// What was handed over is written, then the thread ends.
    fn drop(&mut self) {
        self.jobs = None;
        // An observer may hold the last reference: a thread cannot wait for itself.
        if let Some(committer) = self.committer.take()
            && committer.thread().id() != thread::current().id()
            && committer.join().is_err()
        {
            tracing::error!(engine.kind = self.kind, "the committer had panicked");
        }
    }
}

impl Shared {
    /// Only ever replaced whole, so a poisoned lock hides nothing torn.
    fn newest(&self) -> Arc<dyn View> {
        Arc::clone(&self.newest.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn reveal(&self, view: Arc<dyn View>) {
        let old = {
            let mut newest = self.newest.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *newest, view)
        };
        drop(old);
    }

    fn count(&self, results: &[Result<Outcome, EngineError>]) {
        let count = |of: fn(&Result<Outcome, EngineError>) -> bool| results.iter().filter(|r| of(r)).count() as u64;
        self.conflicts.fetch_add(count(|result| matches!(result, Ok(Outcome::Conflict))), Ordering::Relaxed);
        self.failures.fetch_add(count(Result::is_err), Ordering::Relaxed);
    }

    fn observers(&self) -> std::sync::MutexGuard<'_, Vec<Arc<dyn Observer>>> {
        self.observers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn within_bounds(batch: &RawBatch) -> Result<(), EngineError> {
    let mut keys = HashSet::with_capacity(batch.writes.len());
    let mut bytes = batch.exchanges.iter().map(|exchange| exchange.key.len() + exchange.bytes.len()).sum();
    for write in &batch.writes {
        let len = write.bytes.as_ref().map_or(0, Vec::len);
        bytes += write.key.len() + len;
        if write.key.is_empty() {
            return Err(EngineError::Malformed("an empty key"));
        }
        if !keys.insert(write.key.as_str()) {
            return Err(EngineError::Malformed("two writes of one key"));
        }
        for (what, size, bound) in [
            ("key", write.key.len(), MAX_KEY_BYTES),
            ("value", len, MAX_VALUE_BYTES),
            ("batch", bytes, MAX_BATCH_BYTES),
        ] {
            if size > bound {
                return Err(EngineError::OverBound { what, bound });
            }
        }
    }
    Ok(())
}

/// The thread.
struct Committer<G> {
    ground: G,
    shared: Arc<Shared>,
    /// The medium failed and has not recovered.
    failed: bool,
}

/// What becomes of a group if it becomes durable.
#[derive(Default)]
struct Verdicts {
    outcomes: Vec<Outcome>,
    commits: Vec<Arc<[Change]>>,
    revision: Revision,
    exchanged: bool,
}

impl<G: Ground> Committer<G> {
    fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut next = queue.blocking_recv();
        while let Some(job) = next.take() {
            match job {
                Job::Batch(batch, waiting) => next = self.group(batch, waiting, &mut queue),
                // A caller that went away needs no answer.
                Job::Replace(mut source, floor, answer) => _ = answer.send(self.replace(&mut source, floor)),
            }
            if next.is_none() {
                next = queue.blocking_recv();
            }
        }
    }

    /// Settles a batch and those that wait behind it. Answers with what came between them.
    fn group(&mut self, batch: RawBatch, waiting: Waiting, queue: &mut mpsc::Receiver<Job>) -> Option<Job> {
        let (batches, waiting, other) = gather(batch, waiting, queue);
        let results = self.settle(&batches);
        self.shared.count(&results);
        // With what they hold, before anybody goes on.
        drop(batches);
        for ((news, answer), result) in waiting.into_iter().zip(results) {
            if let (Some(news), Ok(Outcome::Committed(revision))) = (news, &result) {
                self.shared.observers().iter().for_each(|observer| observer.announced(*revision, &news));
            }
            // A caller that went away needs no answer.
            let _ = answer.send(result);
        }
        other
    }

    fn replace(&mut self, source: &mut Source, floor: Revision) -> Result<Revision, EngineError> {
        self.ready()?;
        let shared = Arc::clone(&self.shared);
        let observers = shared.observers();
        let base = shared.newest().revision();
        let revision = base.max(floor).saturating_add(1);
        let result = self.ground.replace(revision, source);
        let view = result.or_else(|error| self.salvage(error, base, revision))?;
        shared.ring.compact(revision);
        shared.reveal(view);
        observers.iter().for_each(|observer| observer.forget());
        Ok(revision)
    }

    fn settle(&mut self, batches: &[RawBatch]) -> Vec<Result<Outcome, EngineError>> {
        let refused = |error: EngineError| batches.iter().map(|_| Err(error.again())).collect();
        let done = self.ready().and_then(|()| self.room(batches)).and_then(|fits| match fits {
            true => self.write(batches).map(Some),
            false => Ok(None),
        });
        match done {
            Ok(Some(verdicts)) => verdicts.outcomes.into_iter().map(Ok).collect(),
            // There may be room for some of them.
            Ok(None) => batches.iter().flat_map(|batch| self.settle(slice::from_ref(batch))).collect(),
            Err(error) => {
                self.show_remains();
                refused(error)
            }
        }
    }

    /// Whether there is room for all of them. An error: there is none for the only one.
    fn room(&self, batches: &[RawBatch]) -> Result<bool, EngineError> {
        let writes = batches.iter().map(|batch| batch.writes.len() + batch.exchanges.len()).sum();
        let room = match writes {
            0 => Ok(()),
            writes => self.ground.room(writes, batches.iter().map(size).sum()),
        };
        match (room, batches) {
            (Ok(()), _) => Ok(true),
            (Err(error), [_]) => Err(error),
            (Err(_), _) => Ok(false),
        }
    }

    /// Recovers what failed before.
    fn ready(&mut self) -> Result<(), EngineError> {
        if self.failed {
            let view = self.ground.recover()?;
            self.turn(view);
            self.failed = false;
        }
        Ok(())
    }

    /// While the medium cannot be written, readers get what can be read of it.
    fn show_remains(&mut self) {
        if self.failed
            && let Some(view) = self.ground.remains()
        {
            self.turn(view);
        }
    }

    /// Reveals how a medium stands that failed. When it failed twice, in a group and in recovering
    /// from it, the group was refused and may be there all the same: whoever remembers anything
    /// is told to forget it.
    fn turn(&self, view: Arc<dyn View>) {
        let observers = self.shared.observers();
        let found = view.revision();
        if found != self.shared.newest().revision() {
            self.shared.ring.compact(found);
            self.shared.reveal(view);
            observers.iter().for_each(|observer| observer.forget());
        } else {
            self.shared.reveal(view);
        }
    }

    fn write(&mut self, batches: &[RawBatch]) -> Result<Verdicts, EngineError> {
        let shared = Arc::clone(&self.shared);
        let observers = shared.observers();
        let base = shared.newest().revision();
        let mut verdicts = Verdicts::default();
        let result = self.ground.group(&mut |draft| {
            verdicts = judge(draft, base, batches)?;
            let keys = touched(&verdicts.commits);
            if !keys.is_empty() {
                observers.iter().for_each(|observer| observer.before(&keys));
            }
            Ok(!keys.is_empty() || verdicts.exchanged)
        });
        let result = result.or_else(|error| self.salvage(error, base, verdicts.revision));
        let keys = touched(&verdicts.commits);
        let committed = result.is_ok();
        if let Ok(view) = &result {
            shared.reveal(Arc::clone(view));
        }
        if !keys.is_empty() {
            observers.iter().for_each(|observer| observer.after(&keys, committed));
        }
        result?;
        if !keys.is_empty() {
            shared.groups.fetch_add(1, Ordering::Relaxed);
            shared.commits.fetch_add(verdicts.commits.len() as u64, Ordering::Relaxed);
            drop(keys);
            shared.ring.extend(std::mem::take(&mut verdicts.commits));
        }
        Ok(verdicts)
    }

    /// A medium may fail after the group is durable, while it tidies up. So it is asked how it
    /// stands: with the group, whole and synced, the group was committed after all.
    fn salvage(&mut self, error: EngineError, base: Revision, wanted: Revision) -> Result<Arc<dyn View>, EngineError> {
        tracing::error!(error = %words(error.again()), "a group of commits failed");
        self.failed = true;
        let view = match self.ground.recover() {
            Ok(view) => view,
            Err(failure) => {
                tracing::error!(error = %words(failure), "storage did not recover; the next commit tries again");
                return Err(error);
            }
        };
        self.failed = false;
        if wanted > base && view.revision() == wanted {
            return Ok(view);
        }
        self.shared.reveal(view);
        Err(error)
    }
}

fn words(error: EngineError) -> String {
    warder_core::error::Error::from(error).chain()
}

/// The first batch and those that wait behind it, within the bounds of a group; and what is no batch.
fn gather(
    first: RawBatch,
    waiting: Waiting,
    queue: &mut mpsc::Receiver<Job>,
) -> (Vec<RawBatch>, Vec<Waiting>, Option<Job>) {
    let mut bytes = size(&first);
    let (mut batches, mut waiting) = (vec![first], vec![waiting]);
    while batches.len() < GROUP_BATCHES
        && bytes < GROUP_BYTES
        && let Ok(job) = queue.try_recv()
    {
        let Job::Batch(batch, next) = job else { return (batches, waiting, Some(job)) };
        bytes += size(&batch);
        batches.push(batch);
        waiting.push(next);
    }
    (batches, waiting, None)
}

fn size(batch: &RawBatch) -> usize {
    let exchanges = batch.exchanges.iter().map(|exchange| exchange.key.len() + exchange.bytes.len());
    batch.writes.iter().map(|write| write.key.len() + write.bytes.as_ref().map_or(0, Vec::len)).chain(exchanges).sum()
}

/// Judges each batch against the state that those before it leave, and writes those that hold.
fn judge(draft: &mut dyn Draft, base: Revision, batches: &[RawBatch]) -> Result<Verdicts, EngineError> {
    let mut verdicts = Verdicts { revision: base, ..Verdicts::default() };
    for batch in batches {
        if !holds(draft, &batch.checks)? {
            verdicts.outcomes.push(Outcome::Conflict);
            continue;
        }
        for exchange in &batch.exchanges {
            verdicts.exchanged |= draft.exchange(exchange)?;
        }
        if !batch.writes.is_empty() {
            verdicts.revision += 1;
            draft.write(verdicts.revision, &batch.writes)?;
            verdicts.commits.push(changes(verdicts.revision, &batch.writes));
        }
        verdicts.outcomes.push(Outcome::Committed(verdicts.revision));
    }
    Ok(verdicts)
}

fn holds(draft: &dyn Draft, checks: &[Check]) -> Result<bool, EngineError> {
    for check in checks {
        let holds = match check {
            Check::Unchanged { key, revision } => draft.revision_of(key)? == *revision,
            Check::Children { prefix, after, limit, seen } => {
                draft.children(prefix, after.as_deref(), *limit)? == *seen
            }
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

fn changes(revision: Revision, writes: &[RawWrite]) -> Arc<[Change]> {
    writes.iter().map(|w| Change { revision, key: w.key.clone(), deleted: w.bytes.is_none() }).collect()
}

fn touched(commits: &[Arc<[Change]>]) -> Vec<&str> {
    commits.iter().flat_map(|commit| commit.iter().map(|change| change.key.as_str())).collect()
}
