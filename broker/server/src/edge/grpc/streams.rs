//! What answers that go on and on share: how many there may be, and when they end.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use warder_core::error::{Error, ErrorKind};

use super::super::problem::Refusal;

/// Most answers that go on at once, over all connections.
const MOST: usize = 1024;

/// The house's streams.
pub(crate) struct Streams {
    room: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

impl Streams {
    /// They end when `stop` turns true.
    pub(crate) fn new(stop: watch::Receiver<bool>) -> Self {
        Self { room: Arc::new(Semaphore::new(MOST)), stop }
    }

    /// Takes a place among them.
    pub(super) fn begin(&self) -> Result<Begun, Refusal> {
        let words = format!("{MOST} streams are open already");
        let place = self.room.clone().try_acquire_owned();
        let place = place.map_err(|_| Error::new(ErrorKind::RateLimited, words))?;
        Ok(Begun { _place: place, stop: self.stop.clone() })
    }
}

/// A stream's place.
pub(super) struct Begun {
    _place: OwnedSemaphorePermit,
    stop: watch::Receiver<bool>,
}

impl Begun {
    /// Returns when the server shuts down.
    pub(super) async fn stopped(&mut self) {
        // Nobody there to say so means that it did.
        drop(self.stop.wait_for(|stop| *stop).await);
    }
}
