//! What broker/fuzz sees of tokens: stored entries, batch tokens, digests.

use super::{
    TokenConfig, batch,
    entry::{Entry, Known},
    keys::{self, Digest},
    ttl::{self, Terms},
};
use crate::{clock::Timestamp, secret::Secret};

/// A stored entry read and written again; none when it does not parse. What can be asked of it is asked.
#[must_use]
pub fn entry(record: &[u8], now: Timestamp) -> Option<Secret> {
    let known = Known::parse(Digest::of_key("no key"), &Secret::from(record)).ok()?;
    let entry = &known.entry;
    assert!(!entry.spent() || !entry.lives(now), "a spent token lives");
    assert!(entry.expires.is_none_or(|end| entry.lives(now) <= (now < end)), "an expired token lives");
    assert_eq!(known.identity.policies, entry.policies);
    let _ = (entry.left(now), entry.is_root());
    if let Ok(life) = ttl::life(TokenConfig::default(), terms(entry), entry.issued, now) {
        assert!(life.expires >= now, "a renewal ends in the past");
    }
    entry.to_json().ok()
}

fn terms(entry: &Entry) -> Terms {
    let seconds = std::time::Duration::from_secs;
    Terms {
        increment: seconds(entry.creation_ttl),
        ttl: seconds(entry.ttl),
        period: seconds(entry.period),
        explicit_max: seconds(entry.explicit_max_ttl),
    }
}

/// Whether this is the body of a batch token under this key.
#[must_use]
pub fn is_batch(key: &Secret, body: &[u8]) -> bool {
    matches!(batch::open(key, body), Ok(Some(_)))
}

/// The digest in a storage key, written again; none when there is none.
#[must_use]
pub fn digest(hex: &str) -> Option<String> {
    let digest = Digest::parse(hex)?;
    assert!(Digest::of_key(&keys::id(digest)) == digest, "a key does not name its digest");
    Some(digest.to_string())
}
