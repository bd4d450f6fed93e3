//! What the native door knows of an answer, as fields of messages.

use bytes::Bytes;
use prost_types::Timestamp;
use warder_core::{error::Error, json, secret::Secret};
use warder_proto::v1::SecretVersion;
use zeroize::Zeroizing;

use super::super::{problem::Refusal, rest::shape::Known};

/// Text for a message; overwritten when the message is gone.
pub(super) fn held(text: &str) -> Bytes {
    Bytes::from_owner(Zeroizing::new(text.as_bytes().to_vec()))
}

/// A version's number, where it is one.
pub(in crate::edge) fn number(text: Option<&str>) -> Option<u64> {
    text?.trim_matches('"').parse().ok()
}

/// A JSON string with an RFC 3339 time.
pub(in crate::edge) fn time(text: Option<&str>) -> Option<Timestamp> {
    json::string(text?).ok()?.parse().ok()
}

/// Versions, oldest first, and the current one, of a document about a secret.
pub(in crate::edge) fn versions(document: &Secret) -> Result<(Vec<SecretVersion>, Option<u64>), Refusal> {
    let text = document.expose_str().ok_or_else(|| Error::internal("an answer is not UTF-8"))?;
    let (mut found, mut current) = (Vec::new(), None);
    for (name, text) in json::members(text).map_err(Error::internal)? {
        match &*name {
            "current_version" => current = number(Some(text)),
            "versions" if json::kind(text) == json::Kind::Object => {
                for (version, about) in json::members(text).map_err(Error::internal)? {
                    found.extend(one(&version, about)?);
                }
            }
            _ => {}
        }
    }
    found.sort_by_key(|version| version.version);
    Ok((found, current))
}

fn one(name: &str, about: &str) -> Result<Option<SecretVersion>, Error> {
    let Some(version) = number(Some(name)) else { return Ok(None) };
    let known = Known::of(about)?;
    Ok(Some(SecretVersion {
        version,
        created_at: time(known.created_at),
        deleted_at: time(known.deletion_time),
        destroyed: known.destroyed == Some("true"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_oldest_first_with_what_is_known() {
        let document = Secret::from(
            r#"{"current_version":10,"versions":{
                "10":{"created_time":"2026-11-22T03:36:50.5Z","deletion_time":"","destroyed":false},
                "9":{"created_time":"2026-11-22T03:36:49Z","deletion_time":"2026-11-22T03:36:51Z","destroyed":true},
                "odd":{}}}"#,
        );
        let (versions, current) = versions(&document).unwrap();
        let numbers: Vec<_> = versions.iter().map(|v| (v.version, v.destroyed, v.deleted_at.is_some())).collect();
        assert_eq!((numbers, current), (vec![(9, true, true), (10, false, false)], Some(10)));
        assert_eq!(versions[1].created_at.unwrap().nanos, 500_000_000);
    }

    #[test]
    fn what_is_no_number_or_time_is_absent() {
        assert_eq!((number(Some("\"7\"")), number(Some("\"v7\"")), number(None)), (Some(7), None, None));
        assert!(time(Some("\"soon\"")).is_none() && time(Some("3")).is_none() && time(None).is_none());
    }
}
