//! `sys/rotate` and `sys/key-status`: the keys that values are encrypted under.

use serde_json::json;

use super::{Served, Sys};
use crate::{clock::Timestamp, error::Result};

pub(super) async fn rotate(sys: &Sys) -> Result<Served> {
    let term = sys.keyring.rotate().await?;
    tracing::info!(key.term = term, "keyring rotated");
    Ok(Served::nothing())
}

/// In the words of the compatible API, and what it has no words for.
pub(super) fn status(sys: &Sys) -> Result<Served> {
    let status = sys.keyring.key_status()?;
    Served::json(&json!({
        "term": status.term,
        // Null for a term of a store that did not keep it.
        "install_time": (status.installed != Timestamp::default()).then(|| status.installed.rfc3339()),
        "encryptions": status.used,
        "oldest_term": status.oldest,
        "terms": status.terms,
        "rewrap": {
            "pending": status.terms > 1,
            "checked": status.rewrap.checked,
            "moved": status.rewrap.moved,
            "broken": status.rewrap.broken,
        },
    }))
}
