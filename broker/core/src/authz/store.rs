//! Where policies are kept: `core/policy/<name>`, one JSON record each. `sys` reads and writes
//! them; the broker asks for the [`Acl`] of a caller's policy names.
//!
//! Invariant: an `Acl` that is handed out reflects every commit that was visible when the call
//! began, so a changed policy takes effect on the very next request.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{acl::Acl, policy::Policy};
use crate::{
    clock::{Clock, Timestamp},
    error::{Error, Result},
    memo::{Forget, Memo},
    port::storage::{self, Batch, Outcome, Snapshot, Storage, Write},
    secret::Secret,
};

/// Longest name of a policy, in bytes.
pub const MAX_NAME_BYTES: usize = 128;

const PREFIX: &str = "core/policy/";
/// Distinct sets of policy names whose compiled rules are remembered.
const MAX_ACLS: usize = 1024;
/// Names read from storage at once.
const PAGE: usize = 1000;

/// A policy as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRecord {
    /// Lower case.
    pub name: String,
    /// As it was written.
    pub text: String,
    /// When; the epoch for the `default` policy that nobody has written yet.
    pub updated_at: Timestamp,
}

/// The stored policies.
pub struct Policies {
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    /// By hash of the names, so that a lookup copies no string; the names are compared.
    acls: Arc<Memo<u64, Arc<Compiled>>>,
    hasher: RandomState,
    root: Arc<Acl>,
}

/// The rules of a set of policies.
#[derive(Clone)]
struct Compiled {
    names: Arc<[String]>,
    acl: Arc<Acl>,
}

impl Policies {
    /// Registers itself as an observer of `storage`.
    pub fn new(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>) -> Arc<Self> {
        let acls =
            Arc::new(Memo::new(PREFIX, Forget::All, MAX_ACLS, |all: &Arc<Compiled>| Arc::new(Compiled::clone(all))));
        storage.observe(Arc::clone(&acls) as Arc<dyn storage::Observer>);
        Arc::new(Self { storage, clock, acls, hasher: RandomState::new(), root: Arc::new(Acl::root()) })
    }

    /// The policy, if there is one. `default` always is.
    ///
    /// # Errors
    /// `invalid_request` for bad names and for `root`, which has no text; storage errors.
    pub async fn get(&self, name: &str) -> Result<Option<PolicyRecord>> {
        let name = changeable(name)?;
        read(self.storage.snapshot().await?.as_ref(), &name).await
    }

    /// Creates or replaces a policy.
    ///
    /// # Errors
    /// `invalid_request` for bad names, `root`, and texts that do not parse (with line and column);
    /// storage errors.
    pub async fn put(&self, name: &str, text: &str) -> Result<()> {
        let name = changeable(name)?;
        if text.trim().is_empty() {
            return Err(Error::invalid("policy", "the policy text is empty"));
        }
        Policy::parse(&name, text).map_err(|e| Error::invalid("policy", e.to_string()))?;
        let record = PolicyRecord { name, text: text.to_owned(), updated_at: self.clock.now() };
        let value = serde_json::to_vec(&record).map_err(Error::internal)?;
        storage::put(&*self.storage, &key(&record.name), Secret::new(value)).await
    }

    /// Removes a policy; absent ones are no error. Tokens that name it lose what it granted.
    ///
    /// # Errors
    /// `invalid_request` for bad names, `root` and `default`; storage errors.
    pub async fn delete(&self, name: &str) -> Result<()> {
        let name = changeable(name)?;
        if name == "default" {
            return Err(Error::invalid(
                "name",
                "the policy \"default\" cannot be deleted; write an empty rule instead",
            ));
        }
        let batch = Batch { checks: Vec::new(), writes: vec![Write::Delete { key: key(&name) }] };
        match self.storage.commit(batch).await? {
            Outcome::Committed(_) => Ok(()),
            Outcome::Conflict => Err(Error::internal("a batch without checks cannot conflict")),
        }
    }

    /// All names, sorted, `default` and `root` included.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn list(&self) -> Result<Vec<String>> {
        let snapshot = self.storage.snapshot().await?;
        let mut names = vec!["default".to_owned(), "root".to_owned()];
        let mut folders = vec![PREFIX.to_owned()];
        while let Some(folder) = folders.pop() {
            let mut after: Option<String> = None;
            loop {
                let page = snapshot.children(&folder, after.as_deref(), PAGE).await?;
                let full = page.len() >= PAGE;
                after = page.last().cloned();
                for child in page {
                    let path = format!("{folder}{child}");
                    if child.ends_with('/') {
                        folders.push(path);
                    } else {
                        names.extend(path.strip_prefix(PREFIX).map(str::to_owned));
                    }
                }
                if !full {
                    break;
                }
            }
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// The rules of these policies. Unknown names grant nothing; `root` allows everything.
    ///
    /// # Errors
    /// Storage errors; `internal` when a stored policy cannot be read, because leaving it out
    /// could lose a `deny`.
    pub async fn acl_for(&self, names: &[String]) -> Result<Arc<Acl>> {
        if names.iter().any(|name| name == "root") {
            return Ok(Arc::clone(&self.root));
        }
        let hash = self.hasher.hash_one(names);
        match self.acls.find(&hash) {
            Some(compiled) if *compiled.names == *names => Ok(compiled.acl.clone()),
            _ => Box::pin(self.compile(hash, names)).await,
        }
    }

    async fn compile(&self, hash: u64, names: &[String]) -> Result<Arc<Acl>> {
        let ticket = self.acls.ticket();
        let snapshot = self.storage.snapshot().await?;
        let mut policies = Vec::with_capacity(names.len());
        for name in names.iter().filter_map(|name| valid(name).ok()) {
            if let Some(record) = read(snapshot.as_ref(), &name).await? {
                let policy = Policy::parse(&name, &record.text).map_err(|e| {
                    tracing::error!(policy.name = %name, error = %e, "stored policy does not parse");
                    Error::internal(e)
                })?;
                policies.push(Arc::new(policy));
            }
        }
        let acl = Arc::new(Acl::new(&policies));
        self.acls.keep(ticket, hash, Arc::new(Compiled { names: names.into(), acl: Arc::clone(&acl) }));
        Ok(acl)
    }
}

async fn read(snapshot: &dyn Snapshot, name: &str) -> Result<Option<PolicyRecord>> {
    match snapshot.get(&key(name)).await? {
        Some(entry) => serde_json::from_slice(entry.value.expose()).map(Some).map_err(Error::internal),
        None => Ok((name == "default").then(|| PolicyRecord {
            name: name.to_owned(),
            text: DEFAULT.to_owned(),
            updated_at: Timestamp::default(),
        })),
    }
}

fn key(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// A valid name that is not built in for good.
fn changeable(name: &str) -> Result<String> {
    let name = valid(name)?;
    if name == "root" {
        return Err(Error::invalid("name", "the policy \"root\" is built in: it has no text and cannot be changed"));
    }
    Ok(name)
}

/// The name in lower case.
fn valid(name: &str) -> Result<String> {
    const FORM: &str = "a policy name is 1 to 128 of a-z 0-9 _ . @ - and /, without empty, '.' or '..' segments";
    let name = name.to_lowercase();
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.@-/".contains(&b);
    let segments = name.split('/').all(|segment| !matches!(segment, "" | "." | ".."));
    if name.len() > MAX_NAME_BYTES || !segments || !name.bytes().all(plain) {
        return Err(Error::invalid("name", FORM));
    }
    Ok(name)
}

const DEFAULT: &str = include_str!("default.hcl");

#[cfg(test)]
mod tests;
