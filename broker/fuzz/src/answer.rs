//! What a plugin hands the host while it runs. First byte `a`: an answer with sealed values. `e`:
//! an error. `k`: a stored key. `m`: key material. `r`: a stored record. `s`: a storage key. Else
//! an encoding, and text or bytes in it.
//!
//! An answer that is taken is JSON with every value where it was declared; what a caller reads of
//! an error is bounded and printable; records and encodings read back the same.

use warder_core::{
    broker, json,
    port::backend::PluginAnswer,
    request::Answer,
    sealed::{Form, SealedValue},
    secret::Secret,
};
use warder_runtime::fuzzing;

use crate::parts;

/// Feeds one input.
pub fn run(mut data: &[u8]) {
    match parts::byte(&mut data) {
        b'a' => answer(data),
        b'e' => refusal(data),
        b'k' => again(data, fuzzing::key_record(data)),
        b'm' => _ = fuzzing::is_key_material(data),
        b'r' => again(data, fuzzing::store_record(data)),
        b's' => key(data),
        encoding => encoded(encoding, data),
    }
}

/// The document, then for each value a form, its pointer and its bytes.
fn answer(mut data: &[u8]) {
    let Some(text) = parts::text(&mut data) else { return };
    let mut secrets = Vec::new();
    while !data.is_empty() && secrets.len() < 8 {
        let form = [Form::Text, Form::Document, Form::Bytes][usize::from(parts::byte(&mut data)) % 3];
        let Some(pointer) = parts::text(&mut data) else { return };
        let bytes = Secret::from(parts::bytes(&mut data));
        secrets.push((pointer.to_owned(), SealedValue { bytes, form, known: false }));
    }
    let declared = secrets.clone();
    let revealed = broker::fuzzing::reveal(PluginAnswer::Document { data: text.to_owned(), secrets });
    let Ok(Answer::Document(document)) = revealed else { return };
    let document = document.expose_str().expect("an answer is text");
    assert!(serde_json::from_str::<serde::de::IgnoredAny>(document).is_ok(), "{document}");
    for (pointer, value) in declared {
        let found = json::project(document, &pointer).expect("a pointer that was taken").expect("a value in its place");
        match value.form {
            Form::Document => assert!(value.bytes.ct_eq(found.as_bytes()) || found.trim() == found),
            Form::Text => assert!(value.bytes.ct_eq(json::string(found).expect("a string").as_bytes())),
            Form::Bytes => assert_eq!(json::kind(found), json::Kind::String),
        }
    }
}

fn refusal(mut data: &[u8]) {
    let kind = parts::byte(&mut data);
    let (Some(detail), Some(code)) = (parts::text(&mut data), parts::text(&mut data)) else { return };
    let error = fuzzing::refusal(kind, detail, (!code.is_empty()).then_some(code));
    assert!((1..=1024).contains(&error.detail.len()) && !error.detail.chars().any(char::is_control), "{error}");
}

fn again(data: &[u8], written: Option<Secret>) {
    assert!(written.is_none_or(|written| written.ct_eq(data)), "a record is not written as it was read");
}

fn key(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(key) = fuzzing::store_key(text) else { return };
    assert!(
        key.ends_with(text) && !key.contains("//") && !key.split('/').any(|segment| matches!(segment, "" | "." | ".."))
    );
}

fn encoded(encoding: u8, data: &[u8]) {
    let text = fuzzing::encode(encoding, data);
    assert!(text.expose().is_ascii());
    assert!(fuzzing::decode(encoding, text.expose()).is_some_and(|bytes| bytes.ct_eq(data)));
    let Some(bytes) = fuzzing::decode(encoding, data) else { return };
    let again = fuzzing::encode(encoding, bytes.expose());
    assert!(fuzzing::decode(encoding, again.expose()).is_some_and(|twice| twice.ct_eq(bytes.expose())));
}
