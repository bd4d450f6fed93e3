//! What is open on a connection, and which of it waits for the client.
//!
//! An HTTP/2 client gives each stream a window; an answer whose window stays shut would be kept for
//! ever, however lively the connection is. So the body of every answer tells its connection when it
//! was handed on, and when more of it was asked for. Invariant: a connection knows at any time whether
//! a request is open on it, streams that go on included.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::{sync::Notify, time::Instant};

/// Largest piece of an answer that is handed on at once.
const PIECE: usize = 64 << 10;

/// A connection's place among all.
pub(crate) struct Seat {
    state: Mutex<State>,
    leave: Notify,
}

struct State {
    /// Requests whose answers are not over.
    open: usize,
    /// When the last of them was, or when it began.
    silent: Instant,
    /// Since when answers wait for the client, by number.
    waiting: BTreeMap<u64, Instant>,
    next: u64,
    /// It was asked to leave.
    leaving: bool,
}

impl Seat {
    /// Nothing is open.
    pub(crate) fn new() -> Arc<Self> {
        let state = State { open: 0, silent: Instant::now(), waiting: BTreeMap::new(), next: 0, leaving: false };
        Arc::new(Self { state: Mutex::new(state), leave: Notify::new() })
    }

    /// A request begins; it is open until what this returns drops.
    pub(crate) fn open(self: &Arc<Self>) -> Open {
        let mut state = self.state();
        state.open += 1;
        state.next += 1;
        Open { seat: self.clone(), number: state.next }
    }

    /// How long nothing has been open; none: something is, or it was asked to leave already.
    pub(crate) fn silence(&self) -> Option<Duration> {
        let state = self.state();
        (state.open == 0 && !state.leaving).then(|| state.silent.elapsed())
    }

    /// Whether nothing was ever asked.
    pub(crate) fn is_new(&self) -> bool {
        self.state().next == 0
    }

    /// Whether nothing is open.
    pub(crate) fn is_silent(&self) -> bool {
        self.state().open == 0
    }

    /// Whether an answer has waited for the client for so long.
    pub(crate) fn is_stuck(&self, patience: Duration) -> bool {
        self.state().waiting.values().any(|since| since.elapsed() >= patience)
    }

    /// Asks it to make room for another.
    pub(crate) fn ask_to_leave(&self) {
        self.state().leaving = true;
        self.leave.notify_one();
    }

    /// Returns when it was asked to.
    pub(crate) async fn asked_to_leave(&self) {
        self.leave.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request and its answer.
pub(crate) struct Open {
    seat: Arc<Seat>,
    number: u64,
}

impl Open {
    /// Its answer's body, which tells whether it is taken; over HTTP/1 the stream itself tells.
    pub(crate) fn carry<B>(self, body: B, windows: bool) -> Carried<B> {
        if windows {
            self.handed_on();
        }
        Carried { body, rest: Bytes::new(), open: self, windows }
    }

    fn handed_on(&self) {
        self.seat.state().waiting.insert(self.number, Instant::now());
    }

    fn asked_for(&self) {
        self.seat.state().waiting.remove(&self.number);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut state = self.seat.state();
        state.open -= 1;
        state.waiting.remove(&self.number);
        if state.open == 0 {
            state.silent = Instant::now();
        }
    }
}

/// A body in pieces.
pub(crate) struct Carried<B> {
    body: B,
    /// What of the last piece was too large.
    rest: Bytes,
    open: Open,
    windows: bool,
}

impl<B: Body<Data = Bytes> + Unpin> Carried<B> {
    fn piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.rest.is_empty() {
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)).transpose()? else {
                return Poll::Ready(None);
            };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let piece = self.rest.split_to(self.rest.len().min(PIECE));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Carried<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if !self.windows {
            return Pin::new(&mut self.body).poll_frame(cx);
        }
        // Who asks has room for it.
        self.open.asked_for();
        let piece = ready!(self.piece(cx));
        if matches!(piece, Some(Ok(_))) {
            self.open.handed_on();
        }
        Poll::Ready(piece)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut all = SizeHint::new();
        if let Some(upper) = hint.upper() {
            all.set_upper(upper + rest);
        }
        all.set_lower(hint.lower() + rest);
        all
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_takes_is_noticed_and_one_that_is_taken_is_not() {
        let seat = Seat::new();
        let mut body = seat.open().carry(Full::new(Bytes::from(vec![7; 200_000])), true);
        assert_eq!(body.size_hint().exact(), Some(200_000));
        let mut taken = 0;
        while let Some(frame) = body.frame().await {
            tokio::time::sleep(PATIENCE / 2).await;
            assert!(!seat.is_stuck(PATIENCE) && !seat.is_silent());
            taken += frame.unwrap().into_data().unwrap().len();
            assert_eq!(body.size_hint().exact(), Some(200_000 - taken as u64));
        }
        assert!(taken == 200_000 && body.is_end_stream());
        tokio::time::sleep(PATIENCE).await;
        assert!(!seat.is_stuck(PATIENCE), "it is over");
        let other = seat.open().carry(Full::new(Bytes::from_static(b"x")), true);
        tokio::time::sleep(PATIENCE).await;
        assert!(seat.is_stuck(PATIENCE), "nobody asks for it");
        drop((body, other));
        assert!(!seat.is_stuck(Duration::ZERO) && seat.is_silent());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_silent_when_nothing_is_open() {
        let seat = Seat::new();
        tokio::time::sleep(PATIENCE).await;
        assert!(seat.silence() == Some(PATIENCE) && seat.is_new());
        let open = seat.open();
        assert!(seat.silence().is_none() && !seat.is_new());
        drop(open);
        assert_eq!(seat.silence(), Some(Duration::ZERO));
        seat.ask_to_leave();
        seat.asked_to_leave().await;
        assert_eq!((seat.silence(), seat.is_silent()), (None, true));
    }
}
