//! A disk in memory that remembers all that was done to it; no real disk can be made to fail at a
//! chosen write, or asked what a power cut would have left.

use std::{
    io,
    sync::{Arc, Mutex},
};

use redb::{Builder, Database, StorageBackend};

use super::super::{
    super::Engine,
    Place, RedbOpenError,
    file::initialize,
    start,
    synced::{Synced, Syncs},
    trial::Trial,
};

#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

/// One thing done to a disk.
#[derive(Clone, Debug)]
pub(super) enum Done {
    Resized(usize),
    Synced,
    Written { at: usize, bytes: Vec<u8> },
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) bytes: Vec<u8>,
    /// Everything that was done to it, in order.
    pub(super) log: Vec<Done>,
    pub(super) syncs: usize,
    pub(super) writes: usize,
    /// Writes and resizes fail with this kind from this count on.
    pub(super) failing: Option<(usize, io::ErrorKind)>,
    /// Syncs fail.
    pub(super) unsyncable: bool,
    /// As the disk tells it when it is asked.
    pub(super) room: Option<u64>,
}

impl Disk {
    pub(super) fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(super) fn of(bytes: Vec<u8>) -> Self {
        let disk = Self::default();
        disk.state().bytes = bytes;
        disk
    }

    pub(super) fn formatted() -> Self {
        let disk = Self::default();
        initialize(&disk.database().unwrap()).unwrap();
        disk
    }

    pub(super) fn database(&self) -> Result<Database, RedbOpenError> {
        self.opened(self.clone())
    }

    pub(super) fn opened(&self, backend: impl StorageBackend) -> Result<Database, RedbOpenError> {
        let refused =
            |error: redb::DatabaseError| RedbOpenError::Damaged { path: "disk".into(), what: error.to_string() };
        Builder::new().create_with_backend(backend).map_err(refused)
    }

    pub(super) fn engine(&self) -> impl Engine + use<> {
        start(self.clone()).unwrap()
    }

    fn touch(&self) -> io::Result<std::sync::MutexGuard<'_, State>> {
        let mut state = self.state();
        state.writes += 1;
        match state.failing {
            Some((from, kind)) if state.writes >= from => Err(kind.into()),
            _ => Ok(state),
        }
    }
}

impl Place for Disk {
    fn open(&self, syncs: &Syncs) -> Result<Database, RedbOpenError> {
        self.opened(Synced::new(self.clone(), syncs))
    }
    fn look(&self) -> Result<Database, RedbOpenError> {
        self.opened(Trial::new(self.clone()).unwrap())
    }
    fn room(&self) -> io::Result<u64> {
        Ok(self.state().room.unwrap_or(u64::MAX))
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().bytes.len() as u64)
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        let state = self.state();
        let found = state.bytes.get(at..at + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.touch()?;
        let len = usize::try_from(len).unwrap();
        state.bytes.resize(len, 0);
        state.log.push(Done::Resized(len));
        Ok(())
    }
    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state();
        if state.unsyncable {
            return Err(io::Error::other("input/output error"));
        }
        state.syncs += 1;
        state.log.push(Done::Synced);
        Ok(())
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        let mut state = self.touch()?;
        state.bytes[at..at + data.len()].copy_from_slice(data);
        state.log.push(Done::Written { at, bytes: data.to_vec() });
        Ok(())
    }
}
