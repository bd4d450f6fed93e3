//! From a request's fields to what a plugin may see: validated, coerced, defaults filled in,
//! sensitive ones lifted out.

use std::{borrow::Cow, fmt};

use crate::{
    duration,
    error::{Error, Result},
    json::{self, Kind},
    port::backend::{Field, FieldKind, Route},
    request::Fields,
    sealed::{Form, SealedValue},
    secret::Secret,
};

/// What [`lift`] makes of a request's fields.
#[derive(Default)]
pub struct Lifted {
    /// A JSON object without the sensitive fields.
    pub data: String,
    /// `/name` to sealed value.
    pub secrets: Vec<(String, SealedValue)>,
    /// Fields that the route does not know; they were dropped.
    pub unknown: Vec<String>,
}

impl fmt::Debug for Lifted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lifted").field("secrets", &self.secrets).field("unknown", &self.unknown).finish_non_exhaustive()
    }
}

/// Validates `fields` against the route and takes the sensitive ones out. Captures win over
/// fields of the same name, as everywhere in the Vault-compatible API.
///
/// # Errors
/// `invalid_request` naming the field and what it should have been.
pub fn lift(route: &Route, captures: &[(String, String)], fields: &Fields) -> Result<Lifted> {
    let mut lifted = Lifted::default();
    let mut parts: Vec<(&str, Cow<'_, str>)> = Vec::new();
    for field in &route.fields {
        if captures.iter().any(|(name, _)| *name == field.name) {
            continue;
        }
        match fields.get(&field.name).and_then(Secret::expose_str) {
            Some(text) if field.sensitive => {
                lifted.secrets.push((pointer(&field.name), seal(field, text)?));
            }
            Some(text) => parts.push((&field.name, coerce(field, text)?)),
            None if field.required => {
                return Err(Error::invalid(
                    &field.name,
                    format!("missing field: a {} is required", words(&field.kind)),
                ));
            }
            None => parts.extend(field.default.as_deref().map(|text| (field.name.as_str(), text.into()))),
        }
    }
    let known = |name: &str| route.fields.iter().any(|f| f.name == name) || captures.iter().any(|(had, _)| had == name);
    lifted.unknown = fields.iter().map(|(name, _)| name).filter(|name| !known(name)).map(str::to_owned).collect();
    let object = json::compose(parts.iter().map(|(name, text)| (*name, text.as_ref())));
    lifted.data = object.expose_str().unwrap_or("{}").to_owned();
    Ok(lifted)
}

/// RFC 6901 section 3.
fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn seal(field: &Field, text: &str) -> Result<SealedValue> {
    let (bytes, form) = match field.kind {
        FieldKind::Document => (Secret::from(text), Form::Document),
        _ => {
            let coerced = coerce(field, text)?;
            match json::string(&coerced) {
                Ok(plain) => (Secret::from(plain.as_str()), Form::Text),
                Err(_) => (Secret::from(coerced.as_ref()), Form::Document),
            }
        }
    };
    Ok(SealedValue { bytes, form, known: false })
}

fn coerce<'a>(field: &Field, text: &'a str) -> Result<Cow<'a, str>> {
    let bad = || Error::invalid(&field.name, format!("expected a {}, got a {}", words(&field.kind), found(text)));
    let kind = json::kind(text);
    match &field.kind {
        FieldKind::Document => Ok(text.into()),
        _ if kind == Kind::Null => Ok(text.into()),
        FieldKind::Text if kind == Kind::String => Ok(text.into()),
        FieldKind::Text if matches!(kind, Kind::Number | Kind::Boolean) => Ok(quoted(text).into()),
        FieldKind::Boolean => boolean(text).ok_or_else(bad).map(Cow::from),
        FieldKind::Integer => integer(text).ok_or_else(bad).map(Cow::from),
        FieldKind::Duration => seconds(text).ok_or_else(bad).map(Cow::from),
        FieldKind::Choice(words) => choice(words, text).then_some(text.into()).ok_or_else(bad),
        FieldKind::TextList => list(text).ok_or_else(bad).map(Cow::from),
        FieldKind::TextMap => map(text).ok_or_else(bad).map(Cow::from),
        FieldKind::Text => Err(bad()),
    }
}

fn boolean(text: &str) -> Option<String> {
    if json::kind(text) == Kind::Boolean {
        return Some(text.to_owned());
    }
    let word = json::string(text).ok()?;
    match word.as_str() {
        "true" | "True" | "TRUE" | "t" | "T" | "1" => Some("true".to_owned()),
        "false" | "False" | "FALSE" | "f" | "F" | "0" | "" => Some("false".to_owned()),
        _ => None,
    }
}

fn integer(text: &str) -> Option<String> {
    let digits = match json::kind(text) {
        Kind::Number => text.trim().to_owned(),
        // `"1.0"` is no whole number, though 1.0 is.
        Kind::String => return json::string(text).ok()?.parse::<i64>().ok().map(|whole| whole.to_string()),
        _ => return None,
    };
    let whole = digits.parse::<i64>().ok().or_else(|| {
        let float = digits.parse::<f64>().ok()?;
        // 2^53: past it a float does not name one whole number.
        (float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0).then(|| format!("{float:.0}").parse().ok())?
    })?;
    Some(whole.to_string())
}

fn seconds(text: &str) -> Option<String> {
    let words = match json::kind(text) {
        Kind::Number => text.trim().to_owned(),
        Kind::String => json::string(text).ok()?.to_string(),
        _ => return None,
    };
    let (sign, magnitude) = words.strip_prefix('-').map_or(("", words.as_str()), |rest| ("-", rest));
    let seconds = if magnitude.is_empty() { 0 } else { duration::parse(magnitude).ok()?.as_secs() };
    Some(if seconds == 0 { "0".to_owned() } else { format!("{sign}{seconds}") })
}

fn choice(words: &[String], text: &str) -> bool {
    json::string(text).is_ok_and(|word| words.contains(&*word))
}

fn list(text: &str) -> Option<String> {
    let items: Vec<String> = match json::kind(text) {
        Kind::Array => json::elements(text).ok()?.into_iter().map(scalar).collect::<Option<_>>()?,
        Kind::String => {
            let joined = json::string(text).ok()?;
            joined.split(',').map(str::trim).filter(|item| !item.is_empty()).map(encoded).collect()
        }
        Kind::Number => vec![quoted(text)],
        _ => return None,
    };
    Some(format!("[{}]", items.join(",")))
}

fn map(text: &str) -> Option<String> {
    if json::kind(text) != Kind::Object {
        return None;
    }
    let members = json::members(text).ok()?;
    let values = members.iter().map(|(_, raw)| scalar(raw)).collect::<Option<Vec<_>>>()?;
    let object = json::compose(members.iter().map(|(name, _)| &**name).zip(values.iter().map(String::as_str)));
    object.expose_str().map(str::to_owned)
}

/// A string, or a number or boolean as its text; as JSON.
fn scalar(text: &str) -> Option<String> {
    match json::kind(text) {
        Kind::String => Some(text.to_owned()),
        Kind::Number | Kind::Boolean => Some(quoted(text)),
        _ => None,
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.trim())
}

fn encoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    json::write_string(&mut out, text);
    String::from_utf8(out).unwrap_or_default()
}

fn words(kind: &FieldKind) -> String {
    match kind {
        FieldKind::Boolean => "boolean".to_owned(),
        FieldKind::Choice(words) => format!("choice of {}", words.join(", ")),
        FieldKind::Document => "JSON value".to_owned(),
        FieldKind::Duration => "duration (seconds, or text like \"1h30m\")".to_owned(),
        FieldKind::Integer => "whole number".to_owned(),
        FieldKind::Text => "string".to_owned(),
        FieldKind::TextList => "list of strings".to_owned(),
        FieldKind::TextMap => "object of strings".to_owned(),
    }
}

fn found(text: &str) -> &'static str {
    match json::kind(text) {
        Kind::Array => "list",
        Kind::Boolean => "boolean",
        Kind::Null => "null",
        Kind::Number => "number",
        Kind::Object => "object",
        Kind::String => "string of another kind",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(kind: FieldKind) -> Field {
        Field {
            name: "f".into(),
            kind,
            required: false,
            default: None,
            sensitive: false,
            endpoint: false,
            doc: String::new(),
        }
    }

    #[test]
    fn coercion_table() {
        use FieldKind::{Boolean, Document, Duration, Integer, Text, TextList, TextMap};
        for (kind, text, wanted) in [
            (Boolean, "true", Some("true")),
            (Boolean, "\"false\"", Some("false")),
            (Boolean, "1", None),
            (Integer, "7", Some("7")),
            (Integer, "\"7\"", Some("7")),
            (Integer, "7.0", Some("7")),
            (Integer, "7.5", None),
            (Integer, "\"7.0\"", None),
            (Integer, "\"x\"", None),
            (Duration, "90", Some("90")),
            (Duration, "\"1h30m\"", Some("5400")),
            (Duration, "\"-1s\"", Some("-1")),
            (Duration, "\"soon\"", None),
            (Text, "\"a\"", Some("\"a\"")),
            (Text, "1", Some("\"1\"")),
            (Text, "[]", None),
            (TextList, "[\"a\",1]", Some("[\"a\",\"1\"]")),
            (TextList, "\"a, b\"", Some("[\"a\",\"b\"]")),
            (TextList, "{}", None),
            (TextMap, "{\"a\":true}", Some("{\"a\":\"true\"}")),
            (TextMap, "{\"a\":[]}", None),
            (Document, "[1]", Some("[1]")),
        ] {
            let got = coerce(&field(kind.clone()), text).ok();
            assert_eq!(got.as_deref(), wanted, "{kind:?} {text}");
        }
    }

    #[test]
    fn sensitive_fields_never_reach_the_data() {
        let route = Route {
            pattern: "data/{path...}".into(),
            verbs: Vec::new(),
            fields: vec![Field { sensitive: true, name: "data".into(), ..field(FieldKind::Document) }],
            doc: String::new(),
            public: false,
            privileged: false,
            issues_lease: false,
        };
        let fields = Fields::from_json(br#"{"data":{"k":"s3cret"},"other":1}"#).unwrap();
        let lifted = lift(&route, &[], &fields).unwrap();
        assert_eq!(lifted.data, "{}");
        assert_eq!(lifted.unknown, ["other"]);
        assert!(lifted.secrets[0].0 == "/data" && lifted.secrets[0].1.bytes.ct_eq(br#"{"k":"s3cret"}"#));
    }
}
