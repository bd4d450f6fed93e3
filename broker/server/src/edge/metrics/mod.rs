//! Numbers about requests and plugins, through OpenTelemetry, as Prometheus text.
//!
//! Labels come from closed sets (door, operation, error code, fault) and from what an operator
//! named (plugin, mount, sink): never a path, a token, an address or an identity. Past 2,000 series
//! of one metric, OpenTelemetry counts the others together. The names that Vault's operations
//! guides watch are written beside Warder's own. To add a number that Warder counts anyway: a row
//! in `watched.rs`. ARCHITECTURE.md has the table of all names; a test compares.

mod process;
mod text;
mod watched;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, Meter, MeterProvider as _},
};
use opentelemetry_prometheus::ExporterBuilder;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::Registry;
use warder_core::{
    error::{Error, ErrorKind},
    port::usage::{Calls, Ended},
};

use crate::telemetry::{Reader, Readers};

/// Upper bounds in seconds: a cached read takes tens of microseconds, an upstream seconds.
const BUCKETS: [f64; 14] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// The same in milliseconds, for the names that count them.
const MILLISECONDS: [f64; 14] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 5000.0];

/// The door that a request came through, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entrance {
    Grpc,
    Rest,
    Vault,
}

impl Entrance {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Rest => "rest",
            Self::Vault => "vault",
        }
    }
}

/// Why a connection was closed that its client would have kept, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// It was silent, and its place was wanted.
    Crowded,
    /// Its client took too long.
    Slow,
}

impl Dropped {
    const ALL: [Self; 2] = [Self::Crowded, Self::Slow];

    const fn word(self) -> &'static str {
        match self {
            Self::Crowded => "crowded",
            Self::Slow => "slow",
        }
    }
}

/// The instruments of one process.
pub(crate) struct Metrics {
    /// One each: an exporter does not share its registry.
    registries: [Registry; 2],
    own: SdkMeterProvider,
    vault: SdkMeterProvider,
    requests: Counter<u64>,
    latency: Histogram<f64>,
    audit_failures: Counter<u64>,
    connections: Arc<Connections>,
    dropped: Counter<u64>,
    plugin_calls: Counter<u64>,
    plugin_latency: Histogram<f64>,
    plugin_processor: Counter<f64>,
    plugin_faults: Counter<u64>,
    vault_latency: Histogram<f64>,
    vault_requests: Histogram<f64>,
    vault_token_create: Histogram<f64>,
    vault_token_lookup: Histogram<f64>,
    vault_audit_failures: Counter<u64>,
    vault_auth_failures: Counter<u64>,
}

impl Metrics {
    /// Instruments with registries of their own, and with these readers beside them.
    ///
    /// # Errors
    /// When a registry refuses its exporter (it is new, so it does not).
    pub(crate) fn new(readers: Option<&Readers>) -> Result<Self, Error> {
        let registries = [Registry::new(), Registry::new()];
        let own = provider(&registries[0], opentelemetry_prometheus::exporter(), readers.and_then(|all| all.at(0)))?;
        // Vault's names are written as they are: no suffix tells a counter or a unit.
        let plain = opentelemetry_prometheus::exporter().without_counter_suffixes().without_units();
        let vault = provider(&registries[1], plain, readers.and_then(|all| all.at(1)))?;
        let (ours, theirs) = (own.meter("warder"), vault.meter("vault"));
        let of_vault = |at: usize| {
            let (name, words, bounds) = text::VAULT_HISTOGRAMS[at];
            histogram(&theirs, name, words, bounds)
        };
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
            connections: Arc::default(),
            dropped: counter(
                &ours,
                "warder_edge_connections_dropped",
                "Connections closed that clients would have kept",
            ),
            plugin_calls: counter(&ours, "warder_plugin_calls", "Calls of plugins, by how they ended"),
            plugin_latency: histogram(
                &ours,
                "warder_plugin_call_duration_seconds",
                "Time of a call of a plugin, waiting for a sandbox included",
                &BUCKETS,
            ),
            plugin_processor: ours
                .f64_counter("warder_plugin_cpu_seconds")
                .with_description("Time that calls of plugins had a processor, host calls included")
                .build(),
            plugin_faults: counter(&ours, "warder_plugin_faults", "Calls of plugins that were ended, by why"),
            vault_latency: of_vault(0),
            vault_requests: of_vault(1),
            vault_token_create: of_vault(2),
            vault_token_lookup: of_vault(3),
            vault_audit_failures: counter(
                &theirs,
                "vault_audit_log_request_failure",
                "Requests that could not be recorded",
            ),
            vault_auth_failures: counter(
                &theirs,
                "vault_core_auth_request_failure_count",
                "Requests refused for want of a valid token or proof",
            ),
            registries,
            own,
            vault,
        };
        // A counter that was never touched is absent; alerts need the zero.
        for counter in [&metrics.audit_failures, &metrics.vault_audit_failures, &metrics.vault_auth_failures] {
            counter.add(0, &[]);
        }
        for why in Dropped::ALL {
            metrics.dropped.add(0, &[KeyValue::new("reason", why.word())]);
        }
        process::watch(&metrics.vault.meter("process"));
        metrics.connections.watch(&metrics.own.meter("warder"));
        Ok(metrics)
    }

    /// Counts one request; `path` says of what, and becomes no label.
    pub(crate) fn request(
        &self,
        door: Entrance,
        operation: &'static str,
        path: &str,
        code: &'static str,
        took: Duration,
    ) {
        let door = KeyValue::new("door", door.word());
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
        if code == ErrorKind::Unauthenticated.code() {
            self.vault_auth_failures.add(1, &[]);
        }
    }

    /// Counts a connection that was closed.
    pub(crate) fn dropped(&self, why: Dropped) {
        self.dropped.add(1, &[KeyValue::new("reason", why.word())]);
    }

    /// Counts a connection until what it returns drops.
    pub(crate) fn connection(&self) -> Connected {
        self.connections.open.fetch_add(1, Ordering::Relaxed);
        self.connections.accepted.fetch_add(1, Ordering::Relaxed);
        Connected(self.connections.clone())
    }
}

impl Calls for Metrics {
    fn ended(&self, call: &Ended<'_>) {
        let plugin = KeyValue::new("plugin", call.plugin.to_owned());
        let place = [plugin.clone(), KeyValue::new("mount", call.mount.to_owned())];
        self.plugin_latency.record(call.took.as_secs_f64(), &place);
        self.plugin_processor.add(call.usage.processor.as_secs_f64(), &place);
        let [_, mount] = place;
        let (export, outcome) = (KeyValue::new("call", call.export.word()), KeyValue::new("outcome", call.outcome));
        self.plugin_calls.add(1, &[plugin.clone(), mount, export, outcome]);
        if let Some(fault) = call.usage.fault {
            self.plugin_faults.add(1, &[plugin, KeyValue::new("fault", fault.word())]);
        }
    }
}

/// Connections now, and since the start.
#[derive(Debug, Default)]
struct Connections {
    open: AtomicU64,
    accepted: AtomicU64,
}

impl Connections {
    fn watch(self: &Arc<Self>, meter: &Meter) {
        let (open, accepted) = (self.clone(), self.clone());
        meter
            .u64_observable_gauge("warder_edge_connections")
            .with_description("Connections that are open")
            .with_callback(move |out| out.observe(open.open.load(Ordering::Relaxed), &[]))
            .build();
        meter
            .u64_observable_counter("warder_edge_connections_accepted")
            .with_description("Connections accepted")
            .with_callback(move |out| out.observe(accepted.accepted.load(Ordering::Relaxed), &[]))
            .build();
    }
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connected(Arc<Connections>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

fn provider(registry: &Registry, exporter: ExporterBuilder, more: Option<Reader>) -> Result<SdkMeterProvider, Error> {
    let exporter = exporter.with_registry(registry.clone()).scope_info_enabled(false).without_target_info();
    let reader = exporter.build().map_err(Error::internal)?;
    let builder = SdkMeterProvider::builder().with_reader(reader);
    Ok(match more {
        Some(more) => builder.with_reader(more).build(),
        None => builder.build(),
    })
}

fn counter(meter: &Meter, name: &'static str, words: &'static str) -> Counter<u64> {
    meter.u64_counter(name).with_description(words).build()
}

fn histogram(meter: &Meter, name: &'static str, words: &'static str, bounds: &[f64]) -> Histogram<f64> {
    meter.f64_histogram(name).with_boundaries(bounds.to_vec()).with_description(words).build()
}

#[cfg(test)]
mod tests {
    use warder_core::port::usage::{Export, Fault, Usage};

    use super::*;

    fn has(text: &str, lines: &[&str]) {
        for line in lines {
            assert!(text.lines().any(|had| had == *line), "{line} is not in:\n{text}");
        }
    }

    #[test]
    fn one_request_shows_up_under_both_names() {
        let metrics = Metrics::new(None).unwrap();
        metrics.request(Entrance::Rest, "read", "auth/token/lookup-self", "ok", Duration::from_millis(2));
        metrics.request(Entrance::Vault, "update", "", "audit_unavailable", Duration::from_millis(2));
        metrics.request(Entrance::Grpc, "none", "", "unauthenticated", Duration::from_millis(2));
        let text = metrics.text().unwrap();
        has(
            &text,
            &[
                r#"warder_edge_requests_total{code="ok",door="rest",operation="read"} 1"#,
                r#"warder_edge_request_duration_seconds_count{door="grpc",operation="none"} 1"#,
                "warder_audit_refusals_total 1",
                "vault_audit_log_request_failure 1",
                "vault_core_auth_request_failure_count 1",
                "vault_token_lookup_count 1",
                "vault_token_create_count 0",
                "vault_core_handle_request_count 3",
                "vault_core_handle_request_latency_seconds_count 3",
                concat!("warder_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
            ],
        );
        let resident = text.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
        assert!(resident.is_some_and(|bytes| bytes.parse::<f64>().unwrap() > 1e6), "{text}");
        assert!(text.lines().any(|line| line.starts_with("process_open_fds ")), "{text}");
    }

    #[test]
    fn a_call_of_a_plugin_is_counted_with_its_cost_and_its_fault() {
        let metrics = Metrics::new(None).unwrap();
        let usage = Usage { processor: Duration::from_millis(1500), memory: 7, fault: Some(Fault::Processor) };
        metrics.ended(&Ended {
            plugin: "kv",
            mount: "secret/",
            export: Export::Handle,
            outcome: "deadline_exceeded",
            took: Duration::from_secs(2),
            usage,
        });
        has(
            &metrics.text().unwrap(),
            &[
                r#"warder_plugin_calls_total{call="handle",mount="secret/",outcome="deadline_exceeded",plugin="kv"} 1"#,
                r#"warder_plugin_call_duration_seconds_sum{mount="secret/",plugin="kv"} 2"#,
                r#"warder_plugin_cpu_seconds_total{mount="secret/",plugin="kv"} 1.5"#,
                r#"warder_plugin_faults_total{fault="processor",plugin="kv"} 1"#,
            ],
        );
    }

    #[test]
    fn a_connection_is_open_until_it_drops() {
        let metrics = Metrics::new(None).unwrap();
        let connected = metrics.connection();
        has(&metrics.text().unwrap(), &["warder_edge_connections 1", "warder_edge_connections_accepted_total 1"]);
        drop(connected);
        has(&metrics.text().unwrap(), &["warder_edge_connections 0", "warder_edge_connections_accepted_total 1"]);
    }
}
