//! Rotation of the keyring: old values move to the newest term under whoever reads and writes them,
//! and terms go when nothing needs them any more.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use warder_core::{
    port::{
        keyring::{KeyStatus, Keyring, Step},
        storage::{Batch, Observer, Outcome},
    },
    secret::Secret,
};
use warder_store::{
    EngineConfig, SealConfig, Store,
    barrier::PAGE,
    engine::{self, RawBatch, RawWrite},
};

use crate::support::{dev, put, read, redb, store, unchanged, write};

/// Steps until nothing is left to do, or somebody is waited for.
async fn steps(keyring: &dyn Keyring) -> Step {
    for _ in 0..10_000 {
        match keyring.rewrap().await.unwrap() {
            Step::More => {}
            step => return step,
        }
    }
    panic!("moving old values does not come to an end");
}

fn status(store: &Store) -> KeyStatus {
    store.keyring.key_status().unwrap()
}

/// The term of each record but the barrier's own.
async fn terms(raw: &dyn engine::Engine) -> Vec<u32> {
    let all = raw.view().await.unwrap().scan(None, usize::MAX).await.unwrap();
    let values = all.iter().filter(|(key, _)| !key.starts_with("barrier/"));
    values.map(|(_, stored)| u32::from_be_bytes(stored.bytes[..4].try_into().unwrap())).collect()
}

#[tokio::test]
async fn old_values_move_to_the_new_term_and_the_old_term_goes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let opened = store(redb(&path), SealConfig::Dev).unwrap();
    opened.seal.initialize(1, 1).await.unwrap();
    assert_eq!(opened.keyring.rewrap().await.unwrap(), Step::Idle);
    let count = PAGE + 25;
    for n in 0..count {
        write(&*opened.storage, &format!("core/{n:04}"), &format!("value {n}")).await;
    }
    assert_eq!(opened.keyring.rotate().await.unwrap(), 2);
    write(&*opened.storage, "core/new", "new").await;
    let before = status(&opened);
    assert_eq!((before.term, before.oldest, before.terms), (2, 1, 2));
    assert!(before.installed.0 > 0);
    assert_eq!(read(&*opened.storage, "core/0007").await.as_deref(), Some("value 7"));
    assert_eq!(steps(&*opened.keyring).await, Step::Idle);
    let after = status(&opened);
    assert_eq!((after.term, after.oldest, after.terms), (2, 2, 1));
    assert_eq!((after.rewrap.moved, after.rewrap.broken), (count as u64, 0));
    assert_eq!(read(&*opened.storage, "core/0007").await.as_deref(), Some("value 7"));
    drop(opened);
    let raw = engine::open(&redb(&path)).unwrap();
    let terms = terms(&*raw).await;
    assert!(terms.len() == count + 1 && terms.iter().all(|term| *term == 2));
    drop(raw);
    let opened = store(redb(&path), SealConfig::Dev).unwrap();
    assert_eq!(read(&*opened.storage, "core/0007").await.as_deref(), Some("value 7"));
    assert_eq!((status(&opened).oldest, status(&opened).terms), (2, 1));
}

/// Notes what it is told.
#[derive(Default)]
struct Told(AtomicUsize, AtomicBool);

impl Observer for Told {
    fn before(&self, keys: &[&str]) {
        self.0.fetch_add(keys.iter().filter(|key| !key.starts_with("barrier/")).count(), Ordering::SeqCst);
    }
    fn after(&self, _: &[&str], _: bool) {}
    fn forget(&self) {
        self.1.store(true, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn nobody_notices_that_values_moved() {
    let opened = dev().await;
    let mut revisions = Vec::new();
    for n in 0..10 {
        revisions.push(write(&*opened.storage, &format!("core/{n}"), "x").await);
    }
    opened.keyring.rotate().await.unwrap();
    let rotated = opened.storage.snapshot().await.unwrap().revision();
    let mut watch = opened.storage.watch(rotated).await.unwrap();
    let told = Arc::new(Told::default());
    opened.storage.observe(told.clone());
    assert_eq!(steps(&*opened.keyring).await, Step::Idle);
    assert_eq!(status(&opened).rewrap.moved, 10);
    for (n, revision) in revisions.iter().enumerate() {
        let entry = opened.storage.snapshot().await.unwrap().get(&format!("core/{n}")).await.unwrap().unwrap();
        assert_eq!(entry.revision, *revision);
    }
    assert!(told.0.load(Ordering::SeqCst) == 0 && !told.1.load(Ordering::SeqCst));
    // Who read before may still write by what it read.
    let batch = Batch { checks: vec![unchanged("core/3", Some(revisions[3]))], writes: vec![put("core/3", "y")] };
    assert!(matches!(opened.storage.commit(batch).await.unwrap(), Outcome::Committed(_)));
    assert_eq!(watch.next().await.unwrap().key, "core/3", "the first change that is told");
}

#[tokio::test]
async fn a_term_stays_as_long_as_somebody_reads_an_older_state() {
    let opened = dev().await;
    write(&*opened.storage, "core/a", "old").await;
    let old = opened.storage.snapshot().await.unwrap();
    write(&*opened.storage, "core/a", "new").await;
    opened.keyring.rotate().await.unwrap();
    assert_eq!(steps(&*opened.keyring).await, Step::Wait);
    assert_eq!(status(&opened).terms, 2);
    let read_again = old.get("core/a").await.unwrap().unwrap();
    assert_eq!(read_again.value.expose_str(), Some("old"));
    drop(old);
    assert_eq!(steps(&*opened.keyring).await, Step::Idle);
    assert_eq!(status(&opened).terms, 1);
    assert_eq!(read(&*opened.storage, "core/a").await.as_deref(), Some("new"));
}

/// Stopped anywhere, also by a seal or a restart, it goes on and comes to the same end.
#[tokio::test]
async fn moving_goes_on_after_a_seal_and_after_a_restart() {
    for stop_after in 0..12 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        let mut opened = store(redb(&path), SealConfig::Dev).unwrap();
        opened.seal.initialize(1, 1).await.unwrap();
        let count = 2 * PAGE + 10;
        let writes = (0..count).map(|n| put(&format!("core/{n:04}"), &format!("value {n}"))).collect();
        opened.storage.commit(Batch { checks: vec![], writes }).await.unwrap();
        opened.keyring.rotate().await.unwrap();
        for _ in 0..stop_after {
            opened.keyring.rewrap().await.unwrap();
        }
        if stop_after % 2 == 0 {
            opened.seal.seal().await.unwrap();
            opened.seal.unseal(Secret::from("")).await.unwrap();
        } else {
            drop(opened);
            opened = store(redb(&path), SealConfig::Dev).unwrap();
        }
        assert_eq!(steps(&*opened.keyring).await, Step::Idle);
        assert_eq!((status(&opened).term, status(&opened).terms), (2, 1), "stopped after {stop_after} steps");
        for n in 0..count {
            let value = read(&*opened.storage, &format!("core/{n:04}")).await;
            assert_eq!(value, Some(format!("value {n}")), "stopped after {stop_after} steps");
        }
    }
}

/// A value that does not open keeps every term it could need, and the others their way.
#[tokio::test]
async fn a_term_that_a_broken_value_names_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let opened = store(redb(&path), SealConfig::Dev).unwrap();
    opened.seal.initialize(1, 1).await.unwrap();
    for key in ["core/a", "core/b", "core/c"] {
        write(&*opened.storage, key, "x").await;
    }
    drop(opened);
    let raw = engine::open(&redb(&path)).unwrap();
    let mut bytes = raw.view().await.unwrap().get("core/b").await.unwrap().unwrap().bytes;
    bytes[20] ^= 1;
    let writes = vec![RawWrite { key: "core/b".to_owned(), bytes: Some(bytes) }];
    raw.commit(RawBatch { writes, ..RawBatch::default() }).await.unwrap();
    drop(raw);
    let opened = store(redb(&path), SealConfig::Dev).unwrap();
    opened.keyring.rotate().await.unwrap();
    assert_eq!(steps(&*opened.keyring).await, Step::Idle);
    let stands = status(&opened);
    assert_eq!((stands.terms, stands.rewrap.broken, stands.rewrap.moved), (2, 1, 2));
    // Mended, from a backup, and one more rotation: now it goes through.
    write(&*opened.storage, "core/b", "mended").await;
    opened.keyring.rotate().await.unwrap();
    assert_eq!(steps(&*opened.keyring).await, Step::Idle);
    assert_eq!((status(&opened).term, status(&opened).terms), (3, 1));
    assert_eq!(read(&*opened.storage, "core/b").await.as_deref(), Some("mended"));
}

/// Readers, writers with checks and rotations all at once: each reader finds what the last writer
/// of its key wrote, no write is lost, and in the end one term is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn values_stay_right_while_they_move_under_load() {
    let folder = tempfile::tempdir().unwrap();
    for engine in [EngineConfig::Memory, redb(folder.path().join("store.redb"))] {
        let opened = Arc::new(store(engine, SealConfig::Dev).unwrap());
        opened.seal.initialize(1, 1).await.unwrap();
        let writes = (0..600).map(|n| put(&format!("core/idle/{n:03}"), &n.to_string())).collect();
        opened.storage.commit(Batch { checks: vec![], writes }).await.unwrap();
        let done = Arc::new(AtomicBool::new(false));
        let counters: Vec<_> = (0..4).map(|n| tokio::spawn(count(opened.clone(), n, 60))).collect();
        let readers: Vec<_> = (0..2).map(|_| tokio::spawn(look(opened.clone(), done.clone()))).collect();
        let turning = tokio::spawn(turn(opened.clone(), done.clone()));
        for counter in counters {
            counter.await.unwrap();
        }
        done.store(true, Ordering::SeqCst);
        for reader in readers {
            reader.await.unwrap();
        }
        let rotations = turning.await.unwrap();
        assert_eq!(steps(&*opened.keyring).await, Step::Idle);
        assert_eq!((status(&opened).term, status(&opened).terms), (1 + rotations, 1));
        for n in 0..4 {
            assert_eq!(read(&*opened.storage, &format!("core/count/{n}")).await.as_deref(), Some("60"));
        }
        opened.seal.seal().await.unwrap();
        opened.seal.unseal(Secret::from("")).await.unwrap();
        for n in 0..600 {
            assert_eq!(read(&*opened.storage, &format!("core/idle/{n:03}")).await, Some(n.to_string()));
        }
    }
}

/// Counts up, each time from what it read. Nobody else writes the key, so no check may fail: not
/// because the value moved either.
async fn count(store: Arc<Store>, n: usize, most: usize) {
    let key = format!("core/count/{n}");
    for next in 1..=most {
        let found = store.storage.snapshot().await.unwrap().get(&key).await.unwrap();
        let had: usize = found.as_ref().map_or(0, |entry| entry.value.expose_str().unwrap().parse().unwrap());
        assert_eq!(had + 1, next);
        let checks = vec![unchanged(&key, found.map(|entry| entry.revision))];
        let batch = Batch { checks, writes: vec![put(&key, &next.to_string())] };
        assert!(matches!(store.storage.commit(batch).await.unwrap(), Outcome::Committed(_)), "{key} {next}");
    }
}

/// Reads one state over some time.
async fn look(store: Arc<Store>, done: Arc<AtomicBool>) {
    while !done.load(Ordering::SeqCst) {
        let snapshot = store.storage.snapshot().await.unwrap();
        for n in (0..600).step_by(7) {
            let entry = snapshot.get(&format!("core/idle/{n:03}")).await.unwrap().unwrap();
            assert_eq!(entry.value.expose_str().unwrap(), n.to_string());
            tokio::task::yield_now().await;
        }
    }
}

async fn turn(store: Arc<Store>, done: Arc<AtomicBool>) -> u32 {
    let mut rotations = 0;
    while !done.load(Ordering::SeqCst) {
        if rotations < 5 {
            store.keyring.rotate().await.unwrap();
            rotations += 1;
        }
        for _ in 0..20 {
            store.keyring.rewrap().await.unwrap();
            tokio::task::yield_now().await;
        }
    }
    rotations
}
