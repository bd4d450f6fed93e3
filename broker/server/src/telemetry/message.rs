//! Spans, metrics and log lines as the messages of OTLP 1.x (opentelemetry-proto).

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span as Message, Status, span::SpanKind, status::StatusCode},
};
use prost::Message as _;
use warder_core::trace::{Span, Value};

/// `sampled` of W3C Trace Context, as a span's flags.
const SAMPLED: u32 = 1;

/// Text as a value.
pub(super) const fn text(text: String) -> AnyValue {
    AnyValue { value: Some(any_value::Value::StringValue(text)) }
}

/// One attribute.
pub(super) fn attribute(key: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

/// What this process is.
pub(super) fn resource(name: &str, instance: &str) -> Resource {
    let pairs =
        [("service.name", name), ("service.version", env!("CARGO_PKG_VERSION")), ("service.instance.id", instance)];
    let attributes = pairs.map(|(key, value)| attribute(key, text(value.to_owned()))).into();
    Resource { attributes, ..Resource::default() }
}

fn scope() -> InstrumentationScope {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    InstrumentationScope { name: "warder".to_owned(), version, ..InstrumentationScope::default() }
}

/// Spans as a request's bytes.
pub(super) fn traces(resource: &Resource, spans: &[Span]) -> Vec<u8> {
    let scoped =
        ScopeSpans { scope: Some(scope()), spans: spans.iter().map(span).collect(), schema_url: String::new() };
    let whole =
        ResourceSpans { resource: Some(resource.clone()), scope_spans: vec![scoped], schema_url: String::new() };
    ExportTraceServiceRequest { resource_spans: vec![whole] }.encode_to_vec()
}

/// Log lines as a request's bytes.
pub(super) fn logs(resource: &Resource, lines: &[LogRecord]) -> Vec<u8> {
    let scoped = ScopeLogs { scope: Some(scope()), log_records: lines.to_vec(), schema_url: String::new() };
    let whole = ResourceLogs { resource: Some(resource.clone()), scope_logs: vec![scoped], schema_url: String::new() };
    ExportLogsServiceRequest { resource_logs: vec![whole] }.encode_to_vec()
}

/// Metrics as a request's bytes.
pub(super) fn metrics(resource: &Resource, mut all: ExportMetricsServiceRequest) -> Vec<u8> {
    for metrics in &mut all.resource_metrics {
        metrics.resource = Some(resource.clone());
    }
    all.encode_to_vec()
}

fn span(span: &Span) -> Message {
    let kind = if span.server { SpanKind::Server } else { SpanKind::Internal };
    let value = |value: &Value| AnyValue {
        value: Some(match value {
            Value::Flag(flag) => any_value::Value::BoolValue(*flag),
            Value::Number(number) => any_value::Value::IntValue(*number),
            Value::Text(text) => any_value::Value::StringValue(text.to_string()),
        }),
    };
    Message {
        trace_id: span.trace.0.to_vec(),
        span_id: span.id.0.to_vec(),
        parent_span_id: span.parent.map(|parent| parent.0.to_vec()).unwrap_or_default(),
        trace_state: span.state.clone(),
        flags: SAMPLED,
        name: span.name.to_string(),
        kind: kind.into(),
        start_time_unix_nano: span.began,
        end_time_unix_nano: span.ended.max(span.began),
        attributes: span.attributes.iter().map(|(key, said)| attribute(key, value(said))).collect(),
        status: span.failed.map(|code| Status { message: code.to_owned(), code: StatusCode::Error.into() }),
        ..Message::default()
    }
}
