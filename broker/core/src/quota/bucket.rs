//! How far each client has used up a limit: the generic cell rate algorithm (ITU-T I.371), one
//! moment for each client: when its next request would come if it kept to the rate.
//!
//! Invariant: memory is bounded; a client that is forgotten was one that had used up nothing, or,
//! with more clients than fit, the one that had used up least.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{Client, limit::RateLimit};
use crate::clock::Timestamp;

const SHARDS: usize = 64;
/// Clients of one shard that are remembered: 64 Ki altogether.
const MOST: usize = 1024;

/// The state of all clients of all limits.
pub(super) struct Buckets {
    /// Keyed, so that nobody can make clients that meet in one place.
    hasher: RandomState,
    shards: Box<[Mutex<HashMap<u64, Bucket>>]>,
}

/// Moments in milliseconds since the epoch, and fractions of them.
#[derive(Clone, Copy, Default)]
struct Bucket {
    next: f64,
    blocked_until: f64,
}

/// What one request took, to be given back when another limit refuses it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    client: u64,
    gap: f64,
}

impl Default for Buckets {
    fn default() -> Self {
        Self { hasher: RandomState::new(), shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl Buckets {
    /// Counts one request, or says how long until one is let through.
    pub(super) fn take(&self, limit: &RateLimit, client: Client<'_>, now: Timestamp) -> Result<Taken, Duration> {
        // A hash of 64 bits stands for a client: of two that share one, each has half a limit.
        let client = self.hasher.hash_one((&limit.name, client));
        let now = now.0 as f64;
        let mut shard = self.shard(client);
        if shard.len() >= MOST && !shard.contains_key(&client) {
            forget(&mut shard, now);
        }
        shard.entry(client).or_default().take(limit, now)?;
        Ok(Taken { client, gap: limit.gap() })
    }

    /// Takes back what was counted.
    pub(super) fn give_back(&self, taken: Taken) {
        if let Some(bucket) = self.shard(taken.client).get_mut(&taken.client) {
            bucket.next -= taken.gap;
        }
    }

    /// Clients that are remembered.
    pub(super) fn clients(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    fn shard(&self, client: u64) -> MutexGuard<'_, HashMap<u64, Bucket>> {
        let at = usize::try_from(client % SHARDS as u64).unwrap_or_default();
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bucket {
    /// Whatever a clock that was set back left behind is no further ahead than a client can come.
    fn take(&mut self, limit: &RateLimit, now: f64) -> Result<(), Duration> {
        self.next = self.next.clamp(now, now + limit.slack() + limit.gap());
        self.blocked_until = self.blocked_until.min(now + limit.block_interval as f64);
        if now < self.blocked_until {
            return Err(millis(self.blocked_until - now));
        }
        let early = self.next - now - limit.slack();
        if early > 0.0 {
            self.blocked_until = now + limit.block_interval as f64;
            return Err(millis(early.max(limit.block_interval as f64)));
        }
        self.next += limit.gap();
        Ok(())
    }
}

/// Makes room: those that have used up nothing, or else the one that has used up least.
fn forget(shard: &mut HashMap<u64, Bucket>, now: f64) {
    shard.retain(|_, bucket| bucket.next.max(bucket.blocked_until) > now);
    if shard.len() >= MOST {
        let least = shard.iter().min_by(|(_, a), (_, b)| a.next.total_cmp(&b.next)).map(|(client, _)| *client);
        least.iter().for_each(|client| _ = shard.remove(client));
    }
}

fn millis(count: f64) -> Duration {
    Duration::from_secs_f64(count.max(1.0) / 1000.0)
}
