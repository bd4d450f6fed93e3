//! Snapshots, for all doors: bytes that go by piece by piece, in both directions, and never lie in
//! memory as a whole. The doors differ in how a piece is framed and in nothing else.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;
use warder_core::{
    error::{Error, ErrorKind},
    identity::Peer,
    port::snapshots::{Found, MAX_BYTES, Receiving, Saving, Transfer, Way},
    request::{Address, Fields, Operation, Reply as Answered},
};

use super::{
    Edge, Inbound, Streamed, parse_path,
    problem::Refusal,
    reply::{self, Reply},
};

/// Where a snapshot is taken and put back.
pub(super) const PATH: &str = "sys/storage/raft/snapshot";
/// Where one is put back that was taken under another root key.
const FORCE: &str = "sys/storage/raft/snapshot-force";

/// What to do with a snapshot that comes.
#[derive(Clone, Copy)]
pub(super) struct Wish {
    pub(super) dry_run: bool,
    pub(super) force: bool,
}

impl Wish {
    /// The path that this is asked of.
    pub(super) const fn path(self) -> &'static str {
        if self.force { FORCE } else { PATH }
    }
}

/// The snapshot that an answer began to take.
///
/// # Errors
/// `internal` when there is none.
pub(super) fn saving(answered: &Answered) -> Result<Saving, Error> {
    match answered.transfer.as_ref().and_then(Transfer::take) {
        Some(Way::Out(saving)) => Ok(saving),
        _ => Err(Error::internal("an answer lost its file")),
    }
}

/// The place for a snapshot that an answer made.
///
/// # Errors
/// `internal` when there is none.
pub(super) fn receiving(answered: &Answered) -> Result<Box<dyn Receiving>, Error> {
    match answered.transfer.as_ref().and_then(Transfer::take) {
        Some(Way::In(received)) => Ok(received),
        _ => Err(Error::internal("an answer lost its file")),
    }
}

/// Puts back what was received, or looks at it. Goes on to its end when the caller hangs up.
///
/// # Errors
/// As [`warder_core::broker::Broker::restore`].
pub(super) async fn finish(
    edge: &Edge,
    id: &Arc<str>,
    peer: &Peer,
    received: Box<dyn Receiving>,
    wish: Wish,
) -> Result<Found, Error> {
    let (broker, id, peer) = (edge.broker.clone(), id.clone(), peer.clone());
    let restoring = tokio::spawn(async move { broker.restore(&id, peer, received, wish.force, wish.dry_run).await });
    restoring.await.map_err(Error::internal)?
}

/// The store as the body of an answer.
pub(super) async fn save(edge: &Edge, inbound: &Inbound) -> Result<(Reply, Answered), Refusal> {
    let address = Address::Canonical(parse_path(PATH)?);
    let answered = edge.ask(inbound, Operation::Read, address, Fields::default()).await?;
    let pieces = saving(&answered)?.pieces;
    let mut response = reply::empty(StatusCode::OK);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/gzip"));
    response.extensions_mut().insert(Streamed::new(Stream(pieces)));
    Ok((response, answered))
}

/// Takes the body of a request for a snapshot. What is refused is read on a little, so that the caller
/// sees why.
pub(super) async fn put(edge: &Edge, inbound: &mut Inbound, wish: Wish) -> Result<(Found, Answered), Refusal> {
    let taken = take(edge, inbound, wish).await;
    if taken.is_err()
        && let Some(body) = inbound.body.take()
    {
        edge.limits.discard(&inbound.headers, body).await;
    }
    let (received, answered) = taken?;
    Ok((finish(edge, &inbound.id, &inbound.peer, received, wish).await?, answered))
}

/// Whether the caller may is asked before a byte is taken; each piece has the time that a whole body
/// has otherwise.
async fn take(edge: &Edge, inbound: &mut Inbound, wish: Wish) -> Result<(Box<dyn Receiving>, Answered), Refusal> {
    let address = Address::Canonical(parse_path(wish.path())?);
    let answered = edge.ask(inbound, Operation::Update, address, Fields::default()).await?;
    let mut received = receiving(&answered)?;
    let Some(body) = &mut inbound.body else { return Ok((received, answered)) };
    if body.size_hint().lower() > MAX_BYTES {
        return Err(too_large().into());
    }
    let slow = || Error::new(ErrorKind::DeadlineExceeded, "the body came too slowly").at("body");
    while let Some(frame) = tokio::time::timeout(edge.limits.slow_body, body.frame()).await.map_err(|_| slow())? {
        let frame = frame.map_err(|e| Error::invalid("body", "the body ended before its end").because(e))?;
        if let Ok(data) = frame.into_data() {
            received.take(&data).await?;
        }
    }
    Ok((received, answered))
}

fn too_large() -> Error {
    Error::new(ErrorKind::TooLarge, format!("a snapshot has at most {MAX_BYTES} bytes")).at("body")
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
