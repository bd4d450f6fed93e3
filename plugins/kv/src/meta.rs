//! `meta/{path}`: what is known of a secret and its versions, and the rules over it.

use std::collections::BTreeMap;

use serde::Deserializer;
use serde_json::{Value as Json, json};
use warder_plugin::prelude::*;

use crate::config::Config;

/// Versions kept when neither mount nor secret says.
const DEFAULT_VERSIONS: u32 = 10;

/// The record of one secret.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Meta {
    pub(crate) versions: BTreeMap<u64, Version>,
    /// Number of the latest version; 0: none was written yet.
    pub(crate) current: u64,
    /// Number of the oldest version kept; 0: the limit was not reached yet.
    pub(crate) oldest: u64,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
    pub(crate) max_versions: u32,
    pub(crate) cas_required: bool,
    /// Seconds; 0: as the mount says.
    pub(crate) delete_version_after: u32,
    pub(crate) custom: Option<BTreeMap<String, String>>,
    pub(crate) metadata_cas_required: bool,
    /// Counts changes of the settings.
    pub(crate) changes: u64,
}

/// What is known of one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) created: Timestamp,
    /// When it was, or will be, soft-deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) deletion: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) destroyed: bool,
}

/// The capture of most routes.
#[derive(Deserialize)]
pub(crate) struct At {
    pub(crate) path: String,
}

pub(crate) fn load(host: &Host, path: &str) -> Result<Option<Meta>> {
    host.json(&key(path))
}

pub(crate) fn exists(host: &Host, at: At) -> Result<bool> {
    Ok(host.get(&key(&at.path))?.is_some())
}

pub(crate) fn key(path: &str) -> String {
    format!("meta/{path}")
}

pub(crate) fn version_key(path: &str, number: u64) -> String {
    format!("ver/{path}/{number}")
}

impl Meta {
    pub(crate) fn save(&self, host: &Host, path: &str) -> Result<()> {
        host.put_json(&key(path), self)
    }

    /// The version asked for; 0 and below: the latest.
    pub(crate) fn version(&self, number: i64) -> Option<(u64, Version)> {
        let number = u64::try_from(number).ok().filter(|n| *n > 0).unwrap_or(self.current);
        Some((number, *self.versions.get(&number)?))
    }

    /// Appends a version and forgets those beyond the limit: the larger of mount and secret.
    pub(crate) fn add(&mut self, host: &Host, path: &str, config: &Config, now: Timestamp) -> Result<(u64, Version)> {
        if self.current == 0 && self.changes == 0 {
            self.created = now;
        }
        let version = Version { created: now, deletion: self.expiry(config, now), destroyed: false };
        self.current += 1;
        self.updated = now;
        self.versions.insert(self.current, version);
        self.prune(host, path, config)?;
        Ok((self.current, version))
    }

    fn prune(&mut self, host: &Host, path: &str, config: &Config) -> Result<()> {
        let limit = match config.max_versions.max(self.max_versions) {
            0 => DEFAULT_VERSIONS,
            limit => limit,
        };
        if self.current.saturating_sub(self.oldest) < u64::from(limit) {
            return Ok(());
        }
        self.oldest = (self.current + 1).saturating_sub(limit.into());
        while let Some(entry) = self.versions.first_entry().filter(|entry| *entry.key() < self.oldest) {
            host.delete(&version_key(path, *entry.key()))?;
            entry.remove();
        }
        Ok(())
    }

    /// When a version made or restored now will be soft-deleted: after the smaller of the ages
    /// that mount and secret set, never when the mount says so.
    pub(crate) fn expiry(&self, config: &Config, now: Timestamp) -> Option<Timestamp> {
        let mount = u64::try_from(config.delete_version_after).ok()?;
        let ages = [mount, self.delete_version_after.into()];
        let age = ages.into_iter().filter(|age| *age > 0).min()?;
        Some(now.plus_seconds(age))
    }

    /// As every answer about one version shows it.
    pub(crate) fn about(&self, number: u64, version: Version) -> Json {
        let mut about = version.json();
        about["custom_metadata"] = json!(self.custom);
        about["version"] = json!(number);
        about
    }

    /// As `metadata` shows it.
    pub(crate) fn json(&self) -> Json {
        let versions: BTreeMap<String, Json> = self.versions.iter().map(|(n, v)| (n.to_string(), v.json())).collect();
        json!({
            "cas_required": self.cas_required,
            "created_time": self.created.rfc3339(),
            "current_metadata_version": self.changes,
            "current_version": self.current,
            "custom_metadata": self.custom,
            "delete_version_after": go_duration(self.delete_version_after.into()),
            "max_versions": self.max_versions,
            "metadata_cas_required": self.metadata_cas_required,
            "oldest_version": self.oldest,
            "updated_time": self.updated.rfc3339(),
            "versions": versions,
        })
    }
}

impl Version {
    /// Destroyed, or its time has come. Asks the clock only when there is a time.
    pub(crate) fn is_gone(&self, host: &Host) -> bool {
        self.destroyed || self.deletion.is_some_and(|moment| host.reached(moment))
    }

    fn json(self) -> Json {
        json!({
            "created_time": self.created.rfc3339(),
            "deletion_time": self.deletion.map(Timestamp::rfc3339).unwrap_or_default(),
            "destroyed": self.destroyed,
        })
    }
}

/// A field that was left out, was `null`, or has a value.
pub(crate) type Given<T> = Option<Option<T>>;

/// Keeps `null` apart from absence: with `#[serde(default)]`.
pub(crate) fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Given<T>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// A count that fits the records.
pub(crate) fn whole(field: &str, number: i64) -> Result<u32> {
    u32::try_from(number).map_err(|_| Error::invalid(format!("{field} must be between 0 and {}", u32::MAX)))
}

/// Seconds as Go prints a duration: `0s`, `1m30s`, `48h0m0s`.
pub(crate) fn go_duration(seconds: i64) -> String {
    let sign = if seconds < 0 { "-" } else { "" };
    let all = seconds.unsigned_abs();
    let (hours, minutes, seconds) = (all / 3600, all / 60 % 60, all % 60);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, _) => format!("{sign}{minutes}m{seconds}s"),
        _ => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}
