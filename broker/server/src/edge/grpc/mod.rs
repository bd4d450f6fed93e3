//! The gRPC door, `warder.v1`: each method asks the broker what its REST twin asks, with the
//! twin's own rules, and says the answer in protobuf (`proto/warder/v1`).
//!
//! Called by the listener only. tonic decodes, encodes and dispatches; bounds, identity and log
//! are the edge's. All methods are unary. To add one: its row in [`METHODS`] and its function in
//! `secrets.rs`.
//!
//! Invariants: a message is bounded before it is decoded, and the bytes of a message that held
//! a secret are overwritten when the wire is done with them.

pub(super) mod call;
mod secrets;
pub(super) mod shape;
mod status;

use std::{convert::Infallible, future::Ready, sync::Arc, time::Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version, header};
use http_body_util::{BodyExt as _, Either, Full, combinators::WithTrailers};
use hyper::body::Incoming;
use tonic::{Code, Status, codegen::Service as _};
use tracing::Instrument as _;
use warder_core::{
    error::{Error, ErrorKind},
    identity::Peer,
    request::Door,
};
use warder_proto::v1::secrets_service_server::SecretsServiceServer;

use self::call::Call;
use super::{Edge, Limits, headers, identify, problem::Refusal, reply};

/// What a method's message may have beside the secret's text: path, numbers, framing.
const OVERHEAD: usize = 8 * 1024;

/// Every method of the door.
pub const METHODS: [&str; 8] = [
    "/warder.v1.SecretsService/Delete",
    "/warder.v1.SecretsService/Destroy",
    "/warder.v1.SecretsService/Get",
    "/warder.v1.SecretsService/List",
    "/warder.v1.SecretsService/Patch",
    "/warder.v1.SecretsService/Put",
    "/warder.v1.SecretsService/Undelete",
    "/warder.v1.SecretsService/Versions",
];

/// A whole body, and the trailers that end a gRPC answer.
pub(crate) type Body = Either<Full<Bytes>, WithTrailers<Full<Bytes>, Ready<Option<Result<HeaderMap, Infallible>>>>>;

/// Answers one request: gRPC by its content type, everything else by the other doors.
pub(crate) async fn or_http(edge: Arc<Edge>, peer: Peer, request: Request<Incoming>) -> Response<Body> {
    if is_grpc(request.version(), request.method(), request.headers()) {
        answer(edge, peer, request).await
    } else {
        edge.answer(peer, request).await.map(Either::Left)
    }
}

/// `application/grpc` with protobuf, which is what its bare name means.
fn is_grpc(version: Version, method: &Method, headers: &HeaderMap) -> bool {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = text.split(';').next().unwrap_or_default().trim();
    version == Version::HTTP_2
        && method == Method::POST
        && matches!(media, "application/grpc" | "application/grpc+proto")
}

async fn answer(edge: Arc<Edge>, peer: Peer, request: Request<Incoming>) -> Response<Body> {
    let started = Instant::now();
    let id = identify::request_id(request.headers(), &edge.ids);
    let trace = identify::trace_id(request.headers()).map(str::to_owned);
    let echo = trace.is_some().then(|| request.headers().get(identify::TRACE_PARENT).cloned()).flatten();
    let span = tracing::debug_span!("request", request.id = %id, trace.id = trace);
    let method = METHODS.iter().find(|method| **method == request.uri().path()).copied();
    let call = Arc::new(Call::new(edge.clone(), peer, id.clone(), request.headers().clone(), started));
    let answered = serve(&call, method, request).instrument(span.clone()).await;
    let (mut response, trailers) = answered.unwrap_or_else(|status| (status.into_http(), None));
    headers(&mut response, &id, echo);
    let outcome = call.outcome();
    edge.close(&span, Door::Native, method.unwrap_or("none"), &outcome, response.status(), started);
    match trailers {
        // An answer without trailers has its status in the headers, and must end with them.
        None => response.map(Either::Left),
        Some(trailers) => {
            response.map(|body| Either::Right(body.with_trailers(std::future::ready(Some(Ok(trailers))))))
        }
    }
}

async fn serve(
    call: &Arc<Call>,
    method: Option<&'static str>,
    request: Request<Incoming>,
) -> Result<(reply::Reply, Option<HeaderMap>), Status> {
    if method.is_none() {
        return Err(call.refuse_as(Code::Unimplemented, &unknown_method()));
    }
    let request = bounded(call, request).await.map_err(|refusal| call.refuse(&refusal))?;
    let service = SecretsServiceServer::from_arc(call.clone());
    // The body is here and bounded already, in our own words.
    let answered = service.max_decoding_message_size(usize::MAX).call(request).await;
    let response = answered.unwrap_or_else(|never| match never {});
    match response.extensions().get::<Status>().filter(|status| status.details().is_empty()) {
        Some(status) => Err(call.refuse(&undecodable(status))),
        None => whole(response).await.map_err(|status| call.refuse(&Error::internal(status.to_string()).into())),
    }
}

fn unknown_method() -> Refusal {
    Error::new(ErrorKind::NotFound, "no such method: see the protobufs of warder.v1").into()
}

/// Checks the head and reads the whole message.
async fn bounded(call: &Call, request: Request<Incoming>) -> Result<Request<Full<Bytes>>, Refusal> {
    let (head, body) = request.into_parts();
    let limits = call.limits();
    limits.head(&head.headers, head.uri.query())?;
    identify::honourable(&head.headers)?;
    call.time_left()?;
    let message = Limits { body: limits.body.saturating_add(OVERHEAD), ..limits };
    let body = message.read(&head.headers, body).await.map_err(|refusal| match refusal.error().kind {
        ErrorKind::TooLarge => call::too_large(limits.body),
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
async fn whole(response: Response<tonic::body::Body>) -> Result<(reply::Reply, Option<HeaderMap>), Status> {
    let (head, body) = response.into_parts();
    let collected = body.collect().await?;
    let trailers = collected.trailers().cloned();
    let secret = call::take(collected.to_bytes());
    let body = reply::typed(head.status, "application/grpc", secret).into_body();
    Ok((Response::from_parts(head, body), trailers))
}

/// One call of the method of this number, from its message on; its status code.
#[cfg(feature = "fuzzing")]
pub(super) async fn fuzzed(edge: Arc<Edge>, peer: Peer, method: usize, headers: HeaderMap, message: &[u8]) -> i32 {
    let method = METHODS[method % METHODS.len()];
    let call = Arc::new(Call::new(edge, peer, "fuzz".into(), headers.clone(), Instant::now()));
    let Ok(length) = u32::try_from(message.len()) else { return 0 };
    let frame = [&[0], &length.to_be_bytes()[..], message].concat();
    let mut request = Request::post(method).body(Full::new(Bytes::from(frame))).unwrap_or_default();
    *request.headers_mut() = headers;
    request.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/grpc"));
    let answered = SecretsServiceServer::from_arc(call).call(request).await;
    let response = answered.unwrap_or_else(|never| match never {});
    match whole(response).await {
        Ok((reply, trailers)) => {
            let status = trailers.as_ref().unwrap_or_else(|| reply.headers()).get("grpc-status");
            status.and_then(|code| code.to_str().ok()?.parse().ok()).unwrap_or(0)
        }
        Err(status) => status.code().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_protobuf_over_http_2_is_grpc() {
        for (version, method, media, expected) in [
            (Version::HTTP_2, Method::POST, "application/grpc", true),
            (Version::HTTP_2, Method::POST, "application/grpc+proto", true),
            (Version::HTTP_2, Method::POST, "application/grpc; a=b", true),
            (Version::HTTP_2, Method::POST, "application/grpc-web", false),
            (Version::HTTP_2, Method::POST, "application/grpc+json", false),
            (Version::HTTP_2, Method::POST, "application/json", false),
            (Version::HTTP_2, Method::GET, "application/grpc", false),
            (Version::HTTP_11, Method::POST, "application/grpc", false),
        ] {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, http::HeaderValue::from_static(media))]);
            assert_eq!(is_grpc(version, &method, &headers), expected, "{version:?} {method} {media}");
        }
    }
}
