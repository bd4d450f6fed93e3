//! Leases: promises to revoke what a plugin issued. The broker mints one before the plugin acts,
//! confirms it in the commit of what the plugin stored, and has it revoked when its time, its token
//! or an operator ends it; `sys` shows them, `authn` writes down whose token ended.
//!
//! Storage below `core/lease/`:
//!
//! ```text
//! id/<path>/<24 base62>                     JSON record
//! due/<20 digits>.<mount>.<24 base62>       id; milliseconds when something is to be done about it
//! token/<digest>/<24 base62>                id, by the token that it ends with
//! pending/<24 base62>                       id of one that is not confirmed
//! stuck/<24 base62>                         id of one whose revocation failed often
//! ended/<digest>                            a token that ended; its leases are still to be doomed
//! ```
//!
//! Invariants: a record is durable before its plugin is called and gone only when the plugin said
//! that what it stands for is gone, or an operator forced it; a record and its indexes change in one
//! batch; one lease has one key in `due`, so memory holds no more than a page of them.

mod doom;
mod due;
mod issue;
mod keys;
mod life;
mod look;
mod record;

pub use due::{Due, Page};
pub use issue::{Intent, Pending};
pub use life::Limits;
pub use look::Walk;
pub use record::{Record, State};

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

use crate::{
    clock::{Clock, Timestamp},
    error::{Error, ErrorKind, Result},
    port::storage::{Batch, Check, Revision, Snapshot, Storage, Write},
    request::LeaseShown,
    secret::Secret,
};

/// Times a batch that lost a race is tried again.
const TRIES: usize = 16;
/// Leases changed by one batch.
const BATCH: usize = 250;
/// Failed revocations after which a lease is listed as stuck. It is tried on all the same.
pub const STUCK_AFTER: u32 = 6;

/// The lease store.
pub struct Leases {
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    wake: Notify,
    counters: Counters,
}

/// A lease, as it was read.
#[derive(Clone, Debug)]
pub struct Held {
    /// The lease.
    pub record: Record,
    pub(super) revision: Revision,
}

impl Held {
    /// The last segment of its id, which no other lease has.
    #[must_use]
    pub fn suffix(&self) -> &str {
        self.record.suffix()
    }
}

impl Leases {
    /// A lease store over `storage`.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>, limits: Limits) -> Self {
        Self { storage, clock, limits, wake: Notify::new(), counters: Counters::default() }
    }

    /// Leases now, and what happened since this process started.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            leases: read(&self.counters.leases),
            stuck: read(&self.counters.stuck),
            issued: read(&self.counters.issued),
            renewed: read(&self.counters.renewed),
            expired: read(&self.counters.expired),
            revoked: read(&self.counters.revoked),
            failed: read(&self.counters.failed),
        }
    }

    /// Counts what is there, and dooms what a process that ended had begun. To be called after
    /// unseal, before requests are served: whatever is pending then has nobody who could confirm it.
    ///
    /// # Errors
    /// What storage says.
    pub async fn resume(&self) -> Result<()> {
        let snapshot = self.storage.snapshot().await?;
        self.counters.leases.store(count(&*snapshot, keys::DUE).await?, Ordering::Relaxed);
        self.counters.stuck.store(count(&*snapshot, keys::STUCK).await?, Ordering::Relaxed);
        drop(snapshot);
        loop {
            let snapshot = self.storage.snapshot().await?;
            let names = snapshot.children(keys::PENDING, None, BATCH).await?;
            if names.is_empty() {
                return Ok(());
            }
            self.doom_named(&*snapshot, keys::PENDING, &names).await?;
        }
    }

    /// Waits until there may be something to revoke at once.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Has [`Leases::woken`] come.
    pub fn look_again(&self) {
        self.wake.notify_one();
    }

    /// One lease; none when there is none of this id.
    ///
    /// # Errors
    /// What storage says.
    pub async fn held(&self, id: &str) -> Result<Option<Held>> {
        held(&*self.storage.snapshot().await?, id).await
    }
}

/// Whether this can be the id of a lease at all.
#[must_use]
pub fn is_id(id: &str) -> bool {
    let Some((path, suffix)) = id.rsplit_once('/') else { return false };
    suffix.len() == crate::random::CHARACTERS
        && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && crate::path::Path::parse(path).is_ok_and(|path| !path.is_folder())
}

/// No lease has this id.
#[must_use]
pub fn unknown() -> Error {
    Error::new(ErrorKind::InvalidRequest, "invalid lease").at("lease")
}

/// To be part of the batch that deletes a token: what is needed so that its leases end, too. `firm`:
/// the batch must have no conditions.
///
/// # Errors
/// What storage says.
pub async fn token_ends(snapshot: &dyn Snapshot, digest: &str, firm: bool, batch: &mut Batch) -> Result<()> {
    let prefix = keys::of_token(digest);
    if !firm && snapshot.children(&prefix, None, 1).await?.is_empty() {
        batch.checks.push(Check::Children { prefix, after: None, limit: 1, seen: Vec::new() });
        return Ok(());
    }
    batch.writes.push(Write::Put { key: keys::ended(digest), value: Secret::from("") });
    Ok(())
}

/// Holds while no lease was issued below this path, which ends in a slash.
#[must_use]
pub fn none_below(path: &str) -> Check {
    Check::Children { prefix: keys::id(path), after: None, limit: 1, seen: Vec::new() }
}

async fn held(snapshot: &dyn Snapshot, id: &str) -> Result<Option<Held>> {
    if !is_id(id) {
        return Ok(None);
    }
    let Some(entry) = snapshot.get(&keys::id(id)).await? else { return Ok(None) };
    Ok(Some(Held { record: Record::parse(&entry.value)?, revision: entry.revision }))
}

async fn count(snapshot: &dyn Snapshot, folder: &str) -> Result<u64> {
    const PAGE: usize = 10_000;
    let (mut all, mut after) = (0, None);
    loop {
        let page = snapshot.children(folder, after.as_deref(), PAGE).await?;
        all += page.len() as u64;
        if page.len() < PAGE {
            return Ok(all);
        }
        after = page.into_iter().next_back();
    }
}

fn unchanged(held: &Held) -> Check {
    Check::Unchanged { key: keys::id(&held.record.id), revision: Some(held.revision) }
}

fn raced() -> Error {
    Error::new(ErrorKind::Conflict, "the lease was changed by others too often: try again")
}

fn shown(record: &Record, now: Timestamp) -> LeaseShown {
    LeaseShown { id: record.id.clone(), ttl: left(record, now), renewable: record.renewable, expires: record.expires }
}

/// Whole seconds, rounded up: of a time that was granted a millisecond ago all of it is told.
fn left(record: &Record, now: Timestamp) -> Duration {
    let left = if record.state == State::Confirmed { now.until(record.expires) } else { Duration::ZERO };
    Duration::from_secs(left.as_secs() + u64::from(left.subsec_nanos() > 0))
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leases").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// Leases now, and what happened to leases since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Leases that are stored, in any state.
    pub leases: u64,
    /// Those whose revocation failed often.
    pub stuck: u64,
    /// Confirmed.
    pub issued: u64,
    /// Renewed.
    pub renewed: u64,
    /// Revoked because their time ran out.
    pub expired: u64,
    /// Revoked for another reason.
    pub revoked: u64,
    /// Revocations that failed.
    pub failed: u64,
}

#[derive(Default)]
struct Counters {
    leases: AtomicU64,
    stuck: AtomicU64,
    issued: AtomicU64,
    renewed: AtomicU64,
    expired: AtomicU64,
    revoked: AtomicU64,
    failed: AtomicU64,
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Never below zero, whatever was counted while a batch was under way.
fn take(counter: &AtomicU64) {
    let _ = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| Some(count.saturating_sub(1)));
}
