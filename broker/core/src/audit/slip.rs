//! One record on the short way: what it is to each sink, and what became of it there.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use crate::clock::Timestamp;

/// What became of a record at the sinks that were offered it at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// A bit for each sink that was offered it.
    offered: u64,
    taken: bool,
}

impl Written {
    /// Sinks that can be told apart; those behind them are left to their workers.
    pub(super) const MOST: usize = u64::BITS as usize;

    /// How many sinks were offered it.
    pub(super) const fn count(self) -> usize {
        self.offered.count_ones() as usize
    }

    /// Whether one of them took it.
    pub(super) const fn taken(self) -> bool {
        self.taken
    }

    pub(super) const fn offered(self, sink: usize) -> bool {
        sink < Self::MOST && self.offered >> sink & 1 == 1
    }
}

/// A record's content as one sink is to have it.
pub(super) struct Draft {
    pub(super) sink: usize,
    pub(super) content: Vec<u8>,
}

/// A record in the tray.
pub(super) struct Slip {
    time: Timestamp,
    drafts: Vec<Draft>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    written: Written,
    /// No caller will offer it to a sink any more, and none is about to.
    settled: bool,
    /// Its owner gave up on callers: none may begin with it.
    withdrawn: bool,
    waker: Option<Waker>,
}

impl Slip {
    pub(super) fn new(time: Timestamp, drafts: Vec<Draft>) -> Self {
        Self { time, drafts, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts it before a sink; false when it is not for that sink, was withdrawn or did not fit.
    pub(super) fn offer(&self, sink: usize, put: impl FnOnce(Timestamp, &[u8]) -> bool) -> bool {
        let Some(draft) = self.drafts.iter().find(|draft| draft.sink == sink) else { return false };
        let mut state = self.state();
        let fits = !state.withdrawn && put(self.time, &draft.content);
        state.written.offered |= u64::from(fits) << sink;
        fits
    }

    /// What that sink made of it.
    pub(super) fn decide(&self, sink: usize, taken: bool) {
        let mut state = self.state();
        state.written.taken |= taken && state.written.offered(sink);
    }

    /// No caller will do more for it.
    pub(super) fn settle(&self) {
        let mut state = self.state();
        state.settled = true;
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Its owner takes it back; `untouched` when nobody else has it.
    pub(super) fn withdraw(&self, untouched: bool) {
        let mut state = self.state();
        state.withdrawn = true;
        state.settled |= untouched;
    }

    /// Asks its owner to look after it; false when nobody waits for it.
    pub(super) fn wake(&self) -> bool {
        let waker = self.state().waker.clone();
        waker.map(Waker::wake).is_some()
    }

    /// What became of it, once that is settled.
    pub(super) fn written(&self) -> Option<Written> {
        let state = self.state();
        state.settled.then_some(state.written)
    }

    /// What became of it up to now.
    pub(super) fn so_far(&self) -> Written {
        self.state().written
    }

    /// The same as [`Slip::written`], or else `waker` is told.
    pub(super) fn written_or_wake(&self, waker: &Waker) -> Option<Written> {
        let mut state = self.state();
        if !state.settled {
            state.waker = Some(waker.clone());
        }
        state.settled.then_some(state.written)
    }
}
