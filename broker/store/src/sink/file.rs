//! The `file` sink: JSON lines appended to a regular file of mode 0600.
//!
//! Invariant: the file ends in `\n` whenever nobody is appending. A short write is taken back, a
//! torn record that a crash left is cut off when the file is opened. A file that was removed is
//! made anew before a record that announces an effect.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use warder_core::port::sink::Sink;

use super::{Options, SinkError, only};

/// Longest record looked for at the end of a file, bytes.
const MAX_LINE: u64 = 16 << 20;
const CHUNK: u64 = 64 << 10;

/// Options: `file_path` (absolute), `sync` (`always`, `effects` or `never`, default `effects`).
pub(super) fn open(options: &Options) -> Result<Box<dyn Sink>, SinkError> {
    let bad = |option: &str, expected| SinkError::Option { option: option.to_owned(), expected };
    only(options, &["file_path", "sync"], "the file sink has the options file_path and sync")?;
    let path = options.get("file_path").map(Path::new).filter(|path| path.is_absolute());
    let path = path.ok_or_else(|| bad("file_path", "expected an absolute path"))?;
    let sync = match options.get("sync").map_or("effects", String::as_str) {
        "always" => Sync::Always,
        "effects" => Sync::Effects,
        "never" => Sync::Never,
        _ => return Err(bad("sync", "expected always, effects or never")),
    };
    Ok(Box::new(FileSink::open(path, sync)?))
}

/// When a group of records must be on the disk before it counts; else the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Always: even a cached read waits for the disk.
    Always,
    /// When something in it comes before an effect.
    Effects,
    /// Never: a power cut loses the last records, though not what they were about.
    Never,
}

/// Appends to a file.
#[derive(Debug)]
pub struct FileSink {
    path: PathBuf,
    sync: Sync,
    file: Box<dyn Medium>,
    /// A group could not be taken back: the file ends in half a record.
    torn: bool,
}

/// What the sink does with a file; a seam for tests of failing disks.
trait Medium: std::fmt::Debug + Send {
    fn is_removed(&self) -> io::Result<bool>;
    fn len(&self) -> io::Result<u64>;
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    fn cut(&mut self, len: u64) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()>;
}

impl Medium for File {
    fn is_removed(&self) -> io::Result<bool> {
        Ok(self.metadata()?.nlink() == 0)
    }
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(self, bytes)
    }
    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        self.read_exact_at(bytes, at)
    }
}

impl FileSink {
    /// Opens or creates `path`.
    ///
    /// # Errors
    /// [`SinkError`]; the file is unchanged, but for a torn last record.
    pub fn open(path: &Path, sync: Sync) -> Result<Self, SinkError> {
        let mut file: Box<dyn Medium> = Box::new(regular(path)?);
        repair(path, &mut *file)?;
        Ok(Self { path: path.to_owned(), sync, file, torn: false })
    }

    /// Writes all of `lines`; counts in `written` what the file has of them.
    fn write(&mut self, lines: &[u8], written: &mut usize) -> io::Result<()> {
        while let Some(rest) = lines.get(*written..).filter(|rest| !rest.is_empty()) {
            match self.file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => *written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn sync(&mut self, before_effect: bool) -> io::Result<()> {
        match self.sync {
            Sync::Effects if !before_effect => Ok(()),
            Sync::Never => Ok(()),
            Sync::Always | Sync::Effects => self.file.sync(),
        }
    }

    /// Takes the last `written` bytes back.
    fn take_back(&mut self, written: usize) -> io::Result<()> {
        let len = self.file.len()?;
        self.file.cut(len.saturating_sub(written as u64))
    }
}

impl Sink for FileSink {
    fn append(&mut self, lines: &[u8], before_effect: bool) -> io::Result<()> {
        // What announces an effect does not go into a file that nobody can find any more. The rest
        // waits for no disk and is not worth the question.
        if self.torn || (before_effect && self.file.is_removed()?) {
            self.reopen()?;
        }
        let mut written = 0;
        let taken = self.write(lines, &mut written).and_then(|()| self.sync(before_effect));
        taken.inspect_err(|_| self.torn = self.take_back(written).is_err())
    }

    fn is_quick(&self) -> bool {
        self.sync != Sync::Always
    }

    fn reopen(&mut self) -> io::Result<()> {
        *self = Self::open(&self.path, self.sync).map_err(io::Error::other)?;
        Ok(())
    }

    fn last_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let len = self.file.len()?;
        let Some(end) = len.checked_sub(1) else { return Ok(None) };
        let start = after_newline(&*self.file, end)?.ok_or_else(|| io::Error::other("the last record is too long"))?;
        let mut line = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
        self.file.read_at(&mut line, start)?;
        Ok(Some(line))
    }
}

/// The file at `path`, created if nothing is there. What the name stands for is looked at first,
/// so that a pipe does not block and a device is not touched; the open itself follows no link.
fn regular(path: &Path) -> Result<File, SinkError> {
    let failed = |source| SinkError::Io { path: path.to_owned(), source };
    let odd = |what| Err(SinkError::NotAFile { path: path.to_owned(), what });
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => return odd("a symbolic link"),
        Ok(found) if found.is_dir() => return odd("a directory"),
        Ok(found) if !found.is_file() => return odd("a device, pipe or socket"),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = options.open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return odd("no longer what it was");
    }
    Ok(file)
}

/// Cuts off a record that a crash left half written: what stands behind the last newline, if it
/// looks like the beginning of a record (or like blocks that were never written).
fn repair(path: &Path, file: &mut dyn Medium) -> Result<(), SinkError> {
    let failed = |source| SinkError::Io { path: path.to_owned(), source };
    let foreign = || SinkError::Foreign { path: path.to_owned() };
    let len = file.len().map_err(failed)?;
    let start = after_newline(file, len).map_err(failed)?.ok_or_else(foreign)?;
    if start == len {
        return Ok(());
    }
    let mut first = [0];
    file.read_at(&mut first, start).map_err(failed)?;
    if !matches!(first[0], b'{' | 0) {
        return Err(foreign());
    }
    file.cut(start).and_then(|()| file.sync()).map_err(failed)?;
    tracing::warn!(sink.path = %path.display(), sink.bytes = len - start, "cut off an audit record torn by a crash");
    Ok(())
}

/// Where the line that ends before `end` begins; none when that is further back than [`MAX_LINE`].
fn after_newline(file: &dyn Medium, end: u64) -> io::Result<Option<u64>> {
    let mut high = end;
    while high > 0 {
        let low = high.saturating_sub(CHUNK);
        let mut chunk = vec![0; usize::try_from(high - low).map_err(io::Error::other)?];
        file.read_at(&mut chunk, low)?;
        if let Some(at) = chunk.iter().rposition(|byte| *byte == b'\n') {
            return Ok(Some(low + at as u64 + 1));
        }
        if end - low > MAX_LINE {
            return Ok(None);
        }
        high = low;
    }
    Ok(Some(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A real file on a disk that fills up after `room` bytes, and may fail to sync or to cut.
    #[derive(Debug)]
    struct FailingDisk {
        file: File,
        room: usize,
        syncs: bool,
        cuts: bool,
    }

    impl Medium for FailingDisk {
        fn is_removed(&self) -> io::Result<bool> {
            self.file.is_removed()
        }
        fn len(&self) -> io::Result<u64> {
            Medium::len(&self.file)
        }
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let fits = bytes.len().min(self.room);
            if fits == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= fits;
            Medium::write(&mut self.file, &bytes[..fits])
        }
        fn cut(&mut self, len: u64) -> io::Result<()> {
            if self.cuts { self.file.set_len(len) } else { Err(io::ErrorKind::ReadOnlyFilesystem.into()) }
        }
        fn sync(&mut self) -> io::Result<()> {
            if self.syncs { Ok(()) } else { Err(io::Error::other("input/output error")) }
        }
        fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
            self.file.read_exact_at(bytes, at)
        }
    }

    fn failing(room: usize, syncs: bool, cuts: bool) -> (tempfile::TempDir, FileSink) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let mut sink = FileSink::open(&path, Sync::Effects).unwrap();
        sink.append(b"{\"first\":1}\n", true).unwrap();
        sink.file = Box::new(FailingDisk { file: regular(&path).unwrap(), room, syncs, cuts });
        (folder, sink)
    }

    #[test]
    fn a_short_write_is_taken_back_whole() {
        for room in 0..12 {
            let (_folder, mut sink) = failing(room, true, true);
            let error = sink.append(b"{\"second\":2}\n", true).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            assert_eq!(fs::read(&sink.path).unwrap(), b"{\"first\":1}\n", "after {room} bytes");
        }
    }

    #[test]
    fn a_record_that_did_not_reach_the_disk_is_taken_back() {
        let (_folder, mut sink) = failing(99, false, true);
        assert!(sink.append(b"{\"second\":2}\n", true).is_err());
        assert_eq!(fs::read(&sink.path).unwrap(), b"{\"first\":1}\n");
    }

    #[test]
    fn records_that_announce_no_effect_wait_for_no_disk() {
        for (sync, before_effect, fails) in [
            (Sync::Always, false, true),
            (Sync::Always, true, true),
            (Sync::Effects, false, false),
            (Sync::Effects, true, true),
            (Sync::Never, false, false),
            (Sync::Never, true, false),
        ] {
            let (_folder, mut sink) = failing(99, false, true);
            sink.sync = sync;
            let result = sink.append(b"{\"second\":2}\n", before_effect);
            assert_eq!(result.is_err(), fails, "{sync:?} {before_effect}");
        }
    }

    #[test]
    fn half_a_record_that_could_not_be_taken_back_is_cut_off_before_the_next() {
        let (_folder, mut sink) = failing(4, true, false);
        assert!(sink.append(b"{\"second\":2}\n", true).is_err());
        assert_eq!(fs::read(&sink.path).unwrap(), b"{\"first\":1}\n{\"se");
        sink.append(b"{\"third\":3}\n", true).unwrap();
        assert_eq!(fs::read(&sink.path).unwrap(), b"{\"first\":1}\n{\"third\":3}\n");
    }
}
