//! JSON as spans of text: secret documents are cut, joined and merged without ever becoming a
//! tree of loose strings, so every copy of a secret byte is one that we made and zeroize.
//!
//! Invariant: each function takes text that [`check`] accepted, and returns such text.

mod check;
mod edit;
mod pointer;

pub use check::{MAX_DEPTH, RESERVED_NAMES, check};
pub use edit::{Splice, compose, leaves, merge_patch, shape, splice, string_text, write_string};
pub use pointer::{project, split_pointer};

use std::borrow::Cow;

use serde_json::value::RawValue;
use zeroize::Zeroizing;

/// Why JSON text was refused; positions, never content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not RFC 8259 text.
    #[error("malformed JSON at line {line} column {column}")]
    Malformed {
        /// 1-based.
        line: usize,
        /// 1-based.
        column: usize,
    },
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("JSON is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// The same member name twice in one object (RFC 7493, section 2.3).
    #[error("JSON object has a duplicate member name")]
    Duplicate,
    /// A member name that means something else to the parser that typed requests go through.
    #[error("JSON object has a member name that begins with {RESERVED_NAMES}")]
    Reserved,
    /// Another type was needed here.
    #[error("expected a JSON {expected}")]
    Type {
        /// `object`, `string`, ...
        expected: &'static str,
    },
    /// A pointer that names nothing, or is not RFC 6901.
    #[error("JSON pointer does not name a member")]
    Pointer,
}

/// The members of an object, names unescaped, values as spans of `text`.
///
/// # Errors
/// [`JsonError::Type`] when `text` is no object.
pub fn members(text: &str) -> Result<Vec<(Cow<'_, str>, &str)>, JsonError> {
    if kind(text) != Kind::Object {
        return Err(JsonError::Type { expected: "object" });
    }
    serde_json::from_str::<Pairs<'_>>(text)
        .map(|pairs| pairs.0.into_iter().map(|(name, raw)| (name, raw.get())).collect())
        .map_err(|e| malformed(&e))
}

/// The elements of an array, as spans of `text`.
///
/// # Errors
/// [`JsonError::Type`] when `text` is no array.
pub fn elements(text: &str) -> Result<Vec<&str>, JsonError> {
    if kind(text) != Kind::Array {
        return Err(JsonError::Type { expected: "array" });
    }
    serde_json::from_str::<Vec<&RawValue>>(text)
        .map(|raws| raws.into_iter().map(RawValue::get).collect())
        .map_err(|e| malformed(&e))
}

/// The characters of a JSON string.
///
/// # Errors
/// [`JsonError::Type`] when `text` is no string.
pub fn string(text: &str) -> Result<Zeroizing<String>, JsonError> {
    if kind(text) != Kind::String {
        return Err(JsonError::Type { expected: "string" });
    }
    serde_json::from_str::<Cow<'_, str>>(text).map(|cow| Zeroizing::new(cow.into_owned())).map_err(|e| malformed(&e))
}

/// What a JSON text is, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `[`
    Array,
    /// `true`, `false`
    Boolean,
    /// `null`
    Null,
    /// A number.
    Number,
    /// `{`
    Object,
    /// `"`
    String,
}

/// The kind of checked text.
#[must_use]
pub fn kind(text: &str) -> Kind {
    match text.trim_start().as_bytes().first() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b'"') => Kind::String,
        Some(b't' | b'f') => Kind::Boolean,
        Some(b'n') | None => Kind::Null,
        Some(_) => Kind::Number,
    }
}

fn malformed(error: &serde_json::Error) -> JsonError {
    JsonError::Malformed { line: error.line(), column: error.column() }
}

struct Pairs<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<'a>(std::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> serde::de::Visitor<'de> for Visitor<'a> {
            type Value = Pairs<'a>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    pairs.push((name, map.next_value()?));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Visitor(std::marker::PhantomData))
    }
}

/// A member name, borrowed where it has no escapes (plain `Cow` would always copy).
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
