//! What is told of leases.

use serde::Serialize;

use super::{BATCH, Leases, Record, State, keys, left, unknown};
use crate::{
    clock::Timestamp,
    error::Result,
    request::{Document, document},
};

impl Leases {
    /// What is known of a lease.
    ///
    /// # Errors
    /// `invalid_request` (`invalid lease`) when there is none of this id.
    pub async fn lookup(&self, id: &str) -> Result<Document> {
        let held = self.held(id).await?.ok_or_else(unknown)?;
        document(&Data::of(&held.record, self.clock.now()))
    }

    /// Names below a folder of paths: folders end in a slash, the others are the last segments of ids.
    ///
    /// # Errors
    /// What storage says.
    pub async fn names(&self, folder: &str, after: Option<&str>, limit: usize) -> Result<Vec<String>> {
        let folder = folder.trim_matches('/');
        let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        self.storage.snapshot().await?.children(&keys::id(&folder), after, limit).await
    }
}

/// A walk over all leases of a path and below it, a page at a time: it holds the folders on its way.
#[derive(Clone, Debug)]
pub struct Walk {
    /// Folders that are not done, each with the last name that was seen of it.
    folders: Vec<(String, Option<String>)>,
    /// The lease that may be called as the path is.
    itself: Option<String>,
}

impl Walk {
    /// Below this path; the whole id of a lease is that lease.
    #[must_use]
    pub fn below(path: &str) -> Self {
        let path = path.trim_matches('/');
        let top = if path.is_empty() { String::new() } else { format!("{path}/") };
        Self { folders: vec![(top, None)], itself: Some(path.to_owned()) }
    }
}

impl Leases {
    /// The next ids; none when the walk is over.
    ///
    /// # Errors
    /// What storage says.
    pub async fn walk(&self, walk: &mut Walk) -> Result<Option<Vec<String>>> {
        if let Some(id) = walk.itself.take()
            && self.held(&id).await?.is_some()
        {
            return Ok(Some(vec![id]));
        }
        while let Some((folder, after)) = walk.folders.pop() {
            let names = self.storage.snapshot().await?.children(&keys::id(&folder), after.as_deref(), BATCH).await?;
            if let (Some(last), BATCH) = (names.last(), names.len()) {
                walk.folders.push((folder.clone(), Some(last.clone())));
            }
            let (inner, ids): (Vec<_>, Vec<_>) =
                names.into_iter().map(|name| format!("{folder}{name}")).partition(|id| id.ends_with('/'));
            walk.folders.extend(inner.into_iter().map(|inner| (inner, None)));
            if !ids.is_empty() {
                return Ok(Some(ids));
            }
        }
        Ok(None)
    }
}

/// In the words of the compatible API, and what it has no word for.
#[derive(Serialize)]
struct Data<'a> {
    id: &'a str,
    path: &'a str,
    issue_time: String,
    expire_time: String,
    last_renewal: Option<String>,
    max_expire_time: String,
    ttl: u64,
    renewable: bool,
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoke_attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoke_error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt: Option<String>,
}

impl<'a> Data<'a> {
    fn of(record: &'a Record, now: Timestamp) -> Self {
        let tried = record.attempts > 0;
        Self {
            id: &record.id,
            path: record.issuing_path(),
            issue_time: record.issued.rfc3339(),
            expire_time: record.expires.rfc3339(),
            last_renewal: record.renewed.map(Timestamp::rfc3339),
            max_expire_time: record.last.rfc3339(),
            ttl: left(record, now).as_secs(),
            renewable: record.renewable,
            state: record.state,
            revoke_attempts: tried.then_some(record.attempts),
            revoke_error: record.error.as_deref(),
            next_attempt: tried.then(|| record.due.rfc3339()),
        }
    }
}
