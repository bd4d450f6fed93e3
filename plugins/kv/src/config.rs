//! `config`: settings of the mount.

use serde_json::json;
use warder_plugin::prelude::*;

use crate::meta::{Given, given, go_duration, whole};

const KEY: &str = "config";

/// What stands under `config`; every setting has a zero that means "not set".
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Config {
    pub(crate) max_versions: u32,
    pub(crate) cas_required: bool,
    /// Seconds; negative: versions never expire, whatever the secret says.
    pub(crate) delete_version_after: i64,
    pub(crate) metadata_cas_required: bool,
}

/// The body of a write.
#[derive(Deserialize)]
pub(crate) struct Change {
    #[serde(default, deserialize_with = "given")]
    max_versions: Given<i64>,
    #[serde(default, deserialize_with = "given")]
    cas_required: Given<bool>,
    #[serde(default, deserialize_with = "given")]
    delete_version_after: Given<i64>,
    #[serde(default, deserialize_with = "given")]
    metadata_cas_required: Given<bool>,
}

/// A body without fields of its own.
#[derive(Deserialize)]
pub(crate) struct Empty {}

pub(crate) fn load(host: &Host) -> Result<Config> {
    Ok(host.json(KEY)?.unwrap_or_default())
}

pub(crate) fn read(host: &Host, _call: Call<Empty>) -> Result<Reply> {
    let config = load(host)?;
    reply(&json!({
        "cas_required": config.cas_required,
        "delete_version_after": go_duration(config.delete_version_after),
        "max_versions": config.max_versions,
        "metadata_cas_required": config.metadata_cas_required,
    }))
}

pub(crate) fn write(host: &Host, call: Call<Change>) -> Result<Reply> {
    let change = call.input;
    let mut config = load(host)?;
    if let Some(versions) = change.max_versions {
        config.max_versions = whole("max_versions", versions.unwrap_or_default())?;
    }
    if let Some(required) = change.cas_required {
        config.cas_required = required.unwrap_or_default();
    }
    if let Some(Some(after)) = change.delete_version_after {
        // OpenBao keeps no more of a negative age than that it is one, and null changes nothing.
        config.delete_version_after = after.max(-1);
    }
    if let Some(required) = change.metadata_cas_required {
        config.metadata_cas_required = required.unwrap_or_default();
    }
    host.put_json(KEY, &config)?;
    Ok(nothing())
}
