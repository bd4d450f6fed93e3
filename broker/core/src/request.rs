//! What a door hands to the broker, and what it gets back.

use std::{
    any::Any,
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use zeroize::Zeroizing;

use crate::{
    clock::Timestamp,
    error::{Error, Result},
    identity::Peer,
    json,
    path::Path,
    port::snapshots::Transfer,
    secret::{Secret, wiping_stack},
};

/// What is asked of a path. `Create` and `Update` are one verb on the wire (`Update`), told
/// apart by the backend's `exists`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Write where nothing was.
    Create,
    /// Remove.
    Delete,
    /// Names under a folder.
    List,
    /// RFC 7396 merge.
    Patch,
    /// Fetch.
    Read,
    /// Run a rotation.
    Rotate,
    /// Write over.
    Update,
}

impl Operation {
    /// The lower-case word used in audit records and policies.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Read => "read",
            Self::Rotate => "rotate",
            Self::Update => "update",
        }
    }
}

/// Some operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operations(u8);

impl Operations {
    /// These.
    #[must_use]
    pub fn of(all: &[Operation]) -> Self {
        Self(all.iter().fold(0, |set, operation| set | 1 << *operation as u8))
    }

    /// Whether it is one of them.
    #[must_use]
    pub const fn has(self, operation: Operation) -> bool {
        self.0 & 1 << operation as u8 != 0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Which protocol surface a request came through; answers differ in shape, never in decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Door {
    /// `/api/v1`.
    Native,
    /// Vault-compatible `/v1`.
    Vault,
}

/// What the native API asks of a secret; plugins map each view to a route (`secret-routes`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecretView {
    /// Destroy named versions for good.
    Destroy,
    /// Names under a folder.
    Listing,
    /// Soft-delete named versions.
    Remove,
    /// Restore soft-deleted versions.
    Undelete,
    /// The value: read, write, patch, delete the latest, rotate.
    Value,
    /// Versions and what is known of them, no values.
    Versions,
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub enum Address {
    /// The path as policies see it, mount first: `secret/data/a`.
    Canonical(Path),
    /// A path of `/api/v1/secrets`, resolved through mounts and their `secret-routes`.
    Secret {
        /// What is asked of it.
        view: SecretView,
        /// As the caller wrote it.
        path: Path,
    },
}

/// The members of a request's body and query, each with its value as checked JSON text.
///
/// Values are secrets until a plugin's description says that they are not.
#[derive(Clone, Default)]
pub struct Fields(Vec<(String, Secret)>);

impl Fields {
    /// Takes a checked JSON object apart.
    ///
    /// # Errors
    /// `invalid_request` when the body is malformed, nested too deep or no object.
    pub fn from_json(body: &[u8]) -> Result<Self> {
        let text = json::check(body).map_err(|e| Error::invalid("body", e.to_string()))?;
        let members = json::members(text).map_err(|_| Error::invalid("body", "the body must be a JSON object"))?;
        Ok(Self(members.into_iter().map(|(name, raw)| (name.into_owned(), Secret::from(raw))).collect()))
    }

    /// Adds or replaces a member; `text` is checked JSON text.
    pub fn set(&mut self, name: impl Into<String>, text: impl Into<Secret>) {
        let name = name.into();
        self.0.retain(|(had, _)| *had != name);
        self.0.push((name, text.into()));
    }

    /// Adds or replaces a member by a string value.
    pub fn set_string(&mut self, name: impl Into<String>, value: &str) {
        self.set(name, json::string_text(value));
    }

    /// The JSON text of a member.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Secret> {
        self.0.iter().find(|(had, _)| had == name).map(|(_, text)| text)
    }

    /// Takes a member out.
    pub fn take(&mut self, name: &str) -> Option<Secret> {
        let at = self.0.iter().position(|(had, _)| had == name)?;
        Some(self.0.remove(at).1)
    }

    /// Names and JSON texts in the order they came.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text))
    }

    /// Whether there is no member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of it as one JSON object.
    #[must_use]
    pub fn to_json(&self) -> Secret {
        json::compose(self.0.iter().map(|(name, text)| (name.as_str(), text.expose_str().unwrap_or("null"))))
    }

    /// Stands for all of it where the values must not: SHA-256 of the JSON object, in hex.
    #[must_use]
    pub fn digest(&self) -> String {
        let text = self.to_json();
        let digest = wiping_stack(|| ring::digest::digest(&ring::digest::SHA256, text.expose()));
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Deserializes all members into a typed request.
    ///
    /// # Errors
    /// `invalid_request` with serde's words, which name fields and types but no values.
    pub fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        let text = self.to_json();
        serde_json::from_slice(text.expose()).map_err(|e| Error::invalid("body", redacted(&e)))
    }
}

/// serde shows the offending value in "invalid type: string \"..\"", and one that names no variant:
/// types and names of fields stay, values go.
fn redacted(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(&*text, |(words, _)| words);
    if !["invalid type: ", "invalid value: ", "unknown variant "].iter().any(|start| text.starts_with(start)) {
        return text.to_owned();
    }
    // The value comes before the expectation, which is ours: so the last one counts.
    let (found, expected) = text.rsplit_once(", expected ").unwrap_or((text, "another value"));
    let kind = found.split(['"', '`']).next().unwrap_or_default().trim_end();
    format!("{kind}, expected {expected}")
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// One request, decoded and bounded by a door.
#[derive(Debug)]
pub struct Request {
    /// Echoed to the caller and written to logs and audit.
    pub id: Arc<str>,
    /// The door it came through.
    pub door: Door,
    /// The token, when there was one.
    pub credential: Option<Secret>,
    /// The other end.
    pub peer: Peer,
    /// What is asked; a write is always `Update` here.
    pub operation: Operation,
    /// Of what.
    pub address: Address,
    /// With which parameters (body and query).
    pub fields: Fields,
    /// `?refresh=true`: go around the cache.
    pub refresh: bool,
    /// Wall time for the whole request.
    pub deadline: Duration,
}

/// JSON text of an answer; secret, shared, zeroized.
pub type Document = Secret;

/// What a request is answered with.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Data.
    Document(Document),
    /// Existed; deleted or destroyed. What is still known about it: 404 with data.
    Gone(Document),
    /// Names under a folder, sorted; `next` continues after the last one.
    Names {
        /// Folders end in `/`.
        keys: Vec<String>,
    },
    /// Nothing there (read, list) or nothing to say (write, delete).
    Nothing,
    /// Bytes as they are.
    Raw {
        /// HTTP status.
        status: u16,
        /// Media type.
        content_type: String,
        /// Body.
        body: Secret,
    },
}

/// A token issued by this request, for the envelope's `auth` block.
#[derive(Clone, Debug)]
pub struct Auth {
    /// The token itself.
    pub token: Secret,
    /// Its accessor; empty for batch tokens.
    pub accessor: String,
    /// Policies.
    pub policies: Vec<String>,
    /// Time to live; zero means it does not expire.
    pub ttl: Duration,
    /// Whether it can be renewed.
    pub renewable: bool,
    /// Entity, if any.
    pub entity_id: Option<String>,
    /// Metadata.
    pub metadata: std::collections::BTreeMap<String, String>,
    /// Service or batch.
    pub kind: crate::identity::TokenKind,
    /// No parent.
    pub orphan: bool,
    /// Remaining uses; zero means unlimited.
    pub num_uses: u32,
}

/// A lease that this request issued or renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseShown {
    /// `<path>/<24 base62>`.
    pub id: String,
    /// Time left.
    pub ttl: Duration,
    /// Whether it can be renewed.
    pub renewable: bool,
    /// When it ends unless it is renewed.
    pub expires: Timestamp,
}

/// How an answer relates to the native secrets API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRoute {
    /// What the native API asks.
    pub view: SecretView,
    /// Path under the mount as the native API names it: `{path...}`.
    pub pattern: String,
    /// Route that answers: `data/{path...}`.
    pub route: String,
    /// Pointer to the secret in bodies and answers; empty is the whole.
    pub value_at: String,
    /// Pointer to what is known about it in answers.
    pub about_at: Option<String>,
    /// Pointer to the check-and-set version in bodies.
    pub check_at: Option<String>,
}

/// What the broker answers.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The answer.
    pub answer: Answer,
    /// For people.
    pub warnings: Vec<String>,
    /// A token issued by this request.
    pub auth: Option<Auth>,
    /// A lease issued or renewed by this request.
    pub lease: Option<LeaseShown>,
    /// The canonical path it was served from.
    pub resolved: Path,
    /// `Create` or `Update` once decided; the request's operation otherwise.
    pub operation: Operation,
    /// Set for requests to `/api/v1/secrets`.
    pub route: Option<Arc<SecretRoute>>,
    /// Answered by the cache.
    pub cached: bool,
    /// Where the door may keep what it makes of this answer; for answers that the cache holds.
    pub shown: Option<Shown>,
    /// A file that belongs to the answer.
    pub transfer: Option<Transfer>,
}

/// What a door made of a cached answer, kept beside it and dropped with it, so that the next hit
/// is shown as it is. One value fits: that of the door that came first.
#[derive(Clone, Default)]
pub struct Shown(Arc<OnceLock<Box<dyn Any + Send + Sync>>>);

impl Shown {
    /// What was kept, when it is of this type.
    #[must_use]
    pub fn get<T: 'static>(&self) -> Option<&T> {
        self.0.get()?.downcast_ref()
    }

    /// Keeps the value, unless there is one. It must not hold more than the answer did, about.
    pub fn keep<T: Any + Send + Sync>(&self, value: T) {
        self.0.get_or_init(|| Box::new(value));
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown(..)")
    }
}

impl Reply {
    /// A plain reply.
    #[must_use]
    pub const fn new(operation: Operation, resolved: Path, answer: Answer) -> Self {
        Self {
            answer,
            warnings: Vec::new(),
            auth: None,
            lease: None,
            resolved,
            operation,
            route: None,
            cached: false,
            shown: None,
            transfer: None,
        }
    }
}

/// Serializes a value into an answer's document.
///
/// # Errors
/// `internal` when the type cannot be JSON.
pub fn document<T: serde::Serialize>(value: &T) -> Result<Document> {
    let text = Zeroizing::new(serde_json::to_vec(value).map_err(Error::internal)?);
    Ok(Secret::from(text.as_slice()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[allow(dead_code, reason = "only its errors are looked at")]
    struct Typed {
        names: Option<std::collections::BTreeMap<String, u8>>,
        operation: Option<Operation>,
    }

    #[test]
    fn an_error_of_a_typed_request_has_types_and_fields_and_no_value() {
        for (body, words) in [
            (r#"{"names":"a \" , expected b at line 1"}"#, "invalid type: string, expected a map"),
            (r#"{"names":"hunter2 \"\\\" x"}"#, "invalid type: string, expected a map"),
            (r#"{"names":{"a":4711}}"#, "invalid value: integer, expected u8"),
            (r#"{"names":{"a":true}}"#, "invalid type: boolean, expected u8"),
            (r#"{"operation":"hunter2"}"#, "unknown variant, expected one of `create`, `delete`"),
            (r#"{"operation":"a`, expected b"}"#, "unknown variant, expected one of `create`"),
            (r#"{"operation":["hunter2"]}"#, "expected value"),
        ] {
            let error = Fields::from_json(body.as_bytes()).unwrap().parse::<Typed>().unwrap_err();
            assert!(error.detail.starts_with(words), "{body}: {}", error.detail);
            assert!(!error.detail.contains("hunter2") && !error.detail.contains("4711"), "{}", error.detail);
        }
    }
}
