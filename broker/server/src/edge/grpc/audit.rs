//! `AuditService`: the same request as `rest::sys` makes of the sinks.

use serde::Deserialize;
use tonic::{Request, Response, Status};
use warder_core::request::{Fields, Operation};
use warder_proto::v1::{
    AuditServiceListSinksRequest as ListSinksRequest, AuditServiceListSinksResponse as ListSinksResponse, AuditSink,
    audit_service_server::AuditService,
};

use super::{
    call::{Call, Told},
    shape,
};

#[tonic::async_trait]
impl AuditService for Call {
    async fn list_sinks(&self, _: Request<ListSinksRequest>) -> Result<Response<ListSinksResponse>, Status> {
        self.tell(list_sinks(self).await)
    }
}

#[derive(Deserialize)]
struct Sinks {
    sinks: Vec<Sink>,
}

/// A sink as the broker shows it.
#[derive(Deserialize)]
struct Sink {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    healthy: bool,
    queued: u64,
    records: u64,
    failures: u64,
    last_error: Option<String>,
}

impl From<Sink> for AuditSink {
    fn from(sink: Sink) -> Self {
        let Sink { name, kind, healthy, queued, records, failures, last_error } = sink;
        Self { name, r#type: kind, healthy, queued, records, failures, last_error }
    }
}

async fn list_sinks(call: &Call) -> Told<ListSinksResponse> {
    let answered = call.canonical(Operation::Read, "sys/audit", Fields::default()).await?;
    let Sinks { sinks } = shape::typed(&answered)?;
    Ok((ListSinksResponse { sinks: sinks.into_iter().map(Into::into).collect() }, answered))
}
