//! Sealed values: handles to secret bytes in host memory.

use crate::{Result, guest::imports};

/// How a value appears when it leaves. Kept by the store and by keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Any bytes: a base64 string in JSON.
    Bytes,
    /// JSON: itself. Only documents can be looked into ([`Value::project`], [`Value::shape`],
    /// [`Value::merge`]), and nothing turns text or bytes into one.
    Document,
    /// UTF-8: a JSON string.
    Text,
}

/// Text out of bytes, and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Standard base64 with padding.
    Base64,
    /// URL-safe base64 without padding.
    Base64Url,
    /// Lower-case hexadecimal.
    Hex,
    /// Percent-encoding of all but the unreserved characters (RFC 3986 section 2.3).
    Percent,
}

/// What generated characters are drawn from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Charset {
    /// `A-Z a-z 0-9`.
    Alphanumeric,
    /// Alphanumeric without `0 O I l`.
    Base58,
    /// These characters. A tiny set makes a known value.
    Custom(String),
    /// `0-9 a-f`.
    Hex,
    /// Printable ASCII without the space.
    Printable,
}

/// One part of [`Host::concat`](crate::Host::concat).
#[derive(Debug)]
pub enum Part<'a> {
    /// Public bytes: the result has the form of bytes.
    Bytes(&'a [u8]),
    /// A sealed value.
    Secret(&'a Value),
    /// Public text.
    Text(&'a str),
}

/// A handle to secret bytes that stay in the host. Nothing here gives the bytes.
#[derive(Debug)]
pub struct Value(pub(crate) imports::Value);

impl Value {
    /// Length in bytes; visible by design.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a secret is not a collection")]
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// How it appears when it leaves.
    #[must_use]
    pub fn form(&self) -> Form {
        self.0.form()
    }

    /// Text out of any form.
    ///
    /// # Errors
    /// Invalid request: percent-encoding of what is not UTF-8.
    pub fn encode(&self, encoding: Encoding) -> Result<Self> {
        self.0.encode(encoding).map(Self)
    }

    /// Bytes out of encoded text.
    ///
    /// # Errors
    /// Invalid request: it is not encoded so.
    pub fn decode(&self, encoding: Encoding) -> Result<Self> {
        self.0.decode(encoding).map(Self)
    }

    /// A keyed digest (the key is the mount's): equality and lookup without the bytes. A value
    /// that the plugin put together from secrets has none: asking for it traps.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint()
    }

    /// One member of a document (RFC 6901); a JSON string becomes text.
    ///
    /// # Errors
    /// Not found: no such member. Invalid request: no document.
    pub fn project(&self, pointer: &str) -> Result<Self> {
        self.0.project(pointer).map(Self)
    }

    /// The structure of a document as JSON text, every leaf `null`, members below `depth`
    /// levels too; 0: no limit. Arrays and empty objects are leaves.
    ///
    /// # Errors
    /// Invalid request: no document.
    pub fn shape(&self, depth: u32) -> Result<String> {
        self.0.shape(depth)
    }

    /// This document patched by another (RFC 7396).
    ///
    /// # Errors
    /// Invalid request: one of them is no document.
    pub fn merge(&self, patch: &Self) -> Result<Self> {
        self.0.merge(&patch.0).map(Self)
    }
}

/// Another handle to the same bytes; nothing is copied.
impl Clone for Value {
    fn clone(&self) -> Self {
        Self(self.0.duplicate())
    }
}
