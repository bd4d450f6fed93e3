//! One rate limit as it is set and stored.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Most requests an interval may have.
const MAX_RATE: f64 = 1e9;
/// Longest interval and longest time that a client is blocked.
const MAX_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// Whose requests count together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupBy {
    /// Those from one address, or from one network of 64 bits where addresses are version 6.
    #[default]
    Ip,
    /// Everybody's.
    None,
    /// Those with one token, and without any those from one address.
    TokenThenIp,
}

/// A rate limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RateLimit {
    /// Unique.
    pub name: String,
    /// Empty for all paths; a prefix when it ends in `/` or `*`; otherwise one path.
    pub path: String,
    /// Requests an interval.
    pub rate: f64,
    /// In milliseconds.
    pub interval: u64,
    /// How long nothing is let through once the limit was met, in milliseconds; 0 for until the
    /// rate allows it again.
    pub block_interval: u64,
    /// Whose requests count together.
    pub group_by: GroupBy,
}

impl RateLimit {
    /// A limit with what was asked for.
    ///
    /// # Errors
    /// `invalid_request` names the field.
    pub fn new(
        name: &str,
        path: &str,
        rate: f64,
        interval: Option<Duration>,
        block_interval: Option<Duration>,
        group_by: GroupBy,
    ) -> Result<Self> {
        if !(rate.is_finite() && rate > 0.0 && rate <= MAX_RATE) {
            return Err(Error::invalid("rate", "expected a number over 0, at most 1e9: requests an interval"));
        }
        let interval = millis("interval", interval.unwrap_or(Duration::from_secs(1)))?;
        if interval == 0 {
            return Err(Error::invalid("interval", "expected a duration over 0, such as 1s"));
        }
        let block_interval = millis("block_interval", block_interval.unwrap_or_default())?;
        let path = path.trim_start_matches('/').to_owned();
        Ok(Self { name: name.to_owned(), path, rate, interval, block_interval, group_by })
    }

    /// Whether it limits requests of this canonical path.
    pub(super) fn applies(&self, path: &str) -> bool {
        match self.path.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None if self.path.is_empty() || self.path.ends_with('/') => path.starts_with(&self.path),
            None => path == self.path,
        }
    }

    /// Milliseconds between two requests at this rate.
    pub(super) fn gap(&self) -> f64 {
        self.interval as f64 / self.rate
    }

    /// How many milliseconds ahead of the rate a client may be: an interval's requests at once.
    pub(super) fn slack(&self) -> f64 {
        (self.interval as f64 - self.gap()).max(0.0)
    }
}

fn millis(field: &'static str, duration: Duration) -> Result<u64> {
    match duration <= MAX_INTERVAL {
        true => Ok(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)),
        false => Err(Error::invalid(field, "expected at most 24h")),
    }
}
