//! The one task that sends: gathers for a second and hands over what there is, in batches.
//!
//! Invariant: it holds one batch of each signal at most, tries it a bounded number of times, and
//! counts what it gives up. Nobody waits for it but a shutdown, which has a bound.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::{logs::v1::LogRecord, resource::v1::Resource};
use tokio::{
    sync::{mpsc, watch},
    time::{MissedTickBehavior, interval},
};
use warder_core::trace::Span;

use super::{
    collector::{Collector, Failed},
    exporter::{Readers, Signal, Tally},
    message,
};

/// Most spans or lines of one request.
const BATCH: usize = 512;
/// How long is gathered; also the time between two tries.
const GATHER: Duration = Duration::from_secs(1);
/// Tries of one batch.
const TRIES: u32 = 3;
/// At most one warning in this time.
const QUIET: Duration = Duration::from_mins(1);

/// A queue, and the batch that was taken out of it.
pub(super) struct Lane<T> {
    signal: Signal,
    queue: mpsc::Receiver<T>,
    batch: Vec<T>,
    tries: u32,
}

impl<T> Lane<T> {
    pub(super) const fn new(signal: Signal, queue: mpsc::Receiver<T>) -> Self {
        Self { signal, queue, batch: Vec::new(), tries: 0 }
    }

    /// Fills the batch unless it is one that is tried again; false when there is nothing.
    fn fill(&mut self) -> bool {
        while self.tries == 0
            && self.batch.len() < BATCH
            && let Ok(item) = self.queue.try_recv()
        {
            self.batch.push(item);
        }
        !self.batch.is_empty()
    }

    fn last_try(&mut self) {
        self.tries = if self.batch.is_empty() { 0 } else { TRIES - 1 };
    }

    /// What became of the batch; whether to go on with the next.
    fn settle(&mut self, result: Result<(), Failed>, tally: &Tally, warner: &mut Warner) -> bool {
        let (count, well) = (self.batch.len(), result.is_ok());
        match result {
            Ok(()) => tally.export(self.signal, count),
            Err(failed) => {
                self.tries += 1;
                warner.warn(self.signal, &failed);
                if failed.again && self.tries < TRIES {
                    return false;
                }
                tally.lose(self.signal, count);
            }
        }
        self.batch.clear();
        self.tries = 0;
        well
    }
}

/// Says that the collector fails, and not again soon.
#[derive(Default)]
struct Warner(Option<Instant>);

impl Warner {
    fn warn(&mut self, signal: Signal, failed: &Failed) {
        let now = Instant::now();
        if self.0.is_none_or(|last| now.duration_since(last) >= QUIET) {
            self.0 = Some(now);
            tracing::warn!(signal = signal.word(), reason = %failed, "the collector does not take telemetry");
        }
    }
}

/// What the task works with.
pub(super) struct Worker {
    pub(super) collector: Collector,
    pub(super) tally: Arc<Tally>,
    pub(super) spans: Lane<Span>,
    pub(super) lines: Lane<LogRecord>,
    pub(super) metrics: Option<Readers>,
    pub(super) resource: Resource,
    pub(super) interval: Duration,
    pub(super) stopped: watch::Receiver<bool>,
}

impl Worker {
    /// Sends until told to stop, and then what is left.
    pub(super) async fn run(mut self) {
        let mut stopped = self.stopped.clone();
        let mut warner = Warner::default();
        tokio::select! {
            // The watched value is a guard that must not live across an await.
            () = async { drop(stopped.wait_for(|stop| *stop).await) } => {}
            () = self.sending(&mut warner) => {}
        }
        // Whatever was tried has one more chance; the caller bounds all of it.
        self.spans.last_try();
        self.lines.last_try();
        self.all_spans(&mut warner).await;
        self.all_lines(&mut warner).await;
        self.all_metrics(&mut warner).await;
    }

    async fn sending(&mut self, warner: &mut Warner) {
        let mut gathered = interval(GATHER);
        let mut measured = interval(self.interval);
        gathered.set_missed_tick_behavior(MissedTickBehavior::Delay);
        measured.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick comes at once: there is nothing to measure yet.
        measured.tick().await;
        loop {
            tokio::select! {
                _ = gathered.tick() => {
                    self.all_spans(warner).await;
                    self.all_lines(warner).await;
                }
                _ = measured.tick() => self.all_metrics(warner).await,
            }
        }
    }

    async fn all_spans(&mut self, warner: &mut Warner) {
        while self.spans.fill() {
            let bytes = message::traces(&self.resource, &self.spans.batch);
            let result = self.collector.send(Signal::Traces, bytes).await;
            if !self.spans.settle(result, &self.tally, warner) {
                return;
            }
        }
    }

    async fn all_lines(&mut self, warner: &mut Warner) {
        while self.lines.fill() {
            let bytes = message::logs(&self.resource, &self.lines.batch);
            let result = self.collector.send(Signal::Logs, bytes).await;
            if !self.lines.settle(result, &self.tally, warner) {
                return;
            }
        }
    }

    /// The next collection has all that one has which is lost: nothing is tried again.
    async fn all_metrics(&mut self, warner: &mut Warner) {
        let Some(readers) = &self.metrics else { return };
        let bytes = message::metrics(&self.resource, readers.collect());
        match self.collector.send(Signal::Metrics, bytes).await {
            Ok(()) => self.tally.export(Signal::Metrics, 1),
            Err(failed) => {
                self.tally.lose(Signal::Metrics, 1);
                warner.warn(Signal::Metrics, &failed);
            }
        }
    }
}
