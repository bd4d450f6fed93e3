//! What comes over the wire, decoder by decoder. First byte `h`: headers. `q`: a query. `v`:
//! versions, shares and timeouts. `d`: a plugin's document.
//!
//! Nothing is accepted that means two things: what is decoded has no escape, no separator and no
//! dot segment that a later reader could see differently.

use warder::edge::fuzzing;
use warder_core::{json, path::Path, request::Fields, secret::Secret};

use crate::parts;

/// Feeds one input.
pub fn run(mut data: &[u8]) {
    match parts::byte(&mut data) {
        b'h' => headers(data),
        b'q' => query(data),
        b'v' => words(data),
        b'd' => document(data),
        _ => {}
    }
}

/// A raw path and its route.
pub(crate) fn paths(mut data: &[u8]) {
    let Some(raw) = parts::text(&mut data) else { return };
    let raw = format!("/{raw}");
    let Ok(path) = fuzzing::path(&raw) else { return };
    assert!(path.starts_with('/') && !path.contains("//") && !path.chars().any(char::is_control), "{path:?}");
    assert!(!path.split('/').any(|segment| matches!(segment, "." | "..")), "{path:?}");
    assert_eq!(path.matches('/').count(), raw.matches('/').count(), "an escape made a separator");
    let escaped: String =
        path.bytes().map(|byte| if byte == b'/' { "/".to_owned() } else { format!("%{byte:02x}") }).collect();
    if escaped.len() <= 3 * 1024 {
        assert_eq!(fuzzing::path(&escaped).ok().as_deref(), Some(path.as_str()), "{raw}");
    }
    for method in ["GET", "PUT", "LIST", "HEAD"] {
        let Some((pattern, capture)) = fuzzing::route(method, &path) else { continue };
        assert!(pattern.contains('{') != capture.is_empty(), "{pattern} took {capture:?} of {path:?}");
        assert!(path.contains(&capture));
        if let Ok(parsed) = Path::parse(&capture) {
            assert_eq!(parsed.as_str(), capture);
        }
    }
}

fn query(data: &[u8]) {
    let Ok(raw) = std::str::from_utf8(data) else { return };
    let Ok((pairs, fields)) = fuzzing::query(raw) else { return };
    assert!(pairs.len() <= 64);
    let written = fields.to_json();
    let read = Fields::from_json(written.expose()).expect("a query's fields are JSON");
    assert!(read.to_json().ct_eq(written.expose()));
    let again: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
    assert_eq!(fuzzing::query(&again.join("&")).expect("an escaped query").0, pairs, "{raw}");
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Lines of `name: value`.
fn headers(data: &[u8]) {
    let pairs = data.split(|byte| *byte == b'\n').filter_map(|line| {
        let at = line.iter().position(|byte| *byte == b':')?;
        Some((std::str::from_utf8(&line[..at]).ok()?, line[at + 1..].trim_ascii()))
    });
    let said = fuzzing::headers(pairs);
    assert!((1..=128).contains(&said.id.len()) && said.id.is_ascii());
    assert!(said.trace.is_none_or(|trace| trace.len() == 32 && trace.bytes().all(|byte| byte.is_ascii_hexdigit())));
    if let Ok(Some(token)) = said.token {
        assert!((1..=8192).contains(&token.len()) && token.expose().iter().all(u8::is_ascii_graphic));
    }
    assert!(
        said.expected.is_err()
            || said.expected.is_ok_and(|version| version.is_none_or(|version| version < 10_000_000_000))
    );
}

fn words(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(list) = fuzzing::versions(text) {
        assert_eq!(fuzzing::version_list(&list).expect("a list of versions"), list);
    }
    if let Ok(list) = json::check(data).map(fuzzing::version_list)
        && let Ok(list) = list
    {
        assert_eq!(fuzzing::version_list(&list).expect("a list of versions"), list);
    }
    if let Ok(share) = fuzzing::share(&Secret::from(text)) {
        assert!(share.len() <= 384);
        let hex: String = share.expose().iter().map(|byte| format!("{byte:02x}")).collect();
        if !hex.is_empty() && hex.len() <= 512 {
            assert!(fuzzing::share(&Secret::from(hex)).is_ok_and(|again| again.ct_eq(share.expose())));
        }
    }
    assert!(fuzzing::timeout(text).is_none_or(|_| text.len() <= 9));
}

fn document(data: &[u8]) {
    if json::check(data).is_ok() {
        fuzzing::known(&Secret::from(data));
    }
}
