//! `/api/v1/leases`: what was issued for a time, the same that `/v1/sys/leases` shows. A revocation
//! is answered when it is done.

use std::sync::Arc;

use http::StatusCode;
use serde::{Deserialize, Serialize};
use warder_core::{
    error::{Error, ErrorKind},
    request::{Answer, Fields, LeaseShown, Operation, Reply as Answered, document},
    secret::Secret,
};

use super::{
    super::{Edge, Inbound, problem::Refusal, route::Outcome},
    absent, canonical, names, only, page, secrets, told, whole,
};

/// What the broker's lookup says, in the compatible API's words.
#[derive(Deserialize)]
struct Looked {
    id: String,
    path: String,
    issue_time: String,
    expire_time: String,
    max_expire_time: String,
    last_renewal: Option<String>,
    ttl: u64,
    renewable: bool,
    state: String,
    revoke_attempts: Option<u32>,
    revoke_error: Option<String>,
    next_attempt: Option<String>,
}

/// A lease as the native doors show it.
#[derive(Serialize)]
pub(in crate::edge) struct Shown {
    pub(in crate::edge) id: String,
    pub(in crate::edge) path: String,
    pub(in crate::edge) state: String,
    pub(in crate::edge) issued_at: String,
    pub(in crate::edge) expires_at: String,
    pub(in crate::edge) max_expires_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::edge) renewed_at: Option<String>,
    pub(in crate::edge) ttl_seconds: u64,
    pub(in crate::edge) renewable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::edge) revoke_attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::edge) revoke_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::edge) next_attempt_at: Option<String>,
}

impl Shown {
    /// A lease out of the broker's answer.
    pub(in crate::edge) fn of(answered: &Answered) -> Result<Self, Refusal> {
        let looked: Looked = serde_json::from_slice(secrets::document(answered)?.expose()).map_err(Error::internal)?;
        Ok(Self {
            id: looked.id,
            path: looked.path,
            state: looked.state,
            issued_at: looked.issue_time,
            expires_at: looked.expire_time,
            max_expires_at: looked.max_expire_time,
            renewed_at: looked.last_renewal,
            ttl_seconds: looked.ttl,
            renewable: looked.renewable,
            revoke_attempts: looked.revoke_attempts,
            revoke_error: looked.revoke_error,
            next_attempt_at: looked.next_attempt,
        })
    }
}

/// `{"id","ttl_seconds","renewable","expires_at"}`: the member `lease` of a secret, and the answer
/// to a renewal.
pub(super) fn member(lease: &LeaseShown) -> Result<Secret, Error> {
    document(&serde_json::json!({
        "id": lease.id,
        "ttl_seconds": lease.ttl.as_secs(),
        "renewable": lease.renewable,
        "expires_at": lease.expires.rfc3339(),
    }))
}

/// Where the leases of a prefix are listed.
pub(in crate::edge) fn folder(prefix: &str) -> String {
    match prefix.trim_matches('/') {
        "" => "sys/leases/lookup/".to_owned(),
        prefix => format!("sys/leases/lookup/{prefix}/"),
    }
}

/// Where those of a prefix are revoked.
pub(in crate::edge) fn end(prefix: &str, force: bool) -> Result<String, Refusal> {
    let how = if force { "revoke-force" } else { "revoke-prefix" };
    match prefix.trim_matches('/') {
        "" => Err(Refusal::invalid("prefix", "expected a path: what is below it is revoked")),
        prefix => Ok(format!("sys/leases/{how}/{prefix}")),
    }
}

/// Fields that name a lease; with `wait` the answer comes when it is done.
pub(in crate::edge) fn named(id: &str, wait: bool) -> Fields {
    let mut fields = Fields::default();
    fields.set_string("lease_id", id);
    if wait {
        fields.set("sync", "true");
    }
    fields
}

/// Here the id is the name of the resource; `/v1` calls an unknown one bad input.
pub(in crate::edge) fn absent_when_unknown(refusal: Refusal) -> Refusal {
    let error = refusal.error();
    if error.kind == ErrorKind::InvalidRequest && error.field.as_deref() == Some("lease") {
        return Error::new(ErrorKind::NotFound, "no lease has this id").at("lease_id").into();
    }
    refusal
}

/// Names below a prefix: folders end in a slash, the others are the last segments of ids.
pub(crate) async fn list(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    inbound.query.only(&["prefix", "list", "after", "limit"])?;
    if inbound.query.one("list")?.is_some() && !inbound.query.flag("list")? {
        return Err(Refusal::invalid("list", "this path is a list: expected list=true or no parameter"));
    }
    let mut fields = Fields::default();
    let limit = page(&inbound, &mut fields)?;
    let path = folder(inbound.query.one("prefix")?.unwrap_or_default());
    let answered = canonical(&edge, &inbound, Operation::List, &path, fields).await?;
    match &answered.answer {
        Answer::Names { keys } => Ok(told(StatusCode::OK, names(keys, limit), &answered)),
        _ => whole(&answered),
    }
}

/// What is known of a lease.
pub(crate) async fn read(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    inbound.query.only(&[])?;
    let fields = named(&inbound.capture, false);
    let asked = canonical(&edge, &inbound, Operation::Update, "sys/leases/lookup", fields).await;
    let answered = asked.map_err(absent_when_unknown)?;
    let shown = Shown::of(&answered)?;
    Ok(told(StatusCode::OK, document(&shown)?, &answered))
}

/// More time for a lease.
pub(crate) async fn renew(edge: Arc<Edge>, mut inbound: Inbound) -> Outcome {
    inbound.media("application/json", true)?;
    inbound.query.only(&[])?;
    let mut fields = inbound.fields(&edge).await?;
    only(&fields, &["increment"])?;
    fields.set_string("lease_id", &inbound.capture);
    let asked = canonical(&edge, &inbound, Operation::Update, "sys/leases/renew", fields).await;
    let answered = asked.map_err(absent_when_unknown)?;
    let lease = answered.lease.as_ref().ok_or_else(absent)?;
    Ok(told(StatusCode::OK, member(lease)?, &answered))
}

/// Ends a lease; one that is not there has ended.
pub(crate) async fn revoke(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    inbound.query.only(&[])?;
    let fields = named(&inbound.capture, true);
    whole(&canonical(&edge, &inbound, Operation::Update, "sys/leases/revoke", fields).await?)
}

/// Ends all leases below a prefix; with `force=true` also those whose plugin fails.
pub(crate) async fn revoke_prefix(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    inbound.query.only(&["prefix", "force"])?;
    let path = end(inbound.query.one("prefix")?.unwrap_or_default(), inbound.query.flag("force")?)?;
    let mut fields = Fields::default();
    fields.set("sync", "true");
    whole(&canonical(&edge, &inbound, Operation::Update, &path, fields).await?)
}
