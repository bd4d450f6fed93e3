//! Storage keys of leases.

use crate::clock::Timestamp;

pub(super) const ROOT: &str = "core/lease/";
pub(super) const IDS: &str = "core/lease/id/";
pub(super) const DUE: &str = "core/lease/due/";
pub(super) const PENDING: &str = "core/lease/pending/";
pub(super) const STUCK: &str = "core/lease/stuck/";
pub(super) const ENDED: &str = "core/lease/ended/";

pub(super) fn id(id: &str) -> String {
    format!("{IDS}{id}")
}

/// One name in one folder: time first, so that the folder is the order of what is to be done; then
/// the mount, so that those of a mount that is busy are passed by without being read.
pub(super) fn due(at: Timestamp, mount: &str, suffix: &str) -> String {
    format!("{DUE}{:020}.{mount}.{suffix}", at.0)
}

pub(super) fn pending(suffix: &str) -> String {
    format!("{PENDING}{suffix}")
}

pub(super) fn stuck(suffix: &str) -> String {
    format!("{STUCK}{suffix}")
}

pub(super) fn of_token(digest: &str) -> String {
    format!("{ROOT}token/{digest}/")
}

pub(super) fn token(digest: &str, suffix: &str) -> String {
    format!("{ROOT}token/{digest}/{suffix}")
}

pub(super) fn ended(digest: &str) -> String {
    format!("{ENDED}{digest}")
}

/// The last segment of an id, which no other lease has.
pub(super) fn suffix(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

/// Moment and mount of a name in [`DUE`].
pub(super) fn parse_due(name: &str) -> Option<(Timestamp, &str)> {
    let mut parts = name.splitn(3, '.');
    Some((Timestamp(parts.next()?.parse().ok()?), parts.next()?))
}
