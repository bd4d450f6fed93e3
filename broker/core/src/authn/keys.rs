//! Storage keys of tokens, and the digest that stands for a token in them.

use std::fmt;

use ring::hmac;

use crate::{
    clock::Timestamp,
    secret::{Secret, wiping_stack},
};

pub(super) const SALT: &str = "core/token/salt";
pub(super) const BATCH_KEY: &str = "core/token/batch-key";
pub(super) const IDS: &str = "core/token/id/";
pub(super) const ACCESSORS: &str = "core/token/accessor/";
pub(super) const EXPIRIES: &str = "core/token/expiry/";
pub(super) const REVOKING: &str = "core/token/revoking/";

pub(super) fn id(digest: Digest) -> String {
    format!("{IDS}{digest}")
}

pub(super) fn accessor(accessor: &str) -> String {
    format!("{ACCESSORS}{accessor}")
}

pub(super) fn children(parent: Digest) -> String {
    format!("core/token/parent/{parent}/")
}

pub(super) fn child(parent: Digest, child: Digest) -> String {
    format!("core/token/parent/{parent}/{child}")
}

pub(super) fn expiry(due: Timestamp, digest: Digest) -> String {
    format!("{EXPIRIES}{:020}/{digest}", due.0)
}

pub(super) fn revoking(digest: Digest) -> String {
    format!("{REVOKING}{digest}")
}

/// HMAC-SHA256 of a token under the salt; 64 lower-case hex digits in keys.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Digest([u8; 32]);

impl Digest {
    pub(super) fn of(salt: &hmac::Key, token: &Secret) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(wiping_stack(|| hmac::sign(salt, token.expose())).as_ref());
        Self(bytes)
    }

    pub(super) fn parse(hex: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let (pairs, []) = hex.as_bytes().as_chunks::<2>() else { return None };
        if pairs.len() != bytes.len() {
            return None;
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        Some(Self(bytes))
    }

    /// The digest in a key below [`IDS`]; a key that holds none maps to zeroes, which no token has.
    pub(super) fn of_key(key: &str) -> Self {
        key.strip_prefix(IDS).and_then(Self::parse).unwrap_or(Self([0; 32]))
    }
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let hex = String::deserialize(deserializer)?;
        Self::parse(&hex).ok_or_else(|| serde::de::Error::custom("expected a digest of 64 hex digits"))
    }
}
