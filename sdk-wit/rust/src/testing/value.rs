//! Sealed values in memory, with the labels that the contract keeps: form and known.

use std::{
    collections::hash_map::DefaultHasher,
    fmt::{self, Write},
    hash::{Hash, Hasher},
    rc::Rc,
};

use serde_json::{Map, Value as Json};

use crate::{Encoding, Error, Form, Result};

/// How much a plugin may know of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    /// It had no hand in it.
    Foreign,
    /// It may know every byte.
    Known,
    /// It put the value together from others that are not all known.
    Mixed,
}

impl Origin {
    pub(crate) const fn of_composite(all_known: bool) -> Self {
        if all_known { Self::Known } else { Self::Mixed }
    }
}

#[derive(Clone)]
pub(crate) struct Value {
    bytes: Rc<[u8]>,
    form: Form,
    origin: Origin,
}

/// Shows labels, never bytes: tests print what fails.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value").field("form", &self.form).field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl Value {
    pub(crate) fn new(bytes: Vec<u8>, form: Form, origin: Origin) -> Self {
        Self { bytes: bytes.into(), form, origin }
    }

    pub(crate) fn document(json: &Json, origin: Origin) -> Self {
        Self::new(json.to_string().into_bytes(), Form::Document, origin)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) const fn origin(&self) -> Origin {
        self.origin
    }

    /// As it appears when it leaves.
    pub(crate) fn json(&self) -> Json {
        match self.form {
            Form::Bytes => Json::String(base64(&self.bytes, BASE64, true)),
            Form::Document => self.parsed().unwrap_or_default(),
            Form::Text => Json::String(String::from_utf8_lossy(&self.bytes).into_owned()),
        }
    }

    pub(crate) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub(crate) const fn form(&self) -> Form {
        self.form
    }

    pub(crate) fn duplicate(&self) -> Self {
        self.clone()
    }

    pub(crate) fn encode(&self, encoding: Encoding) -> Result<Self> {
        let text = match encoding {
            Encoding::Base64 => base64(&self.bytes, BASE64, true),
            Encoding::Base64Url => base64(&self.bytes, BASE64_URL, false),
            Encoding::Hex => hex(&self.bytes),
            Encoding::Percent => percent(&self.bytes),
        };
        Ok(Self::new(text.into_bytes(), Form::Text, self.origin))
    }

    pub(crate) fn decode(&self, encoding: Encoding) -> Result<Self> {
        let bytes = match encoding {
            Encoding::Base64 => unbase64(&self.bytes, BASE64),
            Encoding::Base64Url => unbase64(&self.bytes, BASE64_URL),
            Encoding::Hex => unhex(&self.bytes),
            Encoding::Percent => unpercent(&self.bytes),
        };
        let bytes = bytes.ok_or_else(|| Error::invalid("the value is not encoded so"))?;
        Ok(Self::new(bytes, Form::Bytes, self.origin))
    }

    pub(crate) fn fingerprint(&self) -> String {
        assert!(self.origin != Origin::Mixed, "a value put together from secrets has no fingerprint");
        let mut hasher = DefaultHasher::new();
        (self.origin, &*self.bytes).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }

    pub(crate) fn project(&self, pointer: &str) -> Result<Self> {
        let json = self.parsed()?;
        let member = json.pointer(pointer).ok_or_else(|| Error::not_found("the sealed document has no such member"))?;
        Ok(match member {
            Json::String(text) => Self::new(text.clone().into_bytes(), Form::Text, self.origin),
            other => Self::document(other, self.origin),
        })
    }

    pub(crate) fn shape(&self, depth: u32) -> Result<String> {
        Ok(shape(&self.parsed()?, if depth == 0 { u32::MAX } else { depth }).to_string())
    }

    pub(crate) fn merge(&self, patch: &Self) -> Result<Self> {
        let merged = merge(self.parsed()?, patch.parsed()?);
        let origin = if self.origin == patch.origin { self.origin } else { Origin::Mixed };
        Ok(Self::document(&merged, origin))
    }

    fn parsed(&self) -> Result<Json> {
        let document = (self.form == Form::Document).then(|| serde_json::from_slice(&self.bytes).ok()).flatten();
        document.ok_or_else(|| Error::invalid("the value is no document"))
    }
}

fn shape(json: &Json, depth: u32) -> Json {
    match json {
        Json::Object(members) if depth > 0 && !members.is_empty() => {
            members.iter().map(|(name, value)| (name.clone(), shape(value, depth - 1))).collect()
        }
        _ => Json::Null,
    }
}

/// RFC 7396 section 2.
fn merge(target: Json, patch: Json) -> Json {
    let Json::Object(changes) = patch else { return patch };
    let mut members = match target {
        Json::Object(members) => members,
        _ => Map::new(),
    };
    for (name, change) in changes {
        let had = members.remove(&name).unwrap_or_default();
        if !change.is_null() {
            members.insert(name, merge(had, change));
        }
    }
    Json::Object(members)
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// RFC 4648 sections 4 and 5.
fn base64(bytes: &[u8], alphabet: &[u8; 64], padded: bool) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |all, byte| all << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for i in 0..=chunk.len() {
            out.push(char::from(alphabet[(group >> (18 - 6 * i) & 63) as usize]));
        }
        if padded {
            out.push_str(&"=="[chunk.len() - 1..]);
        }
    }
    out
}

fn unbase64(text: &[u8], alphabet: &[u8; 64]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let end = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    for chunk in text[..end].chunks(4) {
        let mut group = 0_u32;
        for byte in chunk {
            group = group << 6 | u32::try_from(alphabet.iter().position(|known| known == byte)?).ok()?;
        }
        group <<= 6 * (4 - chunk.len());
        let bytes = group.to_be_bytes();
        out.extend_from_slice(&bytes[1..chunk.len().max(2)]);
    }
    (end % 4 != 1).then_some(out)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _infallible = write!(out, "{byte:02x}");
        out
    })
}

fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    text.chunks(2)
        .map(|pair| match *pair {
            [high, low] => u8::try_from(digit(high)? << 4 | digit(low)?).ok(),
            _ => None,
        })
        .collect()
}

fn percent(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            out.push(char::from(*byte));
        } else {
            let _infallible = write!(out, "%{byte:02X}");
        }
        out
    })
}

fn unpercent(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            out.extend(unhex(rest.get(..2)?)?);
            rest = &rest[2..];
        } else {
            out.push(*first);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_return_what_went_in() {
        for bytes in [&b""[..], b"f", b"fo", b"foo", b"foob", b"\x00\xff%/ ~"] {
            for encoding in [Encoding::Base64, Encoding::Base64Url, Encoding::Hex, Encoding::Percent] {
                let value = Value::new(bytes.to_vec(), Form::Bytes, Origin::Foreign);
                let text = value.encode(encoding).unwrap();
                assert_eq!(text.form, Form::Text);
                assert_eq!(&*text.decode(encoding).unwrap().bytes, bytes, "{encoding:?} {text:?}");
            }
        }
        assert_eq!(base64(b"foob", BASE64, true), "Zm9vYg==");
    }

    #[test]
    fn text_never_becomes_a_document() {
        let text = Value::new(br#"{"a":1}"#.to_vec(), Form::Text, Origin::Foreign);
        assert!(text.shape(1).is_err() && text.project("/a").is_err() && text.merge(&text).is_err());
        assert!(text.encode(Encoding::Hex).unwrap().decode(Encoding::Hex).unwrap().shape(1).is_err());
    }

    #[test]
    fn merging_keeps_the_origin_that_both_have() {
        let known = Value::new(b"{}".to_vec(), Form::Document, Origin::Known);
        let secret = Value::new(b"{}".to_vec(), Form::Document, Origin::Foreign);
        assert_eq!(known.merge(&known).unwrap().origin, Origin::Known);
        assert_eq!(secret.merge(&secret).unwrap().origin, Origin::Foreign);
        assert_eq!(known.merge(&secret).unwrap().origin, Origin::Mixed);
        assert_ne!(known.fingerprint(), secret.fingerprint());
    }
}
