//! The parts of `/v1/sys` that answer without a token, sealed or not.

use std::sync::Arc;

use http::StatusCode;
use warder_core::{error::Error, json, port::seal::SealStatus, request::Fields, secret::Secret};

use super::{
    super::{Edge, Inbound, problem::Refusal, reply, route::Outcome},
    keys,
};

/// `sys/health`, with the status overrides that load balancers use.
pub(crate) async fn health(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    let seal = edge.broker.seal_status();
    let (name, usual) = match (seal.initialized, seal.sealed) {
        // Whatever a load balancer asks to be told of others: it should send nobody here.
        _ if edge.is_leaving() => ("drainingcode", 503),
        (false, _) => ("uninitcode", 501),
        (true, true) => ("sealedcode", 503),
        (true, false) => ("activecode", 200),
    };
    let mut code = StatusCode::from_u16(usual).map_err(Error::internal)?;
    // Those of other states are looked at as well: a mistake is told before it matters.
    for known in ["activecode", "sealedcode", "uninitcode"] {
        let Some(text) = inbound.query.one(known)? else { continue };
        let wanted =
            final_code(text).ok_or_else(|| Error::invalid(known, "expected an HTTP status from 200 to 599"))?;
        if known == name {
            code = wanted;
        }
    }
    let body = serde_json::json!({
        "initialized": seal.initialized,
        "sealed": seal.sealed,
        "standby": false,
        "performance_standby": false,
        "replication_performance_mode": "disabled",
        "replication_dr_mode": "disabled",
        "server_time_utc": edge.clock.now().0 / 1000,
        "version": env!("CARGO_PKG_VERSION"),
    });
    Ok(reply::value(code, &body))
}

/// Below 200 nothing is final: a client would wait for the answer that follows.
fn final_code(text: &str) -> Option<StatusCode> {
    let digits = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
    let code = text.parse::<u16>().ok().filter(|code| digits && (200..600).contains(code))?;
    StatusCode::from_u16(code).ok()
}

/// `sys/seal-status`.
pub(crate) async fn seal_status(edge: Arc<Edge>, _: Inbound) -> Outcome {
    let seal = edge.broker.seal_status();
    Ok(reply::value(StatusCode::OK, &standing(&edge, &seal)))
}

/// `sys/init`, asked.
pub(crate) async fn initialized(edge: Arc<Edge>, _: Inbound) -> Outcome {
    let initialized = edge.broker.seal_status().initialized;
    Ok(reply::value(StatusCode::OK, &serde_json::json!({ "initialized": initialized })))
}

/// `sys/init`, done.
pub(crate) async fn init(edge: Arc<Edge>, mut inbound: Inbound) -> Outcome {
    let fields = inbound.fields(&edge).await?;
    keys::init(&edge, &inbound, &fields, ["secret_shares", "secret_threshold"]).await
}

/// `sys/unseal`.
pub(crate) async fn unseal(edge: Arc<Edge>, mut inbound: Inbound) -> Outcome {
    let fields = inbound.fields(&edge).await?;
    let key = text(&fields, "key")?;
    let seal = keys::unseal(&edge, &inbound, &fields, key).await?;
    Ok(reply::value(StatusCode::OK, &standing(&edge, &seal)))
}

/// `sys/leader`: one node is always the leader of itself, without high availability.
pub(crate) async fn leader(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    let seal = edge.broker.seal_status();
    if seal.sealed || !seal.initialized {
        return Err(Error::sealed().into());
    }
    drop(inbound);
    let body = serde_json::json!({
        "ha_enabled": false,
        "is_self": false,
        "active_time": "0001-01-01T00:00:00Z",
        "leader_address": "",
        "leader_cluster_address": "",
        "performance_standby": false,
        "performance_standby_last_remote_wal": 0,
    });
    Ok(reply::value(StatusCode::OK, &body))
}

fn standing(edge: &Edge, seal: &SealStatus) -> serde_json::Value {
    serde_json::json!({
        "type": seal.kind,
        "initialized": seal.initialized,
        "sealed": seal.sealed,
        "t": seal.threshold,
        "n": seal.shares,
        "progress": seal.progress,
        "nonce": seal.nonce,
        "version": env!("CARGO_PKG_VERSION"),
        "build_date": "",
        "migration": false,
        "recovery_seal": false,
        "storage_type": edge.storage,
    })
}

fn text(fields: &Fields, name: &'static str) -> Result<Option<Secret>, Refusal> {
    let Some(raw) = fields.get(name).and_then(Secret::expose_str) else { return Ok(None) };
    let text = json::string(raw).map_err(|_| Error::invalid(name, "expected a JSON string"))?;
    Ok(Some(Secret::from(text.as_str())))
}
