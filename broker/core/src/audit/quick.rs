//! The short way of a record: callers that answer at the same time share one append, made by one
//! of them, and no thread is woken.
//!
//! Most records wait for no disk (reads, and what closes an effect). For those a quick sink's
//! append is one system call, which costs less than handing the record to another thread and
//! being woken by it; shared, it costs a fraction of that. The worker takes over whenever that may
//! not hold: it has something to do already, the sink failed, or an append that should have been
//! quick was not.
//!
//! Invariants: one caller at a time writes, whatever the number of sinks, so a sink that hangs
//! without a warning holds one thread of the server, and no other follows it there. A slip in the
//! tray is seen by whoever holds the pen, or by its owner's next poll: none is left behind.

use std::{
    mem,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use super::{
    Audit,
    desk::Desk,
    entry::Record,
    lane::{Lane, Moment, SLOW},
    line::write_content,
    slip::{Draft, Slip, Written},
};

/// Bytes of a common record; longer ones grow.
const COMMON_BYTES: usize = 1024;
/// How often one caller empties the tray before another has to: it has an answer to give too.
const ROUNDS: usize = 4;

/// Records that wait for whichever caller comes first to write them.
#[derive(Default)]
pub(super) struct Tray {
    slips: Mutex<Vec<Arc<Slip>>>,
    /// Held by the one caller that writes: what it took out of the tray.
    pen: Mutex<Vec<Arc<Slip>>>,
    /// Since when the pen is held, as a [`Moment`]; 0 while nobody has it.
    held_since: AtomicU64,
}

impl Tray {
    fn slips(&self) -> MutexGuard<'_, Vec<Arc<Slip>>> {
        self.slips.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pen, unless somebody writes. A panic under it left slips that their owners take back.
    fn pen(&self) -> Option<MutexGuard<'_, Vec<Arc<Slip>>>> {
        match self.pen.try_lock() {
            Ok(pen) => Some(pen),
            Err(TryLockError::Poisoned(pen)) => Some(pen.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl Audit {
    /// Puts the record down for every sink that takes it at once. None: there is no such sink.
    pub(super) fn at_once(&self, record: &Record) -> Option<Waiting<'_>> {
        if record.before_effect() || self.somebody_is_stuck() {
            return None;
        }
        let drafts = self.drafts(record);
        if drafts.is_empty() {
            return None;
        }
        let slip = Arc::new(Slip::new(record.moment(), drafts));
        self.tray.slips().push(Arc::clone(&slip));
        Some(Waiting { audit: self, slip })
    }

    /// Whether a writing caller has been at it for so long that it may never come back.
    fn somebody_is_stuck(&self) -> bool {
        match self.tray.held_since.load(Ordering::Relaxed) {
            0 => false,
            since => Moment::since(self.started) > Moment::at(since).plus(SLOW),
        }
    }

    /// What the record will be to each sink, made before anybody else has to wait for it.
    fn drafts(&self, record: &Record) -> Vec<Draft> {
        let quick = self.lanes.iter().enumerate().take(Written::MOST).filter(|(_, lane)| lane.takes_at_once());
        let draft = |(sink, lane): (usize, &Arc<Lane>)| {
            let mut content = Vec::with_capacity(COMMON_BYTES);
            write_content(&mut content, lane.keys().as_deref(), record);
            Draft { sink, content }
        };
        quick.map(draft).collect()
    }

    /// Writes what is in the tray, unless somebody else does; that caller then looks again.
    fn share(&self) {
        for round in 0.. {
            let Some(next) = self.tray.slips().first().cloned() else { return };
            if round >= ROUNDS && next.wake() {
                return;
            }
            let Some(mut slips) = self.tray.pen() else { return };
            self.tray.held_since.store(Moment::since(self.started).count(), Ordering::Relaxed);
            slips.clear();
            mem::swap(&mut *slips, &mut *self.tray.slips());
            self.write(&slips);
            self.tray.held_since.store(0, Ordering::Relaxed);
            slips.drain(..).for_each(|slip| slip.settle());
        }
    }

    fn write(&self, slips: &[Arc<Slip>]) {
        for (sink, (lane, worker)) in self.lanes.iter().zip(&self.workers).enumerate().take(Written::MOST) {
            let Ok(mut desk) = worker.desk.try_lock() else { continue };
            let mut rest = slips;
            // The group before may have met trouble.
            while !rest.is_empty() && lane.takes_at_once() && desk.is_ready() {
                rest = write_group(rest, sink, &mut desk, lane);
            }
        }
    }
}

/// Hands over as many records as fit into one append; what is left.
fn write_group<'a>(slips: &'a [Arc<Slip>], sink: usize, desk: &mut Desk, lane: &Lane) -> &'a [Arc<Slip>] {
    let (mut seen, mut put) = (0, 0);
    while let Some(slip) = slips.get(seen).filter(|_| desk.has_room()) {
        put += usize::from(slip.offer(sink, |time, content| desk.put(time, content)));
        seen += 1;
    }
    let (group, rest) = slips.split_at(seen);
    if put > 0 {
        let taken = desk.append(false);
        match &taken {
            Ok(()) => lane.took(put),
            Err(error) => lane.refused(put, error),
        }
        group.iter().for_each(|slip| slip.decide(sink, taken.is_ok()));
    }
    rest
}

/// Resolves once no caller will write the slip any more: it was written, or could not be.
pub(super) struct Waiting<'a> {
    audit: &'a Audit,
    slip: Arc<Slip>,
}

impl Waiting<'_> {
    /// Waits until it was written, or for as long as a quick sink may take: what became of it.
    pub(super) async fn soon(&mut self) -> Written {
        if self.slip.written().is_none() {
            self.audit.share();
        }
        if self.slip.written().is_none() && Box::pin(tokio::time::timeout(SLOW, &mut *self)).await.is_err() {
            self.withdraw();
        }
        self.written()
    }

    /// What became of it so far, at which sinks.
    pub(super) fn written(&self) -> Written {
        self.slip.so_far()
    }

    /// Nobody begins with it from now on; who has begun goes on.
    fn withdraw(&self) {
        let mut slips = self.audit.tray.slips();
        let before = slips.len();
        slips.retain(|slip| !Arc::ptr_eq(slip, &self.slip));
        let untouched = slips.len() < before;
        drop(slips);
        self.slip.withdraw(untouched);
    }
}

impl Future for Waiting<'_> {
    type Output = Written;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Written> {
        if let Some(written) = self.slip.written_or_wake(context.waker()) {
            return Poll::Ready(written);
        }
        // Who held the pen when this was put down may have looked before and be gone by now.
        self.audit.share();
        self.slip.written().map_or(Poll::Pending, Poll::Ready)
    }
}

/// A record once put down is written even when nobody waits for it any more.
impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.slip.written().is_none() {
            self.audit.share();
        }
    }
}
