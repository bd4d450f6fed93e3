//! One pass over foreign text: well-formed, bounded depth, no duplicate names.

use std::{collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::{JsonError, malformed};

/// Deepest nesting of arrays and objects.
pub const MAX_DEPTH: usize = 64;

/// What no member name may begin with: in a tree of values `serde_json` reads such an object as the
/// text inside of it, so a policy and the broker would see two different values.
pub const RESERVED_NAMES: &str = "$serde_json::private::";

/// Accepts exactly one RFC 8259 value with unique member names, nested at most [`MAX_DEPTH`] deep.
///
/// # Errors
/// [`JsonError::Malformed`], [`JsonError::TooDeep`], [`JsonError::Duplicate`] or [`JsonError::Reserved`].
///
/// ```
/// use warder_core::json::{JsonError, check};
/// assert_eq!(check(br#"{"a":1,"a":2}"#).unwrap_err(), JsonError::Duplicate);
/// assert_eq!(check(b"{\"a\":").unwrap_err().to_string(), "malformed JSON at line 1 column 5");
/// ```
pub fn check(text: &[u8]) -> Result<&str, JsonError> {
    let text = std::str::from_utf8(text).map_err(|e| position(text, e.valid_up_to()))?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Depth(MAX_DEPTH).deserialize(&mut deserializer).and_then(|()| deserializer.end()).map_err(|e| refused(&e))?;
    Ok(text)
}

const TOO_DEEP: &str = "\u{1}depth";
const DUPLICATE: &str = "\u{1}duplicate";
const RESERVED: &str = "\u{1}reserved";

fn refused(error: &serde_json::Error) -> JsonError {
    let text = error.to_string();
    if text.starts_with(TOO_DEEP) {
        JsonError::TooDeep
    } else if text.starts_with(DUPLICATE) {
        JsonError::Duplicate
    } else if text.starts_with(RESERVED) {
        JsonError::Reserved
    } else {
        malformed(error)
    }
}

fn position(text: &[u8], at: usize) -> JsonError {
    let before = &text[..at];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
    JsonError::Malformed { line, column }
}

#[derive(Clone, Copy)]
struct Depth(usize);

impl<'de> DeserializeSeed<'de> for Depth {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Depth {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        self.0.checked_sub(1).map(Self).ok_or_else(|| E::custom(TOO_DEEP))
    }
}

impl<'de> Visitor<'de> for Depth {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while seq.next_element_seed(inner)?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let mut names = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if name.starts_with(RESERVED_NAMES) {
                return Err(A::Error::custom(RESERVED));
            }
            if !names.insert(name) {
                return Err(A::Error::custom(DUPLICATE));
            }
            map.next_value_seed(inner)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_in_both_kinds() {
        let ok = format!("{}{}", "[".repeat(64), "]".repeat(64));
        let deep = format!("{}1{}", "{\"a\":".repeat(65), "}".repeat(65));
        assert!(check(ok.as_bytes()).is_ok());
        assert_eq!(check(deep.as_bytes()), Err(JsonError::TooDeep));
    }

    /// Found by fuzzing: `serde_json` with raw values reads such an object as what its text says,
    /// so a token's `policies` could be one thing to a policy's parameters and another to the broker.
    #[test]
    fn names_that_the_parser_keeps_for_itself_are_refused() {
        for name in ["$serde_json::private::RawValue", "\\u0024serde_json::private::RawValue"] {
            let text = format!("{{\"policies\":{{\"{name}\":\"[\\\"root\\\"]\"}}}}");
            assert_eq!(check(text.as_bytes()), Err(JsonError::Reserved), "{text}");
        }
    }

    #[test]
    fn bad_text_is_refused_with_its_place() {
        assert_eq!(check(b"{\"a\":\xff}"), Err(JsonError::Malformed { line: 1, column: 6 }));
        for text in [&b""[..], b"{", b"{} x", b"{'a':1}", b"[1,]", b"NaN", b"01"] {
            assert!(matches!(check(text), Err(JsonError::Malformed { .. })), "{text:?}");
        }
    }
}
