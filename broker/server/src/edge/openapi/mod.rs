//! The description of the API, OpenAPI 3.1, out of the tables that serve it: the router's routes with
//! their rows in `table`, the broker's own paths with theirs in `table::OWN`, and of every mount the
//! routes that its plugin describes.
//!
//! To describe a new route: one row in `table` (a test fails without it), and in `schema` the shapes
//! that are not there yet. Invariant: what needs no token to read is the same for everybody; a mount
//! is described only to callers who may do something below it.

mod fields;
mod mounts;
mod operation;
mod parameter;
mod schema;
mod table;

use std::sync::{Arc, LazyLock};

use http::StatusCode;
use serde_json::{Map, Value, json};
use warder_core::{
    error::Error,
    request::{Address, Answer, Fields, Operation},
    sys,
};

use super::{Edge, Inbound, identify, parse_path, problem::Refusal, reply, route, route::Outcome};

/// Where the broker answers with the mounts that a caller may see.
const SPECS: &str = "sys/internal/specs/openapi";

/// The whole API.
pub(crate) async fn native(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    inbound.query.only(&["mount"])?;
    Ok(reply::value(StatusCode::OK, &document(&edge, &inbound).await?))
}

/// The compatible part of it: paths below `/v1`, named without it, as Vault's clients expect.
pub(crate) async fn vault(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    let mut whole = document(&edge, &inbound).await?;
    if let Some(Value::Object(paths)) = whole.get_mut("paths") {
        let below = |(path, item): (String, Value)| Some((path.strip_prefix("/v1")?.to_owned(), item));
        *paths = std::mem::take(paths).into_iter().filter_map(below).collect();
    }
    whole["servers"] = json!([{ "url": "/v1" }]);
    Ok(reply::value(StatusCode::OK, &whole))
}

/// The native part, and for a caller with a token the mounts that it may see.
async fn document(edge: &Edge, inbound: &Inbound) -> Result<Value, Refusal> {
    if identify::credential(&inbound.headers, inbound.door)?.is_none() {
        return Ok(NATIVE.clone());
    }
    let mut fields = Fields::default();
    if let Some(mount) = inbound.query.one("mount")? {
        fields.set_string("mount", mount);
    }
    let address = Address::Canonical(parse_path(SPECS)?);
    let answered = edge.ask(inbound, Operation::Read, address, fields).await?;
    let Answer::Document(seen) = &answered.answer else { return Err(unexpected()) };
    let seen: mounts::Seen = serde_json::from_slice(seen.expose()).map_err(Error::internal)?;
    let mut whole = NATIVE.clone();
    mounts::describe(&seen, &mut whole);
    Ok(whole)
}

fn unexpected() -> Refusal {
    Error::internal("the mounts are no document").into()
}

/// What is the same for everybody, made once.
static NATIVE: LazyLock<Value> = LazyLock::new(|| {
    let mut whole = frame();
    whole["paths"] = Value::Object(paths());
    whole["components"] = components();
    whole
});

/// Every operation, by path.
fn paths() -> Map<String, Value> {
    let mut paths = Map::new();
    for route in route::routes() {
        if let Some(row) = table::ROWS.iter().find(|row| (row.method, row.pattern) == (route.method, route.pattern)) {
            operation::add(&mut paths, route.pattern, row, route.public, route.doc);
        }
    }
    for (pattern, row) in own_paths() {
        operation::add(&mut paths, &format!("/v1/{pattern}"), row, false, row.doc);
    }
    paths
}

/// What operations refer to.
fn components() -> Value {
    json!({
        "schemas": schema::all(),
        "parameters": parameter::all(),
        "headers": parameter::headers(),
        "responses": operation::problems(),
        "securitySchemes": {
            "bearer": { "type": "http", "scheme": "bearer", "description": "`Authorization: Bearer <token>`" },
            "token": { "type": "apiKey", "in": "header", "name": "X-Vault-Token", "description": "The same token, as Vault's clients send it." },
        },
    })
}

/// What the document is, without its operations.
fn frame() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Warder",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "A secrets broker gateway",
            "description": INTRODUCTION,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": operation::security(false),
    })
}

const INTRODUCTION: &str = "Warder's own API is below `/api/v1`, the Vault-compatible one below `/v1`.\n\n\
    A parameter with `x-warder-rest` takes the rest of the path: its slashes are sent as they are, never as `%2F`, \
    which OpenAPI has no way to say. The limit of 1,024 bytes and 32 segments counts for the path as policies see it, \
    mount and all. Where a `list` parameter is, the method `LIST` is taken as well.\n\n\
    Without a token this document has what every Warder serves; with one also the mounts that the token's policies \
    reach.";

/// The broker's own paths of `/v1`, each operation with its row.
fn own_paths() -> impl Iterator<Item = (&'static str, &'static table::Row)> {
    let rows = |pattern: &'static str, operation: &'static Operation| {
        let methods: &'static [&'static str] = methods(*operation);
        let of = move |row: &&'static table::Row| row.pattern == pattern && methods.contains(&row.method);
        table::own().filter(of).map(move |row| (pattern, row))
    };
    sys::table().flat_map(move |(pattern, all)| all.iter().flat_map(move |operation| rows(pattern, operation)))
}

/// The methods of `/v1` that ask for an operation, in the words of OpenAPI.
const fn methods(operation: Operation) -> &'static [&'static str] {
    match operation {
        Operation::Create | Operation::Update => &["POST", "PUT"],
        Operation::Delete => &["DELETE"],
        Operation::List => &["LIST"],
        Operation::Patch => &["PATCH"],
        Operation::Read => &["GET"],
        Operation::Rotate => &[],
    }
}
