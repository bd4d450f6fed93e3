//! What the rest of the process sees of exporting: queues with a bound. Putting something there
//! costs neither waiting nor an error; what does not fit is counted and gone.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use opentelemetry_proto::tonic::{collector::metrics::v1::ExportMetricsServiceRequest, logs::v1::LogRecord};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{InstrumentKind, ManualReader, Pipeline, Temporality, data::ResourceMetrics, reader::MetricReader},
};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use warder_core::trace::{Recorder, Span, SpanId, TraceId};

use super::{
    TelemetryConfig,
    batch::{self, Lane},
    collector::{Collector, SetupError},
    lines::Lines,
    message,
};

/// What the collector is given at a shutdown.
const FLUSH: Duration = Duration::from_secs(5);

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Log lines.
    Logs,
    /// Collections of metrics.
    Metrics,
    /// Spans.
    Traces,
}

impl Signal {
    /// Every signal.
    pub const ALL: [Self; 3] = [Self::Logs, Self::Metrics, Self::Traces];

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Metrics => "metrics",
            Self::Traces => "traces",
        }
    }
}

/// What became of what was to be sent: spans, log lines, collections of metrics.
#[derive(Debug, Default)]
pub struct Tally {
    exported: [AtomicU64; 3],
    dropped: [AtomicU64; 3],
}

impl Tally {
    /// How many a collector took.
    #[must_use]
    pub fn exported(&self, signal: Signal) -> u64 {
        self.exported[signal as usize].load(Ordering::Relaxed)
    }

    /// How many are lost: the queue was full, or the collector did not take them.
    #[must_use]
    pub fn dropped(&self, signal: Signal) -> u64 {
        self.dropped[signal as usize].load(Ordering::Relaxed)
    }

    pub(super) fn export(&self, signal: Signal, count: usize) {
        self.exported[signal as usize].fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn lose(&self, signal: Signal, count: usize) {
        self.dropped[signal as usize].fetch_add(count as u64, Ordering::Relaxed);
    }
}

/// Sends spans, metrics and log lines to a collector.
pub struct Exporter {
    config: TelemetryConfig,
    tally: Arc<Tally>,
    spans: mpsc::Sender<Span>,
    lines: mpsc::Sender<LogRecord>,
    readers: Readers,
    random: SystemRandom,
    /// Names of spans: counted from a random start, and mixed.
    next: AtomicU64,
    stop: watch::Sender<bool>,
    /// Until it is started.
    waiting: Mutex<Option<batch::Worker>>,
}

impl Exporter {
    /// An exporter that gathers and does not send yet; none where no endpoint is configured.
    ///
    /// # Errors
    /// Words for the user: which file cannot be used.
    pub fn new(config: &TelemetryConfig) -> Result<Option<Arc<Self>>, SetupError> {
        let Some(endpoint) = &config.endpoint else { return Ok(None) };
        let collector = Collector::new(endpoint.clone(), config)?;
        let tally = Arc::new(Tally::default());
        let (spans, spans_out) = mpsc::channel(config.queue);
        let (lines, lines_out) = mpsc::channel(config.queue);
        let (stop, stopped) = watch::channel(false);
        let random = SystemRandom::new();
        let resource = message::resource(&config.service_name, &format!("{:032x}", number(&random)));
        let readers = Readers::new();
        let worker = batch::Worker {
            collector,
            tally: tally.clone(),
            spans: Lane::new(Signal::Traces, spans_out),
            lines: Lane::new(Signal::Logs, lines_out),
            metrics: config.metrics.then(|| readers.clone()),
            resource,
            interval: config.interval,
            stopped,
        };
        let next = AtomicU64::new(u64::try_from(number(&random) >> 64).unwrap_or_default());
        let (config, waiting) = (config.clone(), Mutex::new(Some(worker)));
        Ok(Some(Arc::new(Self { config, tally, spans, lines, readers, random, next, stop, waiting })))
    }

    /// Begins to send, once; within a runtime.
    pub fn start(&self) -> Option<JoinHandle<()>> {
        let worker = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        worker.map(|worker| tokio::spawn(worker.run()))
    }

    /// Sends what waits, for five seconds at most, and ends.
    pub async fn stop(&self, sending: JoinHandle<()>) {
        // Nobody listening means that it has ended already.
        let _ = self.stop.send(true);
        let bound = FLUSH.min(self.config.timeout);
        let ending = sending.abort_handle();
        if tokio::time::timeout(bound, sending).await.is_err() {
            ending.abort();
            tracing::warn!("telemetry was not sent before the end");
        }
    }

    /// What became of it so far.
    #[must_use]
    pub const fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    pub(crate) fn readers(&self) -> Option<&Readers> {
        self.config.metrics.then_some(&self.readers)
    }

    /// The part that log lines go to.
    pub(super) fn lines(&self) -> Option<Lines> {
        self.config.logs.then(|| Lines::new(self.lines.clone(), self.tally.clone()))
    }

    /// Whether spans are wanted at all.
    pub(crate) const fn traces(&self) -> bool {
        self.config.traces
    }

    /// A new trace, and whether it is recorded.
    pub(crate) fn begin(&self) -> (TraceId, bool) {
        let id = number(&self.random).max(1);
        let share = self.config.sample_one_in;
        (TraceId(id.to_be_bytes()), share > 0 && id.is_multiple_of(share.into()))
    }
}

fn number(random: &SystemRandom) -> u128 {
    let mut bytes = [0; 16];
    // Not secret: without randomness the rest of the request fails closed anyway.
    let _ = random.fill(&mut bytes);
    u128::from_be_bytes(bytes)
}

impl Recorder for Exporter {
    /// `SplitMix64`: every number once, in no order that shows.
    fn fresh(&self) -> SpanId {
        let mut z = self.next.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        SpanId((z ^ (z >> 31)).max(1).to_be_bytes())
    }

    #[expect(clippy::disallowed_methods, reason = "spans need more than the milliseconds of core's clock")]
    fn now(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    fn take(&self, span: Span) {
        if self.spans.try_send(span).is_err() {
            self.tally.lose(Signal::Traces, 1);
        }
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").field("config", &self.config).finish_non_exhaustive()
    }
}

/// One reader for Warder's own metrics, and one for those with Vault's names.
#[derive(Clone, Debug)]
pub(crate) struct Readers([Reader; 2]);

impl Readers {
    fn new() -> Self {
        Self(std::array::from_fn(|_| Reader(Arc::default())))
    }

    /// For the first provider, or for the second.
    pub(crate) fn at(&self, at: usize) -> Option<Reader> {
        self.0.get(at).cloned()
    }

    /// All metrics as they are now.
    pub(super) fn collect(&self) -> ExportMetricsServiceRequest {
        let mut all = ExportMetricsServiceRequest::default();
        for reader in &self.0 {
            let mut found = ResourceMetrics::default();
            if reader.collect(&mut found).is_ok() {
                all.resource_metrics.extend(ExportMetricsServiceRequest::from(&found).resource_metrics);
            }
        }
        all
    }
}

/// A reader that is shared with the provider.
#[derive(Clone, Debug)]
pub(crate) struct Reader(Arc<ManualReader>);

impl MetricReader for Reader {
    fn register_pipeline(&self, pipeline: std::sync::Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn exporter(change: impl FnOnce(&mut TelemetryConfig)) -> Arc<Exporter> {
        let endpoint = super::super::Endpoint::parse("http://127.0.0.1:1");
        let mut config = TelemetryConfig { endpoint, ..TelemetryConfig::default() };
        change(&mut config);
        Exporter::new(&config).unwrap().unwrap()
    }

    #[test]
    fn nothing_is_made_without_an_endpoint() {
        assert!(Exporter::new(&TelemetryConfig::default()).unwrap().is_none());
    }

    #[test]
    fn no_two_spans_have_the_same_name_and_a_share_of_traces_is_recorded() {
        let exporter = exporter(|config| config.sample_one_in = 4);
        let ids: HashSet<_> = (0..1000).map(|_| exporter.fresh()).collect();
        assert_eq!(ids.len(), 1000);
        let recorded = (0..4000).filter(|_| exporter.begin().1).count();
        assert!((500..1500).contains(&recorded), "{recorded} of 4000");
        let none = self::exporter(|config| config.sample_one_in = 0);
        assert!((0..100).all(|_| !none.begin().1));
    }

    #[test]
    fn what_does_not_fit_is_counted_and_gone() {
        let exporter = exporter(|config| config.queue = 2);
        for _ in 0..5 {
            let span = Span {
                trace: exporter.begin().0,
                id: exporter.fresh(),
                parent: None,
                name: "a".into(),
                server: false,
                state: String::new(),
                began: exporter.now(),
                ended: exporter.now(),
                attributes: Vec::new(),
                failed: None,
            };
            exporter.take(span);
        }
        assert_eq!(exporter.tally().dropped(Signal::Traces), 3);
        assert_eq!(exporter.tally().dropped(Signal::Logs), 0);
    }
}
