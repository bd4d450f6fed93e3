//! A token as the native door shows it: durations in seconds, times in RFC 3339, nothing absent
//! where a program expects a value, and never the token's text.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use warder_core::{
    error::Error,
    identity::TokenKind,
    request::{self, Document},
};

/// What the broker's lookup says, in the compatible API's words. The token's text (`id`) is
/// skipped while reading.
#[derive(Deserialize)]
struct Looked {
    accessor: String,
    creation_ttl: u64,
    display_name: String,
    entity_id: String,
    expire_time: Option<String>,
    explicit_max_ttl: u64,
    issue_time: String,
    #[serde(default)]
    last_renewal: Option<String>,
    meta: Option<BTreeMap<String, String>>,
    num_uses: u32,
    orphan: bool,
    path: String,
    #[serde(default)]
    period: Option<u64>,
    policies: Vec<String>,
    renewable: bool,
    ttl: u64,
    #[serde(rename = "type")]
    kind: TokenKind,
}

/// A token as the native doors show it.
#[derive(Serialize)]
pub(in crate::edge) struct Shown {
    pub(in crate::edge) accessor: String,
    pub(in crate::edge) kind: TokenKind,
    pub(in crate::edge) display_name: String,
    pub(in crate::edge) policies: Vec<String>,
    pub(in crate::edge) entity_id: Option<String>,
    pub(in crate::edge) metadata: BTreeMap<String, String>,
    pub(in crate::edge) path: String,
    pub(in crate::edge) created_at: String,
    pub(in crate::edge) expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::edge) renewed_at: Option<String>,
    /// Zero, with `expires_at` null: it does not expire.
    pub(in crate::edge) ttl_seconds: u64,
    pub(in crate::edge) creation_ttl_seconds: u64,
    pub(in crate::edge) explicit_max_ttl_seconds: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::edge) period_seconds: Option<u64>,
    pub(in crate::edge) renewable: bool,
    pub(in crate::edge) orphan: bool,
    pub(in crate::edge) num_uses: u32,
}

impl From<Looked> for Shown {
    fn from(looked: Looked) -> Self {
        Self {
            accessor: looked.accessor,
            kind: looked.kind,
            display_name: looked.display_name,
            policies: looked.policies,
            entity_id: Some(looked.entity_id).filter(|id| !id.is_empty()),
            metadata: looked.meta.unwrap_or_default(),
            path: looked.path,
            created_at: looked.issue_time,
            expires_at: looked.expire_time,
            renewed_at: looked.last_renewal,
            ttl_seconds: looked.ttl,
            creation_ttl_seconds: looked.creation_ttl,
            explicit_max_ttl_seconds: looked.explicit_max_ttl,
            period_seconds: looked.period,
            renewable: looked.renewable,
            orphan: looked.orphan,
            num_uses: looked.num_uses,
        }
    }
}

/// What a lookup's document says.
///
/// # Errors
/// `internal` when the document is not what a lookup says.
pub(in crate::edge) fn shown(document: &Document) -> Result<Shown, Error> {
    let looked: Looked = serde_json::from_slice(document.expose()).map_err(Error::internal)?;
    Ok(Shown::from(looked))
}

/// The native shape of a lookup's document.
///
/// # Errors
/// `internal` when the document is not what a lookup says.
pub(crate) fn native(document: &Document) -> Result<Document, Error> {
    request::document(&shown(document)?)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use warder_core::secret::Secret;

    use super::*;

    fn changed(change: impl FnOnce(&mut Value)) -> Value {
        let mut looked = json!({
            "accessor": "acc", "creation_time": 1, "creation_ttl": 60, "display_name": "token", "entity_id": "",
            "expire_time": "2026-11-22T03:36:50Z", "explicit_max_ttl": 0, "id": "hvs.secret",
            "issue_time": "2026-11-22T03:35:50Z", "meta": null, "num_uses": 0, "orphan": false,
            "path": "auth/token/create", "policies": ["default"], "renewable": true, "ttl": 59, "type": "service",
        });
        change(&mut looked);
        let shown = native(&Secret::from(looked.to_string())).unwrap();
        serde_json::from_slice(shown.expose()).unwrap()
    }

    #[test]
    fn absent_things_have_their_empty_value_and_the_text_is_gone() {
        let value = changed(|_| ());
        assert_eq!((&value["metadata"], &value["entity_id"]), (&json!({}), &Value::Null));
        assert_eq!((&value["ttl_seconds"], &value["kind"]), (&json!(59), &json!("service")));
        assert!(value.get("renewed_at").is_none() && value.get("period_seconds").is_none());
        assert!(!value.to_string().contains("hvs.secret"));
    }

    #[test]
    fn what_is_there_is_shown() {
        let value = changed(|looked| {
            looked["meta"] = json!({"team": "a"});
            looked["period"] = json!(5);
            looked["last_renewal"] = json!("2026-11-22T03:36:00Z");
            looked["expire_time"] = Value::Null;
        });
        assert_eq!((&value["metadata"]["team"], &value["period_seconds"]), (&json!("a"), &json!(5)));
        assert_eq!((&value["renewed_at"], &value["expires_at"]), (&json!("2026-11-22T03:36:00Z"), &Value::Null));
    }
}
