//! Port: what opens and closes the barrier.

use async_trait::async_trait;

use crate::{error::Result, secret::Secret};

/// Where the barrier stands.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SealStatus {
    /// `shamir` or `dev`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// `init` has been run.
    pub initialized: bool,
    /// Nothing can be read.
    pub sealed: bool,
    /// Shares needed.
    #[serde(rename = "t")]
    pub threshold: u8,
    /// Shares made.
    #[serde(rename = "n")]
    pub shares: u8,
    /// Shares given so far in this attempt.
    pub progress: u8,
    /// Names this unsealing attempt; empty when none is under way.
    pub nonce: String,
}

/// Opens and closes the barrier.
#[async_trait]
pub trait Seal: Send + Sync + 'static {
    /// Never blocks on storage for long.
    fn status(&self) -> SealStatus;

    /// Makes the keyring, splits the root key, leaves the barrier open. The shares are returned
    /// once and kept nowhere.
    ///
    /// # Errors
    /// `conflict` when already initialized, `invalid_request` for bad numbers
    /// (1 <= threshold <= shares <= 255; threshold 1 only with 1 share).
    async fn initialize(&self, shares: u8, threshold: u8) -> Result<Vec<Secret>>;

    /// Gives one share (raw bytes). Opens the barrier when enough have come.
    ///
    /// # Errors
    /// `uninitialized`; `invalid_request` for a share that is malformed, repeated, or, once
    /// enough have come, wrong: then the attempt starts again.
    async fn unseal(&self, share: Secret) -> Result<SealStatus>;

    /// Drops the shares given so far.
    fn reset(&self) -> SealStatus;

    /// Closes the barrier and zeroizes its keys.
    ///
    /// # Errors
    /// `uninitialized`.
    async fn seal(&self) -> Result<SealStatus>;
}
