//! How long a token lives: `CalculateTTL` of the compatible API (`sdk/framework/lease.go`), in
//! whole seconds.

use std::{fmt, time::Duration};

use super::{TokenConfig, refusal::Refusal};
use crate::clock::Timestamp;

/// What is asked for a token's life. Zero means: not asked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Terms {
    pub increment: Duration,
    pub ttl: Duration,
    pub period: Duration,
    pub explicit_max: Duration,
}

/// What was granted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Life {
    pub ttl: Duration,
    pub expires: Timestamp,
    pub warnings: Vec<String>,
}

/// Time to live from `now` of a token issued at `issued`.
pub(super) fn life(config: TokenConfig, terms: Terms, issued: Timestamp, now: Timestamp) -> Result<Life, Refusal> {
    let explicit_max = whole(terms.explicit_max);
    let max = [whole(config.max_ttl), explicit_max].into_iter().filter(|max| !max.is_zero()).min().unwrap_or_default();
    let mut warnings = Vec::new();
    let (asked, ceiling) = if terms.period.is_zero() {
        (asked(config, terms), Some(max))
    } else {
        let period = capped(&mut warnings, "Period", "Period value", whole(terms.period), max);
        (period, (!explicit_max.is_zero()).then_some(explicit_max))
    };
    let Some(ceiling) = ceiling else {
        return Ok(Life { ttl: asked, expires: now.after(asked), warnings });
    };
    let end = second(issued).after(ceiling);
    let left = second(now).until(end);
    if left.is_zero() {
        return Err(Refusal::PastMax);
    }
    let ttl = capped(&mut warnings, "TTL", "TTL value", asked, left);
    // Seconds are rounded, milliseconds are not: no token outlives its ceiling by a fraction.
    Ok(Life { ttl, expires: now.after(ttl).min(issued.after(ceiling)), warnings })
}

fn asked(config: TokenConfig, terms: Terms) -> Duration {
    let first = [terms.increment, terms.ttl].into_iter().map(whole).find(|asked| !asked.is_zero());
    first.unwrap_or_else(|| whole(config.default_ttl))
}

fn capped(warnings: &mut Vec<String>, name: &str, value: &str, asked: Duration, max: Duration) -> Duration {
    if asked > max {
        let (asked, max) = (Spoken(asked), Spoken(max));
        warnings.push(format!(
            "{name} of \"{asked}\" exceeded the effective max_ttl of \"{max}\"; {value} is capped accordingly"
        ));
    }
    asked.min(max)
}

/// Rounded up to whole seconds, so that a fraction asked for does not become "not asked".
pub(super) fn whole(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0)))
}

const fn second(moment: Timestamp) -> Timestamp {
    Timestamp(moment.0 - moment.0 % 1000)
}

/// A duration as Go prints it: `768h0m0s`.
pub(super) struct Spoken(pub Duration);

impl fmt::Display for Spoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.0.as_secs();
        let (hours, minutes, seconds) = (all / 3600, all / 60 % 60, all % 60);
        match (hours, minutes) {
            (0, 0) => write!(f, "{seconds}s"),
            (0, _) => write!(f, "{minutes}m{seconds}s"),
            _ => write!(f, "{hours}h{minutes}m{seconds}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: u64 = 3600;

    fn config() -> TokenConfig {
        TokenConfig { default_ttl: Duration::from_secs(HOUR), max_ttl: Duration::from_secs(10 * HOUR) }
    }

    fn terms(increment: u64, ttl: u64, period: u64, explicit_max: u64) -> Terms {
        let [increment, ttl, period, explicit_max] = [increment, ttl, period, explicit_max].map(Duration::from_secs);
        Terms { increment, ttl, period, explicit_max }
    }

    /// Columns: increment, ttl, period, explicit max, age; then the time granted (none: past the
    /// max) and the number of warnings.
    #[test]
    fn life_follows_the_table() {
        for (row, granted, warned) in [
            ([0, 0, 0, 0, 0], Some(HOUR), 0),
            ([0, 7, 0, 0, 0], Some(7), 0),
            ([5, 7, 0, 0, 0], Some(5), 0),
            ([0, 99 * HOUR, 0, 0, 0], Some(10 * HOUR), 1),
            ([0, 0, 0, 60, 0], Some(60), 1),
            ([0, 30, 0, 60, 0], Some(30), 0),
            ([0, 30, 0, 60, 45], Some(15), 1),
            ([0, 30, 0, 60, 60], None, 0),
            ([0, 0, 0, 0, 10 * HOUR], None, 0),
            ([HOUR, 0, 0, 0, 10 * HOUR - 1], Some(1), 1),
            ([0, 0, 50, 0, 0], Some(50), 0),
            ([9, 9, 50, 0, 0], Some(50), 0),
            ([0, 0, 50, 0, 99 * HOUR], Some(50), 0),
            ([0, 0, 99 * HOUR, 0, 0], Some(10 * HOUR), 1),
            ([0, 0, 50, 40, 0], Some(40), 1),
            ([0, 0, 50, 70, 40], Some(30), 1),
            ([0, 0, 50, 70, 70], None, 0),
            ([0, 0, 50, 20 * HOUR, 15 * HOUR], Some(50), 0),
        ] {
            let [increment, ttl, period, explicit_max, age] = row;
            let issued = Timestamp(1_700_000_000_250);
            let now = issued.after(Duration::from_secs(age));
            let life = life(config(), terms(increment, ttl, period, explicit_max), issued, now);
            let Some(granted) = granted else {
                assert_eq!(life, Err(Refusal::PastMax), "{row:?}");
                continue;
            };
            let life = life.unwrap();
            assert_eq!((life.ttl, life.warnings.len()), (Duration::from_secs(granted), warned), "{row:?}");
            assert_eq!(life.expires, now.after(life.ttl), "{row:?}");
        }
    }

    #[test]
    fn durations_are_spoken_as_clients_know_them() {
        for (seconds, text) in [(0, "0s"), (59, "59s"), (90, "1m30s"), (768 * HOUR, "768h0m0s")] {
            assert_eq!(Spoken(Duration::from_secs(seconds)).to_string(), text);
        }
        let life = life(config(), terms(0, 11 * HOUR, 0, 0), Timestamp(0), Timestamp(0)).unwrap();
        assert_eq!(
            life.warnings,
            [r#"TTL of "11h0m0s" exceeded the effective max_ttl of "10h0m0s"; TTL value is capped accordingly"#]
        );
    }

    proptest! {
        #[test]
        fn no_grant_outlives_its_ceiling(
            increment in 0..20 * HOUR, ttl in 0..20 * HOUR, period in 0..20 * HOUR, explicit in 0..20 * HOUR,
            issued in 0..5_000_u64, age in 0..30 * HOUR * 1000,
        ) {
            let (issued, now) = (Timestamp(issued), Timestamp(issued + age));
            if let Ok(life) = life(config(), terms(increment, ttl, period, explicit), issued, now) {
                prop_assert!(life.ttl > Duration::ZERO && life.ttl <= config().max_ttl);
                prop_assert!(life.expires > now && life.expires <= now.after(life.ttl));
                if explicit > 0 {
                    prop_assert!(life.expires <= issued.after(Duration::from_secs(explicit)));
                }
                if period == 0 {
                    prop_assert!(life.expires <= issued.after(config().max_ttl));
                }
            }
        }

        #[test]
        fn a_periodic_token_without_explicit_max_renews_for_ever(period in 1..20 * HOUR, age in 0..4_000_000_000_u64) {
            let life = life(config(), terms(0, 0, period, 0), Timestamp(0), Timestamp(age * 1000)).unwrap();
            prop_assert_eq!(life.ttl, Duration::from_secs(period.min(10 * HOUR)));
        }
    }
}
