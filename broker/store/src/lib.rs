//! Where Warder keeps things: engines, the barrier around them, the seals that open it, and the
//! sinks that audit records go to.
//!
//! The composition root calls [`open`] and [`sink::open`]; everything else sees core's ports
//! only. Invariant: nothing that a mount or a core room stores reaches a disk in plain bytes.

pub mod barrier;
pub mod engine;
pub mod seal;
pub mod sink;
pub mod snapshot;

use std::{fmt, io, path::Path, sync::Arc, thread};

use warder_core::port::{
    keyring::Keyring,
    seal::{Quorum, Seal},
    snapshots::Snapshots,
    storage::Storage,
};

pub use self::{barrier::Barrier, engine::EngineConfig, seal::SealConfig};

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
    /// Core's port to those who hold shares: the same seal.
    pub quorum: Arc<dyn Quorum>,
    /// Core's keyring port: the terms behind that storage.
    pub keyring: Arc<dyn Keyring>,
    /// Core's snapshot port: the whole store as a file.
    pub snapshots: Arc<dyn Snapshots>,
    /// The same barrier.
    pub barrier: Arc<Barrier>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("barrier", &self.barrier).finish_non_exhaustive()
    }
}

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The engine did not open.
    #[error(transparent)]
    Engine(#[from] engine::EngineError),
    /// The seal did not open.
    #[error(transparent)]
    Seal(#[from] seal::SealError),
    /// No thread could be started.
    #[error("a thread cannot be started")]
    Thread(#[source] io::Error),
}

/// Opens a store. A dev seal opens an initialized store by itself; a store that is not
/// initialized stays so until [`Seal::initialize`]. Blocks; may be called on any thread.
///
/// # Errors
/// See [`OpenError`]; nothing was changed then.
pub fn open(config: &StoreConfig) -> Result<Store, OpenError> {
    let barrier = Arc::new(Barrier::new(engine::open(&config.engine)?));
    let (seal, quorum) = wait(seal::open(config.seal, &barrier, config.engine.clone()))??;
    let (storage, keyring) = (Arc::clone(&barrier) as Arc<dyn Storage>, Arc::clone(&barrier) as Arc<dyn Keyring>);
    let folder = match &config.engine {
        EngineConfig::Memory => std::env::temp_dir(),
        EngineConfig::Redb { path } => {
            path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new(".")).to_owned()
        }
    };
    let snapshots = Arc::new(snapshot::Files::new(Arc::clone(&barrier), folder));
    Ok(Store { storage, seal, quorum, keyring, snapshots, barrier })
}

/// Runs `work` on a thread of its own: the caller may or may not be inside a runtime.
fn wait<T: Send>(work: impl Future<Output = T> + Send) -> Result<T, OpenError> {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        Ok(runtime.block_on(work))
    };
    thread::scope(|scope| {
        let waiter = thread::Builder::new().spawn_scoped(scope, run).map_err(OpenError::Thread)?;
        waiter.join().unwrap_or_else(|_| Err(io::Error::other("it panicked"))).map_err(OpenError::Thread)
    })
}
