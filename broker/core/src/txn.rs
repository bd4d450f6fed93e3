//! A plugin call's transaction: one snapshot overlaid with its own writes, everything it read
//! recorded. The read set is both the commit's condition and the cache entry's dependencies.
//!
//! Invariant: nothing reaches storage before [`Transaction::finish`] and the commit.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Bound,
    sync::Arc,
};

use crate::{
    error::{Error, ErrorKind, Result},
    port::storage::{Batch, Check, Revision, Snapshot, Write},
    secret::Secret,
};

/// Bounds of one transaction; over one of them: `too_large`.
#[derive(Clone, Copy, Debug)]
pub struct TxnLimits {
    /// Longest key under the mount, bytes.
    pub key_bytes: usize,
    /// Largest value, bytes.
    pub value_bytes: usize,
    /// Keys read or listed.
    pub reads: usize,
    /// Keys written.
    pub writes: usize,
    /// Bytes written in all.
    pub write_bytes: usize,
    /// Longest listing.
    pub children: usize,
}

impl Default for TxnLimits {
    fn default() -> Self {
        Self {
            key_bytes: 1536,
            value_bytes: 2 << 20,
            reads: 10_000,
            writes: 10_000,
            write_bytes: 8 << 20,
            children: 10_000,
        }
    }
}

/// What an answer depended on in storage: keys with the revision seen, and listings.
#[derive(Clone, Debug, Default)]
pub struct ReadSet {
    /// Full storage key to revision; none: absent.
    pub keys: BTreeMap<String, Option<Revision>>,
    /// Full prefixes whose children were listed, with what was asked and seen.
    pub listings: Vec<Listing>,
}

/// One `children` call.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Full storage prefix.
    pub prefix: String,
    /// Exclusive start.
    pub after: Option<String>,
    /// Asked for.
    pub limit: usize,
    /// The snapshot's answer.
    pub seen: Vec<String>,
}

/// A transaction over one mount's subtree.
pub struct Transaction {
    snapshot: Arc<dyn Snapshot>,
    prefix: String,
    limits: TxnLimits,
    reads: ReadSet,
    writes: BTreeMap<String, Option<Secret>>,
    write_bytes: usize,
}

impl Transaction {
    /// A transaction that sees `prefix` (ending in `/`) and nothing else.
    #[must_use]
    pub fn begin(snapshot: Arc<dyn Snapshot>, prefix: impl Into<String>, limits: TxnLimits) -> Self {
        Self {
            snapshot,
            prefix: prefix.into(),
            limits,
            reads: ReadSet::default(),
            writes: BTreeMap::new(),
            write_bytes: 0,
        }
    }

    /// The value under `key`, own writes first.
    ///
    /// # Errors
    /// `too_large` over a limit, `invalid_request` for a bad key, or what storage says.
    pub async fn get(&mut self, key: &str) -> Result<Option<Secret>> {
        let full = self.full(key)?;
        if let Some(written) = self.writes.get(&full) {
            return Ok(written.clone());
        }
        let entry = self.snapshot.get(&full).await?;
        if self.reads.keys.len() + self.reads.listings.len() >= self.limits.reads {
            return Err(over("reads", self.limits.reads));
        }
        self.reads.keys.insert(full, entry.as_ref().map(|e| e.revision));
        Ok(entry.map(|e| e.value))
    }

    /// Writes `key` when the call ends well.
    ///
    /// # Errors
    /// `too_large` over a limit, `invalid_request` for a bad key.
    pub fn put(&mut self, key: &str, value: Secret) -> Result<()> {
        let full = self.full(key)?;
        if value.len() > self.limits.value_bytes {
            return Err(over("bytes in one stored value", self.limits.value_bytes));
        }
        self.write_bytes += value.len();
        if self.write_bytes > self.limits.write_bytes {
            return Err(over("bytes written by one call", self.limits.write_bytes));
        }
        self.write(full, Some(value))
    }

    /// Removes `key` when the call ends well; absent keys are no error.
    ///
    /// # Errors
    /// As [`Transaction::put`].
    pub fn delete(&mut self, key: &str) -> Result<()> {
        let full = self.full(key)?;
        self.write(full, None)
    }

    /// Direct children of `prefix` (empty, or ending in `/`), sorted, folders ending in `/`,
    /// own writes included.
    ///
    /// # Errors
    /// As [`Transaction::get`].
    pub async fn children(&mut self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<String>> {
        if !prefix.is_empty() && !prefix.ends_with('/') {
            return Err(Error::new(ErrorKind::InvalidRequest, "a prefix to list must end in '/'"));
        }
        let limit = limit.min(self.limits.children);
        let full = if prefix.is_empty() { self.prefix.clone() } else { self.full(prefix)? };
        let own = self.writes.range(full.clone()..).take_while(|(key, _)| key.starts_with(&full)).count();
        // Own deletions may hide up to `own` children, so ask for that many more.
        let seen = self.listed(&full, after, limit.saturating_add(own)).await?;
        if own == 0 {
            return Ok(seen);
        }
        self.overlaid(&full, after, limit, seen).await
    }

    /// Full keys read so far and what was seen.
    #[must_use]
    pub const fn read_set(&self) -> &ReadSet {
        &self.reads
    }

    /// Whether the call wrote anything.
    #[must_use]
    pub fn wrote(&self) -> bool {
        !self.writes.is_empty()
    }

    /// The revision of its snapshot.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.snapshot.revision()
    }

    /// The read set as checks and the writes, to be committed.
    #[must_use]
    pub fn finish(self) -> Batch {
        let unchanged = self.reads.keys.into_iter().map(|(key, revision)| Check::Unchanged { key, revision });
        let children = self.reads.listings.into_iter().map(|l| Check::Children {
            prefix: l.prefix,
            after: l.after,
            limit: l.limit,
            seen: l.seen,
        });
        let writes = self.writes.into_iter().map(|(key, value)| match value {
            Some(value) => Write::Put { key, value },
            None => Write::Delete { key },
        });
        Batch { checks: unchanged.chain(children).collect(), writes: writes.collect() }
    }

    fn full(&self, key: &str) -> Result<String> {
        if key.is_empty() || key.contains('\0') {
            return Err(Error::new(ErrorKind::InvalidRequest, "a storage key is empty or has a NUL"));
        }
        if key.len() > self.limits.key_bytes {
            return Err(over("bytes in a storage key", self.limits.key_bytes));
        }
        Ok(format!("{}{key}", self.prefix))
    }

    fn write(&mut self, full: String, value: Option<Secret>) -> Result<()> {
        self.writes.insert(full, value);
        if self.writes.len() > self.limits.writes {
            return Err(over("keys written by one call", self.limits.writes));
        }
        Ok(())
    }

    async fn overlaid(
        &mut self,
        full: &str,
        after: Option<&str>,
        limit: usize,
        seen: Vec<String>,
    ) -> Result<Vec<String>> {
        let mut names: BTreeSet<String> = seen.into_iter().collect();
        let mut emptied = BTreeSet::new();
        for (key, value) in self.writes.range::<str, _>((Bound::Included(full), Bound::Unbounded)) {
            let Some(rest) = key.strip_prefix(full) else { break };
            let Some(name) = child(rest).filter(|name| after.is_none_or(|after| name.as_str() > after)) else {
                continue;
            };
            match value {
                Some(_) => _ = names.insert(name),
                None if name.ends_with('/') => _ = emptied.insert(name),
                None => _ = names.remove(&name),
            }
        }
        for name in emptied {
            if !self.folder_left(&format!("{full}{name}")).await? {
                names.remove(&name);
            }
        }
        Ok(names.into_iter().take(limit).collect())
    }

    /// Whether a folder still has something in it once own deletions are counted.
    async fn folder_left(&mut self, folder: &str) -> Result<bool> {
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            if self.writes.iter().any(|(key, value)| value.is_some() && key.starts_with(&folder)) {
                return Ok(true);
            }
            for inner in self.listed(&folder, None, self.limits.children).await? {
                let key = format!("{folder}{inner}");
                if inner.ends_with('/') {
                    folders.push(key);
                } else if !matches!(self.writes.get(&key), Some(None)) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The snapshot's listing, recorded as read.
    async fn listed(&mut self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<String>> {
        if self.reads.keys.len() + self.reads.listings.len() >= self.limits.reads {
            return Err(over("reads", self.limits.reads));
        }
        let seen = self.snapshot.children(prefix, after, limit).await?;
        let listing = Listing { prefix: prefix.to_owned(), after: after.map(str::to_owned), limit, seen: seen.clone() };
        self.reads.listings.push(listing);
        Ok(seen)
    }
}

/// The direct child that `rest` lies in: `a` or `a/`.
fn child(rest: &str) -> Option<String> {
    match rest.find('/') {
        _ if rest.is_empty() => None,
        Some(at) => Some(rest[..=at].to_owned()),
        None => Some(rest.to_owned()),
    }
}

fn over(what: &'static str, limit: usize) -> Error {
    Error::new(ErrorKind::TooLarge, format!("the plugin's transaction is over its limit of {limit} {what}"))
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("prefix", &self.prefix)
            .field("reads", &self.reads.keys.len())
            .field("writes", &self.writes.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        port::storage::{Outcome, Storage},
        testing::MemoryStorage,
    };

    async fn begin(storage: &MemoryStorage) -> Transaction {
        let snapshot = Arc::from(storage.snapshot().await.unwrap());
        Transaction::begin(snapshot, "m/", TxnLimits::default())
    }

    async fn store(storage: &MemoryStorage, keys: &[&str]) {
        let writes = keys.iter().map(|key| Write::Put { key: (*key).to_owned(), value: Secret::from("x") }).collect();
        storage.commit(Batch { checks: Vec::new(), writes }).await.unwrap();
    }

    #[tokio::test]
    async fn own_writes_are_read_back_and_listed_before_they_are_committed() {
        let storage = MemoryStorage::new();
        store(&storage, &["m/a", "m/b/c", "m/b/d", "n/z"]).await;
        let mut txn = begin(&storage).await;
        txn.put("e/f", Secret::from("y")).unwrap();
        txn.delete("a").unwrap();
        txn.delete("b/c").unwrap();
        assert!(txn.get("a").await.unwrap().is_none());
        assert!(txn.get("e/f").await.unwrap().unwrap().ct_eq(b"y"));
        assert_eq!(txn.children("", None, 10).await.unwrap(), ["b/", "e/"]);
        txn.delete("b/d").unwrap();
        assert_eq!(txn.children("", None, 10).await.unwrap(), ["e/"]);
        assert_eq!(txn.children("", Some("b/"), 1).await.unwrap(), ["e/"]);
    }

    #[tokio::test]
    async fn a_key_of_another_mount_cannot_be_named() {
        let storage = MemoryStorage::new();
        store(&storage, &["n/z"]).await;
        let mut txn = begin(&storage).await;
        assert!(txn.get("../n/z").await.unwrap().is_none());
        assert!(txn.get("").await.is_err() && txn.get("a\0b").await.is_err());
    }

    #[tokio::test]
    async fn a_change_of_anything_read_or_listed_is_a_conflict() {
        for changed in ["m/a", "m/b/new"] {
            let storage = MemoryStorage::new();
            store(&storage, &["m/a", "m/b/c"]).await;
            let mut txn = begin(&storage).await;
            txn.get("a").await.unwrap();
            txn.children("b/", None, 10).await.unwrap();
            txn.put("out", Secret::from("1")).unwrap();
            store(&storage, &[changed]).await;
            assert_eq!(storage.commit(txn.finish()).await.unwrap(), Outcome::Conflict, "{changed}");
        }
    }

    #[tokio::test]
    async fn every_limit_is_an_error_that_says_so() {
        let storage = MemoryStorage::new();
        let limits = TxnLimits { key_bytes: 3, value_bytes: 4, reads: 1, writes: 1, write_bytes: 6, children: 1 };
        let mut txn = Transaction::begin(Arc::from(storage.snapshot().await.unwrap()), "m/", limits);
        assert!(txn.get("long").await.unwrap_err().detail.contains("3 bytes in a storage key"));
        assert!(txn.put("a", Secret::from("12345")).unwrap_err().detail.contains("4 bytes in one stored value"));
        txn.put("a", Secret::from("1234")).unwrap();
        assert!(txn.put("b", Secret::from("1")).unwrap_err().detail.contains("1 keys written"));
        txn.get("x").await.unwrap();
        assert!(txn.get("y").await.unwrap_err().detail.contains("1 reads"));
        assert!(txn.children("", None, 1).await.unwrap_err().detail.contains("1 reads"));
    }
}
