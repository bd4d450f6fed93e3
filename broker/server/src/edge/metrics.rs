//! Numbers about requests, through OpenTelemetry, as Prometheus text.
//!
//! Labels come from closed sets (door, operation, error code): never a path, name or identity.
//! The names that Vault's operations guides watch are written beside Warder's own.

use std::{sync::Arc, time::Duration};

use opentelemetry::{
    KeyValue,
    metrics::{AsyncInstrument, Counter, Gauge, Histogram, Meter, MeterProvider as _},
};
use opentelemetry_prometheus::ExporterBuilder;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Encoder as _, Registry, TextEncoder};
use warder_core::{
    audit::SinkStatus,
    broker::Broker,
    error::{Error, ErrorKind},
    port::seal::SealStatus,
    request::Door,
};

/// Upper bounds in seconds: a cached read takes tens of microseconds, an upstream seconds.
const BUCKETS: [f64; 14] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// The same in milliseconds, for the names that count them.
const MILLISECONDS: [f64; 14] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 5000.0];

/// The instruments of one process.
pub(crate) struct Metrics {
    /// One each: an exporter does not share its registry.
    registries: [Registry; 2],
    own: SdkMeterProvider,
    vault: SdkMeterProvider,
    requests: Counter<u64>,
    latency: Histogram<f64>,
    audit_failures: Counter<u64>,
    sealed: Gauge<u64>,
    vault_unsealed: Gauge<u64>,
    vault_sealed: Gauge<u64>,
    vault_latency: Histogram<f64>,
    vault_requests: Histogram<f64>,
    vault_token_create: Histogram<f64>,
    vault_token_lookup: Histogram<f64>,
    vault_audit_failures: Counter<u64>,
}

impl Metrics {
    /// Instruments with a registry of their own.
    ///
    /// # Errors
    /// When the registry refuses the exporter (it is new, so it does not).
    pub(crate) fn new() -> Result<Self, Error> {
        let registries = [Registry::new(), Registry::new()];
        let own = provider(&registries[0], opentelemetry_prometheus::exporter())?;
        // Vault's names are written as they are: no suffix tells a counter or a unit.
        let plain = opentelemetry_prometheus::exporter().without_counter_suffixes().without_units();
        let vault = provider(&registries[1], plain)?;
        let (ours, theirs) = (own.meter("warder"), vault.meter("vault"));
        let milliseconds = |name, words| histogram(&theirs, name, words, &MILLISECONDS);
        let gauge = |meter: &Meter, name, words| meter.u64_gauge(name).with_description(words).build();
        let metrics = Self {
            requests: counter(&ours, "warder_edge_requests", "Requests answered"),
            latency: histogram(
                &ours,
                "warder_edge_request_duration_seconds",
                "Time from the request's head to its answer",
                &BUCKETS,
            ),
            audit_failures: counter(
                &ours,
                "warder_audit_refusals",
                "Requests refused because no audit sink took the record",
            ),
            sealed: gauge(&ours, "warder_seal_sealed", "1 while sealed"),
            vault_unsealed: gauge(&theirs, "vault_core_unsealed", "1 while unsealed"),
            vault_sealed: gauge(&theirs, "vault_core_sealed", "1 while sealed"),
            vault_latency: histogram(
                &theirs,
                "vault_core_handle_request_latency_seconds",
                "Time to answer a request",
                &BUCKETS,
            ),
            vault_requests: milliseconds("vault_core_handle_request", "Milliseconds to answer a request"),
            vault_token_create: milliseconds("vault_token_create", "Milliseconds to create a token"),
            vault_token_lookup: milliseconds(
                "vault_token_lookup",
                "Milliseconds to look up a token that was asked for",
            ),
            vault_audit_failures: counter(
                &theirs,
                "vault_audit_log_request_failure",
                "Requests that could not be recorded",
            ),
            registries,
            own,
            vault,
        };
        // A counter that was never touched is absent; alerts need the zero.
        metrics.audit_failures.add(0, &[]);
        metrics.vault_audit_failures.add(0, &[]);
        metrics.of_process();
        Ok(metrics)
    }

    /// Shows what the broker counts by itself, read anew at each scrape.
    pub(crate) fn watch(&self, broker: &Arc<Broker>) {
        let meter = self.own.meter("warder");
        let count = |name, words| meter.u64_observable_counter(name).with_description(words);
        let gauge = |name, words| meter.u64_observable_gauge(name).with_description(words);
        count("warder_token_events", "Tokens created, expired, renewed, revoked")
            .with_callback(seen(broker, |broker, out| {
                let counts = broker.token_counts();
                out.observe(counts.created, &[KeyValue::new("event", "created")]);
                out.observe(counts.expired, &[KeyValue::new("event", "expired")]);
                out.observe(counts.renewed, &[KeyValue::new("event", "renewed")]);
                out.observe(counts.revoked, &[KeyValue::new("event", "revoked")]);
            }))
            .build();
        count("warder_cache_lookups", "Answers looked for in the cache, by whether it had them")
            .with_callback(seen(broker, |broker, out| {
                let stats = broker.cache_stats();
                out.observe(stats.hits, &[KeyValue::new("result", "hit")]);
                out.observe(stats.misses, &[KeyValue::new("result", "miss")]);
            }))
            .build();
        gauge("warder_cache_entries", "Answers in the cache")
            .with_callback(seen(broker, |broker, out| out.observe(broker.cache_stats().entries, &[])))
            .build();
        gauge("warder_cache_bytes", "Weight of the answers in the cache")
            .with_callback(seen(broker, |broker, out| out.observe(broker.cache_stats().bytes, &[])))
            .build();
        count("warder_audit_records", "Records that the sink took")
            .with_callback(seen(broker, |broker, out| by_sink(broker, out, |sink| sink.records)))
            .build();
        count("warder_audit_failures", "Records that the sink did not take")
            .with_callback(seen(broker, |broker, out| by_sink(broker, out, |sink| sink.failures)))
            .build();
        gauge("warder_audit_sink_healthy", "1 while the sink takes records")
            .with_callback(seen(broker, |broker, out| by_sink(broker, out, |sink| u64::from(sink.healthy))))
            .build();
    }

    /// What the kernel knows of this process, under Prometheus' usual names.
    fn of_process(&self) {
        let meter = self.vault.meter("process");
        let version = [KeyValue::new("version", env!("CARGO_PKG_VERSION"))];
        let built = meter.u64_gauge("warder_build_info").with_description("1; the label says which build this is");
        built.build().record(1, &version);
        for (name, words) in [
            ("process_resident_memory_bytes", "Resident memory"),
            ("vault_runtime_alloc_bytes", "Resident memory, under the name that Vault's guides watch"),
        ] {
            let gauge = meter.u64_observable_gauge(name).with_description(words);
            gauge.with_callback(|out| resident().into_iter().for_each(|bytes| out.observe(bytes, &[]))).build();
        }
        let files = meter.u64_observable_gauge("process_open_fds").with_description("Open file descriptors");
        files.with_callback(|out| open_files().into_iter().for_each(|count| out.observe(count, &[]))).build();
    }

    /// Counts one request; `path` says of what, and becomes no label.
    pub(crate) fn request(&self, door: Door, operation: &'static str, path: &str, code: &'static str, took: Duration) {
        let door = KeyValue::new("door", if door == Door::Vault { "vault" } else { "native" });
        let operation_label = KeyValue::new("operation", operation);
        self.requests.add(1, &[door.clone(), operation_label.clone(), KeyValue::new("code", code)]);
        self.latency.record(took.as_secs_f64(), &[door, operation_label]);
        self.vault_latency.record(took.as_secs_f64(), &[]);
        let milliseconds = took.as_secs_f64() * 1000.0;
        self.vault_requests.record(milliseconds, &[]);
        match path.strip_prefix("auth/token/") {
            Some(rest) if rest.starts_with("create") => self.vault_token_create.record(milliseconds, &[]),
            Some(rest) if rest.starts_with("lookup") => self.vault_token_lookup.record(milliseconds, &[]),
            _ => {}
        }
        if code == ErrorKind::AuditUnavailable.code() {
            self.audit_failures.add(1, &[]);
            self.vault_audit_failures.add(1, &[]);
        }
    }

    /// All of it as text.
    ///
    /// # Errors
    /// `internal` when the registry cannot be encoded.
    pub(crate) fn text(&self, seal: &SealStatus) -> Result<String, Error> {
        self.sealed.record(u64::from(seal.sealed), &[]);
        self.vault_unsealed.record(u64::from(!seal.sealed), &[]);
        self.vault_sealed.record(u64::from(seal.sealed), &[]);
        let mut text = Vec::new();
        for registry in &self.registries {
            TextEncoder::new().encode(&registry.gather(), &mut text).map_err(Error::internal)?;
        }
        String::from_utf8(text).map_err(Error::internal)
    }
}

/// A callback that looks at the broker and does not keep it alive.
fn seen(
    broker: &Arc<Broker>,
    look: impl Fn(&Broker, &dyn AsyncInstrument<u64>) + Send + Sync + 'static,
) -> impl Fn(&dyn AsyncInstrument<u64>) + Send + Sync + 'static {
    let broker = Arc::downgrade(broker);
    move |out| {
        if let Some(broker) = broker.upgrade() {
            look(&broker, out);
        }
    }
}

/// Sinks are named by configuration: a closed set.
fn by_sink(broker: &Broker, out: &dyn AsyncInstrument<u64>, of: fn(&SinkStatus) -> u64) {
    for sink in broker.audit().sinks() {
        out.observe(of(&sink), &[KeyValue::new("sink", sink.name.clone())]);
    }
}

fn provider(registry: &Registry, exporter: ExporterBuilder) -> Result<SdkMeterProvider, Error> {
    let exporter = exporter.with_registry(registry.clone()).scope_info_enabled(false).without_target_info();
    let reader = exporter.build().map_err(Error::internal)?;
    Ok(SdkMeterProvider::builder().with_reader(reader).build())
}

fn counter(meter: &Meter, name: &'static str, words: &'static str) -> Counter<u64> {
    meter.u64_counter(name).with_description(words).build()
}

fn histogram(meter: &Meter, name: &'static str, words: &'static str, bounds: &[f64]) -> Histogram<f64> {
    meter.f64_histogram(name).with_boundaries(bounds.to_vec()).with_description(words).build()
}

/// `VmRSS` of proc(5), in bytes; none where there is no such file.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

fn open_files() -> Option<u64> {
    // Without the one that reads the folder.
    Some((std::fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_shows_up_under_both_names() {
        let metrics = Metrics::new().unwrap();
        metrics.request(Door::Native, "read", "auth/token/lookup-self", "ok", Duration::from_millis(2));
        metrics.request(Door::Vault, "update", "", "audit_unavailable", Duration::from_millis(2));
        let seal = SealStatus {
            kind: "dev",
            initialized: true,
            sealed: false,
            threshold: 1,
            shares: 1,
            progress: 0,
            nonce: String::new(),
        };
        let text = metrics.text(&seal).unwrap();
        for line in [
            r#"warder_edge_requests_total{code="ok",door="native",operation="read"} 1"#,
            r#"warder_edge_request_duration_seconds_count{door="native",operation="read"} 1"#,
            "warder_audit_refusals_total 1",
            "vault_audit_log_request_failure 1",
            "vault_core_unsealed 1",
            "vault_core_sealed 0",
            "vault_token_lookup_count 1",
            "vault_core_handle_request_count 2",
            concat!("warder_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
            "warder_seal_sealed 0",
            "vault_core_handle_request_latency_seconds_count 2",
        ] {
            assert!(text.lines().any(|had| had == line), "{line} is not in:\n{text}");
        }
        let resident = text.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
        assert!(resident.is_some_and(|bytes| bytes.parse::<f64>().unwrap() > 1e6), "{text}");
        assert!(text.lines().any(|line| line.starts_with("process_open_fds ")), "{text}");
    }
}
