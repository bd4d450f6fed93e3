//! `/health`, `/livez`, `/metrics`: for probes and scrapers, without a token and without audit.

use std::sync::Arc;

use http::StatusCode;
use warder_core::secret::Secret;

use super::{Edge, Inbound, reply, route::Outcome};

/// 200 when secrets can be read, 501 before `init`, 503 while sealed and while ending.
pub(crate) async fn ready(edge: Arc<Edge>, _: Inbound) -> Outcome {
    let seal = edge.broker.seal_status();
    let (code, status) = match (seal.initialized, seal.sealed) {
        _ if edge.is_leaving() => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        (false, _) => (StatusCode::NOT_IMPLEMENTED, "uninitialized"),
        (true, true) => (StatusCode::SERVICE_UNAVAILABLE, "sealed"),
        (true, false) => (StatusCode::OK, "ready"),
    };
    let body = serde_json::json!({
        "status": status,
        "initialized": seal.initialized,
        "sealed": seal.sealed,
        "version": env!("CARGO_PKG_VERSION"),
        "time": edge.clock.now().rfc3339(),
    });
    Ok(reply::value(code, &body))
}

/// 200 as long as the process answers.
pub(crate) async fn live(_: Arc<Edge>, _: Inbound) -> Outcome {
    Ok(reply::value(StatusCode::OK, &serde_json::json!({ "status": "live" })))
}

/// Prometheus text, version 0.0.4.
pub(crate) async fn metrics(edge: Arc<Edge>, _: Inbound) -> Outcome {
    let text = edge.metrics.text()?;
    Ok(reply::typed(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", Secret::from(text)))
}
