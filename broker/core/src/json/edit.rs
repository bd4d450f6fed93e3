//! Building new text out of spans: splice, merge, shape, compose.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use super::{JsonError, Kind, elements, kind, members, pointer::index, split_pointer};
use crate::secret::Secret;

/// JSON text to put where a pointer names a `null`.
#[derive(Clone, Copy, Debug)]
pub struct Splice<'a> {
    /// RFC 6901; empty for the whole document.
    pub pointer: &'a str,
    /// Checked JSON text.
    pub text: &'a str,
}

/// `text` with every splice in its place. Each pointer must name a `null`.
///
/// # Errors
/// [`JsonError::Pointer`] when a pointer names nothing, or something that is not `null`.
///
/// ```
/// use warder_core::json::{Splice, splice};
/// let out = splice(r#"{"data":null,"v":1}"#, &[Splice { pointer: "/data", text: r#"{"k":"s"}"# }]).unwrap();
/// assert!(out.ct_eq(br#"{"data":{"k":"s"},"v":1}"#));
/// ```
pub fn splice(text: &str, splices: &[Splice<'_>]) -> Result<Secret, JsonError> {
    let mut pending = Vec::with_capacity(splices.len());
    for splice in splices {
        pending.push((split_pointer(splice.pointer)?, splice.text));
    }
    let room = text.len() + splices.iter().map(|s| s.text.len()).sum::<usize>();
    let mut out = Vec::with_capacity(room);
    let views: Vec<(&[String], &str)> = pending.iter().map(|(p, t)| (p.as_slice(), *t)).collect();
    splice_into(&mut out, text.trim(), &views)?;
    Ok(Secret::new(out))
}

fn splice_into(out: &mut Vec<u8>, text: &str, splices: &[(&[String], &str)]) -> Result<(), JsonError> {
    match splices {
        [] => out.extend_from_slice(text.as_bytes()),
        [([], new)] if kind(text) == Kind::Null => out.extend_from_slice(new.as_bytes()),
        _ if splices.iter().any(|(path, _)| path.is_empty()) => return Err(JsonError::Pointer),
        _ => match kind(text) {
            Kind::Object => {
                let parts = members(text)?;
                let names: HashSet<&str> = parts.iter().map(|(name, _)| &**name).collect();
                all_named(splices, |token| names.contains(token))?;
                joined(out, b"{", b"}", parts.iter(), |out, (name, raw)| {
                    write_string(out, name);
                    out.push(b':');
                    splice_into(out, raw, &below(splices, name))
                })?;
            }
            Kind::Array => {
                let parts = elements(text)?;
                all_named(splices, |token| index(token).is_some_and(|i| i < parts.len()))?;
                joined(out, b"[", b"]", parts.iter().enumerate(), |out, (i, raw)| {
                    splice_into(out, raw, &below(splices, &i.to_string()))
                })?;
            }
            _ => return Err(JsonError::Pointer),
        },
    }
    Ok(())
}

fn all_named(splices: &[(&[String], &str)], known: impl Fn(&str) -> bool) -> Result<(), JsonError> {
    if splices.iter().all(|(path, _)| known(&path[0])) { Ok(()) } else { Err(JsonError::Pointer) }
}

fn below<'a>(splices: &[(&'a [String], &'a str)], name: &str) -> Vec<(&'a [String], &'a str)> {
    splices.iter().filter(|(path, _)| path[0] == name).map(|(path, text)| (&path[1..], *text)).collect()
}

/// RFC 7396: `patch` applied to `target`.
///
/// # Errors
/// [`JsonError::Malformed`] when either text was not checked before.
///
/// ```
/// use warder_core::json::merge_patch;
/// let out = merge_patch(r#"{"a":1,"b":{"c":2}}"#, r#"{"a":null,"b":{"d":3}}"#).unwrap();
/// assert!(out.ct_eq(br#"{"b":{"c":2,"d":3}}"#));
/// ```
pub fn merge_patch(target: &str, patch: &str) -> Result<Secret, JsonError> {
    let mut out = Vec::with_capacity(target.len() + patch.len());
    merge_into(&mut out, Some(target.trim()), patch.trim())?;
    Ok(Secret::new(out))
}

fn merge_into(out: &mut Vec<u8>, target: Option<&str>, patch: &str) -> Result<(), JsonError> {
    if kind(patch) != Kind::Object {
        out.extend_from_slice(patch.as_bytes());
        return Ok(());
    }
    let changes = members(patch)?;
    let old = match target {
        Some(text) if kind(text) == Kind::Object => members(text)?,
        _ => Vec::new(),
    };
    let change_of: HashMap<&str, &str> = changes.iter().map(|(name, text)| (&**name, *text)).collect();
    let had: HashSet<&str> = old.iter().map(|(name, _)| &**name).collect();
    let kept = old.iter().filter_map(|(name, raw)| match change_of.get(&**name) {
        Some(change) if kind(change) == Kind::Null => None,
        change => Some((name, Some(*raw), change.copied())),
    });
    let added = changes
        .iter()
        .filter(|(name, change)| kind(change) != Kind::Null && !had.contains(&**name))
        .map(|(name, change)| (name, None, Some(*change)));
    joined(out, b"{", b"}", kept.chain(added), |out, (name, raw, change)| {
        write_string(out, name);
        out.push(b':');
        match change {
            Some(change) => merge_into(out, raw, change),
            None => {
                out.extend_from_slice(raw.unwrap_or("null").as_bytes());
                Ok(())
            }
        }
    })
}

/// The structure with every leaf `null`; objects below `depth` levels become `null` too.
/// Zero means no limit. Arrays are leaves, as in KV's subkeys.
///
/// # Errors
/// [`JsonError::Malformed`] when the text was not checked before.
pub fn shape(text: &str, depth: u32) -> Result<String, JsonError> {
    let mut out = Vec::new();
    shape_into(&mut out, text.trim(), if depth == 0 { u32::MAX } else { depth })?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn shape_into(out: &mut Vec<u8>, text: &str, depth: u32) -> Result<(), JsonError> {
    let parts = if kind(text) == Kind::Object && depth > 0 { members(text)? } else { Vec::new() };
    if parts.is_empty() {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    joined(out, b"{", b"}", parts.iter(), |out, (name, raw)| {
        write_string(out, name);
        out.push(b':');
        shape_into(out, raw, depth - 1)
    })
}

/// An object out of members, each value being checked JSON text.
#[must_use]
pub fn compose<'a>(parts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Secret {
    let parts: Vec<(&str, &str)> = parts.into_iter().collect();
    // Sized once: a buffer that grows leaves copies behind that nobody zeroizes.
    let room = parts.iter().map(|(name, text)| string_room(name) + text.len() + 2).sum::<usize>();
    let mut out = Vec::with_capacity(room.saturating_sub(1) + 2);
    let written = joined(&mut out, b"{", b"}", parts.into_iter(), |out, (name, text)| {
        write_string(out, name);
        out.push(b':');
        out.extend_from_slice(text.as_bytes());
        Ok(())
    });
    debug_assert!(written.is_ok(), "the closure has no error");
    Secret::new(out)
}

/// `text` as a JSON string, in a buffer that was sized once.
#[must_use]
pub fn string_text(text: &str) -> Secret {
    let mut out = Vec::with_capacity(string_room(text));
    write_string(&mut out, text);
    Secret::new(out)
}

/// Bytes that [`write_string`] writes: exact for text without escapes, else enough.
fn string_room(text: &str) -> usize {
    let escapes = text.bytes().filter(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).count();
    text.len() + 5 * escapes + 2
}

/// `text` with every leaf (string, number, boolean; not null) replaced by what `replace` writes.
///
/// # Errors
/// [`JsonError::Malformed`] when the text was not checked before.
pub fn leaves(text: &str, replace: &mut dyn FnMut(&mut Vec<u8>, &str)) -> Result<String, JsonError> {
    let mut out = Vec::with_capacity(text.len() * 2);
    leaves_into(&mut out, text.trim(), replace)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn leaves_into(out: &mut Vec<u8>, text: &str, replace: &mut dyn FnMut(&mut Vec<u8>, &str)) -> Result<(), JsonError> {
    match kind(text) {
        Kind::Object => joined(out, b"{", b"}", members(text)?.iter(), |out, (name, raw)| {
            write_string(out, name);
            out.push(b':');
            leaves_into(out, raw, replace)
        }),
        Kind::Array => joined(out, b"[", b"]", elements(text)?.into_iter(), |out, raw| leaves_into(out, raw, replace)),
        Kind::Null => {
            out.extend_from_slice(b"null");
            Ok(())
        }
        _ => {
            replace(out, text);
            Ok(())
        }
    }
}

fn joined<T>(
    out: &mut Vec<u8>,
    open: &[u8],
    close: &[u8],
    parts: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    out.extend_from_slice(open);
    for (i, part) in parts.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write(out, part)?;
    }
    out.extend_from_slice(close);
    Ok(())
}

/// Writes `text` as a JSON string, quotes included.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut from = 0;
    for (i, byte) in text.bytes().enumerate() {
        let escape: Cow<'static, str> = match byte {
            b'"' => "\\\"".into(),
            b'\\' => "\\\\".into(),
            b'\n' => "\\n".into(),
            b'\r' => "\\r".into(),
            b'\t' => "\\t".into(),
            0x08 => "\\b".into(),
            0x0c => "\\f".into(),
            0..0x20 => format!("\\u{byte:04x}").into(),
            _ => continue,
        };
        out.extend_from_slice(&text.as_bytes()[from..i]);
        out.extend_from_slice(escape.as_bytes());
        from = i + 1;
    }
    out.extend_from_slice(&text.as_bytes()[from..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 50,000 members: quadratic work would take minutes.
    #[test]
    fn merging_wide_objects_is_linear() {
        let wide = |value: u32| {
            let members: Vec<String> = (0..50_000).map(|i| format!("\"k{i}\":{value}")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert_eq!(merged(&wide(1), &wide(2)), wide(2));
    }

    fn merged(target: &str, patch: &str) -> String {
        String::from_utf8(merge_patch(target, patch).unwrap().expose().to_vec()).unwrap()
    }

    /// The table of RFC 7396, appendix A (order of members as we write them).
    #[test]
    fn merge_follows_the_rfc_table() {
        for (target, patch, result) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
            (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
            (r#"{"a":"foo"}"#, "null", "null"),
            (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ] {
            assert_eq!(merged(target, patch), result, "{target} + {patch}");
        }
    }

    #[test]
    fn splicing_into_anything_but_null_is_refused() {
        let text = r#"{"a":1,"b":[null]}"#;
        // Found by fuzzing: `/b/00` was taken for an element and then put nowhere.
        for pointer in ["/a", "/c", "", "/b", "/b/1", "/b/00", "/b/+0", "b"] {
            assert_eq!(splice(text, &[Splice { pointer, text: "2" }]).err(), Some(JsonError::Pointer), "{pointer}");
        }
        assert!(splice(text, &[Splice { pointer: "/b/0", text: "2" }]).unwrap().ct_eq(br#"{"a":1,"b":[2]}"#));
    }

    #[test]
    fn shape_nulls_leaves_and_stops_at_depth() {
        assert_eq!(shape(r#"{"a":{"b":{"c":1}},"d":[1]}"#, 0).unwrap(), r#"{"a":{"b":{"c":null}},"d":null}"#);
        assert_eq!(shape(r#"{"a":{"b":{"c":1}}}"#, 1).unwrap(), r#"{"a":null}"#);
    }

    #[test]
    fn strings_are_escaped_so_that_they_parse_back() {
        let text = "q\" b\\ n\n t\t nul\u{0} \u{1f} \u{1f512}";
        let mut out = Vec::new();
        write_string(&mut out, text);
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
    }
}
