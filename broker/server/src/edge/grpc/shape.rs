//! What the native door knows of an answer, as fields of messages.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost_types::Timestamp;
use serde::de::DeserializeOwned;
use warder_core::{
    error::Error,
    identity, json,
    request::{Answer, Auth, Fields, LeaseShown, Reply as Answered},
    secret::Secret,
};
use warder_proto::v1::{IssuedToken, SecretLease, SecretVersion, Token, TokenKind};
use zeroize::Zeroizing;

use super::super::{
    problem::Refusal,
    rest::{MAX_PAGE, absent, secrets::document, shape::Known, token},
};

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

/// An RFC 3339 time.
pub(super) fn moment(text: Option<&str>) -> Option<Timestamp> {
    text?.parse().ok()
}

/// A number between bounds.
pub(super) fn within(field: &'static str, number: u64, least: u64, most: u64) -> Result<u64, Error> {
    let words = || format!("expected a whole number from {least} to {most}");
    if (least..=most).contains(&number) { Ok(number) } else { Err(Error::invalid(field, words())) }
}

/// `after` and `limit` of a listing, as fields.
pub(super) fn page(after: Option<&str>, limit: Option<u32>, fields: &mut Fields) -> Result<Option<u64>, Error> {
    let limit = limit.map(|limit| within("limit", limit.into(), 1, MAX_PAGE)).transpose()?;
    if let Some(limit) = limit {
        fields.set("limit", limit.to_string());
    }
    if let Some(after) = after {
        fields.set_string("after", after);
    }
    Ok(limit)
}

/// Names of a page, and `after` of the next one when this one was full.
pub(super) fn names(keys: &[String], limit: Option<u64>) -> (Vec<String>, Option<String>) {
    let full = limit.is_some_and(|limit| keys.len() as u64 >= limit);
    (keys.to_vec(), keys.last().filter(|_| full).cloned())
}

/// A JSON object of texts that are no secrets.
pub(super) fn object(texts: &BTreeMap<String, String>) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(texts).map_err(Error::internal)
}

/// The names of an answer that must have some.
pub(super) fn listed(answered: &Answered) -> Result<&[String], Refusal> {
    match &answered.answer {
        Answer::Names { keys } => Ok(keys),
        _ => Err(absent()),
    }
}

/// A document without secrets, taken apart.
pub(super) fn typed<T: DeserializeOwned>(answered: &Answered) -> Result<T, Refusal> {
    Ok(serde_json::from_slice(document(answered)?.expose()).map_err(Error::internal)?)
}

/// A token out of a lookup.
pub(super) fn token(answered: &Answered) -> Result<Token, Refusal> {
    let shown = token::shown(document(answered)?)?;
    Ok(Token {
        accessor: shown.accessor,
        kind: kind(shown.kind).into(),
        display_name: shown.display_name,
        policies: shown.policies,
        entity_id: shown.entity_id,
        metadata: shown.metadata,
        path: shown.path,
        created_at: moment(Some(&shown.created_at)),
        expires_at: moment(shown.expires_at.as_deref()),
        renewed_at: moment(shown.renewed_at.as_deref()),
        ttl_seconds: shown.ttl_seconds,
        creation_ttl_seconds: shown.creation_ttl_seconds,
        explicit_max_ttl_seconds: shown.explicit_max_ttl_seconds,
        period_seconds: shown.period_seconds,
        renewable: shown.renewable,
        orphan: shown.orphan,
        num_uses: shown.num_uses,
    })
}

const fn kind(kind: identity::TokenKind) -> TokenKind {
    match kind {
        identity::TokenKind::Batch => TokenKind::Batch,
        identity::TokenKind::Service => TokenKind::Service,
    }
}

/// A token that was issued, or renewed: then without its text.
pub(super) fn issued(auth: &Auth, with_token: bool) -> IssuedToken {
    let token = auth.token.expose_str().filter(|_| with_token).unwrap_or_default();
    IssuedToken {
        token: token.to_owned(),
        accessor: auth.accessor.clone(),
        policies: auth.policies.clone(),
        ttl_seconds: auth.ttl.as_secs(),
        renewable: auth.renewable,
        entity_id: auth.entity_id.clone(),
        metadata: auth.metadata.clone(),
    }
}

/// A lease that was issued or renewed.
pub(super) fn lease(lease: &LeaseShown) -> SecretLease {
    SecretLease {
        lease_id: lease.id.clone(),
        ttl_seconds: lease.ttl.as_secs(),
        renewable: lease.renewable,
        expires_at: moment(Some(&lease.expires.rfc3339())),
    }
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
