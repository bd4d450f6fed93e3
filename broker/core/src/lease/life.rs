//! How long a lease lives.

use std::time::Duration;

use crate::{clock::Timestamp, port::backend::LeaseGrant};

/// What the mount allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// When the plugin names no time.
    pub default_ttl: Duration,
    /// Longest life through all renewals.
    pub max_ttl: Duration,
}

/// When a lease ends unless it is renewed, and when it ends for good. `bound`: the end of a token
/// that nothing revokes when it comes.
pub(super) fn life(
    limits: Limits,
    grant: &LeaseGrant,
    issued: Timestamp,
    bound: Option<Timestamp>,
) -> (Timestamp, Timestamp) {
    let max = if grant.max_ttl.is_zero() { limits.max_ttl } else { grant.max_ttl.min(limits.max_ttl) };
    let ttl = if grant.ttl.is_zero() { limits.default_ttl } else { grant.ttl };
    let last = issued.after(max).min(bound.unwrap_or(Timestamp(u64::MAX)));
    (issued.after(ttl).min(last), last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { default_ttl: Duration::from_secs(100), max_ttl: Duration::from_secs(1000) };

    fn grant(ttl: u64, max_ttl: u64) -> LeaseGrant {
        LeaseGrant { ttl: Duration::from_secs(ttl), max_ttl: Duration::from_secs(max_ttl), renewable: true }
    }

    /// Columns: asked, asked at most, seconds left of a batch token; granted, at most.
    #[test]
    fn life_follows_the_table() {
        for (ttl, max, bound, granted, last) in [
            (0, 0, None, 100, 1000),
            (7, 0, None, 7, 1000),
            (7, 50, None, 7, 50),
            (70, 50, None, 50, 50),
            (5000, 5000, None, 1000, 1000),
            (0, 30, None, 30, 30),
            (7, 50, Some(5), 5, 5),
            (7, 50, Some(5000), 7, 50),
        ] {
            let issued = Timestamp(1_000_000);
            let at = |seconds: u64| issued.after(Duration::from_secs(seconds));
            assert_eq!(life(LIMITS, &grant(ttl, max), issued, bound.map(at)), (at(granted), at(last)), "{ttl} {max}");
        }
    }

    proptest! {
        #[test]
        fn no_lease_outlives_a_limit(ttl in 0..5000_u64, max in 0..5000_u64, bound in 0..5000_u64) {
            let (expires, last) = life(LIMITS, &grant(ttl, max), Timestamp(0), Some(Timestamp(bound * 1000)));
            prop_assert!(expires <= last && last.0 <= bound * 1000 && last.0 <= 1_000_000);
            prop_assert!(max == 0 || last.0 <= max * 1000);
        }
    }
}
