//! Disks that fill up, fail, and become read-only, at each of their writes.

use std::{
    io,
    sync::{Arc, Mutex},
};

use warder_core::{
    error::{Error, ErrorKind},
    port::storage::{Observer, Outcome},
};

use super::{
    super::{
        super::{Engine, EngineError, RawBatch, RawWrite},
        MARGIN, PER_WRITE,
    },
    disk::Disk,
};

/// `key` to `size` bytes that say which batch it was.
fn batch(n: u8, size: usize) -> RawBatch {
    let put = |key: String| RawWrite { key, bytes: Some(vec![n; size]) };
    RawBatch { checks: vec![], writes: vec![put(format!("k/{n:03}")), put("last".to_owned())], ..RawBatch::default() }
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

/// At which write it turns: each of a commit's, until the commit goes through.
#[tokio::test]
async fn a_disk_that_became_read_only_is_unavailable_to_writers_and_read_all_the_same() {
    let mut refused = 0;
    for from in 1.. {
        let disk = Disk::formatted();
        let engine = disk.engine();
        engine.commit(batch(1, 700)).await.unwrap();
        let before = engine.view().await.unwrap();
        {
            let mut state = disk.state();
            state.failing = Some((state.writes + from, io::ErrorKind::ReadOnlyFilesystem));
        }
        let mut tried = 0;
        while let Err(error) = engine.commit(batch(2, 100_000)).await {
            (refused, tried) = (refused + 1, tried + 1);
            assert_eq!(Error::from(error).kind, ErrorKind::Unavailable);
            // Whole, as it was or with the batch that was refused.
            assert!(newest(&engine).await <= 2, "write {from}");
            if tried == 3 {
                break;
            }
        }
        if tried == 0 {
            break;
        }
        disk.state().failing = None;
        let Outcome::Committed(found) = engine.commit(RawBatch::default()).await.unwrap() else { panic!() };
        let next = u8::try_from(found).unwrap() + 1;
        assert_eq!(engine.commit(batch(next, 100)).await.unwrap(), Outcome::Committed(found + 1));
        assert_eq!(newest(&engine).await, next);
        drop(before);
    }
    assert!(refused > 9, "{refused}");
}

#[tokio::test]
async fn what_has_no_room_is_refused_before_the_disk_is_touched() {
    let disk = Disk::formatted();
    let engine = Arc::new(disk.engine());
    engine.commit(batch(1, 700)).await.unwrap();
    let before = engine.view().await.unwrap();
    disk.state().room = Some(MARGIN + 3 * PER_WRITE);
    let writes = disk.state().writes;
    let error = engine.commit(batch(2, 100_000)).await.unwrap_err();
    assert_eq!(Error::from(error).kind, ErrorKind::StorageFull);
    assert_eq!(disk.state().writes, writes);
    // What only looks needs no room, and what is small has it, whatever waits beside it.
    assert_eq!(engine.commit(RawBatch::default()).await.unwrap(), Outcome::Committed(1));
    let both = [batch(3, 100_000), batch(2, 700)].map(|batch| {
        let engine = engine.clone();
        async move { engine.commit(batch).await }
    });
    let [large, small] = both;
    let (large, small) = tokio::join!(large, small);
    assert!(matches!(large, Err(EngineError::Full { .. })), "{large:?}");
    assert_eq!(small.unwrap(), Outcome::Committed(2));
    assert_eq!(newest(&*engine).await, 2);
    assert!(before.get("last").await.unwrap().is_some(), "an old view is read on");
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
