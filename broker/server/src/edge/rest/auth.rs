//! `/api/v1/auth`: logging in, and tokens.

use std::sync::Arc;

use http::StatusCode;
use warder_core::{
    error::{Error, ErrorKind},
    json,
    path::Path,
    request::{Address, Answer, Auth, Fields, Operation, Reply as Answered},
    secret::Secret,
};

use super::{
    super::{Edge, Inbound, parse_path, problem::Refusal, reply, route::Outcome},
    canonical, collection, names, only, page, text_member, token, told, whole,
};

const LOGIN_FAILED: &str = "login failed: unknown method, unknown role or bad proof";

/// Logs in by a mounted method. Whatever fails, the answer is one and the same 401.
pub(crate) async fn login(edge: Arc<Edge>, mut inbound: Inbound) -> Outcome {
    inbound.media("application/json", true)?;
    inbound.query.only(&[])?;
    let mut fields = inbound.fields(&edge).await?;
    let method = text_member(&fields, "method")?.ok_or_else(|| Error::invalid("method", "missing field: method"))?;
    let mount = text_member(&fields, "mount")?;
    fields.take("method");
    fields.take("mount");
    let method = method.expose_str().unwrap_or_default();
    let path = login_path(method, mount.as_ref().map(|mount| mount.expose_str().unwrap_or_default()))?;
    let asked = edge.ask_as(&inbound, None, Operation::Update, Address::Canonical(path), fields).await;
    let answered = asked.map_err(|refusal| uniform(&edge, refusal))?;
    match &answered.auth {
        Some(auth) => Ok(told(StatusCode::OK, issued(auth, true)?, &answered)),
        None => Err(failed(&edge)),
    }
}

/// Where a method answers.
pub(in crate::edge) fn login_path(method: &str, mount: Option<&str>) -> Result<Path, Error> {
    let field = if mount.is_some() { "mount" } else { "method" };
    let name = mount.unwrap_or(method).trim_matches('/');
    parse_path(&format!("auth/{name}/login")).map_err(|error| error.at(field))
}

/// Errors that would tell a stranger what exists become the same 401.
pub(in crate::edge) fn uniform(edge: &Edge, refusal: Refusal) -> Refusal {
    match refusal.error().kind {
        ErrorKind::InvalidRequest
        | ErrorKind::MethodNotAllowed
        | ErrorKind::NotFound
        | ErrorKind::PermissionDenied
        | ErrorKind::Unauthenticated
        | ErrorKind::UpstreamRejected => failed(edge),
        _ => refusal,
    }
}

pub(in crate::edge) fn failed(edge: &Edge) -> Refusal {
    // No login method can be mounted yet, so there is nothing to name.
    let words =
        if edge.dev { format!("{LOGIN_FAILED}; mounted methods: none are mounted") } else { LOGIN_FAILED.into() };
    Error::new(ErrorKind::Unauthenticated, words).into()
}

/// What the caller's token is.
pub(crate) async fn show_self(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    inbound.query.only(&[])?;
    let answered = canonical(&edge, &inbound, Operation::Read, "auth/token/lookup-self", Fields::default()).await?;
    shown(&answered)
}

/// Renews the caller's token.
pub(crate) async fn renew_self(edge: Arc<Edge>, mut inbound: Inbound) -> Outcome {
    inbound.query.only(&[])?;
    let fields = known_fields(&edge, &mut inbound, &["increment"]).await?;
    let answered = canonical(&edge, &inbound, Operation::Update, "auth/token/renew-self", fields).await?;
    renewed(answered)
}

/// Revokes the caller's token and all its children.
pub(crate) async fn revoke_self(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    inbound.query.only(&[])?;
    whole(&canonical(&edge, &inbound, Operation::Update, "auth/token/revoke-self", Fields::default()).await?)
}

/// Creates a child token, or an orphan.
pub(crate) async fn create(edge: Arc<Edge>, mut inbound: Inbound) -> Outcome {
    inbound.media("application/json", true)?;
    inbound.query.only(&[])?;
    let mut fields = inbound.fields(&edge).await?;
    only(&fields, NEW_TOKEN)?;
    let orphan = match fields.take("orphan").as_ref().and_then(Secret::expose_str) {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Refusal::invalid("orphan", "expected true or false")),
    };
    if let Some(metadata) = fields.take("metadata") {
        fields.set("meta", metadata);
    }
    let path = if orphan { "auth/token/create-orphan" } else { "auth/token/create" };
    let answered = canonical(&edge, &inbound, Operation::Update, path, fields).await?;
    let auth = answered.auth.as_ref().ok_or_else(|| Error::internal("a token was created without a token"))?;
    Ok(told(StatusCode::CREATED, issued(auth, true)?, &answered))
}

/// What may be said of a new token. A word that is none of these would go unnoticed, and the token
/// would be another one than was meant.
const NEW_TOKEN: &[&str] = &[
    "id",
    "policies",
    "ttl",
    "lease",
    "period",
    "explicit_max_ttl",
    "num_uses",
    "renewable",
    "display_name",
    "meta",
    "metadata",
    "no_parent",
    "no_default_policy",
    "orphan",
    "type",
    "entity_alias",
];

/// Accessors of all tokens.
pub(crate) async fn list(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    collection(&inbound)?;
    let mut fields = Fields::default();
    let limit = page(&inbound, &mut fields)?;
    let answered = canonical(&edge, &inbound, Operation::List, "auth/token/accessors/", fields).await?;
    match &answered.answer {
        Answer::Names { keys } => Ok(told(StatusCode::OK, names(keys, limit), &answered)),
        _ => whole(&answered),
    }
}

/// What a token is, by its accessor.
pub(crate) async fn show(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    inbound.query.only(&[])?;
    let answered = by_accessor(&edge, &inbound, "auth/token/lookup-accessor", Fields::default()).await?;
    shown(&answered)
}

/// Renews a token by its accessor.
pub(crate) async fn renew(edge: Arc<Edge>, mut inbound: Inbound) -> Outcome {
    inbound.query.only(&[])?;
    let fields = known_fields(&edge, &mut inbound, &["increment"]).await?;
    renewed(by_accessor(&edge, &inbound, "auth/token/renew-accessor", fields).await?)
}

/// Revokes a token by its accessor.
pub(crate) async fn revoke(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    inbound.query.only(&[])?;
    whole(&by_accessor(&edge, &inbound, "auth/token/revoke-accessor", Fields::default()).await?)
}

async fn by_accessor(edge: &Edge, inbound: &Inbound, path: &str, mut fields: Fields) -> Result<Answered, Refusal> {
    fields.set_string("accessor", &inbound.capture);
    canonical(edge, inbound, Operation::Update, path, fields).await.map_err(absent_when_unknown)
}

/// Here the accessor is the name of the resource; `/v1` calls an unknown one bad input.
pub(in crate::edge) fn absent_when_unknown(refusal: Refusal) -> Refusal {
    let error = refusal.error();
    if error.kind == ErrorKind::InvalidRequest && error.field.as_deref() == Some("accessor") {
        return Error::new(ErrorKind::NotFound, "no token has this accessor").at("accessor").into();
    }
    refusal
}

async fn known_fields(edge: &Edge, inbound: &mut Inbound, known: &[&str]) -> Result<Fields, Refusal> {
    inbound.media("application/json", true)?;
    let fields = inbound.fields(edge).await?;
    only(&fields, known)?;
    Ok(fields)
}

fn renewed(answered: Answered) -> Outcome {
    match &answered.auth {
        Some(auth) => Ok(told(StatusCode::OK, issued(auth, false)?, &answered)),
        None => whole(&answered),
    }
}

fn shown(answered: &Answered) -> Outcome {
    match &answered.answer {
        Answer::Document(document) => Ok(told(StatusCode::OK, token::native(document)?, answered)),
        _ => whole(answered),
    }
}

/// `{"token","accessor","policies","ttl_seconds","renewable","entity_id","metadata"}`.
fn issued(auth: &Auth, with_token: bool) -> Result<Secret, Refusal> {
    let metadata = serde_json::to_vec(&auth.metadata).map_err(Error::internal)?;
    let parts: Vec<(&str, Secret)> = vec![
        ("token", Secret::new(reply::quoted(auth.token.expose_str().unwrap_or_default()))),
        ("accessor", reply::quoted(&auth.accessor).into()),
        ("policies", reply::quoted_list(auth.policies.iter().map(String::as_str)).into()),
        ("ttl_seconds", auth.ttl.as_secs().to_string().into()),
        ("renewable", auth.renewable.to_string().into()),
        ("entity_id", auth.entity_id.as_deref().map_or_else(|| b"null".to_vec(), reply::quoted).into()),
        ("metadata", metadata.into()),
    ];
    let shown = parts.iter().filter(|(name, _)| with_token || *name != "token");
    Ok(json::compose(shown.map(|(name, text)| (*name, text.expose_str().unwrap_or("null")))))
}
