//! Rate limits that operators set (`sys/quotas/rate-limit/<name>`): how many requests one client,
//! or all of them together, may make of a path in an interval.
//!
//! Called by `broker`: before a caller is identified for what counts by address or together, so
//! that a flood costs as little as can be, and once its token was recognized for what counts by
//! token: an invented token is no client of its own. Of several limits that apply to a path and
//! count alike, the one with the longest path decides, as in Vault; those that count differently
//! hold beside each other. Invariants: a request that one limit refuses uses up no other; a changed
//! limit holds for the next request; `sys/quotas/` itself is never limited,
//! or a limit that is too tight could not be lifted.

mod bucket;
mod limit;
#[cfg(test)]
mod tests;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

pub use limit::{GroupBy, RateLimit};

use crate::{
    clock::Clock,
    error::{Error, ErrorKind, Result},
    identity::network,
    memo::{Forget, Memo},
    port::storage::{self, Batch, Snapshot, Storage, Write},
    secret::Secret,
};
use bucket::{Buckets, Taken};

const PREFIX: &str = "core/quota/rate-limit/";
/// Most limits.
const MAX_LIMITS: usize = 1000;
/// Longest name of a limit, in bytes.
const MAX_NAME_BYTES: usize = 128;
/// What no limit applies to.
const EXEMPT: &str = "sys/quotas/";

/// The limits, and how far they are used up.
pub struct Quotas {
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    limits: Arc<Memo<(), Arc<Vec<RateLimit>>>>,
    buckets: Buckets,
    refused: AtomicU64,
}

/// Whose requests count together.
#[derive(Clone, Copy, Hash)]
enum Client<'a> {
    All,
    Network(Option<IpAddr>),
    Token(&'a [u8]),
}

/// What a request has used up so far: of limits that count by address, or everybody's.
#[derive(Debug, Default)]
pub struct Counted(Vec<Taken>);

/// How limits are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Requests refused since the process started.
    pub refused: u64,
    /// Clients that are remembered now.
    pub clients: u64,
}

impl Quotas {
    /// Registers its memory of the limits as an observer of `storage`.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>) -> Self {
        let limits = Arc::new(Memo::new(PREFIX, Forget::All, 1, |all: &Arc<Vec<RateLimit>>| Arc::new(Vec::clone(all))));
        storage.observe(limits.clone());
        Self { storage, clock, limits, buckets: Buckets::default(), refused: AtomicU64::new(0) }
    }

    /// Counts a request of `path`, which is canonical, against what counts by address or together.
    ///
    /// # Errors
    /// `rate_limited`, with the time after which another request is let through; what storage says.
    pub async fn admit(&self, path: &str, address: Option<IpAddr>) -> Result<Counted> {
        let network = Client::Network(address.map(network));
        let mut counted = Counted::default();
        self.count(path, &[(GroupBy::None, Client::All), (GroupBy::Ip, network)], &mut counted).await?;
        Ok(counted)
    }

    /// Counts the same request against what counts by token: `token` is one that was recognized.
    /// Without, its address counts.
    ///
    /// # Errors
    /// As [`Quotas::admit`]; what that counted is given back.
    pub async fn admit_token(
        &self,
        path: &str,
        address: Option<IpAddr>,
        token: Option<&[u8]>,
        mut counted: Counted,
    ) -> Result<()> {
        let client = token.map_or_else(|| Client::Network(address.map(network)), Client::Token);
        self.count(path, &[(GroupBy::TokenThenIp, client)], &mut counted).await
    }

    async fn count(&self, path: &str, groups: &[(GroupBy, Client<'_>)], counted: &mut Counted) -> Result<()> {
        let limits = self.limits().await?;
        if path.starts_with(EXEMPT) {
            return Ok(());
        }
        let now = self.clock.now();
        let mut over: Option<(Duration, &str)> = None;
        for (group, client) in groups {
            let applying = limits.iter().filter(|limit| limit.group_by == *group && limit.applies(path));
            let Some(limit) = applying.max_by_key(|limit| limit.path.len()) else { continue };
            match self.buckets.take(limit, *client, now) {
                Ok(taken) => counted.0.push(taken),
                Err(wait) => over = over.max(Some((wait, &limit.name))),
            }
        }
        let Some((wait, name)) = over else { return Ok(()) };
        counted.0.drain(..).for_each(|taken| self.buckets.give_back(taken));
        self.refused.fetch_add(1, Ordering::Relaxed);
        let words = format!("request path {path:?}: rate limit quota {name:?} exceeded");
        Err(Error::new(ErrorKind::RateLimited, words).after(wait))
    }

    /// How limits are used.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage { refused: self.refused.load(Ordering::Relaxed), clients: self.buckets.clients() as u64 }
    }

    /// Whether there is any limit.
    ///
    /// # Errors
    /// What storage says.
    pub async fn is_empty(&self) -> Result<bool> {
        Ok(self.limits().await?.is_empty())
    }

    /// One limit.
    ///
    /// # Errors
    /// What storage says.
    pub async fn get(&self, name: &str) -> Result<Option<RateLimit>> {
        Ok(self.limits().await?.iter().find(|limit| limit.name == name).cloned())
    }

    /// All names, sorted.
    ///
    /// # Errors
    /// What storage says.
    pub async fn names(&self) -> Result<Vec<String>> {
        Ok(self.limits().await?.iter().map(|limit| limit.name.clone()).collect())
    }

    /// Sets a limit; what was used up of the one before it counts on.
    ///
    /// # Errors
    /// `invalid_request` for a bad name or a path that another limit has that counts alike; what
    /// storage says.
    pub async fn put(&self, limit: RateLimit) -> Result<()> {
        check_name(&limit.name)?;
        let limits = self.limits().await?;
        let alike = |had: &&RateLimit| had.path == limit.path && had.group_by == limit.group_by;
        if let Some(other) = limits.iter().filter(alike).find(|had| had.name != limit.name) {
            let words = format!("the rate limit {:?} has the same path and group_by", other.name);
            return Err(Error::invalid("path", words));
        }
        if limits.len() >= MAX_LIMITS && !limits.iter().any(|had| had.name == limit.name) {
            return Err(Error::new(ErrorKind::TooLarge, format!("there are {MAX_LIMITS} rate limits already")));
        }
        let value = serde_json::to_vec(&limit).map_err(Error::internal)?;
        storage::put(&*self.storage, &format!("{PREFIX}{}", limit.name), Secret::new(value)).await
    }

    /// Lifts a limit; absent ones are no error.
    ///
    /// # Errors
    /// What storage says.
    pub async fn delete(&self, name: &str) -> Result<()> {
        check_name(name)?;
        let write = Write::Delete { key: format!("{PREFIX}{name}") };
        self.storage.commit(Batch { checks: Vec::new(), writes: vec![write] }).await.map(|_| ())
    }

    async fn limits(&self) -> Result<Arc<Vec<RateLimit>>> {
        if let Some(limits) = self.limits.find(&()) {
            return Ok(limits);
        }
        let ticket = self.limits.ticket();
        let snapshot = self.storage.snapshot().await?;
        let limits = Arc::new(Box::pin(load(&*snapshot)).await?);
        self.limits.keep(ticket, (), limits.clone());
        Ok(limits)
    }
}

impl std::fmt::Debug for Quotas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Quotas").finish_non_exhaustive()
    }
}

async fn load(snapshot: &dyn Snapshot) -> Result<Vec<RateLimit>> {
    let mut limits = Vec::new();
    for name in snapshot.children(PREFIX, None, MAX_LIMITS).await? {
        if let Some(entry) = snapshot.get(&format!("{PREFIX}{name}")).await? {
            limits.push(serde_json::from_slice(entry.value.expose()).map_err(Error::internal)?);
        }
    }
    Ok(limits)
}

fn check_name(name: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    match name.len() <= MAX_NAME_BYTES && !name.is_empty() && name.bytes().all(plain) {
        true => Ok(()),
        false => Err(Error::invalid("name", "expected 1 to 128 letters, digits, '-', '_' or '.'")),
    }
}
