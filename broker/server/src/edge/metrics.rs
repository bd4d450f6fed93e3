//! Numbers about requests, through OpenTelemetry, as Prometheus text.
//!
//! Labels come from closed sets (door, operation, error code): never a path, name or identity.
//! The names that Vault's operations guides watch are written beside Warder's own.

use std::time::Duration;

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Gauge, Histogram, MeterProvider as _},
};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Encoder as _, Registry, TextEncoder};
use warder_core::{
    error::{Error, ErrorKind},
    port::seal::SealStatus,
    request::Door,
};

/// Upper bounds in seconds: a cached read takes tens of microseconds, an upstream seconds.
const BUCKETS: [f64; 14] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// The instruments of one process.
pub(crate) struct Metrics {
    registry: Registry,
    _provider: SdkMeterProvider,
    requests: Counter<u64>,
    latency: Histogram<f64>,
    cache: Counter<u64>,
    audit_failures: Counter<u64>,
    sealed: Gauge<u64>,
    vault_unsealed: Gauge<u64>,
    vault_latency: Histogram<f64>,
    vault_audit_failures: Counter<u64>,
}

impl Metrics {
    /// Instruments with a registry of their own.
    ///
    /// # Errors
    /// When the registry refuses the exporter (it is new, so it does not).
    pub(crate) fn new() -> Result<Self, Error> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .without_target_info()
            .build()
            .map_err(Error::internal)?;
        let provider = SdkMeterProvider::builder().with_reader(exporter).build();
        let meter = provider.meter("warder");
        let histogram = |name, words| {
            meter.f64_histogram(name).with_unit("s").with_boundaries(BUCKETS.to_vec()).with_description(words).build()
        };
        let counter = |name, words| meter.u64_counter(name).with_description(words).build();
        let gauge = |name, words| meter.u64_gauge(name).with_description(words).build();
        let metrics = Self {
            requests: counter("warder_edge_requests", "Requests answered"),
            latency: histogram("warder_edge_request_duration", "Time from the request's head to its answer"),
            cache: counter("warder_cache_lookups", "Reads answered, by whether the cache had them"),
            audit_failures: counter("warder_audit_refusals", "Requests refused because no audit sink took the record"),
            sealed: gauge("warder_seal_sealed", "1 while sealed"),
            vault_unsealed: gauge("vault_core_unsealed", "1 while unsealed"),
            vault_latency: histogram("vault_core_handle_request_latency", "Time to answer a request"),
            vault_audit_failures: counter("vault_audit_log_request_failure", "Requests that could not be recorded"),
            registry,
            _provider: provider,
        };
        // A counter that was never touched is absent; alerts need the zero.
        metrics.audit_failures.add(0, &[]);
        metrics.vault_audit_failures.add(0, &[]);
        Ok(metrics)
    }

    /// Counts one request.
    pub(crate) fn request(
        &self,
        door: Door,
        operation: &'static str,
        code: &'static str,
        cached: bool,
        took: Duration,
    ) {
        let door = KeyValue::new("door", if door == Door::Vault { "vault" } else { "native" });
        let operation_label = KeyValue::new("operation", operation);
        self.requests.add(1, &[door.clone(), operation_label.clone(), KeyValue::new("code", code)]);
        self.latency.record(took.as_secs_f64(), &[door, operation_label]);
        self.vault_latency.record(took.as_secs_f64(), &[]);
        if operation == "read" && code == "ok" {
            self.cache.add(1, &[KeyValue::new("result", if cached { "hit" } else { "miss" })]);
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
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text).map_err(Error::internal)?;
        String::from_utf8(text).map_err(Error::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_shows_up_under_both_names() {
        let metrics = Metrics::new().unwrap();
        metrics.request(Door::Native, "read", "ok", true, Duration::from_millis(2));
        metrics.request(Door::Vault, "update", "audit_unavailable", false, Duration::from_millis(2));
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
            r#"warder_cache_lookups_total{result="hit"} 1"#,
            "warder_audit_refusals_total 1",
            "vault_audit_log_request_failure_total 1",
            "vault_core_unsealed 1",
            "warder_seal_sealed 0",
            "vault_core_handle_request_latency_seconds_count 2",
        ] {
            assert!(text.lines().any(|had| had == line), "{line} is not in:\n{text}");
        }
    }
}
