//! Log lines on their way to the collector: Warder's own, with the request and the trace that they
//! belong to.
//!
//! Lines of libraries stay on stderr: nobody here has looked at what they say. And so do those
//! about exporting itself, or a collector that is down would be told so.

use std::{fmt, fmt::Write as _, sync::Arc};

use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    logs::v1::{LogRecord, SeverityNumber},
};
use tokio::sync::mpsc;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};
use warder_core::trace;

use super::{
    exporter::{Signal, Tally},
    message::{self, text},
};

/// Longest text of one field, bytes.
const FIELD_BYTES: usize = 8 * 1024;

/// The layer of log lines.
pub(crate) struct Lines {
    queue: mpsc::Sender<LogRecord>,
    tally: Arc<Tally>,
}

impl Lines {
    pub(super) const fn new(queue: mpsc::Sender<LogRecord>, tally: Arc<Tally>) -> Self {
        Self { queue, tally }
    }
}

/// What a span says of everything in it.
struct Said(Vec<KeyValue>);

#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<KeyValue>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        let _ = write!(text, "{value:?}");
        self.put(field, text);
    }
}

impl Fields {
    fn put(&mut self, field: &Field, mut value: String) {
        value.truncate(value.floor_char_boundary(FIELD_BYTES));
        match field.name() {
            "message" => self.message = value,
            name => self.others.push(message::attribute(name, text(value))),
        }
    }
}

fn ours(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    target.starts_with("warder") && !target.starts_with("warder::telemetry")
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id).filter(|span| ours(span.metadata())) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().insert(Said(fields.others));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if !ours(event.metadata()) {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        for span in context.event_scope(event).into_iter().flatten() {
            let extensions = span.extensions();
            for said in extensions.get::<Said>().into_iter().flat_map(|said| &said.0) {
                if !fields.others.iter().any(|had| had.key == said.key) {
                    fields.others.push(said.clone());
                }
            }
        }
        fields.others.push(message::attribute("code.namespace", text(event.metadata().target().to_owned())));
        if self.queue.try_send(record(*event.metadata().level(), fields)).is_err() {
            self.tally.lose(Signal::Logs, 1);
        }
    }
}

fn record(level: Level, fields: Fields) -> LogRecord {
    let trace = trace::current();
    let now = now();
    LogRecord {
        time_unix_nano: now,
        observed_time_unix_nano: now,
        severity_number: severity(level).into(),
        severity_text: level.as_str().to_owned(),
        body: Some(text(fields.message)),
        attributes: fields.others,
        flags: trace.as_ref().map_or(0, |trace| u32::from(trace.recorder.is_some())),
        trace_id: trace.as_ref().map(|trace| trace.id.0.to_vec()).unwrap_or_default(),
        span_id: trace.map(|trace| trace.span.0.to_vec()).unwrap_or_default(),
        ..LogRecord::default()
    }
}

#[expect(clippy::disallowed_methods, reason = "a line is logged where nobody has a clock")]
fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

const fn severity(level: Level) -> SeverityNumber {
    match level {
        Level::ERROR => SeverityNumber::Error,
        Level::WARN => SeverityNumber::Warn,
        Level::INFO => SeverityNumber::Info,
        Level::DEBUG => SeverityNumber::Debug,
        Level::TRACE => SeverityNumber::Trace,
    }
}
