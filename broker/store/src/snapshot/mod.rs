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
use warder_core::{
    error::Result,
    port::snapshots::{Receiving, Saving, Snapshots},
};

use crate::barrier::Barrier;

/// Most bytes of a snapshot, as it comes and as it is inside; also what a tar can say of one file.
pub const MAX_BYTES: u64 = (8 << 30) - 1;
/// Where the mark of the keyring would lie.
const SUMS_KEY: &str = "snapshot/SHA256SUMS";
const FORMAT: u32 = 1;
/// Bytes before the key of a record.
const HEAD: usize = 4 + 4 + 8;

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
    pub(crate) barrier: Arc<Barrier>,
    /// Where what is received lies until it was looked at.
    pub(crate) folder: PathBuf,
}

#[async_trait]
impl Snapshots for Files {
    async fn save(&self) -> Result<Saving> {
        write::save(Arc::clone(&self.barrier)).await
    }

    async fn receive(&self) -> Result<Box<dyn Receiving>> {
        self.barrier.is_open()?;
        Ok(Box::new(read::Spool::new(Arc::clone(&self.barrier), &self.folder)?))
    }
}
