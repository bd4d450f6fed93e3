//! What lies on the disk says nothing and cannot be moved about.

use std::{fs, sync::Arc};

use warder_core::{
    error::ErrorKind,
    port::{
        keyring::Keyring,
        seal::Seal,
        storage::{Batch, Check, Outcome, Storage},
    },
    secret::Secret,
};
use warder_store::{
    EngineConfig, SealConfig,
    engine::{self, RawBatch, RawWrite},
};

use crate::support::{dev, put, read, redb, store, unchanged, write};

#[tokio::test]
async fn no_plain_value_and_no_key_is_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let opened = store(redb(&path), SealConfig::Shamir).unwrap();
    let shares = opened.seal.initialize(3, 2).await.unwrap();
    write(&*opened.storage, "core/a", "canary-4711-in-plain-text").await;
    drop(opened);
    let file = fs::read(&path).unwrap();
    let holds = |needle: &[u8]| file.windows(needle.len()).any(|window| window == needle);
    assert!(holds(b"core/a"), "the test looks at the wrong file");
    assert!(!holds(b"canary-4711"));
    assert!(shares.iter().all(|share| !holds(&share.expose()[..16])));
}

/// The file of a closed store, written to below the barrier.
async fn tampered(change: impl AsyncFnOnce(&dyn engine::Engine)) -> warder_store::Store {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let opened = store(redb(&path), SealConfig::Dev).unwrap();
    opened.seal.initialize(1, 1).await.unwrap();
    write(&*opened.storage, "core/a", "of a").await;
    write(&*opened.storage, "core/b", "of b").await;
    drop(opened);
    let raw = engine::open(&redb(&path)).unwrap();
    change(&*raw).await;
    drop(raw);
    store(redb(&path), SealConfig::Dev).unwrap()
}

async fn set(raw: &dyn engine::Engine, key: &str, bytes: Vec<u8>) {
    let writes = vec![RawWrite { key: key.to_owned(), bytes: Some(bytes) }];
    raw.commit(RawBatch { checks: vec![], writes, ..RawBatch::default() }).await.unwrap();
}

async fn bytes(raw: &dyn engine::Engine, key: &str) -> Vec<u8> {
    raw.view().await.unwrap().get(key).await.unwrap().unwrap().bytes
}

#[tokio::test]
async fn a_record_moved_to_another_key_is_refused() {
    let opened = tampered(async |raw| set(raw, "core/b", bytes(raw, "core/a").await).await).await;
    assert_eq!(read(&*opened.storage, "core/a").await.as_deref(), Some("of a"));
    let error = opened.storage.snapshot().await.unwrap().get("core/b").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::UpstreamProtocol);
    assert_eq!(error.detail, "stored record failed its integrity check");
    assert!(error.chain().contains("core/b"), "{}", error.chain());
}

#[tokio::test]
async fn a_record_changed_in_any_part_is_refused() {
    let opened = tampered(async |raw| {
        let whole = bytes(raw, "core/a").await;
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            set(raw, &format!("core/a{at}"), changed).await;
            set(raw, &format!("core/cut{at}"), whole[..at].to_vec()).await;
        }
        // Under its own key, so that only the change is at fault.
        let mut changed = whole.clone();
        changed[17] ^= 1;
        set(raw, "core/a", changed).await;
    })
    .await;
    let snapshot = opened.storage.snapshot().await.unwrap();
    for name in snapshot.children("core/", None, 999).await.unwrap() {
        let found = snapshot.get(&format!("core/{name}")).await;
        match &*name {
            "b" => assert!(found.is_ok()),
            _ => assert_eq!(found.unwrap_err().kind, ErrorKind::UpstreamProtocol, "{name}"),
        }
    }
}

/// The numbers of the seal are plain, and authenticated all the same.
#[tokio::test]
async fn a_changed_seal_record_opens_nothing() {
    let engine = engine::open(&EngineConfig::Memory).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let opened = store(redb(&path), SealConfig::Shamir).unwrap();
    let shares = opened.seal.initialize(3, 2).await.unwrap();
    drop((opened, engine));
    let raw = engine::open(&redb(&path)).unwrap();
    let text = String::from_utf8(bytes(&*raw, "barrier/seal").await).unwrap();
    assert!(text.contains("\"threshold\":2"), "{text}");
    set(&*raw, "barrier/seal", text.replace("\"threshold\":2", "\"threshold\":3").into_bytes()).await;
    drop(raw);
    let opened = store(redb(&path), SealConfig::Shamir).unwrap();
    for share in &shares[..2] {
        opened.seal.unseal(share.clone()).await.unwrap();
    }
    assert_eq!(opened.seal.unseal(shares[2].clone()).await.unwrap_err().kind, ErrorKind::InvalidRequest);
}

#[tokio::test]
async fn the_barriers_own_keys_are_out_of_reach() {
    let opened = dev().await;
    let revision = write(&*opened.storage, "core/a", "1").await;
    let snapshot = opened.storage.snapshot().await.unwrap();
    assert!(snapshot.get("barrier/keyring").await.is_err());
    assert!(snapshot.children("barrier/", None, 9).await.is_err());
    assert_eq!(snapshot.children("", None, 1).await.unwrap(), ["core/"]);
    assert_eq!(snapshot.children("", None, usize::MAX).await.unwrap(), ["core/"]);
    let refused = |checks, writes| opened.storage.commit(Batch { checks, writes });
    assert!(refused(vec![], vec![put("barrier/keyring", "x")]).await.is_err());
    assert!(refused(vec![unchanged("barrier/seal", None)], vec![]).await.is_err());
    let listed = |seen: &[&str]| Check::Children {
        prefix: String::new(),
        after: None,
        limit: 9,
        seen: seen.iter().map(|name| (*name).to_owned()).collect(),
    };
    // What a snapshot shows is what a check of it compares with.
    assert_eq!(refused(vec![listed(&["core/"])], vec![]).await.unwrap(), Outcome::Committed(revision));
    assert_eq!(refused(vec![listed(&[])], vec![]).await.unwrap(), Outcome::Conflict);
    let mut watch = opened.storage.watch(0).await.unwrap();
    opened.keyring.rotate().await.unwrap();
    write(&*opened.storage, "core/b", "2").await;
    assert_eq!(watch.next().await.unwrap().key, "core/a");
    assert_eq!(watch.next().await.unwrap().key, "core/b");
}

/// A restart does not know how many values were encrypted since the count was stored.
#[tokio::test]
async fn the_count_of_encryptions_is_never_below_the_truth() {
    let opened = dev().await;
    let mut before = opened.keyring.key_status().unwrap().used;
    for n in 1..=3u64 {
        write(&*opened.storage, "core/a", "x").await;
        assert!(opened.keyring.key_status().unwrap().used > before);
        opened.seal.seal().await.unwrap();
        opened.seal.unseal(Secret::from("")).await.unwrap();
        let after = opened.keyring.key_status().unwrap().used;
        assert!(after >= before + (1 << 16), "restart {n}: {before} then {after}");
        before = after;
    }
}

#[tokio::test]
async fn rotations_at_once_each_add_a_term() {
    let opened = dev().await;
    let barrier: Arc<dyn Keyring> = Arc::clone(&opened.keyring);
    let rotations: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn({
                let barrier = Arc::clone(&barrier);
                async move { barrier.rotate().await }
            })
        })
        .collect();
    for rotation in rotations {
        rotation.await.unwrap().unwrap();
    }
    let status = barrier.key_status().unwrap();
    assert_eq!((status.term, status.terms), (9, 9));
    let storage: &dyn Storage = &*opened.storage;
    write(storage, "core/a", "x").await;
    let seal: &dyn Seal = &*opened.seal;
    seal.seal().await.unwrap();
    seal.unseal(Secret::from("")).await.unwrap();
    assert_eq!(read(storage, "core/a").await.as_deref(), Some("x"));
}
