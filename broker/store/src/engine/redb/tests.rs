//! Disks that crash, fill up and fail. The backend below is a disk in memory that remembers what
//! was synced; no real disk can be made to fail at a chosen write.

use std::{
    io,
    sync::{Arc, Mutex},
};

use redb::{Builder, Database, StorageBackend};
use warder_core::{
    error::{Error, ErrorKind},
    port::storage::{Observer, Outcome},
};

use super::{
    super::{Engine, EngineError, RawBatch, RawWrite},
    RedbOpenError,
    file::initialize,
    start,
    synced::Synced,
};

#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    /// What each sync made durable.
    synced: Vec<Vec<u8>>,
    writes: usize,
    /// Writes and resizes fail with this kind from this count on.
    failing: Option<(usize, io::ErrorKind)>,
    /// Syncs fail.
    unsyncable: bool,
}

impl Disk {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn of(bytes: Vec<u8>) -> Self {
        let disk = Self::default();
        disk.state().bytes = bytes;
        disk
    }

    fn formatted() -> Self {
        let disk = Self::default();
        initialize(&disk.database().unwrap()).unwrap();
        disk
    }

    fn database(&self) -> Result<Database, RedbOpenError> {
        self.opened(self.clone())
    }

    fn opened(&self, backend: impl StorageBackend) -> Result<Database, RedbOpenError> {
        let refused =
            |error: redb::DatabaseError| RedbOpenError::Damaged { path: "disk".into(), what: error.to_string() };
        Builder::new().create_with_backend(backend).map_err(refused)
    }

    fn engine(&self) -> impl Engine + use<> {
        let disk = self.clone();
        start(move |syncs| disk.opened(Synced::new(disk.clone(), syncs))).unwrap()
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
        self.touch()?.bytes.resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }
    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state();
        if state.unsyncable {
            return Err(io::Error::other("input/output error"));
        }
        let now = state.bytes.clone();
        state.synced.push(now);
        Ok(())
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        self.touch()?.bytes[at..at + data.len()].copy_from_slice(data);
        Ok(())
    }
}

/// `key` to `size` bytes that say which batch it was.
fn batch(n: u8, size: usize) -> RawBatch {
    let put = |key: String| RawWrite { key, bytes: Some(vec![n; size]) };
    RawBatch { checks: vec![], writes: vec![put(format!("k/{n:03}")), put("last".to_owned())] }
}

/// Whole batches only: every key up to the newest, and `last` of the newest.
async fn newest(engine: &dyn Engine) -> u8 {
    let view = engine.view().await.unwrap();
    let names = view.children("k/", None, 999).await.unwrap();
    let newest = u8::try_from(names.len()).unwrap();
    assert_eq!(view.revision(), u64::from(newest));
    assert!(names.iter().enumerate().all(|(at, name)| *name == format!("{:03}", at + 1)), "{names:?}");
    let last = view.get("last").await.unwrap();
    assert_eq!(last.map(|stored| stored.bytes[0]), (newest > 0).then_some(newest));
    newest
}

#[tokio::test]
async fn after_a_crash_at_any_sync_every_acknowledged_batch_is_there() {
    let disk = Disk::formatted();
    let formatted = disk.state().synced.len();
    let mut acknowledged = Vec::new();
    let engine = disk.engine();
    for n in 1..=25 {
        let outcome = engine.commit(batch(n, 700)).await.unwrap();
        assert_eq!(outcome, Outcome::Committed(u64::from(n)));
        acknowledged.push((n, disk.state().synced.len()));
    }
    assert_eq!(engine.tally().groups, 25);
    let synced = disk.state().synced.clone();
    assert!(acknowledged.windows(2).all(|pair| pair[1].1 > pair[0].1), "a batch was acknowledged before a sync");
    for (at, image) in synced.into_iter().enumerate() {
        // Frozen there: this sync went through, nothing after it did.
        let owed = acknowledged.iter().filter(|(_, syncs)| *syncs <= at + 1).map(|(n, _)| *n).max().unwrap_or(0);
        // While redb and then we lay out the file it is no store yet, and nothing is owed. (A real
        // one appears under its name only when it is.)
        if at + 1 < formatted {
            assert_eq!(owed, 0);
            continue;
        }
        let found = newest(&Disk::of(image).engine()).await;
        assert!(found == owed || found == owed + 1, "sync {at}: {found} found, {owed} acknowledged");
    }
}

/// At which write it fills up: each of a commit's, until the commit goes through.
#[tokio::test]
async fn a_full_disk_refuses_and_takes_up_again_when_there_is_room() {
    let mut refused = 0;
    for from in 1.. {
        let disk = Disk::formatted();
        let engine = disk.engine();
        engine.commit(batch(1, 700)).await.unwrap();
        {
            let mut state = disk.state();
            state.failing = Some((state.writes + from, io::ErrorKind::StorageFull));
        }
        let outcome = engine.commit(batch(2, 100_000)).await;
        let full = {
            let state = disk.state();
            state.failing.is_some_and(|(from, _)| state.writes >= from)
        };
        if let Err(error) = outcome {
            refused += 1;
            let error = Error::from(error);
            assert_eq!(error.kind, ErrorKind::StorageFull, "write {from}: {}", error.chain());
            assert!(engine.commit(batch(3, 100)).await.is_err(), "still full");
        }
        disk.state().failing = None;
        // What was refused may turn out to be there, whole; then it is seen by everybody.
        let check = RawBatch::default();
        let Outcome::Committed(found) = engine.commit(check).await.unwrap() else { panic!() };
        let next = u8::try_from(found).unwrap() + 1;
        assert_eq!(newest(&engine).await, next - 1, "write {from}");
        assert_eq!(engine.commit(batch(next, 100)).await.unwrap(), Outcome::Committed(found + 1));
        drop(engine);
        assert_eq!(newest(&disk.engine()).await, next);
        if !full {
            break;
        }
    }
    assert!(refused > 3, "{refused}");
}

#[tokio::test]
async fn a_disk_that_became_read_only_is_unavailable() {
    let disk = Disk::formatted();
    let engine = disk.engine();
    engine.commit(batch(1, 700)).await.unwrap();
    disk.state().failing = Some((0, io::ErrorKind::ReadOnlyFilesystem));
    for _ in 0..2 {
        assert_eq!(Error::from(engine.commit(batch(2, 700)).await.unwrap_err()).kind, ErrorKind::Unavailable);
    }
}

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Observer for Heard {
    fn before(&self, keys: &[&str]) {
        self.0.lock().unwrap().push(format!("before {}", keys.len()));
    }
    fn after(&self, keys: &[&str], committed: bool) {
        self.0.lock().unwrap().push(format!("after {} {committed}", keys.len()));
    }
    fn forget(&self) {}
}

#[tokio::test]
async fn a_batch_whose_sync_failed_is_refused_and_observers_are_told() {
    let disk = Disk::formatted();
    let engine = disk.engine();
    let heard = Arc::new(Heard::default());
    engine.observe(heard.clone());
    engine.commit(batch(1, 700)).await.unwrap();
    disk.state().unsyncable = true;
    let error = engine.commit(batch(2, 700)).await.unwrap_err();
    assert!(matches!(error, EngineError::Medium { .. }), "{error:?}");
    assert_eq!(*heard.0.lock().unwrap(), ["before 2", "after 2 true", "before 2", "after 2 false"]);
    // Nothing is taken until it is known what the disk holds.
    assert!(engine.commit(batch(2, 700)).await.is_err());
    drop(engine);
    disk.state().unsyncable = false;
    assert!(newest(&disk.engine()).await >= 1);
}
