//! Sealed values: secret bytes with the two labels that keep plugins from reading them.
//!
//! Invariant: the labels travel with the bytes through every operation and every store record
//! (where the barrier authenticates them), so no chain of operations can launder a value.

use std::fmt;

use crate::secret::Secret;

/// How a value appears when it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// UTF-8; a JSON string on the wire.
    Text,
    /// RFC 8259 text; itself on the wire.
    Document,
    /// Any bytes; standard base64 with padding on the wire.
    Bytes,
}

/// A value that lives in host memory.
#[derive(Clone, Debug)]
pub struct SealedValue {
    /// The bytes.
    pub bytes: Secret,
    /// How they leave.
    pub form: Form,
    /// A plugin may know these bytes: it made them, or a known value went into them whole.
    pub known: bool,
}

/// What stands under one key of a mount's storage.
#[derive(Clone)]
pub enum Content {
    /// The plugin's own bookkeeping.
    Plain(Vec<u8>),
    /// A sealed value with its labels.
    Sealed(SealedValue),
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(bytes) => write!(f, "Plain({} bytes)", bytes.len()),
            Self::Sealed(value) => f.debug_tuple("Sealed").field(value).finish(),
        }
    }
}

/// A stored record that does not parse.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("stored record has an unknown header")]
pub struct UnknownHeader;

const VERSION: u8 = 1;

impl Content {
    /// `version (1) ‖ kind (0 plain, 1 sealed) ‖ form (0 text, 1 document, 2 bytes) ‖ known (0|1) ‖ bytes`.
    #[must_use]
    pub fn encode(&self) -> Secret {
        let (header, body) = match self {
            Self::Plain(bytes) => ([VERSION, 0, 0, 0], bytes.as_slice()),
            Self::Sealed(value) => {
                let form = match value.form {
                    Form::Text => 0,
                    Form::Document => 1,
                    Form::Bytes => 2,
                };
                ([VERSION, 1, form, u8::from(value.known)], value.bytes.expose())
            }
        };
        let mut record = Vec::with_capacity(header.len() + body.len());
        record.extend_from_slice(&header);
        record.extend_from_slice(body);
        Secret::new(record)
    }

    /// The inverse of [`Content::encode`].
    ///
    /// # Errors
    /// [`UnknownHeader`] for anything this version did not write.
    pub fn decode(record: &[u8]) -> Result<Self, UnknownHeader> {
        let Some((&[VERSION, kind, form, known], body)) = record.split_first_chunk::<4>() else {
            return Err(UnknownHeader);
        };
        match (kind, form, known) {
            (0, 0, 0) => Ok(Self::Plain(body.to_vec())),
            (1, 0..=2, 0..=1) => Ok(Self::Sealed(SealedValue {
                bytes: Secret::from(body),
                form: [Form::Text, Form::Document, Form::Bytes][usize::from(form)],
                known: known == 1,
            })),
            _ => Err(UnknownHeader),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_survive_a_round_trip() {
        for form in [Form::Text, Form::Document, Form::Bytes] {
            for known in [false, true] {
                let value = SealedValue { bytes: Secret::from("{}"), form, known };
                let record = Content::Sealed(value).encode();
                let Ok(Content::Sealed(back)) = Content::decode(record.expose()) else { panic!() };
                assert!(back.form == form && back.known == known && back.bytes.ct_eq(b"{}"));
            }
        }
    }

    #[test]
    fn foreign_headers_are_refused() {
        for record in [
            &b""[..],
            b"\x01\x00\x00",
            b"\x02\x00\x00\x00",
            b"\x01\x01\x03\x00",
            b"\x01\x01\x00\x02",
            b"\x01\x00\x01\x00",
        ] {
            assert!(Content::decode(record).is_err());
        }
    }
}
