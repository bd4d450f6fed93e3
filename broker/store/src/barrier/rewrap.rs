//! Encrypting old values again under the newest term, a page at a time, and dropping the terms
//! that nothing needs any more. Whoever owns background work calls [`Barrier::step`] again and
//! again.
//!
//! What is moved keeps its revision, and nobody is told: for readers, caches, watches and checks
//! nothing has happened. A write of somebody else wins.
//!
//! Invariant: a term is dropped only when no record in the store names it and none can come to
//! name it, nor be read through an older view. So a first walk moves what is old; then everybody
//! who began before its end is waited for (`Holds`); then a second walk must find nothing. One that
//! finds something begins again.

use std::sync::{Mutex, MutexGuard, PoisonError};

use warder_core::{
    error::Result,
    port::keyring::{Rewrap, Step},
};

use super::{Barrier, RESERVED, decrypted, keyring, keyring::Keyring, term};
use crate::engine::{Exchange, Hold, RawBatch, Stored};

/// Most keys of one page; its bytes are bounded by the engine's scan.
pub const PAGE: usize = 256;

/// Where the work stands.
#[derive(Default)]
pub(super) struct Rewrapping(Mutex<State>);

#[derive(Default)]
struct State {
    phase: Phase,
    progress: Rewrap,
    /// Counts restarts, so that a step that ends after one leaves the new state alone.
    round: u64,
}

#[derive(Clone, Default)]
enum Phase {
    /// From the beginning, when there is more than one term.
    #[default]
    Fresh,
    /// Looking at the keys after `after`.
    Walking { after: Option<String>, moved: bool, since: Option<u32> },
    /// Until those who began before are done.
    Fenced { since: u32 },
    /// A record does not open: nothing can be dropped before the next rotation.
    Stuck,
}

impl Rewrapping {
    /// Begins again: another keyring, or one more term.
    pub(super) fn restart(&self) {
        let mut state = self.state();
        *state = State {
            progress: Rewrap { moved: state.progress.moved, ..Rewrap::default() },
            round: state.round + 1,
            ..State::default()
        };
    }

    pub(super) fn progress(&self) -> Rewrap {
        self.state().progress
    }

    fn begin(&self) -> (Phase, u64) {
        let state = self.state();
        (state.phase.clone(), state.round)
    }

    fn end(&self, round: u64, phase: Phase, page: Rewrap) {
        let mut state = self.state();
        if state.round != round {
            return;
        }
        if matches!(phase, Phase::Walking { after: None, .. }) {
            (state.progress.checked, state.progress.broken) = (0, 0);
        }
        state.progress.checked += page.checked;
        state.progress.moved += page.moved;
        state.progress.broken += page.broken;
        state.phase = phase;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who works with which state of the store. Everybody who reads takes a hold before the view, and
/// everybody who writes before the keyring, for as long as it works. After a fence, when nobody has
/// an older hold, all views are younger than the fence and all writes are under a term that was the
/// newest at the fence, or one younger.
#[derive(Default)]
pub(super) struct Holds(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    current: Hold,
    earlier: Vec<Hold>,
}

impl Holds {
    pub(super) fn take(&self) -> Hold {
        self.kept().current.clone()
    }

    pub(super) fn fence(&self) {
        let mut kept = self.kept();
        let old = std::mem::take(&mut kept.current);
        kept.earlier.push(old);
    }

    /// Whether nobody has a hold from before the last fence.
    pub(super) fn are_gone(&self) -> bool {
        let mut kept = self.kept();
        kept.earlier.retain(Hold::is_held);
        kept.earlier.is_empty()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one page was.
struct Page {
    seen: Rewrap,
    /// Where the next one begins; none when there is none.
    next: Option<String>,
}

impl Barrier {
    /// One step; see core's port.
    pub(super) async fn step(&self) -> Result<Step> {
        let current = keyring(&self.open)?;
        let (phase, round) = self.rewrapping.begin();
        let nothing = Rewrap::default();
        match phase {
            _ if current.status().terms == 1 => Ok(Step::Idle),
            Phase::Stuck => Ok(Step::Idle),
            Phase::Fresh => {
                let walking = Phase::Walking { after: None, moved: false, since: None };
                self.rewrapping.end(round, walking, nothing);
                Ok(Step::More)
            }
            Phase::Walking { after, moved, since } => {
                let page = self.page(after.as_deref()).await?;
                let moved = moved || page.seen.moved > 0;
                let phase = match (page.next, since) {
                    (Some(next), since) => Phase::Walking { after: Some(next), moved, since },
                    (None, _) if self.rewrapping.progress().broken + page.seen.broken > 0 => self.stuck(),
                    (None, Some(since)) if !moved => {
                        self.retire(&current, since).await?;
                        Phase::Fresh
                    }
                    (None, _) => self.fenced()?,
                };
                self.rewrapping.end(round, phase, page.seen);
                Ok(Step::More)
            }
            Phase::Fenced { since } if self.holds.are_gone() => {
                let walking = Phase::Walking { after: None, moved: false, since: Some(since) };
                self.rewrapping.end(round, walking, nothing);
                Ok(Step::More)
            }
            Phase::Fenced { .. } => Ok(Step::Wait),
        }
    }

    /// Nobody who begins from now on writes under an older term than the one that is the newest now.
    fn fenced(&self) -> Result<Phase> {
        let since = keyring(&self.open)?.term();
        self.holds.fence();
        Ok(Phase::Fenced { since })
    }

    fn stuck(&self) -> Phase {
        tracing::error!("some stored values do not open: the terms of the keyring that they may need are kept");
        Phase::Stuck
    }

    /// Drops the terms before `since`, which nothing needs.
    async fn retire(&self, current: &std::sync::Arc<Keyring>, since: u32) -> Result<()> {
        let next = current.without_before(since)?;
        let kept = next.status();
        if self.replace(current, next).await? {
            tracing::info!(key.term = kept.term, key.terms = kept.terms, "older terms of the keyring dropped");
        }
        Ok(())
    }

    /// Looks at up to [`PAGE`] keys after `after` and encrypts again what is under an older term.
    async fn page(&self, after: Option<&str>) -> Result<Page> {
        self.upkeep(&keyring(&self.open)?).await;
        let hold = self.holds.take();
        let keyring = keyring(&self.open)?;
        let newest = keyring.term();
        let records = self.engine.view().await?.scan(after, PAGE).await?;
        let next = records.last().map(|(key, _)| key.clone());
        let mut seen = Rewrap { checked: records.len() as u64, ..Rewrap::default() };
        let mut exchanges = Vec::new();
        for (key, Stored { bytes, revision }) in records {
            // A head that cannot be read is left to `decrypted`, which names the key.
            if key.starts_with(RESERVED) || term::number(&key, &bytes).is_ok_and(|number| number == newest) {
                continue;
            }
            match decrypted(&keyring, &key, bytes) {
                Ok(plain) => {
                    let bytes = keyring.encrypt(&key, plain.expose())?;
                    exchanges.push(Exchange { key, revision, bytes });
                }
                Err(error) => {
                    tracing::error!(error = %error.chain(), "a stored value cannot be moved to the newest term");
                    seen.broken += 1;
                }
            }
        }
        seen.moved = exchanges.len() as u64;
        if !exchanges.is_empty() {
            self.engine.commit(RawBatch { exchanges, hold: Some(hold), ..RawBatch::default() }).await?;
        }
        Ok(Page { seen, next })
    }
}
