//! W3C Trace Context at the doors: what a caller says of its trace, and the span that answers it.
//!
//! Invariant: a header that is malformed counts as absent (Trace Context, sections 3.2 and 3.3),
//! and without an exporter nothing is drawn, measured or allocated here.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use warder_core::{
    error::ErrorKind,
    trace::{Recorder, Span, SpanId, Trace, TraceId, Value},
};

use super::{Edge, Outcome, metrics::Entrance, status};

pub(crate) const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACE_STATE: HeaderName = HeaderName::from_static("tracestate");

/// Members of a `tracestate`, and its bytes, that are passed on.
const STATE_MEMBERS: usize = 32;
const STATE_BYTES: usize = 512;

/// What a `traceparent` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
    pub(super) sampled: bool,
}

impl Parent {
    /// The well-formed one, if there is exactly one. Versions that are not known yet are read as
    /// far as this one goes.
    pub(super) fn read(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACE_PARENT).iter();
        let text = values.next()?.to_str().ok()?;
        if values.next().is_some() {
            return None;
        }
        let mut parts = text.splitn(5, '-');
        let mut part = || parts.next();
        let (version, trace, span, flags) = (bytes(part()?)?, bytes(part()?)?, bytes(part()?)?, bytes::<1>(part()?)?);
        let [version] = version;
        let known = match version {
            0 => part().is_none(),
            255 => false,
            _ => true,
        };
        let named = trace != [0; 16] && span != [0; 8];
        let (trace, span) = (TraceId(trace), SpanId(span));
        (known && named).then_some(Self { trace, span, sampled: flags[0] & 1 == 1 })
    }
}

/// Lower-case hex digits of exactly so many bytes.
fn bytes<const N: usize>(hex: &str) -> Option<[u8; N]> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = hex.as_bytes().as_chunks::<2>() else { return None };
    let mut bytes = [0; N];
    if pairs.len() != N {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

/// The caller's `tracestate`, of all headers together; dropped as a whole when it is too much, or
/// holds what no list may hold.
fn state(headers: &HeaderMap) -> String {
    let values: Option<Vec<&str>> = headers.get_all(TRACE_STATE).iter().map(|value| value.to_str().ok()).collect();
    let text = values.unwrap_or_default().join(",");
    let plain = |member: &str| {
        let member = member.trim_matches([' ', '\t']);
        member.is_empty() || member.split_once('=').is_some_and(|(key, value)| key_of(key) && value_of(value))
    };
    let fits = text.len() <= STATE_BYTES && text.split(',').count() <= STATE_MEMBERS;
    if fits && text.split(',').all(plain) { text } else { String::new() }
}

fn key_of(key: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-' | b'*' | b'/' | b'@');
    !key.is_empty() && key.bytes().all(allowed)
}

fn value_of(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'=')
}

/// One request's place in its trace.
pub(super) struct Traced {
    /// For everything that is done for it.
    pub(super) trace: Option<Trace>,
    /// For the answer.
    pub(super) echo: Option<HeaderValue>,
    open: Option<Box<Open>>,
}

/// The span that answers.
struct Open {
    recorder: Arc<dyn Recorder>,
    span: Span,
}

impl Traced {
    pub(super) fn new(headers: &HeaderMap, edge: &Edge) -> Self {
        let parent = Parent::read(headers);
        let Some(exporter) = edge.exporter.as_ref().filter(|exporter| exporter.traces()) else {
            let trace = parent.map(|parent| Trace { id: parent.trace, span: parent.span, recorder: None });
            let echo = parent.and_then(|_| headers.get(TRACE_PARENT).cloned());
            return Self { trace, echo, open: None };
        };
        let (id, sampled) = match parent {
            Some(parent) => (parent.trace, parent.sampled),
            None => exporter.begin(),
        };
        let span = exporter.fresh();
        let flags = if sampled { "01" } else { "00" };
        let echo = HeaderValue::from_str(&format!("00-{id}-{span}-{flags}")).ok();
        let recorder: Option<Arc<dyn Recorder>> = if sampled { Some(exporter.clone()) } else { None };
        let open = recorder.clone().map(|recorder| {
            let began = recorder.now();
            let span = Span {
                trace: id,
                id: span,
                parent: parent.map(|parent| parent.span),
                name: "none".into(),
                server: true,
                state: parent.map(|_| state(headers)).unwrap_or_default(),
                began,
                ended: began,
                attributes: Vec::with_capacity(8),
                failed: None,
            };
            Box::new(Open { recorder, span })
        });
        Self { trace: Some(Trace { id, span, recorder }), echo, open }
    }

    /// The trace's name, for the log.
    pub(super) fn id(&self) -> Option<TraceId> {
        self.trace.as_ref().map(|trace| trace.id)
    }

    /// The request was answered.
    pub(super) fn close(self, answer: &Answer<'_>) {
        let Some(open) = self.open else { return };
        let Open { recorder, mut span } = *open;
        span.ended = recorder.now();
        span.name = match answer.method {
            Some(method) => format!("{method} {}", answer.route).into(),
            None => answer.route.trim_start_matches('/').into(),
        };
        span.failed = Some(answer.outcome.code).filter(|code| is_fault(code));
        span.attributes = answer.attributes();
        recorder.take(span);
    }
}

/// What a span tells of an answer.
pub(super) struct Answer<'a> {
    pub(super) id: &'a str,
    pub(super) door: Entrance,
    /// None for gRPC, whose methods are in the path.
    pub(super) method: Option<&'static str>,
    pub(super) route: &'static str,
    pub(super) status: u16,
    pub(super) outcome: &'a Outcome,
}

impl Answer<'_> {
    fn attributes(&self) -> Vec<(&'static str, Value)> {
        let mut all = vec![
            ("warder.request_id", Value::Text(self.id.to_owned().into())),
            ("warder.door", Value::Text(self.door.word().into())),
            ("warder.operation", Value::Text(self.outcome.operation().into())),
            ("warder.outcome", Value::Text(self.outcome.code.into())),
            ("warder.cached", Value::Flag(self.outcome.cached)),
        ];
        match (self.method, self.route.trim_start_matches('/').split_once('/')) {
            (Some(method), _) => all.extend([
                ("http.request.method", Value::Text(method.into())),
                ("http.route", Value::Text(self.route.into())),
                ("http.response.status_code", Value::Number(self.status.into())),
            ]),
            (None, Some((service, method))) => all.extend([
                ("rpc.system", Value::Text("grpc".into())),
                ("rpc.service", Value::Text(service.into())),
                ("rpc.method", Value::Text(method.into())),
            ]),
            (None, None) => all.push(("rpc.system", Value::Text("grpc".into()))),
        }
        all
    }
}

/// A method as an attribute: one that nobody has heard of is not repeated.
pub(super) fn method(method: &http::Method) -> &'static str {
    const KNOWN: [&str; 10] = ["CONNECT", "DELETE", "GET", "HEAD", "LIST", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER")
}

/// Whether the fault is on this side: what HTTP says with 500 and above.
fn is_fault(code: &str) -> bool {
    let kind = ErrorKind::ALL.into_iter().find(|kind| kind.code() == code);
    kind.is_some_and(|kind| status::of(kind).native.is_server_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(pairs: &[(&HeaderName, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        pairs.iter().for_each(|(name, value)| _ = map.append(*name, value.parse().unwrap()));
        map
    }

    #[test]
    fn a_well_formed_trace_parent_is_read_also_of_a_version_to_come() {
        for (text, sampled) in [
            (GOOD.to_owned(), true),
            (GOOD.replace("-01", "-00"), false),
            (GOOD.replace("-01", "-03"), true),
            (GOOD.replacen("00-", "01-", 1), true),
            (GOOD.replacen("00-", "cc-", 1) + "-what-the-future-will-be-like", true),
        ] {
            let parent = Parent::read(&headers(&[(&TRACE_PARENT, &text)])).unwrap_or_else(|| panic!("{text}"));
            let names = (parent.trace.to_string(), parent.span.to_string());
            assert_eq!(names, ("4bf92f3577b34da6a3ce929d0e0e4736".to_owned(), "00f067aa0ba902b7".to_owned()));
            assert_eq!(parent.sampled, sampled, "{text}");
        }
    }

    #[test]
    fn a_malformed_trace_parent_counts_as_absent() {
        for bad in [
            String::new(),
            "00".to_owned(),
            GOOD.to_uppercase(),
            GOOD.replace("4bf9", "4bf"),
            format!("{GOOD}-x"),
            GOOD.replacen("00-", "ff-", 1),
            GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
            GOOD.replace("-01", "-1"),
            GOOD.replace("-01", "-0x"),
            GOOD.replacen("00-", "cc-", 1) + ".x",
        ] {
            assert_eq!(Parent::read(&headers(&[(&TRACE_PARENT, &bad)])), None, "{bad}");
        }
        assert_eq!(Parent::read(&headers(&[(&TRACE_PARENT, GOOD), (&TRACE_PARENT, GOOD)])), None);
    }

    #[test]
    fn a_trace_state_is_passed_on_whole_or_not_at_all() {
        let of = |values: &[&str]| {
            let mut map = HeaderMap::new();
            values.iter().for_each(|value| _ = map.append(TRACE_STATE, value.parse().unwrap()));
            state(&map)
        };
        assert_eq!(
            of(&["rojo=00f067aa0ba902b7", "congo=t61rcWkgMzE,,t@v=x"]),
            "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE,,t@v=x"
        );
        for bad in ["a", "A=b", "=b", "a=", "a=b=c", &format!("a={}", "b".repeat(600)), &["a=b"; 40].join(",")] {
            assert_eq!(of(&[bad]), "", "{bad}");
        }
    }
}
