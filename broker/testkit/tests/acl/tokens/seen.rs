//! An answer with what must differ between two servers taken out: ids, texts of tokens, moments.

use std::{collections::HashMap, fmt};

use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use warder_testkit::Reply;

/// A comparable answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Seen {
    /// `kept`: names of the texts given out.
    pub(super) fn of(reply: &Reply, mut body: Value, kept: &HashMap<String, String>) -> Self {
        named(&mut body, kept);
        unnamed(&mut body);
        for (member, word) in [("request_id", "<id>"), ("keys", "<keys>")] {
            replace(&mut body, member, &json!(word));
        }
        if let Some(data) = body.get_mut("data").filter(|data| data.is_object()) {
            replace(data, "keys", &json!("<keys>"));
            moments(data);
        }
        rounded(&mut body);
        Self { status: reply.status, body }
    }

    /// Whether the caller was refused.
    pub(super) const fn is_denied(&self) -> bool {
        self.status == 403
    }

    /// The same, without some members; each is a JSON pointer.
    pub(super) fn without(&self, pointers: &[&str]) -> Self {
        let mut body = self.body.clone();
        for pointer in pointers {
            if let Some((parent, name)) = pointer.rsplit_once('/')
                && let Some(Value::Object(members)) = body.pointer_mut(parent)
            {
                members.remove(name);
            }
        }
        Self { status: self.status, body }
    }

    /// The errors, joined.
    pub(super) fn errors(&self) -> String {
        self.list("errors")
    }

    /// The errors without "1 error occurred:".
    pub(super) fn unframed(&self) -> String {
        self.errors().replace("1 error occurred:", "").trim_matches(|c: char| c == '*' || c.is_whitespace()).to_owned()
    }

    /// The warnings, joined.
    pub(super) fn warnings(&self) -> String {
        self.list("warnings")
    }

    fn list(&self, member: &str) -> String {
        let texts = self.body[member].as_array().into_iter().flatten();
        texts.filter_map(Value::as_str).collect::<Vec<_>>().join("|")
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.body)
    }
}

fn replace(object: &mut Value, member: &str, word: &Value) {
    if let Some(value) = object.get_mut(member).filter(|value| !value.is_null()) {
        *value = word.clone();
    }
}

/// Puts the table's names in place of tokens and accessors.
fn named(value: &mut Value, kept: &HashMap<String, String>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| named(item, kept)),
        Value::Object(members) => members.values_mut().for_each(|member| named(member, kept)),
        Value::String(text) if !text.is_empty() => {
            if let Some((name, _)) = kept.iter().find(|(name, known)| *known == text && *name != "root") {
                *text = format!("<{name}>");
            }
        }
        _ => {}
    }
}

/// Texts that nobody kept: that there are such, not which. Chosen ones stay.
fn unnamed(body: &mut Value) {
    for (pointer, word) in [
        ("/auth/client_token", "<token>"),
        ("/auth/accessor", "<accessor>"),
        ("/data/id", "<token>"),
        ("/data/accessor", "<accessor>"),
    ] {
        let Some(value) = body.pointer_mut(pointer) else { continue };
        let random = |text: &str| text.starts_with(['s', 'b', 'h']) && text.contains('.') || text.len() == 24;
        if value.as_str().is_some_and(random) {
            *value = json!(word);
        }
    }
}

/// Moments, as seconds after the creation: whole tens begun, because a busy server may come to
/// write one down some seconds late. Of what never was both servers say nothing.
fn moments(data: &mut Value) {
    let Some(created) = data["creation_time"].as_i64() else { return };
    data["creation_time"] = json!("<seconds>");
    for member in ["issue_time", "expire_time", "last_renewal"] {
        let moment = data[member].as_str().and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
        if let Some(moment) = moment {
            data[member] = json!(format!("<{} s after creation>", begun(moment.unix_timestamp() - created)));
        }
    }
    if let Some(renewed) = data["last_renewal_time"].as_i64() {
        data["last_renewal_time"] = json!(begun(renewed - created));
    }
}

/// Times left: whole tens, because a second may pass between question and answer.
fn rounded(body: &mut Value) {
    for pointer in ["/data/ttl", "/auth/lease_duration"] {
        if let Some(value) = body.pointer_mut(pointer)
            && let Some(seconds) = value.as_i64()
        {
            *value = json!(tens(seconds));
        }
    }
}

const fn begun(seconds: i64) -> i64 {
    seconds.div_euclid(10) * 10
}

const fn tens(seconds: i64) -> i64 {
    (seconds + 9).div_euclid(10) * 10
}
