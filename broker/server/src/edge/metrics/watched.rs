//! What the broker and the store count by themselves, read anew each time that somebody looks.

use std::sync::Arc;

use opentelemetry::{
    KeyValue,
    metrics::{AsyncInstrument, MeterProvider as _},
};
use warder_core::{audit::SinkStatus, broker::Broker, clock::Clock, port::usage::Fault};
use warder_store::{Barrier, engine};

use super::{Metrics, text};
use crate::telemetry::{Signal, Tally};

type Out<'a, T> = &'a dyn AsyncInstrument<T>;

impl Metrics {
    /// Shows what the broker counts.
    pub(crate) fn watch(&self, broker: &Arc<Broker>, clock: Arc<dyn Clock>) {
        let of = Watched { meter: self.own.meter("warder"), broker };
        of.count("warder_token_events", "Tokens created, expired, renewed, revoked", |broker, out| {
            let counts = broker.token_counts();
            out.observe(counts.created, &[KeyValue::new("event", "created")]);
            out.observe(counts.expired, &[KeyValue::new("event", "expired")]);
            out.observe(counts.renewed, &[KeyValue::new("event", "renewed")]);
            out.observe(counts.revoked, &[KeyValue::new("event", "revoked")]);
        });
        of.count(
            "warder_lease_events",
            "Leases issued, renewed, expired, revoked; revocations failed",
            |broker, out| {
                let counts = broker.lease_counts();
                for (event, count) in [
                    ("issued", counts.issued),
                    ("renewed", counts.renewed),
                    ("expired", counts.expired),
                    ("revoked", counts.revoked),
                    ("failed", counts.failed),
                ] {
                    out.observe(count, &[KeyValue::new("event", event)]);
                }
            },
        );
        of.gauge("warder_lease_stored", "Leases, those that are being revoked among them", |broker, out| {
            out.observe(broker.lease_counts().leases, &[]);
        });
        of.gauge("warder_lease_stuck", "Leases whose revocation failed often", |broker, out| {
            out.observe(broker.lease_counts().stuck, &[]);
        });
        of.count("warder_cache_lookups", "Answers looked for in the cache, by whether it had them", |broker, out| {
            let stats = broker.cache_stats();
            out.observe(stats.hits, &[KeyValue::new("result", "hit")]);
            out.observe(stats.misses, &[KeyValue::new("result", "miss")]);
        });
        of.gauge("warder_cache_entries", "Answers in the cache", |broker, out| {
            out.observe(broker.cache_stats().entries, &[]);
        });
        of.gauge("warder_cache_bytes", "Weight of the answers in the cache", |broker, out| {
            out.observe(broker.cache_stats().bytes, &[]);
        });
        of.gauge("warder_feed_watchers", "Watchers at this moment", |broker, out| {
            out.observe(broker.watchers() as u64, &[]);
        });
        of.count("warder_audit_records", "Records that the sink took", |broker, out| {
            by_sink(broker, out, |sink| sink.records);
        });
        of.count("warder_audit_failures", "Records that the sink did not take", |broker, out| {
            by_sink(broker, out, |sink| sink.failures);
        });
        of.gauge("warder_audit_sink_healthy", "1 while the sink takes records", |broker, out| {
            by_sink(broker, out, |sink| u64::from(sink.healthy));
        });
        of.gauge("warder_seal_sealed", "1 while sealed", |broker, out| {
            out.observe(u64::from(broker.seal_status().sealed), &[]);
        });
        of.pressure();
        of.plugins();
        // A series that is not there before the first fault hides it from increase().
        for (plugin, _) in broker.footprints() {
            for fault in Fault::ALL {
                let labels = [KeyValue::new("plugin", plugin.clone()), KeyValue::new("fault", fault.word())];
                self.plugin_faults.add(0, &labels);
            }
        }
        Watched { meter: self.vault.meter("vault"), broker }.vault(clock);
    }

    /// Shows what the store counts.
    pub(crate) fn watch_store(&self, barrier: &Arc<Barrier>) {
        let meter = self.own.meter("warder");
        for (name, words, of) in [
            (
                "warder_storage_commits",
                "Batches that were written",
                (|tally| tally.commits) as fn(engine::Tally) -> u64,
            ),
            ("warder_storage_syncs", "Groups of batches made durable, one sync each", |tally| tally.groups),
            ("warder_storage_conflicts", "Batches that met a conflict and wrote nothing", |tally| tally.conflicts),
            ("warder_storage_failures", "Batches that the medium did not take", |tally| tally.failures),
        ] {
            let barrier = Arc::downgrade(barrier);
            let count = meter.u64_observable_counter(name).with_description(words);
            count
                .with_callback(move |out| {
                    barrier.upgrade().into_iter().for_each(|barrier| out.observe(of(barrier.tally()), &[]));
                })
                .build();
        }
    }
}

impl Metrics {
    /// Shows what became of telemetry on its way to a collector; without one, nothing.
    pub(crate) fn watch_export(&self, tally: Arc<Tally>) {
        let meter = self.own.meter("warder");
        for (name, words, of) in [
            (
                "warder_telemetry_exported",
                "Spans, log lines and collections of metrics that the collector took",
                Tally::exported as fn(&Tally, Signal) -> u64,
            ),
            ("warder_telemetry_dropped", "The same, lost for want of room or of a collector", Tally::dropped),
        ] {
            let tally = tally.clone();
            let count = meter.u64_observable_counter(name).with_description(words);
            count
                .with_callback(move |out| {
                    for signal in Signal::ALL {
                        out.observe(of(&tally, signal), &[KeyValue::new("signal", signal.word())]);
                    }
                })
                .build();
        }
    }
}

/// Instruments over a broker, which they do not keep alive.
struct Watched<'a> {
    meter: opentelemetry::metrics::Meter,
    broker: &'a Arc<Broker>,
}

impl Watched<'_> {
    fn count(&self, name: &'static str, words: &'static str, look: fn(&Broker, Out<'_, u64>)) {
        let instrument = self.meter.u64_observable_counter(name).with_description(words);
        instrument.with_callback(seen(self.broker, look)).build();
    }

    fn gauge(&self, name: &'static str, words: &'static str, look: fn(&Broker, Out<'_, u64>)) {
        let instrument = self.meter.u64_observable_gauge(name).with_description(words);
        instrument.with_callback(seen(self.broker, look)).build();
    }

    /// What is under way, and what was refused for it or for a limit.
    fn pressure(&self) {
        self.gauge("warder_load_requests", "Requests under way, operators' apart", |broker, out| {
            out.observe(broker.pressure().requests, &[]);
        });
        self.count("warder_load_shed", "Requests refused because too many were under way", |broker, out| {
            out.observe(broker.pressure().shed, &[]);
        });
        self.gauge("warder_mount_calls_running", "Plugin calls under way", |broker, out| {
            out.observe(broker.pressure().calls, &[]);
        });
        self.gauge("warder_mount_calls_waiting", "Requests that wait for a call of their mount", |broker, out| {
            out.observe(broker.pressure().waiting, &[]);
        });
        self.count("warder_mount_refusals", "Requests refused because their mount was full", |broker, out| {
            out.observe(broker.pressure().refused, &[]);
        });
        self.count("warder_limit_refusals", "Requests refused by rate limits", |broker, out| {
            out.observe(broker.pressure().limited, &[]);
        });
        self.gauge("warder_limit_clients", "Clients whose rates are remembered", |broker, out| {
            out.observe(broker.pressure().clients, &[]);
        });
        self.count("warder_login_throttled", "Requests refused where too many credentials failed", |broker, out| {
            out.observe(broker.pressure().throttled, &[]);
        });
        self.count("warder_login_lockouts", "Names locked because too many logins failed", |broker, out| {
            out.observe(broker.pressure().lockouts, &[]);
        });
        self.gauge("warder_login_locked", "Names that are locked", |broker, out| {
            out.observe(broker.pressure().locked, &[]);
        });
    }

    fn plugins(&self) {
        self.gauge("warder_plugin_memory_bytes", "Memory and sealed values of a plugin's calls", |broker, out| {
            by_plugin(broker, out, |footprint| footprint.memory);
        });
        self.gauge("warder_plugin_memory_peak_bytes", "The most that they were", |broker, out| {
            by_plugin(broker, out, |footprint| footprint.memory_peak);
        });
        self.gauge("warder_plugin_running", "Calls of a plugin that have a sandbox", |broker, out| {
            by_plugin(broker, out, |footprint| footprint.running);
        });
    }

    /// The names that Vault's operations guides watch, where Warder has what they mean.
    fn vault(&self, clock: Arc<dyn Clock>) {
        self.gauge("vault_core_unsealed", "1 while unsealed", |broker, out| {
            out.observe(u64::from(!broker.seal_status().sealed), &[]);
        });
        self.gauge("vault_core_sealed", "1 while sealed", |broker, out| {
            out.observe(u64::from(broker.seal_status().sealed), &[]);
        });
        self.gauge("vault_raft_leader", "1 while this node, which is the only one, serves", |broker, out| {
            out.observe(u64::from(broker.is_open()), &[]);
        });
        self.gauge("vault_expire_num_leases", "Leases", |broker, out| out.observe(broker.lease_counts().leases, &[]));
        self.count("vault_identity_entity_creation", "Entities made; there are none in this version", |_, out| {
            out.observe(0, &[]);
        });
        let (name, words) = text::EXPIRY;
        let seconds = self.meter.f64_observable_gauge(name).with_description(words);
        let look = move |broker: &Broker, out: Out<'_, f64>| {
            if let Some(next) = broker.next_expiry().filter(|_| broker.is_open()) {
                out.observe(clock.now().until(next).as_secs_f64(), &[]);
            }
        };
        seconds.with_callback(seen(self.broker, look)).build();
    }
}

/// A callback that looks at the broker and does not keep it alive.
fn seen<T>(
    broker: &Arc<Broker>,
    look: impl Fn(&Broker, Out<'_, T>) + Send + Sync + 'static,
) -> impl Fn(Out<'_, T>) + Send + Sync + 'static {
    let broker = Arc::downgrade(broker);
    move |out| {
        if let Some(broker) = broker.upgrade() {
            look(&broker, out);
        }
    }
}

/// Sinks are named by configuration: a closed set.
fn by_sink(broker: &Broker, out: Out<'_, u64>, of: fn(&SinkStatus) -> u64) {
    for sink in broker.audit().sinks() {
        out.observe(of(&sink), &[KeyValue::new("sink", sink.name.clone())]);
    }
}

/// And so are plugins.
fn by_plugin(broker: &Broker, out: Out<'_, u64>, of: fn(&warder_core::port::usage::Footprint) -> usize) {
    for (plugin, footprint) in broker.footprints() {
        out.observe(of(&footprint) as u64, &[KeyValue::new("plugin", plugin)]);
    }
}
