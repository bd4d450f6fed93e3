//! RFC 6901 pointers over spans.

use super::{JsonError, Kind, elements, kind, members};

/// The tokens of a pointer, unescaped.
///
/// # Errors
/// [`JsonError::Pointer`] when it is neither empty nor starts with `/`, or has a stray `~`.
pub fn split_pointer(pointer: &str) -> Result<Vec<String>, JsonError> {
    if pointer.is_empty() {
        return Ok(Vec::new());
    }
    let Some(rest) = pointer.strip_prefix('/') else {
        return Err(JsonError::Pointer);
    };
    rest.split('/').map(unescape).collect()
}

/// The span that `pointer` names, or nothing when there is no such member.
///
/// # Errors
/// [`JsonError::Pointer`] for a malformed pointer.
///
/// ```
/// use warder_core::json::project;
/// assert_eq!(project(r#"{"a":{"b":[1,2]}}"#, "/a/b/1").unwrap(), Some("2"));
/// ```
pub fn project<'a>(text: &'a str, pointer: &str) -> Result<Option<&'a str>, JsonError> {
    let mut span = text;
    for token in split_pointer(pointer)? {
        let next = match kind(span) {
            Kind::Object => members(span)?.into_iter().find(|(name, _)| *name == token).map(|(_, raw)| raw),
            Kind::Array => index(&token).and_then(|i| elements(span).ok()?.get(i).copied()),
            _ => None,
        };
        let Some(inner) = next else { return Ok(None) };
        span = inner;
    }
    Ok(Some(span))
}

/// RFC 6901 section 4: digits without a leading zero.
pub(super) fn index(token: &str) -> Option<usize> {
    let plain = token == "0" || !token.starts_with(['0', '+']);
    plain.then(|| token.parse().ok()).flatten()
}

fn unescape(token: &str) -> Result<String, JsonError> {
    let mut plain = String::with_capacity(token.len());
    let mut chars = token.chars();
    while let Some(c) = chars.next() {
        match c {
            '~' => match chars.next() {
                Some('0') => plain.push('~'),
                Some('1') => plain.push('/'),
                _ => return Err(JsonError::Pointer),
            },
            _ => plain.push(c),
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_written_in_one_way() {
        for (token, found) in [("0", Some("1")), ("1", Some("2")), ("01", None), ("+1", None), ("-0", None), ("", None)]
        {
            assert_eq!(project("[1,2]", &format!("/{token}")).unwrap(), found, "{token}");
        }
    }
}
