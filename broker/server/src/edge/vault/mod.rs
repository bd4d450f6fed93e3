//! The Vault-compatible door, `/v1`: the same requests in the shape that Vault's clients speak.

mod envelope;
pub(super) mod keys;
pub(super) mod snapshot;
pub(super) mod sys;

use std::sync::Arc;

use http::StatusCode;
use warder_core::{
    error::{Error, ErrorKind},
    request::{Address, Answer, Fields, Operation, Operations, Reply as Answered},
};

use super::{Edge, Inbound, Outcome as Seen, decode::Query, parse_path, problem::Refusal, reply, route::Outcome};

/// The methods that ask for these operations, for `Allow`.
pub(super) fn methods(operations: Operations) -> String {
    let words = [
        (Operation::Read, "GET"),
        (Operation::List, "LIST"),
        (Operation::Create, "POST, PUT"),
        (Operation::Update, "POST, PUT"),
        (Operation::Patch, "PATCH"),
        (Operation::Delete, "DELETE"),
    ];
    let mut all: Vec<&str> = words.iter().filter(|(one, _)| operations.has(*one)).map(|(_, word)| *word).collect();
    all.dedup();
    // A listing is also a GET that says so.
    if all.contains(&"LIST") && !all.contains(&"GET") {
        all.insert(0, "GET");
    }
    all.join(", ")
}

/// GET: read, or list with `?list=true`.
pub(crate) async fn read(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    if inbound.query.flag("list")? {
        return list(edge, inbound).await;
    }
    let fields = from_query(&inbound.query);
    serve(&edge, &inbound, Operation::Read, &inbound.capture, fields).await
}

/// LIST.
pub(crate) async fn list(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    let mut fields = from_query(&inbound.query);
    fields.take("list");
    let path = format!("{}/", inbound.capture.trim_end_matches('/'));
    serve(&edge, &inbound, Operation::List, &path, fields).await
}

/// POST and PUT.
pub(crate) async fn update(edge: Arc<Edge>, mut inbound: Inbound) -> Outcome {
    not_a_folder(&inbound)?;
    let body = inbound.body(&edge).await?;
    let form = inbound.media_type().as_deref() == Some("application/x-www-form-urlencoded");
    let text = body.expose().trim_ascii();
    let fields = match text.first() {
        None => Fields::default(),
        // How command lines of Vault say that there is nothing to say (`write -f`).
        Some(_) if text == b"null" => Fields::default(),
        Some(first) if form && !matches!(first, b'{' | b'[') => {
            let text = std::str::from_utf8(text).map_err(|_| Error::invalid("body", "a form is ASCII text"))?;
            from_query(&Query::parse(text)?)
        }
        Some(_) => Fields::from_json(body.expose())?,
    };
    serve(&edge, &inbound, Operation::Update, &inbound.capture, fields).await
}

/// PATCH with a merge patch.
pub(crate) async fn patch(edge: Arc<Edge>, mut inbound: Inbound) -> Outcome {
    not_a_folder(&inbound)?;
    inbound.media("application/merge-patch+json", false)?;
    let fields = inbound.fields(&edge).await?;
    serve(&edge, &inbound, Operation::Patch, &inbound.capture, fields).await
}

/// DELETE.
pub(crate) async fn delete(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    let fields = from_query(&inbound.query);
    serve(&edge, &inbound, Operation::Delete, &inbound.capture, fields).await
}

async fn serve(edge: &Edge, inbound: &Inbound, operation: Operation, path: &str, fields: Fields) -> Outcome {
    let address = Address::Canonical(parse_path(path)?);
    let answered = edge.ask(inbound, operation, address, fields).await?;
    let mut response = encode(&inbound.id, &answered)?;
    let mut seen = Seen::answered(&answered);
    if response.status() == StatusCode::NOT_FOUND {
        seen.code = ErrorKind::NotFound.code();
    }
    response.extensions_mut().insert(seen);
    Ok(response)
}

fn encode(id: &str, answered: &Answered) -> Outcome {
    let asked = matches!(answered.operation, Operation::Read | Operation::List);
    match &answered.answer {
        Answer::Raw { status, content_type, body } => Ok(reply::raw(*status, content_type, body.clone())?),
        Answer::Gone(_) => Ok(reply::json(StatusCode::NOT_FOUND, envelope::write(id, answered)?)),
        Answer::Names { keys } if keys.is_empty() => Ok(nothing()),
        Answer::Nothing if asked && answered.auth.is_none() => Ok(nothing()),
        Answer::Nothing if answered.auth.is_none() && answered.lease.is_none() && answered.warnings.is_empty() => {
            Ok(reply::empty(StatusCode::NO_CONTENT))
        }
        _ => Ok(reply::json(StatusCode::OK, envelope::write(id, answered)?)),
    }
}

/// Nothing there: an error without words, which clients take for "no value found".
fn nothing() -> reply::Reply {
    reply::json(StatusCode::NOT_FOUND, warder_core::secret::Secret::from("{\"errors\":[]}\n"))
}

fn not_a_folder(inbound: &Inbound) -> Result<(), Refusal> {
    if inbound.capture.ends_with('/') {
        return Err(Error::new(ErrorKind::InvalidRequest, "cannot write to a path ending in '/'").into());
    }
    Ok(())
}

/// Parameters as fields: strings, or a list of strings where a name is repeated.
pub(super) fn from_query(query: &Query) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in query.iter() {
        if fields.get(name).is_some() {
            let all = query.iter().filter(|(had, _)| *had == name).map(|(_, value)| value);
            fields.set(name, reply::quoted_list(all));
        } else {
            fields.set_string(name, value);
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_asked_for_by_methods() {
        use Operation::{Create, Delete, List, Patch, Read, Rotate, Update};
        for (operations, expected) in [
            (&[][..], ""),
            (&[Rotate][..], ""),
            (&[List], "GET, LIST"),
            (&[Create, Update], "POST, PUT"),
            (&[Read, List, Create, Update, Patch, Delete], "GET, LIST, POST, PUT, PATCH, DELETE"),
        ] {
            assert_eq!(methods(Operations::of(operations)), expected);
        }
    }

    #[test]
    fn repeated_parameters_become_a_list() {
        let fields = from_query(&Query::parse("a=1&b=x%22y&a=2").unwrap());
        assert!(fields.to_json().ct_eq(br#"{"b":"x\"y","a":["1","2"]}"#));
    }
}
