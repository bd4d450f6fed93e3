//! A secret as a client holds it.

use std::{collections::BTreeMap, fmt};

use bytes::Bytes;
use serde::de::DeserializeOwned;
use zeroize::{Zeroize as _, Zeroizing};

use crate::proto::{SecretLease, SecretsServiceGetResponse};

/// A secret's value and what is known of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Secret {
    /// Path as it was asked for.
    pub path: String,
    /// The value.
    pub value: Value,
    /// Version of the value; none where the backend has no numbered versions.
    pub version: Option<u64>,
    /// When it was stored, where the backend says so.
    pub created_at: Option<prost_types::Timestamp>,
    /// When it will be deleted, if it will.
    pub deleted_at: Option<prost_types::Timestamp>,
    /// What people noted about the secret.
    pub metadata: BTreeMap<String, String>,
    /// What the backend wants people to know.
    pub warnings: Vec<String>,
    /// The lease on it, when this read issued it.
    pub lease: Option<SecretLease>,
}

/// A JSON object that is never printed, and overwritten when it is dropped.
#[derive(Clone)]
pub struct Value(Zeroizing<Vec<u8>>);

impl Value {
    /// The JSON text, exactly as it was stored.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The value as a type of yours.
    ///
    /// # Errors
    /// serde's: it may quote what it could not read, so do not log it.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.0)
    }

    /// For a message; overwritten when that is gone.
    pub(crate) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self.0)
    }
}

impl From<Vec<u8>> for Value {
    fn from(json: Vec<u8>) -> Self {
        Self(Zeroizing::new(json))
    }
}

impl From<String> for Value {
    fn from(json: String) -> Self {
        Self(Zeroizing::new(json.into_bytes()))
    }
}

impl From<&str> for Value {
    fn from(json: &str) -> Self {
        Self(Zeroizing::new(json.as_bytes().to_vec()))
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Value(..)")
    }
}

impl From<SecretsServiceGetResponse> for Secret {
    fn from(answer: SecretsServiceGetResponse) -> Self {
        let SecretsServiceGetResponse { path, json, version, created_at, deleted_at, metadata_json, warnings, lease } =
            answer;
        let metadata = serde_json::from_slice(&metadata_json).unwrap_or_default();
        Self { path, value: take(json), version, created_at, deleted_at, metadata, warnings, lease }
    }
}

/// Takes bytes over, and overwrites them where they lay if nobody else has them.
fn take(bytes: Bytes) -> Value {
    let value = Value(Zeroizing::new(bytes.to_vec()));
    if let Ok(mut own) = bytes.try_into_mut() {
        own.as_mut().zeroize();
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_what_is_known_and_no_value() {
        let json = Bytes::from_static(br#"{"password":"hunter2"}"#);
        let metadata_json = Bytes::from_static(br#"{"owner":"team"}"#);
        let answer = SecretsServiceGetResponse { path: "a/b".to_owned(), json, metadata_json, ..Default::default() };
        let secret = Secret::from(answer);
        let text = format!("{secret:?} {secret:#?}");
        assert!(text.contains("a/b") && !text.contains("hunter2") && !text.contains("104, 117"), "{text}");
        assert_eq!(secret.metadata["owner"], "team");
        assert_eq!(secret.value.parse::<BTreeMap<String, String>>().unwrap()["password"], "hunter2");
    }
}
