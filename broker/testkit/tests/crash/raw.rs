//! The store's file as the killed process left it, looked at by a copy: what the doors cannot
//! show is revisions and what lies under keys that nobody asks for.

use std::{
    collections::BTreeMap,
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::Path,
};

use warder_store::{EngineConfig, engine};
use warder_testkit::{Result, temp_dir};

/// Everything in it.
#[derive(Default)]
pub(crate) struct Raw {
    pub(crate) revision: u64,
    /// By key: the revision that wrote it, and a digest of its (encrypted) bytes.
    keys: BTreeMap<String, (u64, u64)>,
}

impl Raw {
    /// Copies the file and recovers the copy as a starting Warder recovers the file.
    pub(crate) fn of(file: &Path) -> Result<Self> {
        let folder = temp_dir()?;
        let path = folder.path().join("copy.redb");
        fs::copy(file, &path)?;
        let engine = engine::open(&EngineConfig::Redb { path }).map_err(|why| why.to_string())?;
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        runtime.block_on(async {
            let view = engine.view().await.map_err(|why| why.to_string())?;
            let mut raw = Self { revision: view.revision(), keys: BTreeMap::new() };
            let mut last: Option<String> = None;
            loop {
                let page = view.scan(last.as_deref(), 1000).await.map_err(|why| why.to_string())?;
                let Some((key, _)) = page.last() else { return Ok(raw) };
                last = Some(key.clone());
                raw.keys.extend(page.into_iter().map(|(key, stored)| (key, (stored.revision, digest(&stored.bytes)))));
            }
        })
    }

    /// Each acknowledged write is a commit, and no key shows anything older than it did before.
    pub(crate) fn follows(&self, before: &Self, acknowledged: usize) {
        let owed = before.revision + acknowledged as u64;
        assert!(self.revision >= owed, "revision {} after {acknowledged} writes on {}", self.revision, before.revision);
        for (key, (revision, digest)) in &self.keys {
            assert!(*revision <= self.revision, "{key} is from the future: {revision}");
            let fresh = *revision > before.revision;
            let same = before.keys.get(key) == Some(&(*revision, *digest));
            assert!(fresh || same, "{key} went back to {revision}, was {:?}", before.keys.get(key));
        }
    }

    /// A version has its metadata.
    pub(crate) fn has_no_half_versions(&self) {
        for key in self.keys.keys() {
            let Some((mount, rest)) = key.split_once("/s/ver/") else { continue };
            let (path, _) = rest.rsplit_once('/').expect("a version's key ends in its number");
            let meta = format!("{mount}/s/meta/{path}");
            assert!(self.keys.contains_key(&meta), "{key} has no {meta}");
        }
    }
}

fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
