//! `sys/policies`: texts in and out, and why a policy decides as it does.

use serde::Deserialize;

use super::{Ask, Served, Sys, not_found, required};
use crate::{
    authn::Which,
    authz::{Question, privileged},
    clock::Timestamp,
    error::{Error, Result},
    path::Path,
    request::{Fields, Operation},
    secret::Secret,
};

#[derive(Deserialize)]
struct Text {
    policy: Option<String>,
}

/// What `explain` asks. Without `policies` and `token`: the caller's own policies.
#[derive(Deserialize)]
struct Explain {
    path: Option<String>,
    operation: Option<Operation>,
    policies: Option<Vec<String>>,
    token: Option<String>,
    #[serde(default)]
    fields: serde_json::Map<String, serde_json::Value>,
}

pub(super) async fn names(sys: &Sys, ask: &Ask<'_>) -> Result<Served> {
    Served::names(sys.policies.list().await?, ask)
}

pub(super) async fn one(sys: &Sys, ask: &Ask<'_>) -> Result<Served> {
    let name = ask.capture("name");
    match ask.operation {
        // Built in: it has no text, for no rule can say it.
        Operation::Read if name == "root" => Served::json(&serde_json::json!({ "name": name, "policy": "" })),
        Operation::Read => {
            let record = sys.policies.get(name).await?.ok_or_else(|| not_found("no such policy"))?;
            Served::json(&serde_json::json!({
                "name": record.name,
                "policy": record.text,
                // Built in: nobody has written it yet.
                "updated_at": (record.updated_at != Timestamp::default()).then(|| record.updated_at.rfc3339()),
            }))
        }
        Operation::Delete => sys.policies.delete(name).await.map(|()| Served::nothing()),
        _ => {
            let text = required(ask.fields.parse::<Text>()?.policy, "policy")?;
            sys.policies.put(name, &text).await.map(|()| Served::nothing())
        }
    }
}

pub(super) async fn explain(sys: &Sys, ask: &Ask<'_>) -> Result<Served> {
    let wanted: Explain = ask.fields.parse()?;
    let path = required(wanted.path, "path")?;
    let path = Path::parse(&path).map_err(|e| Error::invalid("path", e.to_string()))?;
    let operation = required(wanted.operation, "operation")?;
    let names = match (wanted.policies, wanted.token) {
        (Some(names), _) => names,
        (None, Some(token)) => sys.tokens.policies_of(Which::Token(&Secret::from(token))).await?,
        (None, None) => ask.permit.identity().map(|identity| identity.policies.clone()).unwrap_or_default(),
    };
    let acl = sys.policies.acl_for(&names).await?;
    let body = serde_json::to_vec(&wanted.fields).map_err(Error::internal)?;
    let fields = Fields::from_json(&body)?;
    let question = Question {
        operation,
        path: path.as_str(),
        fields: &fields,
        privileged: privileged(path.as_str()),
        wrap_ttl: None,
    };
    Served::json(&serde_json::json!({
        "path": path.as_str(),
        "operation": operation,
        "policies": names,
        "decision": acl.explain(&question),
    }))
}
