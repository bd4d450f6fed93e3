//! How a watcher is woken, and for what.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::{
    clock::Timestamp,
    error::{Error, ErrorKind},
};

/// Why every watch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The barrier was closed.
    Sealed,
    /// The process is about to end.
    Shutdown,
}

impl Stop {
    /// As the watcher is told it.
    #[must_use]
    pub fn error(self) -> Error {
        match self {
            Self::Sealed => Error::sealed(),
            Self::Shutdown => Error::new(ErrorKind::Unavailable, "the server is stopping: watch again in a moment"),
        }
    }
}

/// One watcher, as others see it.
#[derive(Debug)]
pub(crate) struct Slot {
    woken: Notify,
    beat: AtomicBool,
    /// When it is over, in milliseconds since the epoch.
    over: AtomicU64,
    stop: AtomicU8,
}

impl Default for Slot {
    fn default() -> Self {
        Self {
            woken: Notify::new(),
            beat: AtomicBool::new(false),
            over: AtomicU64::new(u64::MAX),
            stop: AtomicU8::new(0),
        }
    }
}

impl Slot {
    pub(super) fn wake(&self) {
        self.woken.notify_one();
    }

    pub(super) fn beat(&self) {
        self.beat.store(true, Ordering::Release);
        self.wake();
    }

    pub(super) fn stop(&self, stop: Stop) {
        self.stop.store(1 + stop as u8, Ordering::Release);
        self.wake();
    }

    /// Why it is to end.
    pub(crate) fn stopped(&self) -> Option<Stop> {
        match self.stop.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Stop::Sealed),
            _ => Some(Stop::Shutdown),
        }
    }

    /// It is woken at this moment, about; none: never for its time.
    pub(crate) fn set_over(&self, over: Option<Timestamp>) {
        self.over.store(over.map_or(u64::MAX, |over| over.0), Ordering::Release);
    }

    /// Whether its time has come.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        now.0 >= self.over.load(Ordering::Acquire)
    }

    /// Whether it is time to say that the watch goes on; asked once for each time.
    pub(crate) fn take_beat(&self) -> bool {
        self.beat.load(Ordering::Acquire) && self.beat.swap(false, Ordering::AcqRel)
    }

    /// Returns when there may be something, also when that was before it was called.
    pub(crate) async fn woken(&self) {
        self.woken.notified().await;
    }
}
