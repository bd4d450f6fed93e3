//! `sys/storage/raft/snapshot`: the whole store as a file. What passes is too large for an answer:
//! the door takes it from the [`Transfer`] beside it.

use serde_json::json;

use super::{Ask, Served, Sys};
use crate::{
    error::Result,
    port::snapshots::{Transfer, Way},
    request::Operation,
};

pub(super) async fn snapshot(sys: &Sys, ask: &Ask<'_>) -> Result<Served> {
    if ask.operation != Operation::Read {
        let way = Way::In(sys.snapshots.receive().await?);
        return Ok(Served { transfer: Some(Transfer::new(way)), ..Served::nothing() });
    }
    let saving = sys.snapshots.save().await?;
    tracing::info!(snapshot.revision = saving.revision, snapshot.records = saving.records, "snapshot taken");
    let told = Served::json(&json!({ "revision": saving.revision, "records": saving.records }))?;
    Ok(Served { transfer: Some(Transfer::new(Way::Out(saving))), ..told })
}
