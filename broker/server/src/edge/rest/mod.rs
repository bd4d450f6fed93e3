//! The native door, `/api/v1`: decodes into canonical requests, encodes answers in Warder's own
//! shape. Every operation is one that `/v1` could ask for as well, so one policy fits both.

pub(super) mod auth;
pub(super) mod batch;
pub(super) mod leases;
pub(super) mod limits;
pub(super) mod policies;
pub(super) mod quorum;
pub(super) mod secrets;
pub(super) mod shape;
pub(super) mod snapshot;
pub(super) mod sys;
pub(super) mod token;
pub(super) mod watch;

use http::StatusCode;
use warder_core::{
    error::{Error, ErrorKind},
    json,
    request::{Address, Answer, Fields, Operation, Reply as Answered},
    secret::Secret,
};

use super::{
    Edge, Inbound, Outcome, parse_path,
    problem::Refusal,
    reply::{self, Reply},
};

/// Largest page of a listing.
pub(super) const MAX_PAGE: u64 = 10_000;

/// Asks the broker for a canonical path.
async fn canonical(
    edge: &Edge,
    inbound: &Inbound,
    operation: Operation,
    path: &str,
    fields: Fields,
) -> Result<Answered, Refusal> {
    edge.ask(inbound, operation, Address::Canonical(parse_path(path)?), fields).await
}

/// Tells the log and the caller where it was answered.
fn stamp(mut response: Reply, answered: &Answered) -> Reply {
    reply::text_header(response.headers_mut(), "x-warder-resolved", answered.resolved.as_str());
    response.extensions_mut().insert(Outcome::answered(answered));
    response
}

/// A JSON answer, with its `warnings` when there are some.
fn told(status: StatusCode, body: Secret, answered: &Answered) -> Reply {
    stamp(reply::json(status, warned(body, &answered.warnings)), answered)
}

/// A JSON object with `warnings` as its last member, when there are some.
fn warned(body: Secret, warnings: &[String]) -> Secret {
    let members = body.expose_str().filter(|_| !warnings.is_empty()).and_then(|text| json::members(text).ok());
    let Some(members) = members else { return body };
    let list = reply::quoted_list(warnings.iter().map(String::as_str));
    let list = [("warnings", std::str::from_utf8(&list).unwrap_or("[]"))];
    let kept = members.iter().map(|(name, text)| (&**name, *text)).filter(|(name, _)| *name != "warnings");
    json::compose(kept.chain(list))
}

/// The whole document as it is, or 204 when there is nothing to say.
fn whole(answered: &Answered) -> Result<Reply, Refusal> {
    let response = match &answered.answer {
        Answer::Document(document) => return Ok(told(StatusCode::OK, document.clone(), answered)),
        Answer::Names { keys } => return Ok(told(StatusCode::OK, names(keys, None), answered)),
        Answer::Gone(_) => return Err(absent()),
        Answer::Nothing if matches!(answered.operation, Operation::Read | Operation::List) => return Err(absent()),
        Answer::Nothing if !answered.warnings.is_empty() => {
            return Ok(told(StatusCode::OK, Secret::from("{}"), answered));
        }
        Answer::Nothing => reply::empty(StatusCode::NO_CONTENT),
        Answer::Raw { status, content_type, body } => reply::raw(*status, content_type, body.clone())?,
    };
    Ok(stamp(response, answered))
}

/// `{"keys":[..],"next":..}`: `next` continues a page that was full.
fn names(keys: &[String], limit: Option<u64>) -> Secret {
    let full = limit.is_some_and(|limit| keys.len() as u64 >= limit);
    let next = keys.last().filter(|_| full).map_or_else(|| b"null".to_vec(), |last| reply::quoted(last));
    let mut text = br#"{"keys":"#.to_vec();
    text.extend_from_slice(&reply::quoted_list(keys.iter().map(String::as_str)));
    text.extend_from_slice(br#","next":"#);
    text.extend_from_slice(&next);
    text.push(b'}');
    Secret::new(text)
}

pub(super) fn absent() -> Refusal {
    Error::new(ErrorKind::NotFound, "nothing there").into()
}

/// `after` and `limit` of a listing, as fields.
fn page(inbound: &Inbound, fields: &mut Fields) -> Result<Option<u64>, Refusal> {
    let limit = inbound.query.number("limit", MAX_PAGE)?;
    if let Some(limit) = limit {
        fields.set("limit", limit.to_string());
    }
    if let Some(after) = inbound.query.one("after")? {
        fields.set_string("after", after);
    }
    Ok(limit)
}

/// A collection's route takes `list=true` and nothing that means otherwise.
fn collection(inbound: &Inbound) -> Result<(), Refusal> {
    inbound.query.only(&["list", "after", "limit"])?;
    if inbound.query.one("list")?.is_some() && !inbound.query.flag("list")? {
        return Err(Refusal::invalid("list", "this path is a list: expected list=true or no parameter"));
    }
    Ok(())
}

/// Refuses members that this route does not know.
fn only(fields: &Fields, known: &[&str]) -> Result<(), Refusal> {
    match fields.iter().find(|(name, _)| !known.contains(name)) {
        Some((name, _)) => Err(Refusal::invalid(name, format!("unknown field; this route takes {}", known.join(", ")))),
        None => Ok(()),
    }
}

/// The text of a member that must be a JSON string.
fn text_member(fields: &Fields, name: &'static str) -> Result<Option<Secret>, Refusal> {
    let Some(raw) = fields.get(name) else { return Ok(None) };
    let text = json::string(raw.expose_str().unwrap_or_default())
        .map_err(|_| Error::invalid(name, "expected a JSON string"))?;
    Ok(Some(Secret::from(text.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_a_member_only_when_there_are_some() {
        let words = ["careful".to_owned()];
        for (body, warnings, expected) in [
            (r#"{"a":1}"#, &[][..], r#"{"a":1}"#),
            (r#"{"a":1}"#, &words, r#"{"a":1,"warnings":["careful"]}"#),
            ("{}", &words, r#"{"warnings":["careful"]}"#),
        ] {
            assert_eq!(warned(Secret::from(body), warnings).expose_str(), Some(expected));
        }
    }
}
