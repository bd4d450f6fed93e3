//! Where Warder keeps things: engines, the barrier around them, the seals that open it, and the
//! sinks that audit records go to.
//!
//! The composition root calls [`open`] once; everything else sees core's ports only. Invariant:
//! nothing leaves a process in plain text but what is named public here (the seal's numbers).

use std::{path::PathBuf, sync::Arc};

use warder_core::port::{seal::Seal, storage::Storage};

/// The barrier: encryption around an engine.
#[derive(Debug)]
pub struct Barrier {}

/// Which engine, and where.
#[derive(Clone, Debug)]
pub enum EngineConfig {
    /// In memory; gone with the process.
    Memory,
    /// One file.
    Redb {
        /// The file.
        path: PathBuf,
    },
}

/// What opens the barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealConfig {
    /// Opens by itself from a key beside the store: for development only.
    Dev,
    /// `threshold` of `shares` people.
    Shamir,
}

/// What to open.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Raw storage.
    pub engine: EngineConfig,
    /// What opens the barrier.
    pub seal: SealConfig,
}

/// An open store.
pub struct Store {
    /// Core's storage port: sealed until the seal opens it.
    pub storage: Arc<dyn Storage>,
    /// Core's seal port.
    pub seal: Arc<dyn Seal>,
    /// The same barrier, for rotation and rewrapping.
    pub barrier: Arc<Barrier>,
}

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {}

/// Opens a store. A dev seal opens an initialized store by itself.
///
/// # Errors
/// See [`OpenError`].
pub fn open(_config: &StoreConfig) -> Result<Store, OpenError> {
    unimplemented!("lands with the engines")
}
