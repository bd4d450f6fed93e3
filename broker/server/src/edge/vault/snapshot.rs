//! Snapshots over HTTP: bytes that go by piece by piece, in both directions, and never lie in memory
//! as a whole.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body::Frame;
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;
use warder_core::{
    error::{Error, ErrorKind},
    port::snapshots::{Receiving, Way},
    request::{Address, Fields, Operation},
};

use super::super::{Edge, Inbound, Outcome as Seen, Streamed, parse_path, problem::Refusal, reply, route::Outcome};

const PATH: &str = "sys/storage/raft/snapshot";
const FORCE: &str = "sys/storage/raft/snapshot-force";

/// GET: the store as a file.
pub(crate) async fn save(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    let (answered, way) = begin(&edge, &inbound, Operation::Read, PATH).await?;
    let Way::Out(saving) = way else { return Err(Error::internal("a snapshot goes the wrong way").into()) };
    let mut response = reply::empty(StatusCode::OK);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/gzip"));
    response.extensions_mut().insert(answered);
    response.extensions_mut().insert(Streamed::new(Stream(saving.pieces)));
    Ok(response)
}

/// PUT and POST: puts one back that was taken under the root key in use.
pub(crate) async fn restore(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    put(edge, inbound, PATH, false).await
}

/// PUT and POST: puts back any, with its seal.
pub(crate) async fn force(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    put(edge, inbound, FORCE, true).await
}

async fn put(edge: Arc<Edge>, mut inbound: Inbound, path: &str, force: bool) -> Outcome {
    let dry_run = inbound.query.flag("dry_run")?;
    // Whether the caller may is asked before a byte is taken.
    let (answered, way) = begin(&edge, &inbound, Operation::Update, path).await?;
    let Way::In(mut received) = way else { return Err(Error::internal("a snapshot goes the wrong way").into()) };
    receive(&edge, &mut inbound, &mut *received).await?;
    let (broker, id, peer) = (edge.broker.clone(), inbound.id.clone(), inbound.peer.clone());
    // Goes on to its end when the caller hangs up.
    let restoring = tokio::spawn(async move { broker.restore(&id, peer, received, force, dry_run).await });
    let found = restoring.await.map_err(Error::internal)??;
    let mut response = match dry_run {
        false => reply::empty(StatusCode::NO_CONTENT),
        true => reply::value(StatusCode::OK, &serde_json::json!({ "data": found })),
    };
    response.extensions_mut().insert(answered);
    Ok(response)
}

async fn begin(edge: &Edge, inbound: &Inbound, operation: Operation, path: &str) -> Result<(Seen, Way), Refusal> {
    let answered = edge.ask(inbound, operation, Address::Canonical(parse_path(path)?), Fields::default()).await?;
    let way = answered.transfer.as_ref().and_then(warder_core::port::snapshots::Transfer::take);
    Ok((Seen::answered(&answered), way.ok_or_else(|| Error::internal("an answer lost its file"))?))
}

/// Takes the body, each piece in the time that a whole body may take otherwise.
async fn receive(edge: &Edge, inbound: &mut Inbound, received: &mut dyn Receiving) -> Result<(), Refusal> {
    let Some(mut body) = inbound.body.take() else { return Ok(()) };
    let slow = || Error::new(ErrorKind::DeadlineExceeded, "the body came too slowly").at("body");
    while let Some(frame) = tokio::time::timeout(edge.limits.slow_body, body.frame()).await.map_err(|_| slow())? {
        let frame = frame.map_err(|e| Error::invalid("body", "the body ended before its end").because(e))?;
        if let Ok(data) = frame.into_data() {
            received.take(&data).await?;
        }
    }
    Ok(())
}

/// Pieces until an empty one; without that one the connection is broken off, so that nobody takes
/// half a snapshot for a whole one.
struct Stream(mpsc::Receiver<Vec<u8>>);

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(match ready!(self.0.poll_recv(context)) {
            Some(piece) if piece.is_empty() => None,
            Some(piece) => Some(Ok(Frame::data(Bytes::from(piece)))),
            None => Some(Err(io::Error::other("the snapshot was not finished"))),
        })
    }
}
