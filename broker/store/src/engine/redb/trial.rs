//! A storage backend that reads a file and keeps what is written to itself: redb can recover and
//! verify a file without changing it. Only `file` calls it.
//!
//! Invariant: the file is never written; its lock is held while the trial lasts, if it has one.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs::File,
    io,
    ops::Bound,
    os::unix::fs::FileExt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use redb::{BackendError, StorageBackend};

const PAGE: u64 = 4096;

/// The file below, pages written on top.
#[derive(Debug)]
pub(super) struct Trial<B> {
    file: B,
    written: Mutex<Written>,
}

#[derive(Debug)]
struct Written {
    len: u64,
    /// Whole pages by number.
    pages: BTreeMap<u64, Vec<u8>>,
}

impl<B: StorageBackend> Trial<B> {
    pub(super) fn new(file: B) -> io::Result<Self> {
        let written = Mutex::new(Written { len: file.len()?, pages: BTreeMap::new() });
        Ok(Self { file, written })
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A page of the file; zeroes where the file has ended.
    fn page(&self, number: u64) -> io::Result<Vec<u8>> {
        let mut page = vec![0; PAGE as usize];
        let start = number * PAGE;
        let there = usize::try_from(self.file.len()?.saturating_sub(start).min(PAGE)).unwrap_or(0);
        self.file.read(start, &mut page[..there])?;
        Ok(page)
    }
}

/// A file that nobody can write, and so nobody can lock.
#[derive(Debug)]
pub(super) struct Still(pub(super) File);

impl StorageBackend for Still {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn set_len(&self, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn write(&self, _offset: u64, _data: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

/// Cuts `len` bytes at `offset` into (page, offset in page, offset in the buffer, length).
fn cuts(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, usize, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let inside = (at % PAGE) as usize;
        let size = (PAGE as usize - inside).min(len - done);
        let cut = (at / PAGE, inside, done, size);
        done += size;
        (size > 0).then_some(cut)
    })
}

impl<B: StorageBackend> StorageBackend for Trial<B> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.written().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let written = self.written();
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > written.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let untouched = written.pages.range(offset / PAGE..=(offset + out.len() as u64) / PAGE).next().is_none();
        if untouched && offset + out.len() as u64 <= self.file.len()? {
            return self.file.read(offset, out);
        }
        for (number, inside, at, size) in cuts(offset, out.len()) {
            let page = match written.pages.get(&number) {
                Some(page) => page,
                None => &self.page(number)?,
            };
            out[at..at + size].copy_from_slice(&page[inside..inside + size]);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.written().len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut written = self.written();
        for (number, inside, at, size) in cuts(offset, data.len()) {
            let page = match written.pages.entry(number) {
                Entry::Occupied(page) => page.into_mut(),
                Entry::Vacant(place) => place.insert(self.page(number)?),
            };
            page[inside..inside + size].copy_from_slice(&data[at..at + size]);
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}
