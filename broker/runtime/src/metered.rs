//! Counts the processor time of a call, and makes way for short ones.
//!
//! What counts is the thread's processor time from a poll's start to its end, host calls included;
//! time parked in storage, waiting for its turn, or while other programs have the processor is free.
//! The first poll, in which most calls end, is not worth a system call: a guest yields at every
//! tick, so it cannot have used much more than one.
//!
//! A call that has had its [`SHORT`] time goes on in turns: of those that run long, only so many
//! run at once as there are permits, one tick each, in order. However many of them there are, the
//! other processors are for calls that are short.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::ticker::TICK;

/// Until then a call is short.
const SHORT: Duration = TICK.saturating_mul(2);

type Turn = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>;

/// A future that may run for `budget`, measured in polls.
pub(crate) struct Metered<'a, F> {
    inner: Pin<Box<F>>,
    spent: Duration,
    told: &'a Spent,
    budget: Duration,
    long: Arc<Semaphore>,
    turn: Option<Turn>,
}

/// What a call has used so far, for those who outlive it.
#[derive(Debug, Default)]
pub(crate) struct Spent(AtomicU64);

impl Spent {
    /// Processor time.
    pub(crate) fn time(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// The budget is used up; the inner future was not finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfTime;

impl<'a, F: Future> Metered<'a, F> {
    pub(crate) fn new(budget: Duration, long: Arc<Semaphore>, told: &'a Spent, inner: F) -> Self {
        Self { inner: Box::pin(inner), spent: Duration::ZERO, told, budget, long, turn: None }
    }

    /// None while it is short; else a permit for one poll.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Option<OwnedSemaphorePermit>> {
        if self.spent < SHORT {
            return Poll::Ready(None);
        }
        let long = &self.long;
        let turn = self.turn.get_or_insert_with(|| Box::pin(long.clone().acquire_owned()));
        let permit = ready!(turn.as_mut().poll(cx));
        self.turn = None;
        // Nobody closes the semaphore: without a permit it would run all the same.
        Poll::Ready(permit.ok())
    }
}

impl<F: Future> Future for Metered<'_, F> {
    type Output = Result<F::Output, OutOfTime>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let _turn = ready!(self.poll_turn(cx));
        let started = Stopwatch::start(self.spent);
        let polled = self.inner.as_mut().poll(cx);
        self.spent += started.elapsed();
        self.told.0.store(u64::try_from(self.spent.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        if let Poll::Ready(output) = polled {
            return Poll::Ready(Ok(output));
        }
        if self.spent > self.budget { Poll::Ready(Err(OutOfTime)) } else { Poll::Pending }
    }
}

/// Measures one poll.
enum Stopwatch {
    First(Instant),
    Further(Duration),
}

impl Stopwatch {
    fn start(spent: Duration) -> Self {
        if spent.is_zero() { Self::First(Instant::now()) } else { Self::Further(processor_time()) }
    }

    fn elapsed(&self) -> Duration {
        match self {
            // Never nothing: the next poll is a further one.
            Self::First(began) => began.elapsed().clamp(Duration::from_nanos(1), SHORT),
            Self::Further(before) => processor_time().saturating_sub(*before),
        }
    }
}

/// What this thread has used so far.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn one() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(1))
    }

    async fn spin(at_once: &AtomicUsize, most: &AtomicUsize) {
        loop {
            most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let started = Instant::now();
            while started.elapsed() < Duration::from_millis(1) {}
            at_once.fetch_sub(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn waiting_costs_nothing_and_spinning_ends() {
        let (idle, busy) = (Spent::default(), Spent::default());
        let sleep = tokio::time::sleep(Duration::from_millis(60));
        let waiting = Metered::new(Duration::from_millis(20), one(), &idle, sleep);
        assert_eq!(waiting.await, Ok(()));
        assert!(idle.time() < Duration::from_millis(20));
        let none = AtomicUsize::new(0);
        let spinning = Metered::new(Duration::from_millis(5), one(), &busy, spin(&none, &none));
        assert_eq!(spinning.await, Err::<(), _>(OutOfTime));
        assert!(busy.time() > Duration::from_millis(5));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_long_calls_one_runs_at_a_time_and_all_come_to_their_end() {
        let (long, most) = (one(), Arc::new(AtomicUsize::new(0)));
        let calls: Vec<_> = (0..8)
            .map(|_| {
                let (long, most) = (long.clone(), most.clone());
                tokio::spawn(async move {
                    // What comes before the first turn is not counted.
                    let spent = Spent::default();
                    let mut metered = Metered::new(Duration::from_millis(40), long, &spent, async move {
                        static AT_ONCE: AtomicUsize = AtomicUsize::new(0);
                        spin(&AT_ONCE, &most).await;
                    });
                    metered.spent = SHORT;
                    metered.await
                })
            })
            .collect();
        for call in calls {
            assert_eq!(call.await.expect("it does not panic"), Err(OutOfTime));
        }
        assert_eq!(most.load(Ordering::SeqCst), 1);
    }
}
