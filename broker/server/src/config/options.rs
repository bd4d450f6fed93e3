//! Every option of `warder.toml`, in one table: the parser, the words of its errors, the names in
//! the environment, `config check` and `config generate` read it.
//!
//! An option is a row: its key, what it is for, and where in [`Config`] it goes, with its type,
//! unit and range. Its default is what [`Config::default`] has there. To add one: a field of the
//! room it belongs to, and its row here, behind the rows that decide whether it has a meaning.

use std::time::Duration;

use warder_store::sink::Sync;

use super::{
    AuditKind, Config, SealKind, StorageKind, listener,
    value::{Field, absolute, count, file, filter, size, time, word},
};
use crate::telemetry::{LogFormat, Protocol, TelemetryConfig};

/// A table of the file.
pub(super) struct Section {
    /// Its name; `audit.*` is one table for each name.
    pub(super) path: &'static str,
    /// What it is for.
    pub(super) about: &'static str,
    /// The name in the example, for tables that have names.
    pub(super) example: &'static str,
    /// Its options.
    pub(super) options: &'static [Opt],
}

/// One option.
pub(super) struct Opt {
    /// Its name within the section, dotted.
    pub(super) key: &'static str,
    /// What it is for, in a sentence.
    pub(super) about: &'static str,
    /// Whether it must be given.
    pub(super) need: Need,
    /// Whether others have a meaning or not depending on it.
    pub(super) switch: bool,
    /// Where it goes.
    pub(super) field: At,
}

/// Finds an option's place; the text is the name of its section, for those that have names.
pub(super) type At = for<'a> fn(&'a mut Config, &str) -> Field<'a>;

/// Whether an option must be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// It has a default.
    Default,
    /// Without it something is not done.
    Optional {
        /// For the example.
        example: &'static str,
    },
    /// Without it nothing starts.
    Required {
        /// For the example.
        example: &'static str,
        /// What else could be done.
        hint: &'static str,
    },
}

impl Need {
    /// What the example says, when it is not the default.
    pub(super) const fn example(self) -> Option<&'static str> {
        match self {
            Self::Default => None,
            Self::Optional { example } | Self::Required { example, .. } => Some(example),
        }
    }
}

/// Every section, in the order of the example.
pub(super) static SECTIONS: &[Section] = &[
    section(
        "listener",
        "Where to listen, and with which certificate. SIGHUP reads the files of tls again: new\n\
         connections get the new certificate, open ones go on.",
        listener::ONE,
    ),
    Section {
        path: "listener.*",
        about: "More listeners, each with a name and with all options of the one above, which can be left out\n\
                where there is one of these.",
        example: "local",
        options: listener::NAMED,
    },
    section(
        "storage",
        "Where to keep things. All that is kept is encrypted by the barrier.",
        &[
            option("type", "One file, or in memory: gone with the process.", |c, _| word(&mut c.storage.kind, STORAGE))
                .switch(),
            option("path", "The file; made when it does not exist.", |c, _| match c.storage.kind {
                StorageKind::Redb => file(&mut c.storage.path),
                StorageKind::Memory => Field::Absent("storage.type is \"memory\""),
            })
            .required("/var/lib/warder/warder.redb", ""),
        ],
    ),
    section(
        "seal",
        "What opens the barrier.",
        &[option("type", "Key shares that people give; dev opens by itself, from a key beside the store.", |c, _| {
            word(&mut c.seal.kind, SEALS)
        })],
    ),
    Section {
        path: "audit.*",
        about: "Where audit records go; at least one sink. One of them must take a record, or the request is\n\
                refused. SIGHUP opens the files again.",
        example: "file",
        options: &[
            option("type", "Lines appended to a file, or to the standard output.", |c, name| {
                word(&mut sink(c, name).kind, SINKS)
            })
            .required("file", "")
            .switch(),
            option("path", "The file.", |c, name| to_file(sink(c, name), |sink| absolute(&mut sink.path)))
                .required("/var/log/warder/audit.log", ""),
            option(
                "sync",
                "Which records are on the disk before they count: those before an effect, all, none.",
                |c, name| to_file(sink(c, name), |sink| word(&mut sink.sync, SYNCS)),
            ),
            option("deadline", "How long a record may wait to be taken.", |c, name| {
                time(&mut sink(c, name).deadline, 10 * MS..=MINUTE)
            }),
            option("queue", "Records that may wait.", |c, name| count(&mut sink(c, name).queue, 1..=65_536)),
        ],
    },
    Section {
        path: "plugins.*",
        about: "Components beside the bundled ones, under the names that they give themselves. Other bytes than\n\
                the pinned ones are refused, and with them the start.",
        example: "notes",
        options: &[
            option("file", "The component.", |c, name| file(&mut c.plugins.entry(name.to_owned()).or_default().file))
                .required("/etc/warder/plugins/notes.wasm", ""),
            option("sha256", "SHA-256 of its bytes.", |c, name| {
                Field::Digest(&mut c.plugins.entry(name.to_owned()).or_default().sha256)
            })
            .required("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", ""),
        ],
    },
    section(
        "limits",
        "Bounds of what clients may send and use.",
        &[
            option("request_size", "Largest body.", |c, _| size(&mut c.limits.body, KIB..=4 * MIB)),
            option("header_size", "Largest sum of header names and values.", |c, _| {
                size(&mut c.limits.headers, 4 * KIB..=MIB)
            }),
            option("request_time", "For a whole request; then 504, and what has begun is finished.", |c, _| {
                time(&mut c.limits.request, 100 * MS..=10 * MINUTE)
            }),
            option("body_time", "For a client to send its body.", |c, _| {
                time(&mut c.limits.slow_body, 100 * MS..=10 * MINUTE)
            }),
            option("header_time", "For a client to send its headers, or to finish its TLS handshake.", |c, _| {
                time(&mut c.limits.slow_head, 100 * MS..=10 * MINUTE)
            }),
            option(
                "answer_time",
                "For a client to take some of what is sent to it; then its connection is cut.",
                |c, _| time(&mut c.limits.slow_answer, 100 * MS..=10 * MINUTE),
            ),
            option(
                "connections",
                "Connections at once; for a further one the one is closed that was silent for longest.",
                |c, _| count(&mut c.limits.connections, 1..=1_000_000),
            ),
            option("streams", "Requests at once of one HTTP/2 connection.", |c, _| {
                count(&mut c.limits.streams, 1..=10_000)
            }),
            option("requests", "Requests at once; further ones get 503 at once, operators' (sys/) apart.", |c, _| {
                count(&mut c.load.requests, 1..=1_000_000)
            }),
            option("failures", "Credentials from one address that may fail at once; 0 for any number.", |c, _| {
                count(&mut c.load.failures, 0..=1_000_000)
            }),
            option(
                "drain_delay",
                "After SIGTERM or SIGINT /health answers 503 for so long before nobody is accepted any more.",
                |c, _| time(&mut c.limits.drain_delay, Duration::ZERO..=10 * MINUTE),
            ),
            option("drain_time", "For open requests to end after that; then they are cut.", |c, _| {
                time(&mut c.limits.drain, Duration::ZERO..=10 * MINUTE)
            }),
        ],
    ),
    section(
        "mounts",
        "Bounds of each mount, so that none takes what others need. A mount's own options max_calls and\n\
         max_queue go before them.",
        &[
            option("calls", "Plugin calls at once; further requests wait within their time.", |c, _| {
                count(&mut c.load.mount.calls, 1..=8192)
            }),
            option("queue", "Requests that wait for a call; further ones get 503 at once.", |c, _| {
                count(&mut c.load.mount.queue, 0..=65_536)
            }),
        ],
    ),
    section(
        "cache",
        "Answers kept in memory. Every hit is authorized and recorded like a miss.",
        &[option("size", "For all answers and what they depend on; 0B keeps none.", |c, _| {
            size(&mut c.cache_bytes, 0..=64 * GIB)
        })],
    ),
    section(
        "watch",
        "Bounds of those who watch secrets, over REST or gRPC. They share one history of changes: who\n\
         falls behind it, or comes back after it, is told to read again.",
        &[
            option("watchers", "Watchers at once; further ones are refused.", |c, _| {
                count(&mut c.feed.watchers, 1..=1_000_000)
            }),
            option("token_watchers", "Watchers at once that came with one token.", |c, _| {
                count(&mut c.feed.token_watchers, 1..=1_000_000)
            }),
            option("history", "Changes that can still be told.", |c, _| count(&mut c.feed.history, 1..=10_000_000)),
            option("history_size", "The same in bytes, about.", |c, _| size(&mut c.feed.history_bytes, 64 * KIB..=GIB)),
            option("heartbeat", "Silence after which a watcher is told that the watch goes on.", |c, _| {
                time(&mut c.feed.heartbeat, SECOND..=10 * MINUTE)
            }),
        ],
    ),
    section(
        "tokens",
        "How long tokens live.",
        &[
            option("default_ttl", "When nobody asks for a time.", |c, _| {
                time(&mut c.token.default_ttl, SECOND..=YEARS)
            }),
            option(
                "max_ttl",
                "Through all renewals; periodic tokens and root tokens without an end live on.",
                |c, _| time(&mut c.token.max_ttl, SECOND..=YEARS),
            ),
        ],
    ),
    section(
        "sandbox",
        "Bounds of plugins' calls, each of which runs in a sandbox of its own.",
        &[
            option("calls", "Calls at once; further ones wait within their time.", |c, _| {
                count(&mut c.runtime.max_concurrent, 1..=8192)
            }),
            option("plugin_calls", "Calls at once of one plugin.", |c, _| {
                count(&mut c.runtime.plugin_concurrent, 1..=8192)
            }),
            option("memory", "Memory of one call.", |c, _| size(&mut c.runtime.memory_bytes, MIB..=4 * GIB)),
            option("plugin_memory", "Memory and sealed values of all calls of one plugin.", |c, _| {
                size(&mut c.runtime.plugin_memory_bytes, MIB..=1024 * GIB)
            }),
            option("cpu_time", "Processor time of one call.", |c, _| time(&mut c.runtime.cpu, 10 * MS..=MINUTE)),
            option("time", "Time of one call, waiting included; limits.request_time may be shorter.", |c, _| {
                time(&mut c.runtime.wall, 10 * MS..=10 * MINUTE)
            }),
        ],
    ),
    section(
        "log",
        "What the process says of itself, on stderr.",
        &[
            option("level", "The least important lines that are written.", |c, _| filter(&mut c.log.level)),
            option("format", "For people, or one JSON object a line.", |c, _| word(&mut c.log.format, LOG_FORMATS)),
        ],
    ),
    section(
        "telemetry",
        "What is sent to an OpenTelemetry collector by OTLP: spans of requests, metrics, log lines. Without\n\
         an endpoint nothing is. A collector that is slow or gone costs what it does not take, and no more.",
        &[
            option("endpoint", "The collector.", |c, _| Field::Endpoint(&mut c.telemetry.endpoint))
                .optional("http://127.0.0.1:4317")
                .switch(),
            option("protocol", "OTLP over gRPC, or as protobuf over HTTP/1.1.", |c, _| {
                told(c, |t| word(&mut t.protocol, PROTOCOLS))
            }),
            option("ca_file", "PEM file: CAs of the collector's certificate, instead of the system's.", |c, _| {
                told(c, |t| Field::MaybeFile(&mut t.ca_file))
            })
            .optional("/etc/warder/tls/collector.pem"),
            option("headers_file", "Lines of `name: value` for every request to it; they may be secret.", |c, _| {
                told(c, |t| Field::MaybeFile(&mut t.headers_file))
            })
            .optional("/etc/warder/collector-headers"),
            option("service_name", "What this process is called there.", |c, _| {
                told(c, |t| Field::Name(&mut t.service_name))
            }),
            option("traces", "Whether spans are sent.", |c, _| told(c, |t| Field::Flag(&mut t.traces))),
            option("metrics", "Whether metrics are sent.", |c, _| told(c, |t| Field::Flag(&mut t.metrics))),
            option("logs", "Whether log lines are sent; log.level says which.", |c, _| {
                told(c, |t| Field::Flag(&mut t.logs))
            }),
            option(
                "sample_one_in",
                "Of so many requests without a traceparent, one is traced; 0: none. Others as it says.",
                |c, _| told(c, |t| count(&mut t.sample_one_in, 0..=1_000_000)),
            ),
            option("interval", "How often metrics are sent.", |c, _| {
                told(c, |t| time(&mut t.interval, 100 * MS..=60 * MINUTE))
            }),
            option("timeout", "For one request to the collector.", |c, _| {
                told(c, |t| time(&mut t.timeout, 100 * MS..=MINUTE))
            }),
            option("queue", "Spans, and as many log lines, that may wait; further ones are lost.", |c, _| {
                told(c, |t| count(&mut t.queue, 1..=1_000_000))
            }),
        ],
    ),
];

const LOG_FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];
const PROTOCOLS: &[(&str, Protocol)] = &[("grpc", Protocol::Grpc), ("http/protobuf", Protocol::Http)];
const SEALS: &[(&str, SealKind)] = &[("shamir", SealKind::Shamir), ("dev", SealKind::Dev)];
const SINKS: &[(&str, AuditKind)] = &[("file", AuditKind::File), ("stdout", AuditKind::Stdout)];
const STORAGE: &[(&str, StorageKind)] = &[("redb", StorageKind::Redb), ("memory", StorageKind::Memory)];
const SYNCS: &[(&str, Sync)] = &[("effects", Sync::Effects), ("always", Sync::Always), ("never", Sync::Never)];

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const YEARS: Duration = Duration::from_hours(87_600);

const fn section(path: &'static str, about: &'static str, options: &'static [Opt]) -> Section {
    Section { path, about, example: "", options }
}

pub(super) const fn option(key: &'static str, about: &'static str, field: At) -> Opt {
    Opt { key, about, need: Need::Default, switch: false, field }
}

impl Opt {
    pub(super) const fn optional(self, example: &'static str) -> Self {
        Self { need: Need::Optional { example }, ..self }
    }

    pub(super) const fn required(self, example: &'static str, hint: &'static str) -> Self {
        Self { need: Need::Required { example, hint }, ..self }
    }

    pub(super) const fn switch(self) -> Self {
        Self { switch: true, ..self }
    }
}

fn told<'a>(config: &'a mut Config, field: fn(&'a mut TelemetryConfig) -> Field<'a>) -> Field<'a> {
    match &config.telemetry.endpoint {
        Some(_) => field(&mut config.telemetry),
        None => Field::Absent("there is no telemetry.endpoint"),
    }
}

fn sink<'a>(config: &'a mut Config, name: &str) -> &'a mut super::AuditConfig {
    config.audit.entry(name.to_owned()).or_default()
}

fn to_file<'a>(sink: &'a mut super::AuditConfig, field: fn(&'a mut super::AuditConfig) -> Field<'a>) -> Field<'a> {
    match sink.kind {
        AuditKind::File => field(sink),
        AuditKind::Stdout => Field::Absent("the sink's type is \"stdout\""),
    }
}

impl Section {
    /// Whether there is one for each name.
    pub(super) fn has_names(&self) -> bool {
        self.path.ends_with(".*")
    }

    /// Whether it is an example as a whole: nobody needs one.
    pub(super) fn is_extra(&self) -> bool {
        matches!(self.path, "listener.*" | "plugins.*")
    }

    /// Its own path, with this name.
    pub(super) fn named(&self, name: &str) -> String {
        self.path.replace('*', name)
    }

    /// The path of an option of it.
    pub(super) fn option(&self, name: &str, option: &Opt) -> String {
        format!("{}.{}", self.named(name), option.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_sink_that_the_store_knows_can_be_configured() {
        let here: Vec<&str> = SINKS.iter().map(|(word, _)| *word).collect();
        let there: Vec<&str> = warder_store::sink::KINDS.iter().map(|(word, _)| *word).collect();
        assert_eq!(here, there);
    }

    #[test]
    fn every_default_is_within_its_range() {
        for section in SECTIONS {
            for option in section.options.iter().filter(|option| option.need == Need::Default) {
                let mut config = super::super::example::filled();
                if matches!((option.field)(&mut config, section.example), Field::Absent(_)) {
                    continue;
                }
                let raw = (option.field)(&mut config, section.example).raw();
                let told = (option.field)(&mut config, section.example).set(&raw);
                assert_eq!(told, Ok(()), "{}.{}", section.path, option.key);
            }
        }
    }
}
