//! What broker/fuzz sees of the mount table: stored records and their keys.

use super::{BTreeMap, Mount, MountTable, PREFIX, Record, decode_name, key};
use crate::secret::Secret;
use std::sync::Arc;

/// A stored mount, and its record written again; none when it does not parse.
#[must_use]
pub fn mount(record: &[u8]) -> Option<(Mount, Secret)> {
    let record: Record = serde_json::from_slice(record).ok()?;
    let again = record.encode().ok()?;
    Some((record.into_mount().ok()?, again))
}

/// A table of these mounts.
#[must_use]
pub fn table(mounts: impl IntoIterator<Item = Mount>) -> MountTable {
    MountTable(mounts.into_iter().map(|mount| (mount.path.clone(), Arc::new(mount))).collect::<BTreeMap<_, _>>())
}

/// The path that the name of a mount's storage key says, which must be `path`.
#[must_use]
pub fn path_of_key(path: &str) -> Option<String> {
    let key = key(path);
    let name = key.strip_prefix(PREFIX)?;
    assert!(!name.contains('/'), "the table is one folder");
    decode_name(name)
}
