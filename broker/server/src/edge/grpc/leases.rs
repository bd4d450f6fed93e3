//! `LeaseService`: the same requests as `rest::leases` makes.

use tonic::{Request, Response, Status};
use warder_core::request::{Fields, Operation};
use warder_proto::v1::{
    Lease, LeaseServiceListRequest as ListRequest, LeaseServiceListResponse as ListResponse,
    LeaseServiceLookupRequest as LookupRequest, LeaseServiceLookupResponse as LookupResponse,
    LeaseServiceRenewRequest as RenewRequest, LeaseServiceRenewResponse as RenewResponse,
    LeaseServiceRevokePrefixRequest as RevokePrefixRequest, LeaseServiceRevokePrefixResponse as RevokePrefixResponse,
    LeaseServiceRevokeRequest as RevokeRequest, LeaseServiceRevokeResponse as RevokeResponse, LeaseState,
    lease_service_server::LeaseService,
};

use super::{
    super::{
        problem::Refusal,
        rest::{
            absent,
            leases::{Shown, absent_when_unknown, end, folder, named},
        },
    },
    call::{Call, Told},
    shape,
};

#[tonic::async_trait]
impl LeaseService for Call {
    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        self.tell(list(self, request.into_inner()).await)
    }

    async fn lookup(&self, request: Request<LookupRequest>) -> Result<Response<LookupResponse>, Status> {
        self.tell(lookup(self, request.into_inner()).await)
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<RenewResponse>, Status> {
        self.tell(renew(self, request.into_inner()).await)
    }

    async fn revoke(&self, request: Request<RevokeRequest>) -> Result<Response<RevokeResponse>, Status> {
        let fields = id(&request.get_ref().lease_id).map(|()| named(&request.get_ref().lease_id, true));
        let answered = match fields {
            Ok(fields) => self.canonical(Operation::Update, "sys/leases/revoke", fields).await,
            Err(refusal) => Err(refusal),
        };
        self.tell(answered.map(|answered| (RevokeResponse {}, answered)))
    }

    async fn revoke_prefix(
        &self,
        request: Request<RevokePrefixRequest>,
    ) -> Result<Response<RevokePrefixResponse>, Status> {
        self.tell(revoke_prefix(self, request.into_inner()).await)
    }
}

async fn list(call: &Call, asked: ListRequest) -> Told<ListResponse> {
    let mut fields = Fields::default();
    let limit = shape::page(asked.after.as_deref(), asked.limit, &mut fields)?;
    let answered = call.canonical(Operation::List, &folder(&asked.prefix), fields).await?;
    let (keys, next) = shape::names(shape::listed(&answered)?, limit);
    Ok((ListResponse { keys, next }, answered))
}

async fn lookup(call: &Call, asked: LookupRequest) -> Told<LookupResponse> {
    id(&asked.lease_id)?;
    let answered = call.canonical(Operation::Update, "sys/leases/lookup", named(&asked.lease_id, false)).await;
    let answered = answered.map_err(absent_when_unknown)?;
    let shown = Shown::of(&answered)?;
    let state = match &*shown.state {
        "confirmed" => LeaseState::Confirmed,
        "pending" => LeaseState::Pending,
        "revoking" => LeaseState::Revoking,
        _ => LeaseState::Unspecified,
    };
    let lease = Lease {
        lease_id: shown.id,
        path: shown.path,
        state: state.into(),
        issued_at: shape::moment(Some(&shown.issued_at)),
        expires_at: shape::moment(Some(&shown.expires_at)),
        max_expires_at: shape::moment(Some(&shown.max_expires_at)),
        renewed_at: shape::moment(shown.renewed_at.as_deref()),
        ttl_seconds: shown.ttl_seconds,
        renewable: shown.renewable,
        revoke_attempts: shown.revoke_attempts.unwrap_or_default(),
        revoke_error: shown.revoke_error,
        next_attempt_at: shape::moment(shown.next_attempt_at.as_deref()),
    };
    Ok((LookupResponse { lease: Some(lease) }, answered))
}

async fn renew(call: &Call, asked: RenewRequest) -> Told<RenewResponse> {
    id(&asked.lease_id)?;
    let mut fields = named(&asked.lease_id, false);
    if let Some(seconds) = asked.increment_seconds {
        fields.set("increment", seconds.to_string());
    }
    let answered = call.canonical(Operation::Update, "sys/leases/renew", fields).await;
    let answered = answered.map_err(absent_when_unknown)?;
    let lease = answered.lease.as_ref().map(shape::lease).ok_or_else(absent)?;
    Ok((RenewResponse { lease: Some(lease) }, answered))
}

async fn revoke_prefix(call: &Call, asked: RevokePrefixRequest) -> Told<RevokePrefixResponse> {
    let mut fields = Fields::default();
    fields.set("sync", "true");
    let answered = call.canonical(Operation::Update, &end(&asked.prefix, asked.force)?, fields).await?;
    Ok((RevokePrefixResponse {}, answered))
}

/// REST has no path for an empty one.
fn id(id: &str) -> Result<(), Refusal> {
    if id.is_empty() { Err(Refusal::invalid("lease_id", "expected the id of a lease")) } else { Ok(()) }
}
