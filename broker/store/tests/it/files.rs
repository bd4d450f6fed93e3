//! Torn, foreign and odd files are refused, each with its own words, and not a byte is changed.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use warder_core::port::storage::{Check, Outcome};
use warder_store::engine::{self, EngineError, RawBatch, RawWrite, RedbOpenError};

use crate::support::redb;

async fn filled(path: &Path, keys: usize) {
    let engine = engine::open(&redb(path)).unwrap();
    for n in 0..keys {
        let key = format!("some/key/{n}");
        let writes = vec![RawWrite { key, bytes: Some(vec![7; 300]) }];
        engine.commit(RawBatch { checks: vec![], writes, ..RawBatch::default() }).await.unwrap();
    }
}

/// Why the file was refused; it must be as it was.
fn refusal(path: &Path) -> RedbOpenError {
    let before = fs::read(path).ok();
    let error = match engine::open(&redb(path)) {
        Err(EngineError::Open(error)) => error,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("{} was opened", path.display()),
    };
    assert_eq!(fs::read(path).ok(), before, "{error} but the file was changed");
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error} does not name the file");
    error
}

#[test]
fn what_is_no_store_is_refused_for_its_own_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    fs::write(&path, b"").unwrap();
    assert!(matches!(refusal(&path), RedbOpenError::Empty { .. }));
    let mut random = vec![0; 100_000];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut random).unwrap();
    for foreign in [&b"x"[..], b"SQLite format 3\0", &random] {
        fs::write(&path, foreign).unwrap();
        assert!(matches!(refusal(&path), RedbOpenError::Foreign { .. }));
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(matches!(refusal(&path), RedbOpenError::NotAFile { .. }));
    assert!(matches!(refusal(Path::new("/dev/null")), RedbOpenError::NotAFile { .. }));
    assert!(matches!(refusal(&path.join("no/such/folder/store.redb")), RedbOpenError::Io { .. }));
}

#[test]
fn a_database_of_another_program_or_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let table = redb::TableDefinition::<&str, u64>::new("warder.meta");
    let other = redb::TableDefinition::<u64, u64>::new("theirs");
    let database = redb::Database::create(&path).unwrap();
    let txn = database.begin_write().unwrap();
    txn.open_table(other).unwrap().insert(1, 1).unwrap();
    txn.commit().unwrap();
    drop(database);
    assert!(matches!(refusal(&path), RedbOpenError::Foreign { .. }));

    fs::remove_file(&path).unwrap();
    drop(engine::open(&redb(&path)).unwrap());
    let set = |name: &str, value: u64| {
        let database = redb::Database::open(&path).unwrap();
        let txn = database.begin_write().unwrap();
        txn.open_table(table).unwrap().insert(name, value).unwrap();
        txn.commit().unwrap();
    };
    set("format", 2);
    let refused = refusal(&path);
    assert!(matches!(refused, RedbOpenError::Version { found: 2, .. }));
    assert!(refused.to_string().ends_with("has format 2; this version reads format 1"));
    set("format", 1);
    set("magic", 3);
    assert!(matches!(refusal(&path), RedbOpenError::Foreign { .. }));
}

#[tokio::test]
async fn a_file_that_is_open_is_locked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let engine = engine::open(&redb(&path)).unwrap();
    assert!(matches!(refusal(&path), RedbOpenError::Locked { .. }));
    drop(engine);
    assert!(engine::open(&redb(&path)).is_ok());
}

#[tokio::test]
async fn a_truncated_file_is_refused_at_every_length() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    filled(&path, 30).await;
    let whole = fs::read(&path).unwrap();
    let lengths = [1, 8, 9, 10, 63, 64, 319, 320, 4095, 4096, 4097, 8192].into_iter();
    for len in lengths.chain((1..16).map(|part| whole.len() * part / 16)).chain([whole.len() - 4096, whole.len() - 1]) {
        fs::write(&path, &whole[..len]).unwrap();
        let refused = refusal(&path);
        let named = matches!(refused, RedbOpenError::Damaged { .. }) || len < 9;
        assert!(named, "{len} bytes: {refused:?}");
    }
    fs::write(&path, &whole).unwrap();
    assert!(engine::open(&redb(&path)).is_ok());
}

/// Every opening either refuses, or shows everything that was committed: never something else.
#[tokio::test]
async fn a_flipped_byte_is_refused_or_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    filled(&path, 30).await;
    let whole = fs::read(&path).unwrap();
    let engine = engine::open(&redb(&path)).unwrap();
    let expected = engine.view().await.unwrap().scan(None, 99).await.unwrap();
    drop(engine);
    let mut refused = 0;
    for at in (0..320).chain((320..whole.len()).step_by(977)) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0xff;
        fs::write(&path, &flipped).unwrap();
        match engine::open(&redb(&path)) {
            Err(error) => {
                refused += 1;
                assert!(matches!(error, EngineError::Open(_)), "{at}: {error:?}");
                assert_eq!(fs::read(&path).unwrap(), flipped, "{at}: {error}");
            }
            Ok(engine) => {
                let view = engine.view().await.unwrap();
                let seen = view.scan(None, 99).await.unwrap();
                // The previous commit is what redb falls back to when the newest is not whole.
                let whole = seen == expected && view.revision() == 30;
                let fallen_back = view.revision() < 30 && seen.len() as u64 == view.revision();
                assert!(whole || fallen_back, "{at}: revision {}", view.revision());
            }
        }
    }
    assert!(refused > 20, "{refused}");
}

#[tokio::test]
async fn a_copy_taken_while_it_runs_opens_at_a_commit() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("store.redb"), folder.path().join("copy.redb"));
    let engine = engine::open(&redb(&path)).unwrap();
    for n in 1..=20u64 {
        let check = Check::Unchanged { key: format!("k/{n}"), revision: None };
        let writes = vec![RawWrite { key: format!("k/{n}"), bytes: Some(vec![1; 2000]) }];
        let outcome = engine.commit(RawBatch { checks: vec![check], writes, ..RawBatch::default() }).await.unwrap();
        assert_eq!(outcome, Outcome::Committed(n));
        fs::copy(&path, &copy).unwrap();
        let copied = engine::open(&redb(&copy)).unwrap();
        let view = copied.view().await.unwrap();
        assert_eq!((view.revision(), view.scan(None, 99).await.unwrap().len() as u64), (n, n));
    }
}

#[test]
fn a_new_file_is_its_owners_only_and_leaves_no_draft() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    fs::write(folder.path().join("store.redb.new"), b"left by a crash").unwrap();
    drop(engine::open(&redb(&path)).unwrap());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
