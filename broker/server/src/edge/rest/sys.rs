//! `/api/v1/mounts`, `plugins`, `audit` and `sys`.

use std::sync::Arc;

use http::StatusCode;
use warder_core::{
    port::seal::SealStatus,
    request::{self, Fields, Operation},
    secret::Secret,
};

use super::{
    super::{
        Edge, Inbound,
        problem::Refusal,
        reply::{self, Reply},
        route::Outcome,
        vault::keys,
    },
    canonical, only, text_member, told, whole,
};

/// All mounts, by path.
pub(crate) async fn mounts(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    show(&edge, inbound, "sys/mounts").await
}

/// One mount.
pub(crate) async fn mount(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    let path = mount_path(&inbound);
    show(&edge, inbound, &path).await
}

/// Binds a plugin to a path.
pub(crate) async fn enable(edge: Arc<Edge>, mut inbound: Inbound) -> Outcome {
    inbound.media("application/json", true)?;
    inbound.query.only(&[])?;
    let fields = inbound.fields(&edge).await?;
    only(&fields, &["plugin", "type", "description", "options"])?;
    whole(&canonical(&edge, &inbound, Operation::Update, &mount_path(&inbound), fields).await?)
}

/// Changes what is told of a mount; the body merges into it.
pub(crate) async fn tune(edge: Arc<Edge>, mut inbound: Inbound) -> Outcome {
    if inbound.media_type().as_deref() != Some("application/json") {
        inbound.media("application/merge-patch+json", true)?;
    }
    inbound.query.only(&[])?;
    let fields = inbound.fields(&edge).await?;
    only(&fields, &["description", "options"])?;
    let path = format!("{}/tune", mount_path(&inbound));
    whole(&canonical(&edge, &inbound, Operation::Update, &path, fields).await?)
}

/// Removes a mount with all that it holds.
pub(crate) async fn disable(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    inbound.query.only(&[])?;
    whole(&canonical(&edge, &inbound, Operation::Delete, &mount_path(&inbound), Fields::default()).await?)
}

/// Plugins that can be mounted.
pub(crate) async fn plugins(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    show(&edge, inbound, "sys/plugins").await
}

/// Audit sinks and how they do.
pub(crate) async fn audit(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    show(&edge, inbound, "sys/audit").await
}

/// Where the seal stands.
pub(crate) async fn status(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    inbound.query.only(&[])?;
    Ok(standing(&edge.broker.seal_status()))
}

/// Closes the barrier.
pub(crate) async fn seal(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    inbound.query.only(&[])?;
    whole(&canonical(&edge, &inbound, Operation::Update, "sys/seal", Fields::default()).await?)
}

/// Adds a term to the keyring.
pub(crate) async fn rotate(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    inbound.query.only(&[])?;
    whole(&canonical(&edge, &inbound, Operation::Update, "sys/rotate", Fields::default()).await?)
}

/// How the keyring stands.
pub(crate) async fn key_status(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    inbound.query.only(&[])?;
    let answered = canonical(&edge, &inbound, Operation::Read, "sys/key-status", Fields::default()).await?;
    Ok(told(StatusCode::OK, request::document(&keys::key_status(&answered)?)?, &answered))
}

/// Makes the keys, once. Shares and root token are shown here and nowhere again.
pub(crate) async fn init(edge: Arc<Edge>, mut inbound: Inbound) -> Outcome {
    inbound.media("application/json", true)?;
    inbound.query.only(&[])?;
    let fields = inbound.fields(&edge).await?;
    only(&fields, &["shares", "threshold"])?;
    keys::init(&edge, &inbound, &fields, ["shares", "threshold"]).await
}

/// Takes one key share, or starts the attempt again.
pub(crate) async fn unseal(edge: Arc<Edge>, mut inbound: Inbound) -> Outcome {
    inbound.media("application/json", true)?;
    inbound.query.only(&[])?;
    let fields = inbound.fields(&edge).await?;
    only(&fields, &["key", "reset"])?;
    let key = text_member(&fields, "key")?;
    Ok(standing(&keys::unseal(&edge, &inbound, &fields, key).await?))
}

async fn show(edge: &Edge, inbound: Inbound, path: &str) -> Result<Reply, Refusal> {
    inbound.query.only(&[])?;
    whole(&canonical(edge, &inbound, Operation::Read, path, Fields::default()).await?)
}

fn mount_path(inbound: &Inbound) -> String {
    format!("sys/mounts/{}", inbound.capture.trim_end_matches('/'))
}

fn standing(seal: &SealStatus) -> Reply {
    let body = serde_json::json!({
        "initialized": seal.initialized,
        "sealed": seal.sealed,
        "seal": seal.kind,
        "threshold": seal.threshold,
        "shares": seal.shares,
        "progress": seal.progress,
        "nonce": seal.nonce,
        "version": env!("CARGO_PKG_VERSION"),
    });
    reply::json(StatusCode::OK, Secret::from(body.to_string()))
}
