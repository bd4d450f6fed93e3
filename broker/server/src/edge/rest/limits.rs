//! `/api/v1/limits`: rate limits, the same that `/v1/sys/quotas/rate-limit` sets; and
//! `/api/v1/locked-users`, the same that `/v1/sys/locked-users` shows.

use std::sync::Arc;

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Number;
use warder_core::{
    error::Error,
    quota::GroupBy,
    request::{Answer, Fields, Operation, Reply as Answered, document},
};

use super::{
    super::{Edge, Inbound, problem::Refusal, route::Outcome},
    canonical, collection, names, only, page, secrets, told, whole,
};

pub(in crate::edge) const LIMITS: &str = "sys/quotas/rate-limit/";

/// What may be set; the name is in the path.
const FIELDS: [&str; 5] = ["path", "rate", "interval", "block_interval", "group_by"];

/// A limit as the broker shows it.
#[derive(Deserialize)]
pub(in crate::edge) struct Shown {
    pub(in crate::edge) name: String,
    pub(in crate::edge) path: String,
    pub(in crate::edge) rate: Number,
    pub(in crate::edge) interval: Number,
    pub(in crate::edge) block_interval: Number,
    pub(in crate::edge) group_by: GroupBy,
}

/// A limit as `/api/v1` shows it.
#[derive(Serialize)]
struct Native {
    name: String,
    path: String,
    rate: Number,
    interval_seconds: Number,
    block_interval_seconds: Number,
    group_by: GroupBy,
}

impl Shown {
    /// A limit out of the broker's answer.
    pub(in crate::edge) fn of(answered: &Answered) -> Result<Self, Refusal> {
        Ok(serde_json::from_slice(secrets::document(answered)?.expose()).map_err(Error::internal)?)
    }
}

impl From<Shown> for Native {
    fn from(shown: Shown) -> Self {
        let Shown { name, path, rate, interval, block_interval, group_by } = shown;
        Self { name, path, rate, interval_seconds: interval, block_interval_seconds: block_interval, group_by }
    }
}

/// Names that are locked, as the broker shows them.
#[derive(Deserialize)]
struct ByNamespace {
    by_namespace: Vec<Namespace>,
}

#[derive(Deserialize)]
struct Namespace {
    mount_accessors: Vec<OfMount>,
}

#[derive(Deserialize)]
struct OfMount {
    mount_accessor: String,
    alias_identifiers: Vec<String>,
}

/// A name that is locked, as `/api/v1` shows it.
#[derive(Serialize)]
pub(in crate::edge) struct Locked {
    pub(in crate::edge) accessor: String,
    pub(in crate::edge) name: String,
}

impl Locked {
    /// All of them, sorted, out of the broker's answer.
    pub(in crate::edge) fn all(answered: &Answered) -> Result<Vec<Self>, Refusal> {
        let shown: ByNamespace =
            serde_json::from_slice(secrets::document(answered)?.expose()).map_err(Error::internal)?;
        let mounts = shown.by_namespace.into_iter().flat_map(|namespace| namespace.mount_accessors);
        let names = |OfMount { mount_accessor, alias_identifiers }| {
            let one = move |name| Self { accessor: String::clone(&mount_accessor), name };
            Vec::into_iter(alias_identifiers).map(one)
        };
        Ok(mounts.flat_map(names).collect())
    }
}

/// Where a name is unlocked.
pub(in crate::edge) fn unlock_path(accessor: &str, name: &str) -> Result<String, Refusal> {
    let refuse = |field, what| Err(Refusal::invalid(field, format!("expected {what}")));
    match (accessor, name) {
        ("", _) => refuse("accessor", "the accessor of a mount"),
        (accessor, _) if accessor.contains('/') => refuse("accessor", "the accessor of a mount, without '/'"),
        (_, "") => refuse("name", "a name"),
        _ => Ok(format!("sys/locked-users/{accessor}/unlock/{name}")),
    }
}

/// Names that are locked because logins failed.
pub(crate) async fn locked(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    inbound.query.only(&[])?;
    let answered = canonical(&edge, &inbound, Operation::Read, "sys/locked-users", Fields::default()).await?;
    let shown = serde_json::json!({ "locked": Locked::all(&answered)? });
    Ok(told(StatusCode::OK, document(&shown)?, &answered))
}

/// Unlocks a name.
pub(crate) async fn unlock(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    inbound.query.only(&[])?;
    let (accessor, name) = inbound.capture.split_once('/').unwrap_or((&inbound.capture, ""));
    let path = unlock_path(accessor, name)?;
    whole(&canonical(&edge, &inbound, Operation::Update, &path, Fields::default()).await?)
}

/// Names of all limits.
pub(crate) async fn list(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    collection(&inbound)?;
    let mut fields = Fields::default();
    let limit = page(&inbound, &mut fields)?;
    let answered = canonical(&edge, &inbound, Operation::List, LIMITS, fields).await?;
    match &answered.answer {
        Answer::Names { keys } => Ok(told(StatusCode::OK, names(keys, limit), &answered)),
        _ => whole(&answered),
    }
}

/// One limit.
pub(crate) async fn read(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    inbound.query.only(&[])?;
    let path = format!("{LIMITS}{}", inbound.capture);
    let answered = canonical(&edge, &inbound, Operation::Read, &path, Fields::default()).await?;
    let native = Native::from(Shown::of(&answered)?);
    Ok(told(StatusCode::OK, document(&native)?, &answered))
}

/// Sets a limit.
pub(crate) async fn write(edge: Arc<Edge>, mut inbound: Inbound) -> Outcome {
    inbound.media("application/json", true)?;
    inbound.query.only(&[])?;
    let fields = inbound.fields(&edge).await?;
    only(&fields, &FIELDS)?;
    let path = format!("{LIMITS}{}", inbound.capture);
    whole(&canonical(&edge, &inbound, Operation::Update, &path, fields).await?)
}

/// Lifts a limit.
pub(crate) async fn delete(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    inbound.query.only(&[])?;
    let path = format!("{LIMITS}{}", inbound.capture);
    whole(&canonical(&edge, &inbound, Operation::Delete, &path, Fields::default()).await?)
}
