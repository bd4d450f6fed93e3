//! Stores for tests.

use std::path::Path;

use warder_core::{
    port::storage::{Batch, Check, Outcome, Revision, Storage, Write},
    secret::Secret,
};
use warder_store::{EngineConfig, OpenError, SealConfig, Store, StoreConfig, open};

pub(crate) fn redb(path: impl AsRef<Path>) -> EngineConfig {
    EngineConfig::Redb { path: path.as_ref().to_owned() }
}

pub(crate) fn store(engine: EngineConfig, seal: SealConfig) -> Result<Store, OpenError> {
    open(&StoreConfig { engine, seal })
}

/// In memory, initialized and open.
pub(crate) async fn dev() -> Store {
    let store = store(EngineConfig::Memory, SealConfig::Dev).unwrap();
    store.seal.initialize(1, 1).await.unwrap();
    store
}

pub(crate) fn put(key: &str, value: &str) -> Write {
    Write::Put { key: key.to_owned(), value: Secret::from(value) }
}

pub(crate) fn unchanged(key: &str, revision: Option<Revision>) -> Check {
    Check::Unchanged { key: key.to_owned(), revision }
}

pub(crate) async fn write(storage: &dyn Storage, key: &str, value: &str) -> Revision {
    match storage.commit(Batch { checks: vec![], writes: vec![put(key, value)] }).await.unwrap() {
        Outcome::Committed(revision) => revision,
        Outcome::Conflict => panic!("no check, no conflict"),
    }
}

pub(crate) async fn read(storage: &dyn Storage, key: &str) -> Option<String> {
    let entry = warder_core::port::storage::get(storage, key).await.unwrap()?;
    Some(entry.value.expose_str().unwrap().to_owned())
}
