//! Port: the whole store as one file, taken while it is used, and put back.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::error::Result;

/// Most bytes of a snapshot, as it comes and as it is inside; also what a tar can say of one file.
pub const MAX_BYTES: u64 = (8 << 30) - 1;

/// A snapshot on its way out.
#[derive(Debug)]
pub struct Saving {
    /// The state that it shows.
    pub revision: u64,
    /// Records in it.
    pub records: u64,
    /// Its bytes, piece by piece; an empty piece is the end, and without one it is cut off.
    pub pieces: mpsc::Receiver<Vec<u8>>,
}

/// What a snapshot says of itself, and how it fits here.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Found {
    /// The state that it shows.
    pub revision: u64,
    /// Records in it.
    pub records: u64,
    /// Their bytes, as stored.
    pub state_bytes: u64,
    /// When it was taken (RFC 3339).
    pub created_at: String,
    /// Whether it was taken under the root key that is in use.
    pub same_keyring: bool,
    /// Whether its checksums carry the mark of that keyring. Never for another one.
    pub authentic: bool,
    /// Whether it was put back.
    pub restored: bool,
}

/// A snapshot that is being received.
#[async_trait]
pub trait Receiving: Send {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// `too_large`, `storage_full`.
    async fn take(&mut self, bytes: &[u8]) -> Result<()>;

    /// Looks at all of it. Nothing has changed yet.
    ///
    /// # Errors
    /// `invalid_request` at `body` for what is torn, altered or something else.
    async fn check(&mut self) -> Result<Found>;

    /// Puts it in the place of all that is stored, in one commit. The barrier is closed meanwhile;
    /// afterwards it is open for the same keyring and sealed for another one, which only `force`
    /// lets in.
    ///
    /// # Errors
    /// `precondition_failed` for another keyring, and what storage says: then everything is as it
    /// was.
    async fn commit(self: Box<Self>, force: bool) -> Result<Found>;
}

/// The whole store as one file.
#[async_trait]
pub trait Snapshots: Send + Sync + 'static {
    /// Begins to take one.
    ///
    /// # Errors
    /// `sealed`, and what storage says.
    async fn save(&self) -> Result<Saving>;

    /// Begins to receive one.
    ///
    /// # Errors
    /// `sealed`, `storage_full`.
    async fn receive(&self) -> Result<Box<dyn Receiving>>;
}

/// Which way a file goes.
pub enum Way {
    /// A snapshot that is received.
    In(Box<dyn Receiving>),
    /// One that is taken.
    Out(Saving),
}

/// A file beside an answer, for the one who takes it.
#[derive(Clone)]
pub struct Transfer(Arc<Mutex<Option<Way>>>);

impl Transfer {
    /// With a file to take.
    #[must_use]
    pub fn new(way: Way) -> Self {
        Self(Arc::new(Mutex::new(Some(way))))
    }

    /// The file, once.
    #[must_use]
    pub fn take(&self) -> Option<Way> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for Transfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transfer(..)")
    }
}
