//! The file of the `redb` engine: made whole or not at all, and looked at before it is opened.
//!
//! Invariant: a file that is not a whole store of this format is refused with the reason, and not
//! one byte of it is changed. An existing file is first opened on trial (see `trial`).

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, StorageBackend, StorageError, TableError, backends::FileBackend,
};
use rustix::fs::StatVfsMountFlags;

use super::{
    CACHE_BYTES, FORMAT, MAGIC, META, RECORDS, folder,
    synced::{Synced, Syncs},
    trial::{Still, Trial},
};

/// The first bytes of every redb file.
const REDB_MAGIC: &[u8; 9] = b"redb\x1a\x0a\xa9\x0d\x0a";

/// Why the file was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedbOpenError {
    /// Cut short, or bytes changed.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// Nothing in it.
    #[error("{path} is empty: a store never is; restore it, or remove it to start a new one")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Something else's file.
    #[error("{path} is not a warder store: {what}")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: &'static str,
    },
    /// Reading or writing failed.
    #[error("{path} cannot be {doing}")]
    Io {
        /// The file or its folder.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// The operating system's words.
        #[source]
        source: io::Error,
    },
    /// Open elsewhere.
    #[error("{path} is in use by another process")]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// A directory, a device, a socket.
    #[error("{path} is not a regular file")]
    NotAFile {
        /// What was named.
        path: PathBuf,
    },
    /// Written by another version.
    #[error("{path} has format {found}; this version reads format {FORMAT}")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
}

/// Makes the file if nothing is there; looks at it closely if something is.
pub(super) fn prepare(path: &Path) -> Result<(), RedbOpenError> {
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => Err(RedbOpenError::NotAFile { path: path.to_owned() }),
        Ok(found) if found.len() == 0 => Err(RedbOpenError::Empty { path: path.to_owned() }),
        Ok(_) => inspect(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(path),
        Err(source) => Err(RedbOpenError::Io { path: path.to_owned(), doing: "looked at", source }),
    }
}

/// A file that [`prepare`] accepted.
pub(super) struct Place(pub(super) PathBuf);

impl super::Place for Place {
    fn open(&self, syncs: &Syncs) -> Result<Database, RedbOpenError> {
        let Self(path) = self;
        let io = |source| RedbOpenError::Io { path: path.clone(), doing: "opened for reading and writing", source };
        let refused = |error| refusal(path, error);
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(io)?;
        let backend = FileBackend::new(file).map_err(refused)?;
        // redb would make a new database of an empty file.
        if backend.len().map_err(io)? == 0 {
            return Err(RedbOpenError::Empty { path: path.clone() });
        }
        let synced = Synced::new(backend, syncs);
        Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(synced).map_err(refused)
    }

    fn look(&self) -> Result<Database, RedbOpenError> {
        let Self(path) = self;
        let io = |source| RedbOpenError::Io { path: path.clone(), doing: "opened for reading", source };
        let refused = |error| refusal(path, error);
        let trial = File::open(path).and_then(|file| Trial::new(Still(file))).map_err(io)?;
        Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(trial).map_err(refused)
    }

    fn room(&self) -> io::Result<u64> {
        // Where nobody can tell, writing tells.
        let Ok(disk) = rustix::fs::statvfs(&self.0) else { return Ok(u64::MAX) };
        if disk.f_flag.contains(StatVfsMountFlags::RDONLY) {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
}

/// Writes the tables of an empty store.
pub(super) fn initialize(database: &Database) -> Result<(), redb::Error> {
    let txn = database.begin_write()?;
    {
        let mut meta = txn.open_table(META)?;
        for (name, value) in [("magic", MAGIC), ("format", FORMAT), ("revision", 0)] {
            meta.insert(name, value)?;
        }
        txn.open_table(RECORDS)?;
    }
    txn.commit()?;
    Ok(())
}

/// Makes it beside its place and links it in when it is whole, so that a crash leaves either no
/// store or an empty one, and never replaces a file that somebody else made meanwhile.
fn make(path: &Path) -> Result<(), RedbOpenError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let draft = path.with_file_name(name);
    let io = |doing| move |source| RedbOpenError::Io { path: path.to_owned(), doing, source };
    match fs::remove_file(&draft) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(io("created")(source)),
        _ => {}
    }
    let file =
        OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&draft).map_err(io("created"))?;
    let refused = |error| refusal(path, error);
    let backend = FileBackend::new(file).map_err(refused)?;
    let database = Builder::new().create_with_backend(backend).map_err(refused)?;
    initialize(&database).map_err(|source| io("created")(io::Error::other(source)))?;
    database.close().map_err(refused)?;
    fs::hard_link(&draft, path).map_err(io("created"))?;
    fs::remove_file(&draft).map_err(io("created"))?;
    File::open(folder(path)).and_then(|folder| folder.sync_all()).map_err(io("created"))
}

/// Whether it is a store.
fn inspect(path: &Path) -> Result<(), RedbOpenError> {
    let io = |source| RedbOpenError::Io { path: path.to_owned(), doing: "opened for reading and writing", source };
    let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(io)?;
    let mut head = [0; REDB_MAGIC.len()];
    match file.read_exact(&mut head) {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(io(error)),
        _ if head != *REDB_MAGIC => {
            return Err(RedbOpenError::Foreign { path: path.to_owned(), what: "it does not begin like one" });
        }
        _ => {}
    }
    examine(path, FileBackend::new(file).map_err(|error| refusal(path, error))?)
}

/// Opens it on trial: with every checksum verified, and whatever redb writes while it recovers
/// from a crash kept away from it.
pub(super) fn examine(path: &Path, backend: impl StorageBackend) -> Result<(), RedbOpenError> {
    let io = |source| RedbOpenError::Io { path: path.to_owned(), doing: "read", source };
    let trial = Trial::new(backend).map_err(io)?;
    let opened =
        Builder::new().set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true).create_with_backend(trial);
    let database = opened.map_err(|error| refusal(path, error))?;
    recognize(path, &database)
}

/// Whether the tables are ours, of our version.
fn recognize(path: &Path, database: &Database) -> Result<(), RedbOpenError> {
    let foreign = |what| RedbOpenError::Foreign { path: path.to_owned(), what };
    let damaged = |what: &dyn ToString| RedbOpenError::Damaged { path: path.to_owned(), what: what.to_string() };
    let txn = database.begin_read().map_err(|error| damaged(&error))?;
    let meta = match txn.open_table(META) {
        Ok(meta) => meta,
        Err(TableError::Storage(error)) => return Err(damaged(&error)),
        Err(_) => return Err(foreign("it is the database of another program")),
    };
    let number = |name| Ok(meta.get(name).map_err(|error| damaged(&error))?.map(|value| value.value()));
    if number("magic")? != Some(MAGIC) {
        return Err(foreign("its mark is missing"));
    }
    match number("format")? {
        Some(FORMAT) => {}
        found => return Err(RedbOpenError::Version { path: path.to_owned(), found: found.unwrap_or(0) }),
    }
    number("revision")?.ok_or_else(|| damaged(&"it has no revision"))?;
    txn.open_table(RECORDS).map_err(|error| damaged(&error))?;
    Ok(())
}

fn refusal(path: &Path, error: DatabaseError) -> RedbOpenError {
    let path = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => RedbOpenError::Locked { path },
        DatabaseError::UpgradeRequired(version) => {
            RedbOpenError::Damaged { path, what: format!("file version {version}") }
        }
        DatabaseError::Storage(StorageError::Io(source)) if source.kind() == io::ErrorKind::UnexpectedEof => {
            RedbOpenError::Damaged { path, what: "it ends too early".to_owned() }
        }
        DatabaseError::Storage(StorageError::Io(source)) => RedbOpenError::Io { path, doing: "opened", source },
        DatabaseError::Storage(StorageError::Corrupted(what)) => RedbOpenError::Damaged { path, what },
        other => RedbOpenError::Damaged { path, what: other.to_string() },
    }
}
