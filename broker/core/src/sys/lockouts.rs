//! `sys/locked-users`: names that are locked because logins failed, and unlocking them.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Ask, Served, Sys};
use crate::error::Result;

/// All of them, by the accessor of their mount, as Vault shows them.
pub(super) async fn all(sys: &Sys) -> Result<Served> {
    let table = sys.mounts.table().await?;
    let here: Vec<&str> = table.iter().map(|mount| mount.accessor.as_str()).collect();
    let mut by_mount = BTreeMap::<String, Vec<String>>::new();
    for locked in sys.lockouts.names.list(sys.clock.now()) {
        // A mount that is gone has no names.
        if here.contains(&locked.mount.as_str()) {
            by_mount.entry(locked.mount).or_default().push(locked.name);
        }
    }
    let total: usize = by_mount.values().map(Vec::len).sum();
    let one = |(accessor, names): (&String, &Vec<String>)| json!({ "mount_accessor": accessor, "counts": names.len(), "alias_identifiers": names });
    let mounts: Vec<_> = by_mount.iter().map(one).collect();
    let root = json!({ "namespace_id": "root", "namespace_path": "", "counts": total, "mount_accessors": mounts });
    Served::json(&json!({ "by_namespace": [root], "total": total }))
}

/// Opens one; one that is not locked is no error.
pub(super) fn unlock(sys: &Sys, ask: &Ask<'_>) -> Result<Served> {
    sys.lockouts.names.unlock(ask.capture("mount_accessor"), ask.capture("name"), sys.clock.now());
    Ok(Served::nothing())
}
