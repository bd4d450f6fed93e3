//! Port: the keys behind the barrier that values are encrypted under.

use async_trait::async_trait;

use crate::{clock::Timestamp, error::Result};

/// How the keyring stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyStatus {
    /// The term that new values are encrypted under.
    pub term: u32,
    /// When that term was made; zero for one of a store that did not keep it.
    pub installed: Timestamp,
    /// Values encrypted under it, rounded up after a restart.
    pub used: u64,
    /// The oldest term that is kept.
    pub oldest: u32,
    /// Terms that are kept: more than one until every value is under the newest.
    pub terms: usize,
    /// How far the background work has come.
    pub rewrap: Rewrap,
}

/// Where moving old values to the newest term stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewrap {
    /// Values looked at in this pass over the store.
    pub checked: u64,
    /// Values moved since the barrier was opened.
    pub moved: u64,
    /// Values that do not open: the terms they name are kept.
    pub broken: u64,
}

/// What a step of the background work left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Everything is under the newest term, or cannot be moved.
    Idle,
    /// The next step can follow at once.
    More,
    /// Somebody still works with what older terms were needed for: try again in a while.
    Wait,
}

/// The keys behind the barrier.
#[async_trait]
pub trait Keyring: Send + Sync + 'static {
    /// How it stands; never blocks on storage.
    ///
    /// # Errors
    /// `sealed`.
    fn key_status(&self) -> Result<KeyStatus>;

    /// Adds a term, durably; values written from now on are encrypted under it. Answers with the
    /// newest term.
    ///
    /// # Errors
    /// `sealed`, and what storage says.
    async fn rotate(&self) -> Result<u32>;

    /// One bounded step of moving old values to the newest term, and of dropping the terms that no
    /// value needs any more. Called by one caller at a time, again and again; what was moved stays
    /// moved whatever becomes of the process.
    ///
    /// # Errors
    /// `sealed`, and what storage says: try again later.
    ///
    /// # Cancel safety
    /// A step that is dropped is done over.
    async fn rewrap(&self) -> Result<Step>;
}
