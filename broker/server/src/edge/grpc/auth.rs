//! `AuthService`: the same request as `rest::auth` makes of a login.

use tonic::{Request, Response, Status};
use warder_core::request::{Address, Fields, Operation};
use warder_proto::v1::{
    AuthServiceLoginRequest as LoginRequest, AuthServiceLoginResponse as LoginResponse,
    auth_service_server::AuthService,
};

use super::{
    super::{
        problem::Refusal,
        rest::auth::{failed, login_path, uniform},
    },
    call::{self, Call, Told},
    shape,
};

#[tonic::async_trait]
impl AuthService for Call {
    async fn login(&self, request: Request<LoginRequest>) -> Result<Response<LoginResponse>, Status> {
        self.tell(login(self, request.into_inner()).await)
    }
}

async fn login(call: &Call, asked: LoginRequest) -> Told<LoginResponse> {
    if asked.method.is_empty() {
        return Err(Refusal::invalid("method", "missing field: method"));
    }
    let fields = fields(call, asked.json)?;
    if fields.get("method").or_else(|| fields.get("mount")).is_some() {
        return Err(Refusal::invalid("json", "method and mount are fields of the message"));
    }
    let path = login_path(&asked.method, asked.mount.as_deref())?;
    let answered = call.ask_as(None, Operation::Update, Address::Canonical(path), fields, false).await;
    let answered = answered.map_err(|refusal| uniform(call.edge(), refusal))?;
    let Some(auth) = &answered.auth else { return Err(failed(call.edge())) };
    let (issued, warnings) = (Some(shape::issued(auth, true)), answered.warnings.clone());
    Ok((LoginResponse { issued, warnings }, answered))
}

/// A JSON object's members; no text is no members.
pub(super) fn fields(call: &Call, json: bytes::Bytes) -> Result<Fields, Refusal> {
    let (text, most) = (call::take(json), call.limits().body);
    match text.len() {
        0 => Ok(Fields::default()),
        length if length > most => Err(call::too_large(most)),
        _ => Ok(Fields::from_json(text.expose())?),
    }
}
