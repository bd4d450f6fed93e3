//! A plugin's stored records and keys, for broker/fuzz.

use warder_core::secret::Secret;

use super::{Record, decode, encode, storage_key};

/// A stored record read and written again.
pub(crate) fn again(bytes: &[u8]) -> Option<Secret> {
    match decode(&Secret::from(bytes)).ok()? {
        Record::Plain(bytes) => Some(warder_core::sealed::Content::Plain(bytes).encode()),
        Record::Sealed(value) => Some(encode(value)),
    }
}

/// Where a plugin's key lies in its mount's storage.
pub(crate) fn key(key: &str) -> Option<String> {
    storage_key(key).ok()
}
