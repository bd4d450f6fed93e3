//! Percent-decoding of paths and queries, once, strictly.
//!
//! Invariant: what leaves here is UTF-8 without `%`-escapes left to interpret, and no escape
//! ever made a separator or a dot segment that a later reader could see differently.

use warder_core::{
    error::Error,
    path::{MAX_PATH_BYTES, MAX_SEGMENTS},
};

/// Longest query string, in bytes as sent.
pub(crate) const MAX_QUERY_BYTES: usize = 8 * 1024;
/// Most parameters in a query.
pub(crate) const MAX_PARAMETERS: usize = 64;
/// What routes may put before a path: `/api/v1/secrets/` and `/versions`, generously.
const ROUTE_BYTES: usize = 64;
const ROUTE_SEGMENTS: usize = 8;

/// Decodes a request's path.
///
/// # Errors
/// `invalid_request` at `path`: a bad escape, an encoded slash, bytes that are no UTF-8, a
/// control character, an empty or dot segment, over a limit.
pub(crate) fn path(raw: &str) -> Result<String, Error> {
    let refuse = |why: String| Error::invalid("path", why);
    if raw.len() > 3 * MAX_PATH_BYTES + ROUTE_BYTES {
        return Err(refuse(format!("path is longer than {MAX_PATH_BYTES} bytes")));
    }
    let bytes = raw.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte != b'%' {
            plain.push(byte);
            at += 1;
            continue;
        }
        let decoded = escape(bytes, at)
            .ok_or_else(|| refuse(format!("bad percent-encoding at byte {at}: expected % and two hex digits")))?;
        if decoded == b'/' {
            return Err(refuse(format!("encoded slash (%2F) at byte {at} is ambiguous: a name cannot hold a slash")));
        }
        plain.push(decoded);
        at += 3;
    }
    let text = String::from_utf8(plain).map_err(|_| refuse("path is not valid UTF-8 after decoding".to_owned()))?;
    well_formed(&text).map_err(refuse)?;
    Ok(text)
}

fn well_formed(text: &str) -> Result<(), String> {
    if text.len() > MAX_PATH_BYTES + ROUTE_BYTES {
        return Err(format!("path is longer than {MAX_PATH_BYTES} bytes"));
    }
    if text.chars().any(char::is_control) {
        return Err("path has a control character".to_owned());
    }
    let body = text.strip_prefix('/').unwrap_or(text);
    let body = body.strip_suffix('/').unwrap_or(body);
    if body.split('/').count() > MAX_SEGMENTS + ROUTE_SEGMENTS {
        return Err(format!("path has more than {MAX_SEGMENTS} segments"));
    }
    let mut segments = body.split('/');
    if text.len() > 1 && segments.clone().any(str::is_empty) {
        return Err("path has an empty segment".to_owned());
    }
    if segments.any(|s| matches!(s, "." | "..")) {
        return Err("path has a '.' or '..' segment".to_owned());
    }
    Ok(())
}

fn escape(bytes: &[u8], at: usize) -> Option<u8> {
    let digit = |i: usize| char::from(*bytes.get(i)?).to_digit(16);
    u8::try_from(digit(at + 1)? * 16 + digit(at + 2)?).ok()
}

/// The parameters of a query, decoded, in the order they came.
#[derive(Clone, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Parses `application/x-www-form-urlencoded` text (WHATWG URL, section 5.1), strictly.
    ///
    /// # Errors
    /// `invalid_request` at `query`; its length is bounded by the caller.
    pub(crate) fn parse(raw: &str) -> Result<Self, Error> {
        let mut pairs = Vec::new();
        for part in raw.split('&').filter(|part| !part.is_empty()) {
            if pairs.len() == MAX_PARAMETERS {
                return Err(Error::invalid("query", format!("more than {MAX_PARAMETERS} parameters")));
            }
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            pairs.push((form(name)?, form(value)?));
        }
        Ok(Self(pairs))
    }

    /// The one value of a parameter.
    ///
    /// # Errors
    /// `invalid_request` when it is given twice.
    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>, Error> {
        let mut found = self.0.iter().filter(|(had, _)| had == name).map(|(_, value)| value.as_str());
        let first = found.next();
        if found.next().is_some() {
            return Err(Error::invalid(name, "this query parameter is given twice"));
        }
        Ok(first)
    }

    /// A parameter that is `true` or `false`; absent is false.
    ///
    /// # Errors
    /// `invalid_request` naming it.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Error> {
        match self.one(name)? {
            None | Some("false" | "0" | "f" | "F" | "FALSE" | "False") => Ok(false),
            Some("true" | "1" | "t" | "T" | "TRUE" | "True") => Ok(true),
            Some(_) => Err(Error::invalid(name, "expected true or false")),
        }
    }

    /// A parameter that is a whole number of at least one.
    ///
    /// # Errors
    /// `invalid_request` naming it.
    pub(crate) fn number(&self, name: &str, most: u64) -> Result<Option<u64>, Error> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        match text.parse::<u64>() {
            Ok(number) if digits && (1..=most).contains(&number) => Ok(Some(number)),
            _ => Err(Error::invalid(name, format!("expected a whole number from 1 to {most}"))),
        }
    }

    /// Refuses parameters that this route does not know.
    ///
    /// # Errors
    /// `invalid_request` naming the first unknown one.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), Error> {
        let Some((name, _)) = self.0.iter().find(|(name, _)| !known.contains(&name.as_str())) else { return Ok(()) };
        let words = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Err(Error::invalid(name.clone(), format!("unknown query parameter; this route takes {words}")))
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

fn form(raw: &str) -> Result<String, Error> {
    let bytes = raw.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'+' => plain.push(b' '),
            b'%' => {
                plain.push(escape(bytes, at).ok_or_else(|| Error::invalid("query", "bad percent-encoding"))?);
                at += 2;
            }
            _ => plain.push(byte),
        }
        at += 1;
    }
    String::from_utf8(plain).map_err(|_| Error::invalid("query", "not valid UTF-8 after decoding"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_paths_are_refused_with_their_reason() {
        let deep = "/a".repeat(41);
        let long = format!("/{}", "a".repeat(1100));
        let longer = format!("/{}", "%41".repeat(1200));
        for (raw, why) in [
            ("/a%", "bad percent-encoding at byte 2"),
            ("/a%4", "bad percent-encoding at byte 2"),
            ("/a%zz", "bad percent-encoding at byte 2"),
            ("/a%2", "bad percent-encoding at byte 2"),
            ("/a%+1", "bad percent-encoding at byte 2"),
            ("/a%2Fb", "encoded slash"),
            ("/a%2fb", "encoded slash"),
            ("/a%c0%afb", "not valid UTF-8"),
            ("/a%ff", "not valid UTF-8"),
            ("/a%00b", "control character"),
            ("/a%0ab", "control character"),
            ("/a%7f", "control character"),
            ("/a//b", "empty segment"),
            // Found by fuzzing.
            ("//", "empty segment"),
            ("//a", "empty segment"),
            ("/a//", "empty segment"),
            ("/a/../b", "'.' or '..'"),
            ("/a/%2e%2E/b", "'.' or '..'"),
            ("/./a", "'.' or '..'"),
            (&*deep, "more than 32 segments"),
            (&*long, "longer than 1024 bytes"),
            (&*longer, "longer than 1024 bytes"),
        ] {
            let error = path(raw).unwrap_err();
            assert_eq!(error.field.as_deref(), Some("path"), "{raw}");
            assert!(error.detail.contains(why), "{raw}: {}", error.detail);
        }
    }

    #[test]
    fn escapes_are_decoded_once() {
        for (raw, plain) in [
            ("/", "/"),
            ("/a/b/", "/a/b/"),
            ("/a%20b", "/a b"),
            ("/gr%C3%BCn", "/gr\u{fc}n"),
            ("/a%252Fb", "/a%2Fb"),
            ("/a+b", "/a+b"),
        ] {
            assert_eq!(path(raw).unwrap(), plain);
        }
    }

    #[test]
    fn queries_name_the_parameter_at_fault() {
        let query = Query::parse("list=maybe&limit=0&after=a&after=b&n=%2B5&s=a+b%26").unwrap();
        assert_eq!(query.flag("list").unwrap_err().field.as_deref(), Some("list"));
        assert_eq!(query.number("limit", 10).unwrap_err().field.as_deref(), Some("limit"));
        assert_eq!(query.one("after").unwrap_err().field.as_deref(), Some("after"));
        assert!(query.number("n", 10).is_err());
        assert_eq!(query.one("s").unwrap(), Some("a b&"));
        assert_eq!(query.only(&["list"]).unwrap_err().field.as_deref(), Some("limit"));
        assert!(Query::parse("a=%2").is_err() && Query::parse("a=%ff").is_err());
        assert!(Query::parse(&"a=1&".repeat(65)).is_err());
    }
}
