//! An answer with what must differ between two servers taken out: request ids and moments. And
//! numbers are compared as doubles: OpenBao stores them so, Warder gives them back as written.

use std::fmt;

use serde_json::Value;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};
use warder_testkit::{Call, Result};

/// A comparable answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) status: u16,
    media: Option<String>,
    body: Body,
}

#[derive(Clone, Debug, PartialEq)]
enum Body {
    Json(Value),
    Text(String),
}

impl Seen {
    pub(super) fn of(call: Call<'_>) -> Result<Self> {
        let reply = call.send()?;
        let media = reply.header("content-type").filter(|_| !reply.body.is_empty()).map(str::to_owned);
        let body = match reply.json() {
            Ok(mut json) => {
                normalize(&mut json);
                Body::Json(json)
            }
            Err(_) => Body::Text(reply.text()),
        };
        Ok(Self { status: reply.status, media, body })
    }

    /// Whether the request was taken: what decides that the two servers now hold the same.
    pub(super) const fn effect(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// Whether it is this status and nothing else.
    pub(super) fn is_bare(&self, status: u16) -> bool {
        self.status == status && self.body == Body::Text(String::new())
    }

    /// Whether an error has one of these texts, separated by `|`.
    pub(super) fn says(&self, texts: &str) -> bool {
        self.list("errors").iter().any(|error| texts.split('|').any(|text| error.contains(text)))
    }

    /// Errors told.
    pub(super) fn errors(&self) -> usize {
        self.list("errors").len()
    }

    /// The same with every error freed of OpenBao's "1 error occurred:" around it, if there is one.
    pub(super) fn unwrapped(&self) -> Option<Self> {
        let mut plain = self.clone();
        let Body::Json(json) = &mut plain.body else { return None };
        for error in json["errors"].as_array_mut()? {
            let text = error.as_str()?.strip_prefix("1 error occurred:\n\t* ")?.strip_suffix("\n\n")?.to_owned();
            *error = Value::from(text);
        }
        Some(plain)
    }

    fn list(&self, member: &str) -> Vec<&str> {
        let Body::Json(json) = &self.body else { return Vec::new() };
        json[member].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.body {
            Body::Json(json) => write!(f, "{} {} {json}", self.status, self.media.as_deref().unwrap_or("-")),
            Body::Text(text) => write!(f, "{} {} {text:?}", self.status, self.media.as_deref().unwrap_or("-")),
        }
    }
}

fn normalize(json: &mut Value) {
    if let Some(id) = json.get_mut("request_id") {
        *id = Value::from(if id.as_str().is_some_and(|id| id.len() == 36) { "<uuid>" } else { "<no uuid>" });
    }
    moments(json);
}

/// Numbers as doubles; and words in place of moments: that there is one, in RFC 3339 and UTC, not before the moment
/// before it, and how long after the creation a deletion is.
fn moments(json: &mut Value) {
    match json {
        Value::Array(items) => items.iter_mut().for_each(moments),
        Value::Number(number) => *json = Value::from(number.as_f64()),
        Value::Object(members) => {
            let created = members.get("created_time").and_then(moment);
            for (name, value) in members.iter_mut() {
                match name.as_str() {
                    "created_time" | "updated_time" | "deletion_time" => *value = word(value, created),
                    _ => moments(value),
                }
            }
        }
        _ => {}
    }
}

fn word(value: &Value, created: Option<OffsetDateTime>) -> Value {
    if value.as_str() == Some("") {
        return value.clone();
    }
    let Some((moment, created)) = moment(value).zip(created) else {
        return Value::from(format!("<no moment: {value}>"));
    };
    let later = moment - created;
    Value::from(match later.whole_minutes() {
        _ if later < Duration::ZERO => "<before creation>".to_owned(),
        0 => "<moment>".to_owned(),
        minutes => format!("<{minutes} minutes after creation>"),
    })
}

fn moment(value: &Value) -> Option<OffsetDateTime> {
    let text = value.as_str().filter(|text| text.ends_with('Z'))?;
    OffsetDateTime::parse(text, &Rfc3339).ok()
}
