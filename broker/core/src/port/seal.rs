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

/// What those who hold shares may do together while the barrier is open.
#[async_trait]
pub trait Quorum: Send + Sync + 'static {
    /// The number of a share that has the right form: two of one attempt must differ in it.
    ///
    /// # Errors
    /// `invalid_request` at `key` for one that has not; `precondition_failed` for a seal without
    /// shares.
    fn number(&self, share: &Secret) -> Result<u8>;

    /// Whether these shares are those that open the barrier now.
    ///
    /// # Errors
    /// `invalid_request` at `key` when they are not; what storage says.
    async fn prove(&self, shares: &[Secret]) -> Result<()>;

    /// Shares of a fresh root key, which opens nothing before [`Quorum::adopt`].
    ///
    /// # Errors
    /// As [`Seal::initialize`].
    fn split(&self, shares: u8, threshold: u8) -> Result<Vec<Secret>>;

    /// Makes the root key of `made`, enough of what [`Quorum::split`] made with these numbers, the
    /// one that opens the barrier, in one commit. To be called only after [`Quorum::prove`].
    ///
    /// # Errors
    /// `sealed`, what storage says: then the old shares open it still.
    async fn adopt(&self, made: &[Secret], shares: u8, threshold: u8) -> Result<()>;
}
