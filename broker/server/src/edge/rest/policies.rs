//! `/api/v1/policies`.

use std::sync::Arc;

use http::StatusCode;
use warder_core::{
    error::{Error, ErrorKind},
    request::{Answer, Fields, Operation},
};

use super::{
    super::{Edge, Inbound, problem::Refusal, route::Outcome},
    canonical, collection, names, only, page, told, whole,
};

pub(in crate::edge) const POLICIES: &str = "sys/policies/acl/";

/// Names of all policies.
pub(crate) async fn list(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    collection(&inbound)?;
    let mut fields = Fields::default();
    let limit = page(&inbound, &mut fields)?;
    let answered = canonical(&edge, &inbound, Operation::List, POLICIES, fields).await?;
    match &answered.answer {
        Answer::Names { keys } => Ok(told(StatusCode::OK, names(keys, limit), &answered)),
        _ => whole(&answered),
    }
}

/// One policy's text.
pub(crate) async fn read(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    inbound.query.only(&[])?;
    let path = format!("{POLICIES}{}", inbound.capture);
    whole(&canonical(&edge, &inbound, Operation::Read, &path, Fields::default()).await?)
}

/// Writes a policy: `{"policy": "<text>"}`, or the text itself as `text/plain` or
/// `application/hcl`.
pub(crate) async fn write(edge: Arc<Edge>, mut inbound: Inbound) -> Outcome {
    inbound.query.only(&[])?;
    let path = format!("{POLICIES}{}", inbound.capture);
    let fields = policy(&edge, &mut inbound).await?;
    whole(&canonical(&edge, &inbound, Operation::Update, &path, fields).await?)
}

/// Removes a policy.
pub(crate) async fn delete(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    inbound.query.only(&[])?;
    let path = format!("{POLICIES}{}", inbound.capture);
    whole(&canonical(&edge, &inbound, Operation::Delete, &path, Fields::default()).await?)
}

/// Which rule decides a request, and why.
pub(crate) async fn explain(edge: Arc<Edge>, mut inbound: Inbound) -> Outcome {
    inbound.media("application/json", true)?;
    inbound.query.only(&[])?;
    let fields = inbound.fields(&edge).await?;
    only(&fields, &["path", "operation", "policies", "token", "fields"])?;
    whole(&canonical(&edge, &inbound, Operation::Update, "sys/policies/explain", fields).await?)
}

async fn policy(edge: &Edge, inbound: &mut Inbound) -> Result<Fields, Refusal> {
    match inbound.media_type().as_deref() {
        None | Some("application/json") => {
            let fields = inbound.fields(edge).await?;
            only(&fields, &["policy"])?;
            Ok(fields)
        }
        Some("text/plain" | "application/hcl") => {
            let body = inbound.body(edge).await?;
            let text = body.expose_str().ok_or_else(|| Error::invalid("body", "a policy is UTF-8 text"))?;
            let mut fields = Fields::default();
            fields.set_string("policy", text);
            Ok(fields)
        }
        Some(_) => {
            let words = "expected application/json, application/hcl or text/plain";
            Err(Error::new(ErrorKind::UnsupportedMediaType, words).at("Content-Type").into())
        }
    }
}
