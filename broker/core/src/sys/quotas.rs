//! `sys/quotas/rate-limit`: limits as operators set them, in the words of Vault's API.

use std::time::Duration;

use serde::Deserialize;

use super::{Ask, Served, Sys, not_found, owns, required};
use crate::{
    duration,
    error::{Error, Result},
    quota::{GroupBy, RateLimit},
    request::Operation,
};

#[derive(Deserialize)]
struct Wanted {
    /// Command lines send it as text.
    rate: Option<serde_json::Value>,
    #[serde(default)]
    path: String,
    #[serde(default, deserialize_with = "duration::optional")]
    interval: Option<Duration>,
    #[serde(default, deserialize_with = "duration::optional")]
    block_interval: Option<Duration>,
    #[serde(default)]
    group_by: GroupBy,
    #[serde(default)]
    role: String,
}

pub(super) async fn names(sys: &Sys, ask: &Ask<'_>) -> Result<Served> {
    Served::names(sys.quotas.names().await?, ask)
}

pub(super) async fn one(sys: &Sys, ask: &Ask<'_>) -> Result<Served> {
    let name = ask.capture("name");
    match ask.operation {
        Operation::Read => {
            let limit = sys.quotas.get(name).await?.ok_or_else(|| not_found("no such rate limit"))?;
            Served::json(&serde_json::json!({
                "name": limit.name,
                "type": "rate-limit",
                "path": limit.path,
                "rate": number(limit.rate),
                "interval": number(limit.interval as f64 / 1000.0),
                "block_interval": number(limit.block_interval as f64 / 1000.0),
                "group_by": limit.group_by,
                "role": "",
                "inheritable": false,
            }))
        }
        Operation::Delete => sys.quotas.delete(name).await.map(|()| Served::nothing()),
        _ => {
            let wanted: Wanted = ask.fields.parse()?;
            if !wanted.role.is_empty() {
                return Err(Error::invalid("role", "limits by login role are not enforced: leave it out"));
            }
            let rate = required(wanted.rate, "rate")?;
            let rate = rate.as_f64().or_else(|| rate.as_str()?.parse().ok());
            let rate = rate.ok_or_else(|| Error::invalid("rate", "expected a number over 0: requests an interval"))?;
            in_a_mount(sys, &wanted.path).await?;
            let limit =
                RateLimit::new(name, &wanted.path, rate, wanted.interval, wanted.block_interval, wanted.group_by)?;
            sys.quotas.put(limit).await.map(|()| Served::nothing())
        }
    }
}

/// Whole numbers without a point, as clients of Vault expect them.
fn number(number: f64) -> serde_json::Value {
    // At most 1e9 and 86,400: exact.
    if number.fract() == 0.0 { serde_json::json!(number as u64) } else { serde_json::json!(number) }
}

/// Refuses a path that no request has: what is beside all mounts and the broker's own paths.
async fn in_a_mount(sys: &Sys, path: &str) -> Result<()> {
    let place = path.trim_start_matches('/').trim_end_matches('*');
    if place.is_empty() || owns(place) || sys.mounts.table().await?.resolve(place).is_some() {
        return Ok(());
    }
    Err(Error::invalid("path", format!("{place:?} is in no mount: name one, or leave it out for all")))
}
