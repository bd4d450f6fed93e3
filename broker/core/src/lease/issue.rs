//! From the intent to issue to a lease that its holder knows, and renewal.

use std::time::Duration;

use super::{Held, Leases, Record, State, TRIES, add, keys, life, raced, shown, unchanged};
use crate::{
    clock::Timestamp,
    error::{Error, ErrorKind, Result},
    identity::{Identity, TokenKind},
    port::{
        backend::LeaseGrant,
        storage::{Batch, Check, Outcome, Write},
    },
    random,
    request::LeaseShown,
};

/// When a lease is given up that was neither confirmed nor abandoned: no request takes as long.
const PENDING: Duration = Duration::from_secs(600);

/// Who is about to be issued what.
#[derive(Clone, Copy, Debug)]
pub struct Intent<'a> {
    /// The canonical path that issues.
    pub path: &'a str,
    /// The mount: its storage's name, its path, its plugin.
    pub mount: (&'a str, &'a str, &'a str),
    /// Who asks.
    pub identity: &'a Identity,
}

/// A lease that is durable and that nobody knows yet.
#[derive(Clone, Debug)]
pub struct Pending {
    held: Held,
    /// End of a token that nothing revokes when it comes.
    bound: Option<Timestamp>,
}

impl Pending {
    /// `<path>/<24 base62>`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.held.record.id
    }
}

impl Leases {
    /// Writes down that something is about to be issued, on the condition that `checks` hold; none
    /// when they do not.
    ///
    /// # Errors
    /// What storage says.
    ///
    /// # Cancel safety
    /// Dropping the future may leave a pending lease, which is given up in time.
    pub async fn intend(&self, intent: Intent<'_>, checks: Vec<Check>) -> Result<Option<Pending>> {
        let now = self.clock.now();
        let (mount, mount_path, plugin) = intent.mount;
        let end = now.after(PENDING);
        let record = Record {
            id: format!("{}/{}", intent.path, random::name()?),
            mount: mount.to_owned(),
            mount_path: mount_path.to_owned(),
            plugin: plugin.to_owned(),
            holder: intent.identity.holder.clone(),
            accessor: intent.identity.accessor.clone(),
            state: State::Pending,
            issued: now,
            expires: end,
            last: end,
            renewed: None,
            renewable: false,
            due: end,
            timed_out: false,
            attempts: 0,
            error: None,
        };
        let suffix = record.suffix();
        let mut writes = vec![record.put()?, record.lead(record.due_key()), record.lead(keys::pending(suffix))];
        if !record.holder.is_empty() {
            writes.push(record.lead(keys::token(&record.holder, suffix)));
        }
        let Outcome::Committed(revision) = self.storage.commit(Batch { checks, writes }).await? else {
            return Ok(None);
        };
        add(&self.counters.leases);
        let bound = intent.identity.expires.filter(|_| intent.identity.kind == TokenKind::Batch);
        Ok(Some(Pending { held: Held { record, revision }, bound }))
    }

    /// Adds to `batch` what confirms the lease: it and what the plugin stored become durable together,
    /// or neither does.
    ///
    /// # Errors
    /// `internal` when the record cannot be written as JSON.
    pub fn confirm(&self, pending: &Pending, grant: &LeaseGrant, batch: &mut Batch) -> Result<LeaseShown> {
        let mut record = pending.held.record.clone();
        let (expires, last) = life::life(self.limits, grant, record.issued, pending.bound);
        record.state = State::Confirmed;
        (record.expires, record.last, record.renewable) = (expires, last, grant.renewable);
        record.move_due(expires, &mut batch.writes);
        batch.writes.push(record.put()?);
        batch.writes.push(Write::Delete { key: keys::pending(record.suffix()) });
        batch.checks.push(unchanged(&pending.held));
        Ok(shown(&record, self.clock.now()))
    }

    /// Counts a lease whose batch was committed.
    pub fn confirmed(&self) {
        add(&self.counters.issued);
    }

    /// Whether the lease is still as it was minted: a token that was revoked meanwhile takes it along.
    ///
    /// # Errors
    /// What storage says.
    pub async fn stands(&self, pending: &Pending) -> Result<bool> {
        let held = self.held(pending.id()).await?;
        Ok(held.is_some_and(|held| held.revision == pending.held.revision))
    }

    /// Gives up a lease that was not confirmed. `acted`: the plugin may have changed something outside,
    /// so it is revoked; else nothing happened and the record goes.
    ///
    /// # Errors
    /// What storage says: it is then given up in time.
    pub async fn abandon(&self, pending: &Pending, acted: bool) -> Result<()> {
        if acted {
            return self.doom(pending.id()).await.map(drop);
        }
        if self.removed(&pending.held, Batch::default()).await? {
            return Ok(());
        }
        // It is not as it was: confirmed by a commit that said it failed, or doomed by somebody else.
        self.doom(pending.id()).await.map(drop)
    }

    /// A lease that may be renewed now.
    ///
    /// # Errors
    /// `invalid_request`: there is none, or it cannot be renewed.
    pub async fn renewable(&self, id: &str) -> Result<Held> {
        let refused = |words: &'static str| Err(Error::new(ErrorKind::InvalidRequest, words));
        let held = self.held(id).await?;
        let Some(held) = held.filter(|held| held.record.state != State::Pending) else {
            return Err(Error::new(ErrorKind::InvalidRequest, "lease not found").at("lease"));
        };
        match &held.record {
            record if record.state == State::Revoking || record.expires <= self.clock.now() => refused("lease expired"),
            record if !record.renewable => refused("lease is not renewable"),
            _ => Ok(held),
        }
    }

    /// Commits a renewal by `granted` from now, with what the plugin stored for it; none on a conflict.
    ///
    /// # Errors
    /// What storage says.
    pub async fn renew(&self, held: &Held, granted: Duration, mut batch: Batch) -> Result<Option<LeaseShown>> {
        let now = self.clock.now();
        let mut record = held.record.clone();
        record.expires = now.after(granted).min(record.last);
        record.renewed = Some(now);
        record.move_due(record.expires, &mut batch.writes);
        batch.writes.push(record.put()?);
        batch.checks.push(unchanged(held));
        match self.storage.commit(batch).await? {
            Outcome::Conflict => Ok(None),
            Outcome::Committed(_) => {
                add(&self.counters.renewed);
                Ok(Some(shown(&record, now)))
            }
        }
    }

    /// A lost race, after so many that there is no use in another try.
    #[must_use]
    pub fn raced(attempt: usize) -> Option<Error> {
        (attempt >= TRIES).then(raced)
    }
}
