//! The end of a lease: first it is written down that it is to be revoked, then its plugin is called
//! (by the broker), then it goes.

use std::{sync::atomic::Ordering, time::Duration};

use ring::rand::{SecureRandom, SystemRandom};

use super::{BATCH, Held, Leases, Record, State, TRIES, add, held, keys, raced, take, unchanged};
use crate::{
    clock::Timestamp,
    error::{Error, Result},
    port::storage::{Batch, Outcome, Snapshot, Write, get},
};

/// Pause after the first revocation that failed; each further one doubles it.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(600);
/// Longest reason that is kept, in bytes.
const REASON_BYTES: usize = 512;

impl Leases {
    /// Writes down that the lease is to be revoked now; none when there is no such lease.
    ///
    /// # Errors
    /// What storage says.
    pub async fn doom(&self, id: &str) -> Result<Option<Held>> {
        for _ in 0..TRIES {
            let Some(found) = self.held(id).await? else { return Ok(None) };
            let mut batch = Batch::default();
            let record = doomed(&found, self.clock.now(), &mut batch)?;
            if let Outcome::Committed(revision) = self.storage.commit(batch).await? {
                self.wake.notify_one();
                return Ok(Some(Held { record, revision }));
            }
        }
        Err(raced())
    }

    /// The same for all leases of a token that ended; to be called until there is none.
    ///
    /// # Errors
    /// What storage says; what is left is found again.
    pub async fn doom_ended(&self) -> Result<bool> {
        let snapshot = self.storage.snapshot().await?;
        let digests = snapshot.children(keys::ENDED, None, BATCH).await?;
        for digest in &digests {
            self.doom_token(digest).await?;
        }
        Ok(!digests.is_empty())
    }

    /// Nobody issues to a token that ended, so the marker goes when all of them were seen.
    async fn doom_token(&self, digest: &str) -> Result<()> {
        let (folder, mut after) = (keys::of_token(digest), None);
        loop {
            let snapshot = self.storage.snapshot().await?;
            let names = snapshot.children(&folder, after.as_deref(), BATCH).await?;
            self.doom_named(&*snapshot, &folder, &names).await?;
            match names.into_iter().next_back() {
                Some(last) => after = Some(last),
                None => break,
            }
        }
        let writes = vec![Write::Delete { key: keys::ended(digest) }];
        self.storage.commit(Batch { checks: Vec::new(), writes }).await.map(drop)
    }

    /// Dooms those that these keys of an index lead to.
    pub(super) async fn doom_named(&self, snapshot: &dyn Snapshot, folder: &str, names: &[String]) -> Result<()> {
        let mut ids = Vec::with_capacity(names.len());
        for name in names {
            if let Some(entry) = snapshot.get(&format!("{folder}{name}")).await? {
                ids.extend(entry.value.expose_str().map(str::to_owned));
            }
        }
        self.doom_all(&ids).await
    }

    /// Dooms these, in as few batches as there are no races.
    ///
    /// # Errors
    /// What storage says.
    pub async fn doom_all(&self, ids: &[String]) -> Result<()> {
        for some in ids.chunks(BATCH) {
            let snapshot = self.storage.snapshot().await?;
            let mut batch = Batch::default();
            for id in some {
                if let Some(found) = held(&*snapshot, id).await? {
                    doomed(&found, self.clock.now(), &mut batch)?;
                }
            }
            if self.storage.commit(batch).await? == Outcome::Conflict {
                for id in some {
                    self.doom(id).await?;
                }
            }
        }
        self.wake.notify_one();
        Ok(())
    }

    /// Removes a lease in the batch of what its plugin stored when it revoked; false on a conflict.
    ///
    /// # Errors
    /// What storage says.
    pub async fn removed(&self, held: &Held, mut batch: Batch) -> Result<bool> {
        let (record, suffix) = (&held.record, held.record.suffix());
        let index = [
            Some(keys::id(&record.id)),
            Some(record.due_key()),
            (record.state == State::Pending).then(|| keys::pending(suffix)),
            (!record.holder.is_empty()).then(|| keys::token(&record.holder, suffix)),
            record.is_stuck().then(|| keys::stuck(suffix)),
        ];
        batch.writes.extend(index.into_iter().flatten().map(|key| Write::Delete { key }));
        batch.checks.push(unchanged(held));
        if self.storage.commit(batch).await? == Outcome::Conflict {
            return Ok(false);
        }
        take(&self.counters.leases);
        if record.is_stuck() {
            take(&self.counters.stuck);
        }
        match record.state {
            State::Pending => {}
            _ if record.timed_out => add(&self.counters.expired),
            _ => add(&self.counters.revoked),
        }
        Ok(true)
    }

    /// Notes that a revocation failed, and when it is tried again.
    ///
    /// # Errors
    /// What storage says.
    pub async fn failed(&self, found: &Held, why: &Error) -> Result<()> {
        add(&self.counters.failed);
        let mut record = found.record.clone();
        let mut batch = Batch { checks: vec![unchanged(found)], writes: Vec::new() };
        record.attempts = record.attempts.saturating_add(1);
        let reason = format!("{}: {}", why.kind.code(), why.detail);
        record.error = Some(reason[..reason.floor_char_boundary(REASON_BYTES)].to_owned());
        record.move_due(self.clock.now().after(pause(record.attempts)?), &mut batch.writes);
        let stuck = record.is_stuck() && !found.record.is_stuck();
        if stuck {
            batch.writes.push(record.lead(keys::stuck(record.suffix())));
        }
        batch.writes.push(record.put()?);
        // On a conflict somebody else has done something about it.
        if self.storage.commit(batch).await? != Outcome::Conflict && stuck {
            self.counters.stuck.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The ids of leases that are stuck, a page of them.
    ///
    /// # Errors
    /// What storage says.
    pub async fn stuck(&self, limit: usize) -> Result<Vec<Record>> {
        let names = self.storage.snapshot().await?.children(keys::STUCK, None, limit).await?;
        let mut records = Vec::with_capacity(names.len());
        for name in names {
            let Some(entry) = get(&*self.storage, &keys::stuck(&name)).await? else { continue };
            records.extend(self.held(entry.value.expose_str().unwrap_or_default()).await?.map(|held| held.record));
        }
        Ok(records)
    }
}

/// The record as it is once it is doomed; adds to the batch what makes it so, if anything does.
pub(super) fn doomed(found: &Held, now: Timestamp, batch: &mut Batch) -> Result<Record> {
    let mut record = found.record.clone();
    if record.state == State::Pending {
        batch.writes.push(Write::Delete { key: keys::pending(record.suffix()) });
    }
    record.state = State::Revoking;
    // What is due stays in its place.
    if record.due > now {
        record.move_due(now, &mut batch.writes);
    }
    batch.writes.push(record.put()?);
    batch.checks.push(unchanged(found));
    Ok(record)
}

/// Doubles with each attempt up to [`LONGEST`], give or take a quarter.
fn pause(attempts: u32) -> Result<Duration> {
    let usual = FIRST.saturating_mul(1 << attempts.saturating_sub(1).min(20)).min(LONGEST);
    let mut random = [0; 2];
    SystemRandom::new().fill(&mut random).map_err(|_| Error::internal("no randomness"))?;
    let share = f64::from(u16::from_be_bytes(random)) / f64::from(u16::MAX);
    Ok(usual.mul_f64(0.75 + share / 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_are_not_all_alike() {
        for (attempts, seconds) in [(1, 1.0), (2, 2.0), (5, 16.0), (11, 600.0), (u32::MAX, 600.0)] {
            let all: Vec<f64> = (0..50).map(|_| pause(attempts).unwrap().as_secs_f64()).collect();
            assert!(all.iter().all(|one| (0.74 * seconds..=1.26 * seconds).contains(one)), "{attempts}: {all:?}");
            assert!(all.iter().any(|one| one != &all[0]));
        }
    }
}
