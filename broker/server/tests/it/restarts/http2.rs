//! HTTP/2, many requests on one connection, without a client library's own repetitions.

use std::io;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::timeout;

use super::value;
use crate::place::{PATIENCE, Place};

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// The server said that it did not look at it, or it was never sent.
    Refused,
}

pub(super) async fn open(place: &Place) -> io::Result<SendRequest<Full<Bytes>>> {
    let stream = place.connect("h2").await?;
    let opened = handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (sender, connection) = opened.unwrap_or_else(|why| panic!("a connection was cut at its start: {why}"));
    tokio::spawn(connection);
    Ok(sender)
}

/// Writes this name.
///
/// # Panics
/// When the request was lost, or its answer is wrong.
pub(super) async fn put(mut sender: SendRequest<Full<Bytes>>, name: String, token: &str) -> Outcome {
    let request = Request::builder()
        .method(Method::PUT)
        .uri(format!("http://w/api/v1/secrets/load/{name}"))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(value(&name))))
        .unwrap();
    let answered = timeout(PATIENCE, async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        Ok::<_, hyper::Error>((status, answer.into_body().collect().await?.to_bytes()))
    });
    match answered.await.unwrap_or_else(|_| panic!("{name} was not answered")) {
        Ok((StatusCode::CREATED, _)) => Outcome::Done,
        Ok((status, body)) => panic!("{name}: {status} {body:?}"),
        Err(why) if unseen(&why) => Outcome::Refused,
        Err(why) => panic!("{name} was lost: {why:?}"),
    }
}

/// Whether the server has not looked at it: it was not sent, or lies behind what a GOAWAY counts, or
/// was refused (RFC 9113, section 8.7).
fn unseen(why: &hyper::Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(why);
    let mut unseen = why.is_canceled();
    while let Some(cause) = next {
        if let Some(error) = cause.downcast_ref::<h2::Error>() {
            unseen |= error.reason() == Some(h2::Reason::REFUSED_STREAM) || error.is_go_away() && error.is_remote();
        }
        next = cause.source();
    }
    unseen
}
