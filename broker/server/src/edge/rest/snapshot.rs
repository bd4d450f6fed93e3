//! `/api/v1/sys/snapshot` and `/api/v1/sys/restore`: the whole store as a file, and back.

use std::sync::Arc;

use http::StatusCode;
use warder_core::{
    error::{Error, ErrorKind},
    request,
};

use super::{
    super::{
        Edge, Inbound,
        route::Outcome,
        snapshots::{self, Wish},
    },
    stamp, told,
};

/// Media types that a file may have.
const FILES: [&str; 2] = ["application/gzip", "application/octet-stream"];

/// The store as a file.
pub(crate) async fn save(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    inbound.query.only(&[])?;
    let (response, answered) = snapshots::save(&edge, &inbound).await?;
    Ok(stamp(response, &answered))
}

/// Puts a file back, or looks at it.
pub(crate) async fn restore(edge: Arc<Edge>, mut inbound: Inbound) -> Outcome {
    if inbound.media_type().is_some_and(|media| !FILES.contains(&&*media)) {
        let words = format!("expected {}", FILES.join(" or "));
        return Err(Error::new(ErrorKind::UnsupportedMediaType, words).at("Content-Type").into());
    }
    inbound.query.only(&["dry_run", "force"])?;
    let wish = Wish { dry_run: inbound.query.flag("dry_run")?, force: inbound.query.flag("force")? };
    let (found, answered) = snapshots::put(&edge, &mut inbound, wish).await?;
    Ok(told(StatusCode::OK, request::document(&found)?, &answered))
}
