//! A plugin call's transaction: one snapshot overlaid with its own writes, everything it read
//! recorded. The read set is both the commit's condition and the cache entry's dependencies.
//!
//! Invariant: nothing reaches storage before [`Transaction::finish`] and the commit.

use std::{collections::BTreeMap, fmt, ops::Bound, sync::Arc};

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
        if self.reads.keys.len() + self.reads.listings.len() >= self.limits.reads {
            return Err(over("reads", self.limits.reads));
        }
        let limit = limit.min(self.limits.children);
        let full = if prefix.is_empty() { self.prefix.clone() } else { self.full(prefix)? };
        let own = self.writes.range(full.clone()..).take_while(|(key, _)| key.starts_with(&full)).count();
        // Own deletions may hide up to `own` children, so ask for that many more.
        let seen = self.snapshot.children(&full, after, limit.saturating_add(own)).await?;
        self.reads.listings.push(Listing {
            prefix: full.clone(),
            after: after.map(str::to_owned),
            limit: limit.saturating_add(own),
            seen: seen.clone(),
        });
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

    async fn overlaid(&self, full: &str, after: Option<&str>, limit: usize, seen: Vec<String>) -> Result<Vec<String>> {
        let mut names: BTreeMap<String, ()> = seen.into_iter().map(|name| (name, ())).collect();
        for (key, value) in self.writes.range::<str, _>((Bound::Included(full), Bound::Unbounded)) {
            let Some(rest) = key.strip_prefix(full) else { break };
            let Some(name) = child(rest) else { continue };
            if after.is_some_and(|after| name.as_str() <= after) {
                continue;
            }
            match value {
                Some(_) => _ = names.insert(name, ()),
                None if name.ends_with('/') && self.folder_left(full, &name).await? => {}
                None => _ = names.remove(&name),
            }
        }
        Ok(names.into_keys().take(limit).collect())
    }

    /// Whether a folder still has a child once own deletions are counted.
    async fn folder_left(&self, full: &str, name: &str) -> Result<bool> {
        let mut folders = vec![format!("{full}{name}")];
        while let Some(folder) = folders.pop() {
            if self.writes.iter().any(|(key, value)| value.is_some() && key.starts_with(&folder)) {
                return Ok(true);
            }
            for inner in self.snapshot.children(&folder, None, self.limits.children).await? {
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
