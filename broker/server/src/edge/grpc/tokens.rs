//! `TokenService`: the same requests as `rest::auth` makes of tokens.

use tonic::{Request, Response, Status};
use warder_core::{
    error::Error,
    request::{Fields, Operation, Reply as Answered},
};
use warder_proto::v1::{
    IssuedToken, TokenKind, TokenServiceCreateRequest as CreateRequest, TokenServiceCreateResponse as CreateResponse,
    TokenServiceListRequest as ListRequest, TokenServiceListResponse as ListResponse,
    TokenServiceLookupRequest as LookupRequest, TokenServiceLookupResponse as LookupResponse,
    TokenServiceLookupSelfRequest as LookupSelfRequest, TokenServiceLookupSelfResponse as LookupSelfResponse,
    TokenServiceRenewRequest as RenewRequest, TokenServiceRenewResponse as RenewResponse,
    TokenServiceRenewSelfRequest as RenewSelfRequest, TokenServiceRenewSelfResponse as RenewSelfResponse,
    TokenServiceRevokeRequest as RevokeRequest, TokenServiceRevokeResponse as RevokeResponse,
    TokenServiceRevokeSelfRequest as RevokeSelfRequest, TokenServiceRevokeSelfResponse as RevokeSelfResponse,
    token_service_server::TokenService,
};

use super::{
    super::{
        problem::Refusal,
        reply,
        rest::{absent, auth::absent_when_unknown},
    },
    call::{Call, Told},
    shape,
};

#[tonic::async_trait]
impl TokenService for Call {
    async fn lookup_self(&self, _: Request<LookupSelfRequest>) -> Result<Response<LookupSelfResponse>, Status> {
        self.tell(lookup_self(self).await)
    }

    async fn renew_self(&self, request: Request<RenewSelfRequest>) -> Result<Response<RenewSelfResponse>, Status> {
        self.tell(renew_self(self, request.into_inner()).await)
    }

    async fn revoke_self(&self, _: Request<RevokeSelfRequest>) -> Result<Response<RevokeSelfResponse>, Status> {
        let answered = self.canonical(Operation::Update, "auth/token/revoke-self", Fields::default()).await;
        self.tell(answered.map(|answered| (RevokeSelfResponse {}, answered)))
    }

    async fn create(&self, request: Request<CreateRequest>) -> Result<Response<CreateResponse>, Status> {
        self.tell(create(self, request.into_inner()).await)
    }

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
        let accessor = request.into_inner().accessor;
        let answered = by_accessor(self, "auth/token/revoke-accessor", &accessor, Fields::default()).await;
        self.tell(answered.map(|answered| (RevokeResponse {}, answered)))
    }
}

async fn lookup_self(call: &Call) -> Told<LookupSelfResponse> {
    let answered = call.canonical(Operation::Read, "auth/token/lookup-self", Fields::default()).await?;
    Ok((LookupSelfResponse { token: Some(shape::token(&answered)?) }, answered))
}

async fn renew_self(call: &Call, asked: RenewSelfRequest) -> Told<RenewSelfResponse> {
    let fields = increment(asked.increment_seconds);
    let answered = call.canonical(Operation::Update, "auth/token/renew-self", fields).await?;
    let (renewed, warnings) = (Some(issued(&answered, false)?), answered.warnings.clone());
    Ok((RenewSelfResponse { renewed, warnings }, answered))
}

async fn create(call: &Call, asked: CreateRequest) -> Told<CreateResponse> {
    let path = if asked.orphan { "auth/token/create-orphan" } else { "auth/token/create" };
    let answered = call.canonical(Operation::Update, path, wanted(&asked)?).await?;
    let (issued, warnings) = (Some(issued(&answered, true)?), answered.warnings.clone());
    Ok((CreateResponse { issued, warnings }, answered))
}

/// What is asked of a new token, in the broker's words; what is not asked is left out.
fn wanted(asked: &CreateRequest) -> Result<Fields, Refusal> {
    let mut fields = Fields::default();
    if !asked.policies.is_empty() {
        fields.set("policies", reply::quoted_list(asked.policies.iter().map(String::as_str)));
    }
    let seconds = [
        ("ttl", asked.ttl_seconds),
        ("explicit_max_ttl", asked.explicit_max_ttl_seconds),
        ("period", asked.period_seconds),
        ("num_uses", asked.num_uses.into()),
    ];
    for (name, number) in seconds.into_iter().filter(|(_, number)| *number > 0) {
        fields.set(name, number.to_string());
    }
    if let Some(renewable) = asked.renewable {
        fields.set("renewable", renewable.to_string());
    }
    if asked.no_default_policy {
        fields.set("no_default_policy", "true");
    }
    if !asked.metadata.is_empty() {
        fields.set("meta", shape::object(&asked.metadata)?);
    }
    let kind = match asked.kind() {
        TokenKind::Batch => "batch",
        TokenKind::Service => "service",
        TokenKind::Unspecified if asked.kind == 0 => "",
        TokenKind::Unspecified => return Err(Refusal::invalid("kind", "expected a kind of token that is known")),
    };
    let texts = [("display_name", asked.display_name.as_str()), ("id", asked.id.as_str()), ("type", kind)];
    for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
        fields.set_string(name, text);
    }
    Ok(fields)
}

async fn list(call: &Call, asked: ListRequest) -> Told<ListResponse> {
    let mut fields = Fields::default();
    let limit = shape::page(asked.after.as_deref(), asked.limit, &mut fields)?;
    let answered = call.canonical(Operation::List, "auth/token/accessors/", fields).await?;
    let (accessors, next) = shape::names(shape::listed(&answered)?, limit);
    Ok((ListResponse { accessors, next }, answered))
}

async fn lookup(call: &Call, asked: LookupRequest) -> Told<LookupResponse> {
    let answered = by_accessor(call, "auth/token/lookup-accessor", &asked.accessor, Fields::default()).await?;
    Ok((LookupResponse { token: Some(shape::token(&answered)?) }, answered))
}

async fn renew(call: &Call, asked: RenewRequest) -> Told<RenewResponse> {
    let fields = increment(asked.increment_seconds);
    let answered = by_accessor(call, "auth/token/renew-accessor", &asked.accessor, fields).await?;
    let (renewed, warnings) = (Some(issued(&answered, false)?), answered.warnings.clone());
    Ok((RenewResponse { renewed, warnings }, answered))
}

fn increment(seconds: Option<u64>) -> Fields {
    let mut fields = Fields::default();
    if let Some(seconds) = seconds {
        fields.set("increment", seconds.to_string());
    }
    fields
}

async fn by_accessor(call: &Call, path: &str, accessor: &str, mut fields: Fields) -> Result<Answered, Refusal> {
    fields.set_string("accessor", accessor);
    call.canonical(Operation::Update, path, fields).await.map_err(absent_when_unknown)
}

fn issued(answered: &Answered, with_token: bool) -> Result<IssuedToken, Refusal> {
    let auth = answered.auth.as_ref();
    let missing = || if with_token { Error::internal("a token was created without a token").into() } else { absent() };
    auth.map(|auth| shape::issued(auth, with_token)).ok_or_else(missing)
}
