//! The `dev` seal: the root key lies beside the store, so that a developer's store opens by
//! itself. It protects nothing from anybody who can read the folder.
//!
//! Invariant: the key is on disk before the keyring that it opens.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use warder_core::{
    error::{Error, ErrorKind, Result},
    port::seal::{Quorum, Seal, SealStatus},
    secret::Secret,
};

use super::{
    Opened, Opening, SealError, SealNumbers, SealRecord,
    shamir::{already, root_key, uninitialized},
};
use crate::{
    barrier::{Barrier, RootKey, UnsealError},
    engine::EngineConfig,
};

const KEY_FILE: &str = "dev-seal.key";

pub(super) fn open(opening: Opening) -> Result<Opened, SealError> {
    let place = match &opening.engine {
        EngineConfig::Memory => Place::Memory(Mutex::default()),
        EngineConfig::Redb { path } => Place::File(path.with_file_name(KEY_FILE)),
    };
    let initialized = AtomicBool::new(opening.record.is_some());
    let seal = Arc::new(Dev { barrier: opening.barrier, initialized, place });
    Ok((Arc::clone(&seal) as Arc<dyn Seal>, seal))
}

/// Opens an initialized store. The share is not looked at.
pub(super) async fn open_by_itself(seal: &dyn Seal) -> Result<(), SealError> {
    seal.unseal(Secret::new(Vec::new())).await.map(|_| ()).map_err(|error| SealError::Unseal(Box::new(error)))
}

struct Dev {
    barrier: Arc<Barrier>,
    initialized: AtomicBool,
    place: Place,
}

/// Where the root key is.
enum Place {
    File(PathBuf),
    Memory(Mutex<Option<RootKey>>),
}

#[async_trait]
impl Seal for Dev {
    fn status(&self) -> SealStatus {
        SealStatus {
            kind: "dev",
            initialized: self.initialized.load(Ordering::Acquire),
            sealed: self.barrier.is_sealed(),
            threshold: 0,
            shares: 0,
            progress: 0,
            nonce: String::new(),
        }
    }

    /// Takes any numbers and makes no shares.
    async fn initialize(&self, _shares: u8, _threshold: u8) -> Result<Vec<Secret>> {
        if self.initialized.load(Ordering::Acquire) {
            return Err(already());
        }
        let root = self.place.keep().map_err(refused)?;
        let record = SealRecord::new("dev", SealNumbers { shares: 0, threshold: 0 });
        if !self.barrier.initialize(root, record.encode()).await? {
            return Err(already());
        }
        self.initialized.store(true, Ordering::Release);
        tracing::warn!(seal.kind = "dev", "store initialized with a seal that protects nothing");
        Ok(Vec::new())
    }

    /// Opens with the kept key, whatever the share is.
    async fn unseal(&self, _share: Secret) -> Result<SealStatus> {
        if !self.initialized.load(Ordering::Acquire) {
            return Err(uninitialized());
        }
        if !self.barrier.is_sealed() {
            return Ok(self.status());
        }
        let root = self.place.find().map_err(refused)?.ok_or_else(|| refused(self.place.error("is missing")))?;
        match self.barrier.unseal(root).await {
            Ok(()) => Ok(self.status()),
            Err(UnsealError::Engine(error)) => Err(error.into()),
            Err(error) => Err(refused(self.place.error(&error.to_string()))),
        }
    }

    fn reset(&self) -> SealStatus {
        self.status()
    }

    async fn seal(&self) -> Result<SealStatus> {
        if !self.initialized.load(Ordering::Acquire) {
            return Err(uninitialized());
        }
        self.barrier.seal();
        Ok(self.status())
    }
}

/// Nobody holds a share of its key.
#[async_trait]
impl Quorum for Dev {
    fn number(&self, _: &Secret) -> Result<u8> {
        Err(shareless())
    }

    async fn prove(&self, _: &[Secret]) -> Result<()> {
        Err(shareless())
    }

    fn split(&self, _: u8, _: u8) -> Result<Vec<Secret>> {
        Err(shareless())
    }

    async fn adopt(&self, _: &[Secret], _: u8, _: u8) -> Result<()> {
        Err(shareless())
    }
}

fn shareless() -> Error {
    Error::new(ErrorKind::PreconditionFailed, "the dev seal has no key shares that a quorum could bring")
}

fn refused(error: SealError) -> Error {
    Error::new(ErrorKind::Unavailable, "the dev seal's key cannot be used; the log has the reason").because(error)
}

impl Place {
    /// The key that was left by an `init` that did not finish, or a new one, kept.
    fn keep(&self) -> Result<RootKey, SealError> {
        if let Some(root) = self.find()? {
            return Ok(root);
        }
        let root = root_key().map_err(|error| self.error(&error.chain()))?;
        match self {
            Self::File(path) => write(path, &root).map_err(|error| self.error(&error.to_string()))?,
            Self::Memory(kept) => *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(root.clone()),
        }
        Ok(root)
    }

    fn find(&self) -> Result<Option<RootKey>, SealError> {
        match self {
            Self::File(path) => read(path).map_err(|error| self.error(&error.to_string())),
            Self::Memory(kept) => Ok(kept.lock().unwrap_or_else(PoisonError::into_inner).clone()),
        }
    }

    fn error(&self, what: &str) -> SealError {
        let path = match self {
            Self::File(path) => path.display().to_string(),
            Self::Memory(_) => "in memory".to_owned(),
        };
        SealError::DevKey { path, what: what.to_owned() }
    }
}

/// Whole or not at all: written beside its place, synced, then renamed.
fn write(path: &Path, root: &RootKey) -> io::Result<()> {
    let draft = path.with_extension("new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(&***root)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    File::open(folder)?.sync_all()
}

fn read(path: &Path) -> io::Result<Option<RootKey>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut root = RootKey::default();
    file.read_exact(&mut **root).map_err(|_| io::Error::other("is too short"))?;
    match file.read(&mut [0])? {
        0 => Ok(Some(root)),
        _ => Err(io::Error::other("is too long")),
    }
}
