//! Init, unseal, seal.

use std::{fs, os::unix::fs::PermissionsExt, sync::Arc};

use warder_core::{
    error::ErrorKind,
    port::{
        seal::Seal,
        storage::{Batch, Observer, Snapshot, WatchEnd},
    },
    secret::Secret,
};
use warder_store::{EngineConfig, OpenError, SealConfig, seal::SealError};

use crate::support::{dev, put, read, redb, store, write};

async fn refused(seal: &dyn Seal, share: Secret) -> ErrorKind {
    seal.unseal(share).await.unwrap_err().kind
}

#[tokio::test]
async fn shares_open_what_they_were_made_for_and_nothing_less_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let opened = store(redb(&path), SealConfig::Shamir).unwrap();
    let status = opened.seal.status();
    assert!(!status.initialized && status.sealed && status.kind == "shamir");
    assert_eq!(refused(&*opened.seal, Secret::new(vec![1; 33])).await, ErrorKind::Uninitialized);
    assert_eq!(opened.seal.seal().await.unwrap_err().kind, ErrorKind::Uninitialized);
    assert_eq!(opened.storage.snapshot().await.err().unwrap().kind, ErrorKind::Sealed);

    let shares = opened.seal.initialize(5, 3).await.unwrap();
    assert!(shares.len() == 5 && shares.iter().all(|share| share.len() == 33));
    let again = opened.seal.initialize(5, 3).await.unwrap_err();
    assert_eq!(again.kind, ErrorKind::Conflict);
    write(&*opened.storage, "core/a", "kept").await;
    drop(opened);

    let opened = store(redb(&path), SealConfig::Shamir).unwrap();
    let status = opened.seal.status();
    assert!(status.initialized && status.sealed);
    assert_eq!((status.threshold, status.shares, status.progress, &*status.nonce), (3, 5, 0, ""));
    let first = opened.seal.unseal(shares[4].clone()).await.unwrap();
    let second = opened.seal.unseal(shares[0].clone()).await.unwrap();
    assert_eq!((first.progress, second.progress, second.sealed), (1, 2, true));
    assert!(first.nonce.len() == 36 && first.nonce == second.nonce);
    let error = opened.seal.unseal(shares[0].clone()).await.unwrap_err();
    assert_eq!((error.kind, error.field.as_deref()), (ErrorKind::InvalidRequest, Some("key")));
    let third = opened.seal.unseal(shares[2].clone()).await.unwrap();
    assert!(!third.sealed && third.progress == 0 && third.nonce.is_empty());
    assert_eq!(read(&*opened.storage, "core/a").await.as_deref(), Some("kept"));
    // One more is no mistake.
    assert!(!opened.seal.unseal(shares[1].clone()).await.unwrap().sealed);
}

#[tokio::test]
async fn wrong_and_malformed_shares_are_refused_and_the_attempt_starts_again() {
    let opened = store(EngineConfig::Memory, SealConfig::Shamir).unwrap();
    let shares = opened.seal.initialize(3, 2).await.unwrap();
    opened.seal.seal().await.unwrap();
    for malformed in [vec![], vec![1; 32], vec![1; 34], [vec![1; 32], vec![0]].concat()] {
        assert_eq!(refused(&*opened.seal, Secret::new(malformed)).await, ErrorKind::InvalidRequest);
    }
    assert_eq!(opened.seal.status().progress, 0);
    let mut wrong = shares[0].expose().to_vec();
    wrong[3] ^= 1;
    opened.seal.unseal(Secret::new(wrong)).await.unwrap();
    assert_eq!(refused(&*opened.seal, shares[1].clone()).await, ErrorKind::InvalidRequest);
    assert!(opened.seal.status().sealed && opened.seal.status().progress == 0);
    opened.seal.unseal(shares[0].clone()).await.unwrap();
    assert_eq!(opened.seal.reset().progress, 0);
    for share in &shares[..2] {
        opened.seal.unseal(share.clone()).await.unwrap();
    }
    assert!(!opened.seal.status().sealed);
}

#[tokio::test]
async fn numbers_that_make_no_sense_are_refused() {
    let opened = store(EngineConfig::Memory, SealConfig::Shamir).unwrap();
    for (shares, threshold, field) in [(0, 0, "shares"), (3, 0, "threshold"), (3, 4, "threshold"), (2, 1, "threshold")]
    {
        let error = opened.seal.initialize(shares, threshold).await.unwrap_err();
        assert_eq!((error.kind, error.field.as_deref()), (ErrorKind::InvalidRequest, Some(field)));
    }
    assert!(!opened.seal.status().initialized);
    let shares = opened.seal.initialize(1, 1).await.unwrap();
    opened.seal.seal().await.unwrap();
    assert!(!opened.seal.unseal(shares[0].clone()).await.unwrap().sealed);
}

#[tokio::test]
async fn two_inits_at_once_make_one_keyring() {
    let opened = store(EngineConfig::Memory, SealConfig::Shamir).unwrap();
    let (one, two) = tokio::join!(opened.seal.initialize(1, 1), opened.seal.initialize(1, 1));
    let (won, lost) = if one.is_ok() { (one, two) } else { (two, one) };
    assert_eq!(lost.unwrap_err().kind, ErrorKind::Conflict);
    opened.seal.seal().await.unwrap();
    assert!(!opened.seal.unseal(won.unwrap().remove(0)).await.unwrap().sealed);
}

struct Forgetful(std::sync::atomic::AtomicUsize);

impl Observer for Forgetful {
    fn before(&self, _keys: &[&str]) {}
    fn after(&self, _keys: &[&str], _committed: bool) {}
    fn forget(&self) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_sealed_store_answers_nothing_also_through_old_snapshots() {
    let opened = dev().await;
    let forgetful = Arc::new(Forgetful(Default::default()));
    opened.storage.observe(forgetful.clone());
    write(&*opened.storage, "core/a", "1").await;
    let old: Box<dyn Snapshot> = opened.storage.snapshot().await.unwrap();
    assert!(opened.seal.seal().await.unwrap().sealed);
    assert_eq!(forgetful.0.load(std::sync::atomic::Ordering::SeqCst), 1);
    assert_eq!(old.get("core/a").await.err().unwrap().kind, ErrorKind::Sealed);
    assert_eq!(old.children("", None, 9).await.err().unwrap().kind, ErrorKind::Sealed);
    assert_eq!(opened.storage.snapshot().await.err().unwrap().kind, ErrorKind::Sealed);
    let batch = Batch { checks: vec![], writes: vec![put("core/a", "2")] };
    assert_eq!(opened.storage.commit(batch).await.unwrap_err().kind, ErrorKind::Sealed);
    assert_eq!(opened.keyring.rotate().await.unwrap_err().kind, ErrorKind::Sealed);
    assert_eq!(opened.keyring.rewrap().await.unwrap_err().kind, ErrorKind::Sealed);
    assert_eq!(opened.keyring.key_status().unwrap_err().kind, ErrorKind::Sealed);
    assert_eq!(opened.storage.watch(0).await.err(), Some(WatchEnd::Closed));
    opened.seal.unseal(Secret::from("anything")).await.unwrap();
    assert_eq!(read(&*opened.storage, "core/a").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn a_dev_store_opens_by_itself_with_the_key_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let (path, key) = (folder.path().join("store.redb"), folder.path().join("dev-seal.key"));
    let opened = store(redb(&path), SealConfig::Dev).unwrap();
    assert!(!opened.seal.status().initialized);
    assert!(opened.seal.initialize(5, 3).await.unwrap().is_empty());
    assert_eq!(opened.seal.initialize(1, 1).await.unwrap_err().kind, ErrorKind::Conflict);
    write(&*opened.storage, "core/a", "kept").await;
    drop(opened);
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);

    let opened = store(redb(&path), SealConfig::Dev).unwrap();
    assert_eq!(read(&*opened.storage, "core/a").await.as_deref(), Some("kept"));
    drop(opened);

    let root = fs::read(&key).unwrap();
    for bad in [Some(vec![]), Some(vec![0; 31]), Some(vec![0; 33]), Some(vec![0; 32]), None] {
        match &bad {
            Some(bytes) => fs::write(&key, bytes).unwrap(),
            None => fs::remove_file(&key).unwrap(),
        }
        let error = store(redb(&path), SealConfig::Dev).unwrap_err();
        assert!(matches!(error, OpenError::Seal(SealError::Unseal(_))), "{bad:?}: {error:?}");
    }
    fs::write(&key, root).unwrap();
    assert!(!store(redb(&path), SealConfig::Dev).unwrap().seal.status().sealed);
}

#[tokio::test]
async fn another_seal_than_the_one_it_was_made_with_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    store(redb(&path), SealConfig::Dev).unwrap().seal.initialize(1, 1).await.unwrap();
    let error = store(redb(&path), SealConfig::Shamir).unwrap_err();
    assert_eq!(error.to_string(), "the store was initialized with the seal dev, but shamir is configured");
}
