//! Failed credentials by address: so many at once and so many a second, then nothing more for a
//! while that doubles each time.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{clock::Timestamp, identity::network};

/// Failures that are forgotten in a second.
const RATE: f64 = 10.0;
/// Failures that are let through after a pause.
const AFTER_PAUSE: f64 = 10.0;
/// The longest pause is two to this power, in seconds.
const LONGEST: u32 = 6;
/// How often those that are over are looked for, at most.
const SWEEP: Duration = Duration::from_secs(1);
/// Addresses that are remembered.
const MOST: usize = 65_536;

/// Addresses that credentials failed from.
pub struct Addresses {
    /// Failures at once; 0 for any number.
    burst: f64,
    all: Mutex<All>,
    /// The end of the last pause: without one, nobody looks further.
    paused_until: AtomicU64,
    refused: AtomicU64,
}

#[derive(Default)]
struct All {
    failures: HashMap<IpAddr, Failures>,
    /// When those that are over were last removed.
    swept: Timestamp,
}

#[derive(Clone, Copy, Default)]
struct Failures {
    /// Not yet forgotten, as of `at`.
    count: f64,
    at: Timestamp,
    pauses: u32,
    paused_until: Timestamp,
}

impl Addresses {
    /// Nothing failed yet.
    #[must_use]
    pub fn new(burst: u32) -> Self {
        let (paused_until, refused) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { burst: burst.into(), all: Mutex::default(), paused_until, refused }
    }

    /// How long nothing is tried from there. Those without an address are on this machine.
    #[must_use]
    pub fn paused(&self, address: Option<IpAddr>, now: Timestamp) -> Option<Duration> {
        if self.paused_until.load(Ordering::Acquire) <= now.0 {
            return None;
        }
        let failures = *self.all().failures.get(&network(address?))?;
        // A clock that was set back keeps nobody out for longer than a pause.
        let left = now.until(failures.paused_until).min(Duration::from_secs(1 << LONGEST));
        Some(left).filter(|left| !left.is_zero())
    }

    /// Counts a request that was refused because of a pause.
    pub fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests that were refused because of a pause.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Counts a credential that failed.
    pub fn failed(&self, address: Option<IpAddr>, now: Timestamp) {
        let Some(address) = address.map(network).filter(|_| self.burst > 0.0) else { return };
        let mut all = self.all();
        if all.failures.len() >= MOST && !all.failures.contains_key(&address) {
            all.forget(now);
        }
        let failures = all.failures.entry(address).or_default();
        failures.add(self.burst, now);
        self.paused_until.fetch_max(failures.paused_until.0, Ordering::AcqRel);
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failures {
    fn left(&self, now: Timestamp) -> f64 {
        (self.count - RATE * self.at.until(now).as_secs_f64()).max(0.0)
    }

    fn add(&mut self, burst: f64, now: Timestamp) {
        self.count = self.left(now);
        self.at = now;
        if self.count == 0.0 {
            self.pauses = 0;
        }
        self.count += 1.0;
        if self.count > burst {
            self.paused_until = now.after(Duration::from_secs(1 << self.pauses.min(LONGEST)));
            self.pauses += 1;
            self.count = (burst - AFTER_PAUSE).max(0.0);
            // What passes while it waits is no excuse.
            self.at = self.paused_until;
        }
    }
}

impl All {
    /// Makes room: those with nothing left, or else the one with the least of some. To look at all
    /// of them for each newcomer would be what an attacker wants.
    fn forget(&mut self, now: Timestamp) {
        if self.swept.until(now) >= SWEEP {
            self.swept = now;
            self.failures.retain(|_, failures| failures.left(now) > 0.0);
        }
        if self.failures.len() >= MOST {
            let some = self.failures.iter().take(16);
            let least = some.min_by(|(_, a), (_, b)| a.left(now).total_cmp(&b.left(now)));
            let least = least.map(|(address, _)| *address);
            least.iter().for_each(|address| _ = self.failures.remove(address));
        }
    }
}

impl fmt::Debug for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Addresses").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp(1_000_000 + seconds * 1000)
    }

    fn address(last: u8) -> Option<IpAddr> {
        Some([10, 0, 0, last].into())
    }

    /// Fails as often as it may at this second; how often, and how long it then waits.
    fn fail(addresses: &Addresses, seconds: u64) -> (u32, u64) {
        let mut failed = 0;
        while addresses.paused(address(1), at(seconds)).is_none() {
            addresses.failed(address(1), at(seconds));
            failed += 1;
        }
        (failed, addresses.paused(address(1), at(seconds)).unwrap().as_secs())
    }

    #[test]
    fn pauses_grow_and_no_other_address_has_one() {
        let addresses = Addresses::new(1000);
        assert_eq!(fail(&addresses, 0), (1001, 1));
        assert_eq!(addresses.paused(address(2), at(0)), None);
        assert_eq!(addresses.paused(None, at(0)), None);
        let mut seconds = 1;
        for expected in [2, 4, 8, 16, 32, 64, 64] {
            assert_eq!(fail(&addresses, seconds), (11, expected));
            seconds += expected;
        }
        assert_eq!(fail(&addresses, seconds + 1000), (1001, 1), "forgotten");
    }

    #[test]
    fn without_a_bound_nobody_is_paused() {
        let addresses = Addresses::new(0);
        (0..10_000).for_each(|_| addresses.failed(address(1), at(0)));
        assert_eq!(addresses.paused(address(1), at(0)), None);
    }

    #[test]
    fn failures_at_an_easy_pace_pause_nobody() {
        let addresses = Addresses::new(1000);
        for seconds in 0..1000 {
            (0..9).for_each(|_| addresses.failed(address(1), at(seconds)));
            assert_eq!(addresses.paused(address(1), at(seconds)), None, "{seconds}");
        }
    }

    #[test]
    fn millions_of_addresses_use_up_no_memory() {
        let addresses = Addresses::new(1000);
        for n in 0..200_000_u32 {
            addresses.failed(Some(std::net::Ipv4Addr::from_bits(n).into()), at(0));
        }
        assert!(addresses.all().failures.len() <= MOST);
    }
}
