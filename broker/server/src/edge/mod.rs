//! The edge: everything between a socket and `Broker::handle`.
//!
//! A request is bounded and decoded here, handed to the broker, and its answer encoded in the
//! shape of the door it came through: `rest` (`/api/v1`) or `vault` (`/v1`). Decisions are the
//! broker's alone. To add an operation: one line in `route.rs` and its handler.
//!
//! Invariant: nothing reaches the broker that is over a limit, and no answer leaves without a
//! request id and `Cache-Control: no-store`.

mod batch;
mod brisk;
pub(crate) mod crowd;
mod decode;
mod forwarded;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub(crate) mod grpc;
mod health;
mod identify;
pub(crate) mod ids;
mod limits;
pub(crate) mod listener;
pub(crate) mod metrics;
mod openapi;
mod problem;
mod prompt;
mod proxy;
mod quorum;
mod reply;
mod rest;
mod route;
mod seat;
mod snapshots;
mod status;
pub(crate) mod tls;
mod trace;
mod vault;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use http::{HeaderMap, HeaderValue, header};
use hyper::body::Incoming;
use tracing::{Instrument as _, field::display};
use warder_core::{
    broker::Broker,
    clock::Clock,
    error::{Error, ErrorKind},
    identity::Peer,
    path::Path,
    request::{Address, Door, Fields, Operation, Reply as Answered, Request},
    secret::Secret,
    trace::{current, within},
};

use self::{
    decode::Query,
    metrics::Entrance,
    problem::Refusal,
    reply::Reply,
    trace::{Answer, Traced},
};
use crate::telemetry::Exporter;

pub use self::{
    grpc::{METHODS, Method},
    limits::Limits,
    route::{Route, routes},
    status::{Row as StatusRow, of as status_of},
};

/// What all handlers share.
pub(crate) struct Edge {
    pub(crate) broker: Arc<Broker>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    pub(crate) metrics: Arc<metrics::Metrics>,
    /// `warder dev`: errors may say more.
    pub(crate) dev: bool,
    /// Word for `storage_type`.
    pub(crate) storage: &'static str,
    pub(crate) ids: ids::Ids,
    pub(crate) streams: grpc::Streams,
    /// Turns true when no connection is taken any more.
    pub(crate) stop: tokio::sync::watch::Receiver<bool>,
    /// Turns true before, when nobody new should come.
    pub(crate) leaving: tokio::sync::watch::Receiver<bool>,
    /// Connections of all listeners.
    pub(crate) crowd: Arc<crowd::Crowd>,
    pub(crate) exporter: Option<Arc<Exporter>>,
}

/// One request, bounded and decoded, on its way to a handler.
pub(crate) struct Inbound {
    id: Arc<str>,
    door: Door,
    peer: Peer,
    /// What the route's pattern captured.
    capture: String,
    query: Query,
    headers: HeaderMap,
    body: Option<Incoming>,
}

/// What the log and the metrics learn from an answer.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    code: &'static str,
    operation: Option<Operation>,
    resolved: Option<Path>,
    cached: bool,
}

impl Outcome {
    const PLAIN: Self = Self { code: "ok", operation: None, resolved: None, cached: false };
    /// Several reads, each answered by itself.
    const READS: Self = Self { operation: Some(Operation::Read), ..Self::PLAIN };

    /// The word for what was asked of the broker.
    fn operation(&self) -> &'static str {
        self.operation.map_or("none", Operation::word)
    }

    fn refused(kind: ErrorKind) -> Self {
        Self { code: kind.code(), ..Self::PLAIN }
    }

    fn answered(answered: &Answered) -> Self {
        let (operation, resolved) = (Some(answered.operation), Some(answered.resolved.clone()));
        Self { operation, resolved, cached: answered.cached, ..Self::PLAIN }
    }
}

/// The body of an answer that goes on and on, beside the head that a handler left.
#[derive(Clone)]
pub(crate) struct Streamed(Arc<Mutex<Option<tonic::body::Body>>>);

impl Streamed {
    fn new<B>(body: B) -> Self
    where
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<tonic::codegen::StdError>,
    {
        Self(Arc::new(Mutex::new(Some(tonic::body::Body::new(body)))))
    }

    /// The body, once.
    fn take(self) -> Option<tonic::body::Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Whether a route is shed under load: operators' are not, so that they get in.
fn bears_load(pattern: &str, capture: &str) -> bool {
    match pattern {
        "/v1/{path...}" => !capture.starts_with("sys/"),
        _ => pattern.starts_with("/api/v1/secrets") || pattern.starts_with("/api/v1/auth/"),
    }
}

/// Which shape errors take.
fn door(path: &str) -> Door {
    if path.starts_with("/v1/") { Door::Vault } else { Door::Native }
}

impl Edge {
    /// Answers one request, whatever it is.
    pub(crate) async fn answer(self: Arc<Self>, peer: Result<Peer, Error>, request: http::Request<Incoming>) -> Reply {
        let started = Instant::now();
        let door = door(request.uri().path());
        let id = identify::request_id(request.headers(), &self.ids);
        let traced = Traced::new(request.headers(), &self);
        let span = tracing::debug_span!("request", request.id = %id, trace.id = traced.id().map(display));
        let (trace, method) = (traced.trace.clone(), trace::method(request.method()));
        let work = async move {
            let (route, outcome) = self.clone().serve(id.clone(), door, peer, request).await;
            let mut response = outcome.unwrap_or_else(|refusal| {
                log_fault(&id, &refusal);
                if door == Door::Vault { refusal.vault() } else { refusal.native(&id) }
            });
            headers(response.headers_mut(), &id, traced.echo.clone());
            let outcome = response.extensions_mut().remove::<Outcome>().unwrap_or(Outcome::PLAIN);
            let door = if door == Door::Vault { Entrance::Vault } else { Entrance::Rest };
            let status = response.status().as_u16();
            let answer = Answer { id: &id, door, method: Some(method), route, status, outcome: &outcome };
            self.close(traced, &answer, started);
            response
        };
        within(trace, work.instrument(span)).await
    }

    async fn serve(
        self: Arc<Self>,
        id: Arc<str>,
        door: Door,
        peer: Result<Peer, Error>,
        request: http::Request<Incoming>,
    ) -> (&'static str, Result<Reply, Refusal>) {
        let (head, body) = request.into_parts();
        let parsed = (|| {
            self.limits.head(&head.headers, head.uri.query())?;
            let path = decode::path(head.uri.path())?;
            let (route, capture) = route::find(head.method.as_str(), &path)?;
            let query = Query::parse(head.uri.query().unwrap_or_default())?;
            identify::host(head.version, &head.headers)?;
            identify::honourable(&head.headers)?;
            Ok::<_, Refusal>((route, capture, query, peer?))
        })();
        let (route, capture, query, peer) = match parsed {
            Ok(parsed) => parsed,
            Err(refusal) => return ("none", Err(refusal)),
        };
        if bears_load(route.pattern, &capture)
            && let Err(error) = self.broker.check_load()
        {
            // Before its body is read.
            return (route.pattern, Err(error.into()));
        }
        let inbound = Inbound { id, door, peer, capture, query, headers: head.headers, body: Some(body) };
        let answered = (route.run)(self, inbound).await;
        let native = |refusal: Refusal| refusal.allowing(|| route::others(route));
        (route.pattern, if door == Door::Native { answered.map_err(native) } else { answered })
    }

    /// Whether the process has been told to end.
    pub(crate) fn is_leaving(&self) -> bool {
        *self.leaving.borrow()
    }

    /// Hands a request to the broker.
    async fn ask(
        &self,
        inbound: &Inbound,
        operation: Operation,
        address: Address,
        fields: Fields,
    ) -> Result<Answered, Refusal> {
        let credential = identify::credential(&inbound.headers, inbound.door)?;
        self.ask_as(inbound, credential, operation, address, fields).await
    }

    async fn ask_as(
        &self,
        inbound: &Inbound,
        credential: Option<Secret>,
        operation: Operation,
        address: Address,
        fields: Fields,
    ) -> Result<Answered, Refusal> {
        let refresh = inbound.door == Door::Native && inbound.query.flag("refresh")?;
        let request = Request {
            id: inbound.id.clone(),
            door: inbound.door,
            credential,
            peer: inbound.peer.clone(),
            operation,
            address,
            fields,
            refresh,
            deadline: self.limits.request,
        };
        Ok(self.broker.handle(request).await?)
    }

    /// One line, one span and a few numbers per request.
    fn close(&self, traced: Traced, answer: &Answer<'_>, started: Instant) {
        let (took, outcome, operation) = (started.elapsed(), answer.outcome, answer.outcome.operation());
        let path = outcome.resolved.as_ref().map_or("", Path::as_str);
        self.metrics.request(answer.door, operation, path, outcome.code, took);
        traced.close(answer);
        // Every request is in the audit log already; here it is for whoever looks for a fault.
        tracing::debug!(
            http.route = answer.route,
            http.status = answer.status,
            operation,
            path,
            outcome = outcome.code,
            cached = outcome.cached,
            duration.us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            "request closed"
        );
    }
}

/// The chain behind an error goes to the log only: as an error when someone must act.
fn log_fault(id: &str, refusal: &Refusal) {
    let error = refusal.error();
    let trace = || current().map(|trace| display(trace.id));
    if error.kind == ErrorKind::Internal {
        tracing::error!(request.id = id, trace.id = trace(), error.chain = %error.chain(), "request failed");
    } else if error.source.is_some() {
        tracing::warn!(request.id = id, trace.id = trace(), error.chain = %error.chain(), "request refused");
    }
}

fn headers(headers: &mut HeaderMap, id: &str, parent: Option<HeaderValue>) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(identify::REQUEST_ID, id);
    }
    if let Some(parent) = parent {
        headers.insert(trace::TRACE_PARENT, parent);
    }
}

impl Inbound {
    /// The whole body.
    async fn body(&mut self, edge: &Edge) -> Result<Secret, Refusal> {
        match self.body.take() {
            Some(body) => edge.limits.read(&self.headers, body).await,
            None => Ok(Secret::from(&b""[..])),
        }
    }

    /// The body as a JSON object's members; no body is no members.
    async fn fields(&mut self, edge: &Edge) -> Result<Fields, Refusal> {
        let body = self.body(edge).await?;
        if body.expose().trim_ascii().is_empty() {
            return Ok(Fields::default());
        }
        Ok(Fields::from_json(body.expose())?)
    }

    /// The media type of the body without its parameters, lower-case.
    fn media_type(&self) -> Option<String> {
        let text = self.headers.get(header::CONTENT_TYPE)?.to_str().unwrap_or("unreadable");
        Some(text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
    }

    /// Refuses bodies of another media type than `expected`.
    fn media(&self, expected: &'static str, absent: bool) -> Result<(), Error> {
        match self.media_type() {
            Some(media) if media == expected => Ok(()),
            None if absent => Ok(()),
            _ => Err(Error::new(ErrorKind::UnsupportedMediaType, format!("expected {expected}")).at("Content-Type")),
        }
    }
}

/// A path as the broker takes it.
fn parse_path(text: &str) -> Result<Path, Error> {
    Path::parse(text).map_err(|e| Error::invalid("path", e.to_string()))
}
