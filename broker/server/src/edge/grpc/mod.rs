//! The gRPC door, `warder.v1`: each method asks the broker what its REST twin asks, with the
//! twin's own rules, and says the answer in protobuf (`proto/warder/v1`). Beside it gRPC's own
//! protocols: health and reflection.
//!
//! Called by the listener only. tonic decodes, encodes and dispatches; bounds, identity and log
//! are the edge's. To add a method: its row in `methods.rs` and its function in the file of its
//! service.
//!
//! Invariants: a message is bounded before it is decoded, and the bytes of a message that held
//! a secret are overwritten when the wire is done with them.

mod audit;
mod auth;
pub(super) mod call;
mod health;
mod leases;
mod limits;
mod methods;
mod mounts;
mod policies;
mod quorum;
mod reflection;
mod secrets;
pub(super) mod shape;
mod snapshot;
mod status;
mod streams;
mod sys;
mod tokens;
mod watch;

use std::{convert::Infallible, future::Ready, sync::Arc, time::Instant};

use bytes::Bytes;
use http::{HeaderMap, Method as Verb, Request, Response, StatusCode, Version, header};
use http_body_util::{BodyExt as _, Either, Full, combinators::WithTrailers};
use hyper::body::Incoming;
use tonic::{Code, Status};
use tracing::Instrument as _;
use warder_core::{
    error::{Error, ErrorKind},
    identity::Peer,
    trace::within,
};

use self::{call::Call, methods::Message};
use super::{
    Edge, Limits, Streamed, headers, identify,
    metrics::Entrance,
    problem::Refusal,
    reply,
    trace::{Answer, Traced},
};

pub use self::methods::{METHODS, Method};
pub(crate) use self::streams::Streams;

/// An older name of reflection's only method.
const ALPHA: &str = "/grpc.reflection.v1alpha.";

/// A whole body and the trailers that end a gRPC answer, or a stream of messages.
type Messages = Either<WithTrailers<Full<Bytes>, Ready<Option<Result<HeaderMap, Infallible>>>>, tonic::body::Body>;
/// What the listener sends.
pub(crate) type Body = Either<Full<Bytes>, Messages>;

/// What a method left.
enum Served {
    Stream(Response<tonic::body::Body>),
    Whole(reply::Reply, Option<HeaderMap>),
}

/// Answers one request: gRPC by its content type, everything else by the other doors.
pub(crate) async fn or_http(edge: Arc<Edge>, peer: Result<Peer, Error>, request: Request<Incoming>) -> Response<Body> {
    if is_grpc(request.version(), request.method(), request.headers()) {
        answer(edge, peer, request).await
    } else {
        let mut response = edge.answer(peer, request).await;
        match response.extensions_mut().remove::<Streamed>().and_then(Streamed::take) {
            Some(body) => response.map(|_| Either::Right(Either::Right(body))),
            None => response.map(Either::Left),
        }
    }
}

/// `application/grpc` with protobuf, which is what its bare name means.
fn is_grpc(version: Version, method: &Verb, headers: &HeaderMap) -> bool {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = text.split(';').next().unwrap_or_default().trim();
    version == Version::HTTP_2 && method == Verb::POST && matches!(media, "application/grpc" | "application/grpc+proto")
}

async fn answer(edge: Arc<Edge>, peer: Result<Peer, Error>, request: Request<Incoming>) -> Response<Body> {
    let started = Instant::now();
    let id = identify::request_id(request.headers(), &edge.ids);
    let traced = Traced::new(request.headers(), &edge);
    let span = tracing::debug_span!("request", request.id = %id, trace.id = traced.id().map(display));
    let method = METHODS.iter().find(|method| method.path == request.uri().path());
    let (peer, unknown) = peer.map_or_else(|error| (Peer::default(), Some(error)), |peer| (peer, None));
    let call = Arc::new(Call::new(edge.clone(), peer, id.clone(), request.headers().clone(), started));
    let trace = traced.trace.clone();
    let work = async move {
        let served = serve(&call, method, unknown, request).await;
        let mut response = served.unwrap_or_else(|status| Served::Whole(status.into_http(), None)).into_response();
        headers(response.headers_mut(), &id, traced.echo.clone());
        let (route, status) = (method.map_or("none", |method| method.path), response.status().as_u16());
        let outcome = call.outcome();
        let answer = Answer { id: &id, door: Entrance::Grpc, method: None, route, status, outcome: &outcome };
        edge.close(traced, &answer, started);
        response
    };
    within(trace, work.instrument(span)).await
}

impl Served {
    fn into_response(self) -> Response<Body> {
        match self {
            Self::Stream(response) => response.map(|body| Either::Right(Either::Right(body))),
            // An answer without trailers has its status in the headers, and must end with them.
            Self::Whole(reply, None) => reply.map(Either::Left),
            Self::Whole(reply, Some(trailers)) => reply
                .map(|body| Either::Right(Either::Left(body.with_trailers(std::future::ready(Some(Ok(trailers))))))),
        }
    }
}

async fn serve(
    call: &Arc<Call>,
    method: Option<&Method>,
    unknown: Option<Error>,
    mut request: Request<Incoming>,
) -> Result<Served, Status> {
    let Some(method) = method else {
        return Err(call.refuse_as(Code::Unimplemented, &unknown_method()));
    };
    if method.bears_load() {
        call.edge().broker.check_load().map_err(|error| call.refuse(&error.into()))?;
    }
    check(call, &request).map_err(|refusal| call.refuse(&refusal))?;
    if let Some(unknown) = unknown {
        return Err(call.refuse(&unknown.into()));
    }
    let response = if method.message == Message::Pieces {
        method.serve(call.clone(), request).await
    } else if method.message == Message::Questions {
        // The messages of both versions are the same.
        if request.uri().path().starts_with(ALPHA) {
            *request.uri_mut() = http::Uri::from_static("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
        }
        method.serve(call.clone(), request).await
    } else {
        let request = bounded(call, method.message, request).await.map_err(|refusal| call.refuse(&refusal))?;
        method.serve(call.clone(), request).await
    };
    let response = response.unwrap_or_else(|never| match never {});
    match response.extensions().get::<Status>().filter(|status| status.details().is_empty()) {
        Some(status) => Err(call.refuse(&undecodable(status))),
        None if matches!(method.message, Message::Questions | Message::Stream) => Ok(Served::Stream(response)),
        None => whole(response).await.map_err(|status| call.refuse(&Error::internal(status.to_string()).into())),
    }
}

fn unknown_method() -> Refusal {
    Error::new(ErrorKind::NotFound, "no such method: see the protobufs of warder.v1").into()
}

/// Checks what came before the message.
fn check(call: &Call, request: &Request<Incoming>) -> Result<(), Refusal> {
    call.limits().head(request.headers(), request.uri().query())?;
    identify::honourable(request.headers())?;
    call.time_left()?;
    Ok(())
}

/// Reads the whole message.
async fn bounded(call: &Call, message: Message, request: Request<Incoming>) -> Result<Request<Full<Bytes>>, Refusal> {
    let (head, body) = request.into_parts();
    let limits = call.limits();
    let most = message.most(&limits);
    let bound = Limits { body: most, ..limits };
    let body = bound.read(&head.headers, body).await.map_err(|refusal| match refusal.error().kind {
        ErrorKind::TooLarge if message == Message::Text => call::too_large(limits.body),
        ErrorKind::TooLarge => call::message_too_large(most),
        _ => refusal,
    })?;
    // The reply's body overwrites its bytes when it drops: that is all that is wanted here.
    Ok(Request::from_parts(head, reply::typed(StatusCode::OK, "application/grpc", body).into_body()))
}

/// tonic's own refusals: no message, two, compressed ones, malformed ones.
fn undecodable(status: &Status) -> Refusal {
    let kind = match status.code() {
        Code::Unimplemented => ErrorKind::UnsupportedMediaType,
        _ => ErrorKind::InvalidRequest,
    };
    Error::new(kind, status.message().to_owned()).into()
}

/// Collects an answer, so that the buffer it was encoded in can be overwritten.
async fn whole(response: Response<tonic::body::Body>) -> Result<Served, Status> {
    let (head, body) = response.into_parts();
    let collected = body.collect().await?;
    let trailers = collected.trailers().cloned();
    let secret = call::take(collected.to_bytes());
    let body = reply::typed(head.status, "application/grpc", secret).into_body();
    Ok(Served::Whole(Response::from_parts(head, body), trailers))
}

/// One call of the method of this number, from its message on; its status code.
#[cfg(feature = "fuzzing")]
pub(super) async fn fuzzed(edge: Arc<Edge>, peer: Peer, method: usize, headers: HeaderMap, message: &[u8]) -> i32 {
    let method = &METHODS[method % METHODS.len()];
    let call = Arc::new(Call::new(edge, peer, "fuzz".into(), headers.clone(), Instant::now()));
    let Ok(length) = u32::try_from(message.len()) else { return 0 };
    let frame = [&[0], &length.to_be_bytes()[..], message].concat();
    let mut request = Request::post(method.path).body(Full::new(Bytes::from(frame))).unwrap_or_default();
    *request.headers_mut() = headers;
    request.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/grpc"));
    let answered = method.serve(call, request).await;
    let response = answered.unwrap_or_else(|never| match never {});
    if method.message == Message::Stream {
        // Some have no end of their own.
        return 0;
    }
    match whole(response).await {
        Ok(Served::Whole(reply, trailers)) => {
            let status = trailers.as_ref().unwrap_or_else(|| reply.headers()).get("grpc-status");
            status.and_then(|code| code.to_str().ok()?.parse().ok()).unwrap_or(0)
        }
        Ok(Served::Stream(_)) => 0,
        Err(status) => status.code().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_protobuf_over_http_2_is_grpc() {
        for (version, method, media, expected) in [
            (Version::HTTP_2, Verb::POST, "application/grpc", true),
            (Version::HTTP_2, Verb::POST, "application/grpc+proto", true),
            (Version::HTTP_2, Verb::POST, "application/grpc; a=b", true),
            (Version::HTTP_2, Verb::POST, "application/grpc-web", false),
            (Version::HTTP_2, Verb::POST, "application/grpc+json", false),
            (Version::HTTP_2, Verb::POST, "application/json", false),
            (Version::HTTP_2, Verb::GET, "application/grpc", false),
            (Version::HTTP_11, Verb::POST, "application/grpc", false),
        ] {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, http::HeaderValue::from_static(media))]);
            assert_eq!(is_grpc(version, &method, &headers), expected, "{version:?} {method} {media}");
        }
    }
}
