//! From operations to requests of either HTTP door, and from what comes back to answers.

use serde_json::{Value as Json, json};
use warder_testkit::{Call, Failure, Http, Reply, Result};

use crate::clients;

use super::model::{Answer, Ask, Flags, Value, What};

/// How an operation is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Way {
    /// Through the native door, by a client that does not wait for the answer.
    HangUp,
    Native,
    /// Through the native door, reads around the memory.
    NativeFresh,
    Vault,
}

/// Asks; none when the outcome is unknown.
pub(super) fn send(http: &Http, key: &str, ask: &Ask) -> Result<Option<Answer>> {
    let call = if ask.way == Way::Vault { vault(http, key, &ask.what) } else { native(http, key, ask) };
    if ask.way == Way::HangUp {
        return call.send_and_hang_up().map(|()| None);
    }
    let curl = call.curl();
    let reply = call.send()?;
    if clients::leaves_open(&reply) {
        return Ok(None);
    }
    let answer = answer(ask, &reply).map_err(|why| Failure::new(&curl, why))?;
    answer.map(Some).ok_or_else(|| format!("{curl}\nanswered {} {}", reply.status, reply.text()).into())
}

fn native<'a>(http: &'a Http, key: &str, ask: &Ask) -> Call<'a> {
    let at = format!("/api/v1/secrets/{key}");
    let fresh = if ask.way == Way::NativeFresh { "refresh=true" } else { "" };
    let conditional = |call: Call<'a>, expect: Option<u32>| match expect {
        None => call,
        Some(0) => call.header("If-None-Match", "*"),
        Some(version) => call.header("If-Match", &format!("\"{version}\"")),
    };
    match &ask.what {
        What::About => http.get(&format!("{at}/versions?{}", fresh)),
        What::Delete { versions } if versions.is_empty() => http.delete(&at),
        What::Delete { versions } => http.delete(&format!("{at}?versions={}", list(versions))),
        What::Destroy { versions } => http.delete(&format!("{at}?versions={}&destroy=true", list(versions))),
        What::Patch { value, expect } => conditional(http.call("PATCH", &at), *expect)
            .header("Content-Type", "application/merge-patch+json")
            .body(json!({ "second": value }).to_string()),
        What::Put { value, expect } => conditional(http.put(&at), *expect).json(&json!({ "first": value })),
        What::Read { version: None } => http.get(&format!("{at}?{fresh}")),
        What::Read { version: Some(version) } => http.get(&format!("{at}?version={version}&{fresh}")),
        What::Undelete { versions } => http.post(&format!("{at}/undelete")).json(&json!({ "versions": versions })),
        // The native door has no such route.
        What::Wipe => vault(http, key, &ask.what),
    }
}

fn vault<'a>(http: &'a Http, key: &str, what: &What) -> Call<'a> {
    let at = |route: &str| format!("/v1/secret/{route}/{key}");
    let body = |data: Json, expect: &Option<u32>| match expect {
        None => json!({ "data": data }),
        Some(version) => json!({ "data": data, "options": { "cas": version } }),
    };
    match what {
        What::About => http.get(&at("metadata")),
        What::Delete { versions } if versions.is_empty() => http.delete(&at("data")),
        What::Delete { versions } => http.post(&at("delete")).json(&json!({ "versions": versions })),
        What::Destroy { versions } => http.put(&at("destroy")).json(&json!({ "versions": versions })),
        What::Patch { value, expect } => http
            .call("PATCH", &at("data"))
            .header("Content-Type", "application/merge-patch+json")
            .body(body(json!({ "second": value }), expect).to_string()),
        What::Put { value, expect } => http.put(&at("data")).json(&body(json!({ "first": value }), expect)),
        What::Read { version: None } => http.get(&at("data")),
        What::Read { version: Some(version) } => http.get(&format!("{}?version={version}", at("data"))),
        What::Undelete { versions } => http.post(&at("undelete")).json(&json!({ "versions": versions })),
        What::Wipe => http.delete(&at("metadata")),
    }
}

fn list(versions: &[u32]) -> String {
    versions.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

/// None: not an answer that such a request can have.
fn answer(ask: &Ask, reply: &Reply) -> Result<Option<Answer>> {
    use What::{About, Delete, Destroy, Patch, Put, Read, Undelete, Wipe};
    let text = reply.text();
    let native = ask.way != Way::Vault;
    Ok(Some(match (&ask.what, reply.status) {
        (_, 400 | 409) if text.contains("try again") => Answer::Busy,
        (Patch { .. } | Put { .. }, 400 | 412) if text.contains("check-and-set parameter did not match") => {
            Answer::Mismatch
        }
        (About | Patch { .. } | Read { .. }, 404) => missing(&reply.json()?),
        (About, 200) => about(inside(&reply.json()?, native))?,
        (Read { .. }, 200) => value(&reply.json()?, native)?,
        (Put { .. }, 200 | 201) | (Patch { .. }, 200) => {
            let version = number(&inside(&reply.json()?, native)["version"])?;
            let created = (native && matches!(ask.what, Put { .. })).then_some(reply.status == 201);
            Answer::Written { version, created }
        }
        (Delete { .. } | Destroy { .. } | Undelete { .. } | Wipe, 200 | 204) => Answer::Done,
        _ => return Ok(None),
    }))
}

/// Gone, if the answer still knows a version. OpenBao's shape for patches is the metadata itself.
fn missing(json: &Json) -> Answer {
    let places = ["/version", "/data/metadata/version", "/data/version"];
    match places.iter().find_map(|place| number(json.pointer(place)?).ok()) {
        Some(version) => Answer::Gone { version },
        None => Answer::Absent,
    }
}

fn value(json: &Json, native: bool) -> Result<Answer> {
    let (data, version) = match native {
        true => (&json["data"], &json["version"]),
        false => (&json["data"]["data"], &json["data"]["metadata"]["version"]),
    };
    let second = data.get("second").map(number).transpose()?;
    let value: Value = (number(&data["first"])?, second);
    Ok(Answer::Value { version: number(version)?, value })
}

fn about(json: &Json) -> Result<Answer> {
    let versions = json["versions"].as_object().ok_or("no versions")?;
    let flags = |(number, about): (&String, &Json)| -> Result<Flags> {
        let deleted = about["deletion_time"].as_str().is_some_and(|moment| !moment.is_empty());
        let destroyed = about["destroyed"].as_bool().ok_or("no word on destruction")?;
        let number = number.parse().map_err(|why| Failure::new("version", why))?;
        Ok(Flags { number, deleted, destroyed })
    };
    let mut versions = versions.iter().map(flags).collect::<Result<Vec<_>>>()?;
    versions.sort_by_key(|flags| flags.number);
    Ok(Answer::About { current: number(&json["current_version"])?, versions })
}

fn inside(json: &Json, native: bool) -> &Json {
    if native { json } else { &json["data"] }
}

fn number(json: &Json) -> Result<u32> {
    let number = json.as_u64().and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| Failure::from(format!("expected a small number, found {json}")))
}
