//! What is stored of a lease. Nothing in it is secret: what was issued is known to whom it was
//! issued and to the plugin, and the token stands as its digest.

use serde::{Deserialize, Serialize};

use super::keys;
use crate::{
    clock::Timestamp,
    error::{Error, Result},
    port::storage::Write,
    secret::Secret,
};

/// Where a lease stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// What was issued is known to its holder.
    Confirmed,
    /// The plugin may be at it; nobody has been told of it.
    Pending,
    /// To be revoked, as often as it takes.
    Revoking,
}

/// A lease as it is stored. Moments in milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// `<path>/<24 base62>`.
    pub id: String,
    /// Names the mount's storage: a later mount of the same path is another one.
    pub mount: String,
    /// The mount's path; the lease's path goes on behind it.
    pub mount_path: String,
    /// Name of the plugin that issued it.
    pub plugin: String,
    /// Digest of the token whose end is the end of the lease; empty for a batch token without a parent.
    pub holder: String,
    /// Accessor of the token that asked; empty for batch tokens.
    pub accessor: String,
    /// Where it stands.
    pub state: State,
    /// When it was minted.
    pub issued: Timestamp,
    /// When it ends unless it is renewed; while pending: when it is given up.
    pub expires: Timestamp,
    /// When it ends for good.
    pub last: Timestamp,
    /// Last renewal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewed: Option<Timestamp>,
    /// Whether it can be renewed.
    pub renewable: bool,
    /// When something is to be done about it next.
    pub due: Timestamp,
    /// It was doomed because its time ran out.
    #[serde(default)]
    pub timed_out: bool,
    /// Revocations that failed.
    #[serde(default)]
    pub attempts: u32,
    /// Why the last one failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Record {
    pub(super) fn parse(value: &Secret) -> Result<Self> {
        serde_json::from_slice(value.expose()).map_err(Error::internal)
    }

    /// The path that issued it, below its mount.
    #[must_use]
    pub fn path(&self) -> &str {
        let path = self.issuing_path();
        path.strip_prefix(&*self.mount_path).unwrap_or(path)
    }

    /// The path that issued it.
    #[must_use]
    pub fn issuing_path(&self) -> &str {
        self.id.rsplit_once('/').map_or("", |(path, _)| path)
    }

    /// Whether revoking it failed so often that somebody should look.
    #[must_use]
    pub const fn is_stuck(&self) -> bool {
        self.attempts >= super::STUCK_AFTER
    }

    pub(super) fn put(&self) -> Result<Write> {
        Ok(Write::Put { key: keys::id(&self.id), value: crate::request::document(self)? })
    }

    pub(super) fn suffix(&self) -> &str {
        keys::suffix(&self.id)
    }

    pub(super) fn due_key(&self) -> String {
        keys::due(self.due, &self.mount, self.suffix())
    }

    /// A key of an index, which leads to the lease.
    pub(super) fn lead(&self, key: String) -> Write {
        Write::Put { key, value: Secret::from(self.id.as_str()) }
    }

    /// Moves it in the order of what is to be done.
    pub(super) fn move_due(&mut self, due: Timestamp, writes: &mut Vec<Write>) {
        if due == self.due {
            return;
        }
        writes.push(Write::Delete { key: self.due_key() });
        self.due = due;
        writes.push(self.lead(self.due_key()));
    }
}
