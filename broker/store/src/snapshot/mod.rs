//! Snapshots: the whole store as one file, as it lies there: encrypted. Core reaches it through its
//! port.
//!
//! File: gzip of a tar (ustar) with `meta.json`, `state.bin`, `SHA256SUMS`, `SHA256SUMS.sealed`, in
//! this order. `state.bin`: per record, keys in order, `key length u32 BE ‖ value length u32 BE ‖
//! revision u64 BE ‖ key ‖ value`. `SHA256SUMS` as the program `sha256sum` writes it, of the two
//! files before; `SHA256SUMS.sealed` is the same as a record of the barrier at the key
//! `snapshot/SHA256SUMS`.
//!
//! Invariants: it shows one revision; its parts are bounded before they are read; nothing changes
//! before all of it was looked at; it is put back by one commit or not at all.

mod read;
mod tar;
mod write;

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use warder_core::{
    error::{Error, ErrorKind, Result},
    port::snapshots::{MAX_BYTES, Receiving, Saving, Snapshots},
};

use crate::barrier::Barrier;

/// Where the mark of the keyring would lie.
const SUMS_KEY: &str = "snapshot/SHA256SUMS";
const FORMAT: u32 = 1;
/// Bytes before the key of a record.
const HEAD: usize = 4 + 4 + 8;
/// Snapshots that are received at once; each may fill the disk.
const AT_ONCE: usize = 4;

pub use self::read::{About, verify};

/// `meta.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Meta {
    format: u32,
    version: String,
    created_at: String,
    revision: u64,
    records: u64,
    state_bytes: u64,
}

/// Snapshots of what is behind a barrier.
pub(crate) struct Files {
    barrier: Arc<Barrier>,
    /// Where what is received lies until it was looked at.
    folder: PathBuf,
    /// Places for what is received.
    room: Arc<Semaphore>,
}

impl Files {
    pub(crate) fn new(barrier: Arc<Barrier>, folder: PathBuf) -> Self {
        Self { barrier, folder, room: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

#[async_trait]
impl Snapshots for Files {
    async fn save(&self) -> Result<Saving> {
        write::save(Arc::clone(&self.barrier)).await
    }

    async fn receive(&self) -> Result<Box<dyn Receiving>> {
        self.barrier.is_open()?;
        let crowded = |_| Error::new(ErrorKind::Overloaded, format!("{AT_ONCE} snapshots are being received already"));
        let place = Arc::clone(&self.room).try_acquire_owned().map_err(crowded)?;
        Ok(Box::new(read::Spool::new(Arc::clone(&self.barrier), &self.folder, place)?))
    }
}
