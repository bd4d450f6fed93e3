//! What a handler answers.

use serde::Serialize;

use crate::{Error, Result, Value};

/// The part of a reply that the caller sees.
#[derive(Debug)]
pub enum Answer {
    /// JSON text, and sealed values that the host splices in at pointers.
    Document(String, Vec<(String, Value)>),
    /// Existed; deleted or destroyed: 404 with what is still known.
    Gone(String, Vec<(String, Value)>),
    /// Names under a folder.
    Names(Vec<String>),
    /// Read and list: nothing there (404). Write, patch and delete: done (204).
    Nothing,
    /// Bytes as they are.
    Raw {
        /// HTTP status.
        status: u16,
        /// Media type.
        content_type: String,
        /// Body.
        body: Vec<u8>,
    },
}

/// An answer, and what goes with it.
#[derive(Debug)]
pub struct Reply {
    /// What the caller sees.
    pub answer: Answer,
    /// A lease or a login.
    pub grant: Option<Grant>,
    /// Seconds that an answer from outside may be cached.
    pub fresh: Option<u32>,
    /// The secret's version.
    pub version: Option<String>,
    /// For people.
    pub warnings: Vec<String>,
}

/// A lease or a login.
#[derive(Clone, Debug)]
pub enum Grant {
    /// A login.
    Auth(AuthGrant),
    /// A lease on what was issued.
    Lease(LeaseGrant),
}

/// A lease on what was issued; times in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeaseGrant {
    /// Until it must be renewed.
    pub ttl: u32,
    /// Until it ends for good; 0: the mount's limit.
    pub max_ttl: u32,
    /// May be renewed.
    pub renewable: bool,
}

/// A login; times in seconds.
#[derive(Clone, Debug, Default)]
pub struct AuthGrant {
    /// For people and the audit trail.
    pub display_name: String,
    /// Who it is at the upstream: stable, unique in the mount.
    pub alias: String,
    /// Names of policies.
    pub policies: Vec<String>,
    /// What templates and the audit trail may use.
    pub metadata: Vec<(String, String)>,
    /// Until it must be renewed.
    pub ttl: u32,
    /// Until it ends for good; 0: the mount's limit.
    pub max_ttl: u32,
    /// Renewable for ever within this period; 0: not periodic.
    pub period: u32,
    /// Uses left; 0: not counted.
    pub num_uses: u32,
    /// Networks it may be used from; empty: any.
    pub bound_cidrs: Vec<String>,
    /// May be renewed.
    pub renewable: bool,
    /// Self-contained, not stored.
    pub batch: bool,
    /// Handed back when it is renewed.
    pub note: Vec<u8>,
}

/// Answers with JSON. Members that a sealed value will fill must be there, as `null`.
///
/// # Errors
/// The plugin's own fault: `body` does not serialize (a map whose keys are no strings).
pub fn reply(body: &impl Serialize) -> Result<Reply> {
    Ok(Reply::new(Answer::Document(json(body)?, Vec::new())))
}

/// Answers that it existed and is deleted or destroyed, with what is still known (404).
///
/// # Errors
/// As for [`reply`].
pub fn gone(body: &impl Serialize) -> Result<Reply> {
    Ok(Reply::new(Answer::Gone(json(body)?, Vec::new())))
}

/// Answers with the names under a folder; none at all is [`nothing`].
#[must_use]
pub fn names(names: Vec<String>) -> Reply {
    Reply::new(if names.is_empty() { Answer::Nothing } else { Answer::Names(names) })
}

/// Reads and lists: nothing there (404). Writes, patches and deletes: done (204).
#[must_use]
pub const fn nothing() -> Reply {
    Reply::new(Answer::Nothing)
}

impl Reply {
    pub(crate) const fn new(answer: Answer) -> Self {
        Self { answer, grant: None, fresh: None, version: None, warnings: Vec::new() }
    }

    /// Answers with bytes as they are: CRLs, certificates.
    #[must_use]
    pub fn raw(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        Self::new(Answer::Raw { status, content_type: content_type.to_owned(), body })
    }

    /// Puts a sealed value at a pointer, which must name a `null` of the answer; `""` is the whole.
    #[must_use]
    pub fn secret(mut self, pointer: &str, value: Value) -> Self {
        if let Answer::Document(_, secrets) | Answer::Gone(_, secrets) = &mut self.answer {
            secrets.push((pointer.to_owned(), value));
        }
        self
    }

    /// The secret's version, for `ETag` and check-and-set.
    #[must_use]
    pub fn version(self, version: impl ToString) -> Self {
        Self { version: Some(version.to_string()), ..self }
    }

    /// How long, in seconds, an answer that came from outside may be cached.
    #[must_use]
    pub fn fresh(self, seconds: u32) -> Self {
        Self { fresh: Some(seconds), ..self }
    }

    /// Adds a warning for people.
    #[must_use]
    pub fn warn(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }

    /// Adds a lease or a login.
    #[must_use]
    pub fn grant(self, grant: Grant) -> Self {
        Self { grant: Some(grant), ..self }
    }
}

fn json(body: &impl Serialize) -> Result<String> {
    serde_json::to_string(body).map_err(|e| Error::internal(format!("the answer does not serialize: {e}")))
}
