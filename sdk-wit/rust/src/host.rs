//! The capabilities of a plugin, as methods of one value.

use serde::{Serialize, de::DeserializeOwned};

use crate::{Charset, Error, Form, Part, Result, Timestamp, Value, guest::imports};

/// What stands under a key of the mount's storage.
#[derive(Debug)]
pub enum Content {
    /// The plugin's own bookkeeping.
    Plain(Vec<u8>),
    /// A sealed value.
    Secret(Value),
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For developers.
    Debug,
    /// One line per change of state.
    Info,
    /// Degraded, coped with.
    Warn,
    /// Someone must act.
    Error,
}

/// The host, for the length of one call. Storage is one serializable transaction: reads see this
/// call's own writes, and the writes happen together when the handler returns ok, or not at all.
#[derive(Debug)]
pub struct Host(pub(crate) imports::Host);

/// Names fetched per question to the host.
const PAGE: u32 = 1000;

/// The clock. What is asked decides how long an answer is cached: ask only what it depends on.
impl Host {
    /// The time of this call; an answer that depends on it is not cached.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.0.now()
    }

    /// Whether `moment` has come: the answer stays cached until it does. Prefer it to `now`.
    #[must_use]
    pub fn reached(&self, moment: Timestamp) -> bool {
        self.0.reached(moment)
    }
}

/// The mount's storage.
impl Host {
    /// What stands under `key`.
    ///
    /// # Errors
    /// Unavailable: storage does not answer.
    pub fn get(&self, key: &str) -> Result<Option<Content>> {
        self.0.get(key)
    }

    /// Writes the plugin's own bookkeeping; no secrets.
    ///
    /// # Errors
    /// Limit exceeded; unavailable.
    pub fn put(&self, key: &str, plain: &[u8]) -> Result<()> {
        self.0.put(key, plain)
    }

    /// Writes a sealed value.
    ///
    /// # Errors
    /// As for [`Host::put`].
    pub fn put_secret(&self, key: &str, value: &Value) -> Result<()> {
        self.0.put_secret(key, &value.0)
    }

    /// Removes a key; ok when there is none.
    ///
    /// # Errors
    /// As for [`Host::get`].
    pub fn delete(&self, key: &str) -> Result<()> {
        self.0.delete(key)
    }

    /// The names below `prefix` (`"meta/a/"`), sorted, folders ending in `/`, those after
    /// `after`, at most `limit`; no limit: all.
    ///
    /// # Errors
    /// As for [`Host::get`].
    pub fn children(&self, prefix: &str, after: Option<&str>, limit: Option<u32>) -> Result<Vec<String>> {
        let wanted = usize::try_from(limit.unwrap_or(u32::MAX)).unwrap_or(usize::MAX);
        let mut names = self.0.children(prefix, after, limit.unwrap_or(PAGE).min(PAGE))?;
        let mut fresh = names.len();
        while fresh > 0 && fresh % (PAGE as usize) == 0 && names.len() < wanted {
            let left = u32::try_from(wanted - names.len()).unwrap_or(PAGE).min(PAGE);
            let more = self.0.children(prefix, names.last().map(String::as_str), left)?;
            fresh = more.len();
            names.extend(more);
        }
        Ok(names)
    }

    /// The JSON under `key`, as the type it was written from.
    ///
    /// # Errors
    /// Integrity: the record is sealed or does not parse; as for [`Host::get`].
    pub fn json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let broken = || Error::new(crate::ErrorKind::Integrity, format!("the record {key} is not what was written"));
        match self.get(key)? {
            None => Ok(None),
            Some(Content::Secret(_)) => Err(broken()),
            Some(Content::Plain(bytes)) => serde_json::from_slice(&bytes).map(Some).map_err(|_| broken()),
        }
    }

    /// Writes JSON.
    ///
    /// # Errors
    /// The plugin's own fault: `record` does not serialize; as for [`Host::put`].
    pub fn put_json(&self, key: &str, record: &impl Serialize) -> Result<()> {
        let bytes = serde_json::to_vec(record).map_err(|e| Error::internal(format!("the record {key}: {e}")))?;
        self.put(key, &bytes)
    }

    /// The sealed value under `key`.
    ///
    /// # Errors
    /// Integrity: the record is not sealed; as for [`Host::get`].
    pub fn secret(&self, key: &str) -> Result<Option<Value>> {
        match self.get(key)? {
            None => Ok(None),
            Some(Content::Secret(value)) => Ok(Some(value)),
            Some(Content::Plain(_)) => {
                Err(Error::new(crate::ErrorKind::Integrity, format!("the record {key} is not sealed")))
            }
        }
    }
}

/// Making sealed values.
impl Host {
    /// Random characters that the plugin never sees, 1 to 4096.
    ///
    /// # Errors
    /// Invalid request: length or charset.
    pub fn generate(&self, length: u32, charset: Charset) -> Result<Value> {
        self.0.generate(length, charset).map(Value)
    }

    /// A JSON object out of public members (JSON text) and sealed ones.
    ///
    /// # Errors
    /// Invalid request: a public member is no JSON, or a name stands twice.
    pub fn compose(&self, plain: &[(&str, &str)], secret: &[(&str, &Value)]) -> Result<Value> {
        self.0.compose(plain, secret).map(Value)
    }

    /// The parts in order: text, or bytes when a part is bytes.
    ///
    /// # Errors
    /// Limit exceeded.
    pub fn concat(&self, parts: &[Part<'_>]) -> Result<Value> {
        self.0.concat(parts).map(Value)
    }

    /// Hands over plaintext that the plugin holds anyway; the value is marked known, for good.
    ///
    /// # Errors
    /// Invalid request: not UTF-8 for text, no JSON for a document.
    pub fn seal(&self, plaintext: &[u8], form: Form) -> Result<Value> {
        self.0.seal(plaintext, form).map(Value)
    }

    /// Whether a sealed document is a JSON object.
    ///
    /// An empty object has the shape of a leaf; patching an object with it changes nothing,
    /// while a leaf replaces the object.
    ///
    /// # Errors
    /// Invalid request: no document.
    pub fn is_object(&self, value: &Value) -> Result<bool> {
        Ok(value.shape(1)? != "null" || self.compose(&[("a", "1")], &[])?.merge(value)?.shape(1)? != "null")
    }

    /// Whether a sealed document is JSON `null`: as a member of a patch, only null removes.
    ///
    /// # Errors
    /// Invalid request: no document.
    pub fn is_null(&self, value: &Value) -> Result<bool> {
        let patch = self.compose(&[], &[("a", value)])?;
        Ok(self.compose(&[("a", "1")], &[])?.merge(&patch)?.shape(1)? == "null")
    }
}

/// Who asks. A call of these makes the answer the caller's own: it is not shared in the cache.
impl Host {
    /// For people.
    #[must_use]
    pub fn display_name(&self) -> String {
        self.0.display_name()
    }

    /// The caller's entity; none on public routes.
    #[must_use]
    pub fn entity_id(&self) -> Option<String> {
        self.0.entity_id()
    }

    /// What the login recorded.
    #[must_use]
    pub fn caller_metadata(&self) -> Vec<(String, String)> {
        self.0.caller_metadata()
    }

    /// PEM chain presented by the client, leaf first; empty without mutual TLS.
    #[must_use]
    pub fn certificates(&self) -> Vec<String> {
        self.0.certificates()
    }

    /// The other end's address.
    #[must_use]
    pub fn remote_address(&self) -> String {
        self.0.remote_address()
    }
}

/// Telemetry.
impl Host {
    /// Writes a log line: the message is constant, data goes into fields; never secrets.
    pub fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        self.0.log(level, message, fields);
    }
}
