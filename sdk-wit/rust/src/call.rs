//! What a handler is given.

use std::fmt::Write;

use serde::de::DeserializeOwned;

use crate::{Error, Result, Timestamp, Value};

/// What is asked of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    pub(crate) const fn word(self) -> &'static str {
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

/// A path inside the mount, matched to a route.
#[derive(Clone, Debug)]
pub struct Target {
    /// Below the mount, without a trailing slash in its captures.
    pub path: String,
    /// Pattern of the route that matched.
    pub route: String,
    /// Captures by name.
    pub captures: Vec<(String, String)>,
}

impl Target {
    /// The captures as a type of the plugin's.
    ///
    /// # Errors
    /// The plugin's own fault: the pattern captures something else than `T` has.
    pub fn typed<T: DeserializeOwned>(&self) -> Result<T> {
        parse(&self.captures, "{}")
    }
}

/// A request. `T` holds captures and fields by name; sensitive fields are in [`Call::secret`].
#[derive(Debug)]
pub struct Call<T> {
    /// Request id.
    pub id: String,
    /// What is asked.
    pub operation: Operation,
    /// Of what.
    pub target: Target,
    /// Captures and fields.
    pub input: T,
    /// Minted by the host on a route that issues leases; derive upstream names from it.
    pub lease_id: Option<String>,
    /// Default time to live of the mount, in seconds.
    pub default_ttl: u32,
    /// Longest time to live of the mount, in seconds.
    pub max_ttl: u32,
    pub(crate) secrets: Vec<(String, Value)>,
}

/// A request whose fields are still JSON text.
pub type RawCall = Call<String>;

impl RawCall {
    /// Builds the typed call.
    ///
    /// # Errors
    /// An invalid request: a field is not what `T` wants.
    pub fn typed<T: DeserializeOwned>(self) -> Result<Call<T>> {
        let input = parse(&self.target.captures, &self.input)?;
        let Self { id, operation, target, lease_id, default_ttl, max_ttl, secrets, .. } = self;
        Ok(Call { id, operation, target, input, lease_id, default_ttl, max_ttl, secrets })
    }
}

impl<T> Call<T> {
    /// Takes out the sealed value at this pointer (`/name` of a sensitive field), if the caller
    /// gave it.
    pub fn secret(&mut self, pointer: &str) -> Option<Value> {
        let at = self.secrets.iter().position(|(had, _)| had == pointer)?;
        Some(self.secrets.swap_remove(at).1)
    }
}

/// One object out of captures and fields: `{"path":"a/b",` + `"title":"Door"}`.
fn parse<T: DeserializeOwned>(captures: &[(String, String)], data: &str) -> Result<T> {
    let fields = data.trim_start().strip_prefix('{').unwrap_or("}").trim_start();
    let mut text = String::with_capacity(data.len() + 64);
    text.push('{');
    for (i, (name, value)) in captures.iter().enumerate() {
        let comma = if i + 1 == captures.len() && fields.starts_with('}') { "" } else { "," };
        let _infallible = write!(text, "{}:{}{comma}", quoted(name), quoted(value));
    }
    text.push_str(fields);
    serde_json::from_str(&text).map_err(|e| Error::invalid(format!("a field is not what this route takes: {e}")))
}

fn quoted(text: &str) -> String {
    // Strings always serialize.
    serde_json::to_string(text).unwrap_or_default()
}

/// A lease to renew or revoke.
#[derive(Clone, Debug)]
pub struct Lease {
    /// Its id.
    pub id: String,
    /// Path that issued it.
    pub path: String,
    /// What the plugin noted when it was issued.
    pub note: Option<Vec<u8>>,
    /// When it was issued.
    pub issued: Timestamp,
    /// The time of this call.
    pub now: Timestamp,
    /// Seconds asked for.
    pub increment: u32,
}
