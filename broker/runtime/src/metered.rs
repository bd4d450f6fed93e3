//! Counts the processor time of a call.
//!
//! A guest yields at every tick, so the time between a poll's start and end is what it spent on
//! this thread, host calls included; time parked in storage or waiting for its turn is free.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

/// A future that may run for `budget`, measured in polls.
pub(crate) struct Metered<F> {
    inner: Pin<Box<F>>,
    spent: Duration,
    budget: Duration,
}

/// The budget is used up; the inner future was not finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfTime;

impl<F: Future> Metered<F> {
    pub(crate) fn new(budget: Duration, inner: F) -> Self {
        Self { inner: Box::pin(inner), spent: Duration::ZERO, budget }
    }
}

impl<F: Future> Future for Metered<F> {
    type Output = Result<F::Output, OutOfTime>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let started = Instant::now();
        if let Poll::Ready(output) = self.inner.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        self.spent += started.elapsed();
        if self.spent > self.budget { Poll::Ready(Err(OutOfTime)) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_costs_nothing_and_spinning_ends() {
        let waiting = Metered::new(Duration::from_millis(20), tokio::time::sleep(Duration::from_millis(60)));
        assert_eq!(waiting.await, Ok(()));
        let spinning = Metered::new(Duration::from_millis(5), async {
            loop {
                let started = Instant::now();
                while started.elapsed() < Duration::from_millis(1) {}
                tokio::task::yield_now().await;
            }
        });
        assert_eq!(spinning.await, Err::<(), _>(OutOfTime));
    }
}
