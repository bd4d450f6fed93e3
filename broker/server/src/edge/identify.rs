//! What a request says of itself in its headers: id, credential, namespace.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, Version, header};
use warder_core::{
    error::{Error, ErrorKind},
    request::Door,
    secret::Secret,
};

use super::ids::Ids;

/// Longest `X-Request-Id` that is taken over.
const MAX_ID_BYTES: usize = 128;
/// Longest token that is looked at.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const VAULT_TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACES: [HeaderName; 2] =
    [HeaderName::from_static("x-warder-namespace"), HeaderName::from_static("x-vault-namespace")];
const WRAP_TTL: HeaderName = HeaderName::from_static("x-vault-wrap-ttl");

/// The caller's request id when it is short and plain, else a random UUID (version 4).
pub(crate) fn request_id(headers: &HeaderMap, ids: &Ids) -> Arc<str> {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(|text| plain(text));
    given.map_or_else(|| ids.fresh().into(), Arc::from)
}

fn plain(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'/' | b'=' | b'+');
    !text.is_empty() && text.len() <= MAX_ID_BYTES && text.bytes().all(allowed)
}

/// The token, from `Authorization: Bearer` or `X-Vault-Token`.
///
/// # Errors
/// `invalid_request` when both are there and differ, one is repeated, too long, or of another
/// scheme (`/v1` ignores other schemes, as Vault does).
pub(crate) fn credential(headers: &HeaderMap, door: Door) -> Result<Option<Secret>, Error> {
    let bearer = match single(headers, &header::AUTHORIZATION)? {
        Some(value) => bearer(value, door)?,
        None => None,
    };
    let vault = single(headers, &VAULT_TOKEN)?.map(|value| token("X-Vault-Token", value)).transpose()?.flatten();
    match (bearer, vault) {
        (Some(a), Some(b)) if !a.ct_eq(b.expose()) => {
            Err(Error::invalid("Authorization", "Authorization and X-Vault-Token carry different tokens: send one"))
        }
        (a, b) => Ok(a.or(b)),
    }
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, Error> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Error::invalid(name.as_str(), "this header is given twice"));
    }
    Ok(first.map(http::HeaderValue::as_bytes))
}

fn bearer(value: &[u8], door: Door) -> Result<Option<Secret>, Error> {
    match value.split_at_checked(7) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(b"bearer ") => token("Authorization", rest),
        _ if door == Door::Vault => Ok(None),
        _ => Err(Error::invalid("Authorization", "expected `Bearer <token>`")),
    }
}

fn token(field: &'static str, value: &[u8]) -> Result<Option<Secret>, Error> {
    let value = value.trim_ascii();
    if value.len() > MAX_TOKEN_BYTES {
        return Err(Error::invalid(field, format!("a token is at most {MAX_TOKEN_BYTES} bytes")));
    }
    if !value.iter().all(u8::is_ascii_graphic) {
        return Err(Error::invalid(field, "a token has printable ASCII characters only"));
    }
    Ok((!value.is_empty()).then(|| Secret::from(value)))
}

/// Refuses an HTTP/1.1 request that does not name exactly one host (RFC 9112, section 3.2): proxies
/// on the way might have read another one.
///
/// # Errors
/// `invalid_request` at `Host`.
pub(crate) fn host(version: Version, headers: &HeaderMap) -> Result<(), Error> {
    if version == Version::HTTP_11 && headers.get_all(header::HOST).iter().count() != 1 {
        return Err(Error::invalid("Host", "expected exactly one Host header"));
    }
    Ok(())
}

/// Refuses what this version cannot honour and must not ignore.
///
/// # Errors
/// `invalid_request` for another namespace than root and for response wrapping.
pub(crate) fn honourable(headers: &HeaderMap) -> Result<(), Error> {
    for name in &NAMESPACES {
        let root = |value: &http::HeaderValue| matches!(value.as_bytes(), b"" | b"/" | b"root" | b"root/");
        if headers.get_all(name).iter().any(|value| !root(value)) {
            return Err(Error::invalid(name.as_str(), "there is no such namespace: only root exists"));
        }
    }
    if headers.get(WRAP_TTL).is_some_and(|value| !matches!(value.as_bytes(), b"" | b"0" | b"0s")) {
        return Err(Error::new(ErrorKind::InvalidRequest, "response wrapping is not offered").at("X-Vault-Wrap-TTL"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    #[test]
    fn a_token_comes_from_either_header_but_not_from_two_that_differ() {
        for (pairs, expected) in [
            (&[][..], Ok(None)),
            (&[("authorization", "Bearer abc")], Ok(Some("abc"))),
            (&[("authorization", "bearer  abc ")], Ok(Some("abc"))),
            (&[("x-vault-token", "abc")], Ok(Some("abc"))),
            (&[("authorization", "Bearer abc"), ("x-vault-token", "abc")], Ok(Some("abc"))),
            (&[("authorization", "Bearer abc"), ("x-vault-token", "abd")], Err("Authorization")),
            (&[("authorization", "Basic abc")], Err("Authorization")),
            (&[("authorization", "Bearer a"), ("authorization", "Bearer b")], Err("authorization")),
            (&[("x-vault-token", "a b")], Err("X-Vault-Token")),
        ] {
            match (credential(&headers(pairs), Door::Native), expected) {
                (Ok(got), Ok(want)) => assert_eq!(got.as_ref().and_then(|t| t.expose_str()), want, "{pairs:?}"),
                (Err(error), Err(field)) => assert_eq!(error.field.as_deref(), Some(field), "{pairs:?}"),
                (got, want) => panic!("{pairs:?}: {got:?} is not {want:?}"),
            }
        }
        assert!(credential(&headers(&[("authorization", "Basic abc")]), Door::Vault).unwrap().is_none());
    }

    #[test]
    fn odd_request_ids_are_replaced() {
        let random = Ids::new();
        assert_eq!(request_id(&headers(&[("x-request-id", "abc-1")]), &random).as_ref(), "abc-1");
        for bad in ["", "a b", "a\"b", &"a".repeat(129)] {
            let id = request_id(&headers(&[("x-request-id", bad)]), &random);
            assert_eq!((id.len(), id.as_bytes()[14]), (36, b'4'), "{bad:?} -> {id}");
        }
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        assert!(honourable(&headers(&[("x-vault-namespace", "root")])).is_ok());
        assert!(honourable(&headers(&[("x-warder-namespace", "team")])).is_err());
        assert!(honourable(&headers(&[("x-vault-wrap-ttl", "60")])).is_err());
    }
}
