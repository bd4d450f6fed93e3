//! `SysService.SaveSnapshot` and `RestoreSnapshot`: what `edge::snapshots` does, in messages.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::{sync::mpsc, time::timeout};
use tonic::{Code, Status, Streaming};
use warder_core::{
    error::{Error, ErrorKind},
    request::{Fields, Operation},
};
use warder_proto::v1::{
    SysServiceRestoreSnapshotRequest as Request, SysServiceRestoreSnapshotResponse as Restored,
    SysServiceSaveSnapshotResponse as Response,
};

use super::{
    super::{
        problem::Refusal,
        snapshots::{self, Wish},
    },
    call::{Call, Told, message_too_large},
    methods::PIECE,
    shape, status,
    streams::Begun,
};

/// Most bytes of the file in one message.
const MOST: usize = 64 << 10;

/// The stream of a snapshot.
pub(super) type Saving = Pin<Box<dyn Stream<Item = Result<Response, Status>> + Send>>;

/// Takes a snapshot.
pub(super) async fn save(call: &Call) -> Told<Saving> {
    call.in_time()?;
    let begun = call.edge().streams.begin()?;
    let answered = call.canonical(Operation::Read, snapshots::PATH, Fields::default()).await?;
    let pieces = snapshots::saving(&answered)?.pieces;
    let open = Open { pieces, rest: Bytes::new(), id: call.id().to_string(), _begun: begun };
    let stream: Saving = Box::pin(stream::unfold(Some(open), |open| async move { open?.next().await }));
    Ok((stream, answered))
}

struct Open {
    pieces: mpsc::Receiver<Vec<u8>>,
    rest: Bytes,
    id: String,
    _begun: Begun,
}

impl Open {
    async fn next(mut self) -> Option<(Result<Response, Status>, Option<Self>)> {
        if self.rest.is_empty() {
            match self.pieces.recv().await {
                Some(piece) if piece.is_empty() => return None,
                Some(piece) => self.rest = Bytes::from(piece),
                None => {
                    let cut = Error::new(ErrorKind::Unavailable, "the snapshot was not finished").into();
                    return Some((Err(status::of(&cut, Code::Unavailable, &self.id)), None));
                }
            }
        }
        let data = self.rest.split_to(self.rest.len().min(MOST));
        Some((Ok(Response { data }), Some(self)))
    }
}

/// Puts a snapshot back, or looks at it.
pub(super) async fn restore(call: &Call, mut pieces: Streaming<Request>) -> Told<Restored> {
    call.in_time()?;
    let _begun = call.edge().streams.begin()?;
    // Whether the caller may is asked before its second message is taken.
    let first = next(call, &mut pieces).await?.unwrap_or_default();
    let wish = Wish { dry_run: first.dry_run, force: first.force };
    let answered = call.canonical(Operation::Update, wish.path(), Fields::default()).await?;
    let mut received = snapshots::receiving(&answered)?;
    received.take(&first.data).await.map_err(named)?;
    while let Some(Request { data, .. }) = next(call, &mut pieces).await? {
        if data.is_empty() {
            return Err(Error::invalid("data", "only the first message may have no data").into());
        }
        received.take(&data).await.map_err(named)?;
    }
    let found = snapshots::finish(call.edge(), call.id(), call.peer(), received, wish).await.map_err(named)?;
    let restored = Restored {
        revision: found.revision,
        records: found.records,
        state_bytes: found.state_bytes,
        created_at: shape::moment(Some(&found.created_at)),
        same_keyring: found.same_keyring,
        authentic: found.authentic,
        restored: found.restored,
    };
    Ok((restored, answered))
}

/// The next message, in the time that each piece has.
async fn next(call: &Call, pieces: &mut Streaming<Request>) -> Result<Option<Request>, Refusal> {
    let slow = |_| Error::new(ErrorKind::DeadlineExceeded, "the data came too slowly").at("data");
    timeout(call.limits().slow_body, pieces.message()).await.map_err(slow)?.map_err(|status| torn(&status))
}

/// What tonic says of a message that it does not take, and of a stream that broke off.
fn torn(status: &Status) -> Refusal {
    match status.code() {
        Code::OutOfRange | Code::ResourceExhausted => message_too_large(PIECE),
        Code::Unimplemented => Error::new(ErrorKind::UnsupportedMediaType, status.message().to_owned()).into(),
        Code::InvalidArgument => Error::new(ErrorKind::InvalidRequest, status.message().to_owned()).into(),
        _ => Error::invalid("data", "the stream ended before its end").into(),
    }
}

/// What is a body elsewhere are messages here.
fn named(error: Error) -> Refusal {
    let body = error.field.as_deref() == Some("body");
    Refusal::from(if body { error.at("data") } else { error })
}
