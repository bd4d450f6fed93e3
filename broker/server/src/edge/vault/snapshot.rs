//! Snapshots as Vault's clients ask for them.

use std::sync::Arc;

use http::StatusCode;

use super::super::{
    Edge, Inbound, Outcome as Seen, reply,
    route::Outcome,
    snapshots::{self, Wish},
};

/// GET: the store as a file.
pub(crate) async fn save(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    let (mut response, answered) = snapshots::save(&edge, &inbound).await?;
    response.extensions_mut().insert(Seen::answered(&answered));
    Ok(response)
}

/// PUT and POST: puts one back that was taken under the root key in use.
pub(crate) async fn restore(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    put(edge, inbound, false).await
}

/// PUT and POST: puts back any, with its seal.
pub(crate) async fn force(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    put(edge, inbound, true).await
}

async fn put(edge: Arc<Edge>, mut inbound: Inbound, force: bool) -> Outcome {
    let wish = Wish { dry_run: inbound.query.flag("dry_run")?, force };
    let (found, answered) = snapshots::put(&edge, &mut inbound, wish).await?;
    let mut response = match wish.dry_run {
        false => reply::empty(StatusCode::NO_CONTENT),
        true => reply::value(StatusCode::OK, &serde_json::json!({ "data": found })),
    };
    response.extensions_mut().insert(Seen::answered(&answered));
    Ok(response)
}
