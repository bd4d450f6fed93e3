//! What the broker itself reads out of a mount's options: bounds of its calls, and when logging in
//! by a name is locked. The other options are told to clients and mean nothing here.

use std::{collections::BTreeMap, fmt::Display, ops::RangeInclusive, str::FromStr, time::Duration};

use crate::{
    duration,
    error::{Error, Result},
};

/// Plugin calls of one mount at once.
const CALLS: &str = "max_calls";
/// Requests of one mount that wait for a call.
const QUEUE: &str = "max_queue";
const THRESHOLD: &str = "lockout_threshold";
const DURATION: &str = "lockout_duration";
const RESET: &str = "lockout_counter_reset_duration";
const DISABLE: &str = "lockout_disable";

/// Every option that the broker reads.
pub const OPTIONS: [&str; 6] = [CALLS, QUEUE, THRESHOLD, DURATION, RESET, DISABLE];

const MOST_CALLS: usize = 8192;
const MOST_QUEUE: usize = 65_536;
const MOST_FAILURES: u32 = 1_000_000;
const MOST_TIME: Duration = Duration::from_hours(8760);

/// How many calls of a mount run at once, and how many requests wait for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Plugin calls at once, 1 to 8,192; 64 by default.
    pub calls: usize,
    /// Requests that wait, at most 65,536; 960 by default.
    pub queue: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { calls: 64, queue: 960 }
    }
}

/// Those that a mount has of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnBounds {
    /// In place of the usual ones.
    pub calls: Option<usize>,
    /// In place of the usual ones.
    pub queue: Option<usize>,
}

impl OwnBounds {
    /// With the usual ones where there are none.
    #[must_use]
    pub fn or(self, usual: Bounds) -> Bounds {
        Bounds { calls: self.calls.unwrap_or(usual.calls), queue: self.queue.unwrap_or(usual.queue) }
    }
}

/// When logging in by a name is locked: the defaults are Vault's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lockout {
    /// Failures that lock; 5 by default.
    pub threshold: u32,
    /// For how long; 15 minutes by default.
    pub duration: Duration,
    /// How long after the last failure all are forgotten; 15 minutes by default.
    pub reset: Duration,
    /// Nothing is locked.
    pub disabled: bool,
}

impl Default for Lockout {
    fn default() -> Self {
        let quarter = Duration::from_mins(15);
        Self { threshold: 5, duration: quarter, reset: quarter, disabled: false }
    }
}

/// The bounds among a mount's options.
pub(super) fn bounds(options: &BTreeMap<String, String>) -> Result<OwnBounds> {
    Ok(OwnBounds { calls: number(options, CALLS, 1..=MOST_CALLS)?, queue: number(options, QUEUE, 0..=MOST_QUEUE)? })
}

/// What they say of logging in.
pub(super) fn lockout(options: &BTreeMap<String, String>) -> Result<Lockout> {
    let usual = Lockout::default();
    let disabled = match options.get(DISABLE).map(String::as_str) {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Error::invalid(DISABLE, "expected true or false")),
    };
    Ok(Lockout {
        threshold: number(options, THRESHOLD, 1..=MOST_FAILURES)?.unwrap_or(usual.threshold),
        duration: time(options, DURATION)?.unwrap_or(usual.duration),
        reset: time(options, RESET)?.unwrap_or(usual.reset),
        disabled,
    })
}

fn number<T: FromStr + PartialOrd + Display>(
    options: &BTreeMap<String, String>,
    name: &'static str,
    range: RangeInclusive<T>,
) -> Result<Option<T>> {
    let Some(text) = options.get(name) else { return Ok(None) };
    let wrong = || format!("expected a whole number from {} to {}", range.start(), range.end());
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.map(Some).ok_or_else(|| Error::invalid(name, wrong()))
}

fn time(options: &BTreeMap<String, String>, name: &'static str) -> Result<Option<Duration>> {
    let Some(text) = options.get(name) else { return Ok(None) };
    let time = duration::parse(text).ok().filter(|time| !time.is_zero() && *time <= MOST_TIME);
    time.map(Some).ok_or_else(|| Error::invalid(name, "expected a time over 0, at most 8760h, such as 15m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(name: &str, value: &str) -> BTreeMap<String, String> {
        [(name.to_owned(), value.to_owned()), ("version".to_owned(), "2".to_owned())].into()
    }

    #[test]
    fn options_of_the_broker_are_read_and_wrong_ones_named() {
        assert_eq!(bounds(&options(CALLS, "3")).unwrap().or(Bounds::default()), Bounds { calls: 3, queue: 960 });
        assert_eq!(bounds(&options(QUEUE, "0")).unwrap().or(Bounds::default()), Bounds { calls: 64, queue: 0 });
        assert_eq!(lockout(&options(THRESHOLD, "3")).unwrap(), Lockout { threshold: 3, ..Lockout::default() });
        assert_eq!(lockout(&options(DURATION, "90")).unwrap().duration, Duration::from_secs(90));
        assert!(lockout(&options(DISABLE, "true")).unwrap().disabled);
        for (name, value) in [
            (CALLS, "0"),
            (CALLS, "8193"),
            (QUEUE, "-1"),
            (QUEUE, "many"),
            (THRESHOLD, "0"),
            (DURATION, "0"),
            (RESET, "soon"),
            (DISABLE, "yes"),
        ] {
            let options = options(name, value);
            let error = bounds(&options).map(|_| ()).and_then(|()| lockout(&options).map(|_| ())).unwrap_err();
            assert_eq!(error.field.as_deref(), Some(name), "{value}");
        }
    }
}
