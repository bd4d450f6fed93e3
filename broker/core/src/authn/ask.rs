//! The parameters of a new token, read as leniently as clients write them: numbers and booleans
//! also as text, lists also separated by commas. Mistakes name their field.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::{duration, identity::TokenKind, secret::Secret};

/// What a caller asks of a new token.
#[derive(Clone, Default, Deserialize)]
#[serde(try_from = "Raw")]
pub struct CreateToken {
    /// The token's text; needs sudo.
    pub id: Option<Secret>,
    /// Policy names; empty means the parent's.
    pub policies: Vec<String>,
    /// Time to live; zero means the default.
    pub ttl: Duration,
    /// Every renewal grants this, without end; zero means not periodic. Needs sudo.
    pub period: Duration,
    /// Life through all renewals; zero means no bound of its own.
    pub explicit_max_ttl: Duration,
    /// Requests it may make; zero means unlimited.
    pub num_uses: u32,
    /// Whether it can be renewed; default true.
    pub renewable: Option<bool>,
    /// Name for people; `token-` is put before it.
    pub display_name: String,
    /// For policies and audit.
    pub meta: BTreeMap<String, String>,
    /// Outlives its creator; needs sudo.
    pub no_parent: bool,
    /// Do not add the `default` policy.
    pub no_default_policy: bool,
    /// Service (default) or batch.
    pub kind: Option<TokenKind>,
    /// Alias of an entity; refused, for there are no token roles.
    pub entity_alias: String,
}

impl fmt::Debug for CreateToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateToken")
            .field("policies", &self.policies)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Raw {
    #[serde(deserialize_with = "secret")]
    id: Option<Secret>,
    policies: Value,
    ttl: Value,
    /// Older name of `ttl`.
    lease: Value,
    period: Value,
    explicit_max_ttl: Value,
    num_uses: Value,
    renewable: Value,
    display_name: Value,
    meta: Value,
    no_parent: Value,
    no_default_policy: Value,
    #[serde(rename = "type")]
    kind: Value,
    entity_alias: Value,
}

/// Which parameter is wrong, and what it should be.
#[derive(Debug, thiserror::Error)]
#[error("{field}: expected {expected}")]
struct Mistake {
    field: &'static str,
    expected: &'static str,
}

impl TryFrom<Raw> for CreateToken {
    type Error = Mistake;

    fn try_from(raw: Raw) -> Result<Self, Mistake> {
        let ttl = span("ttl", &raw.ttl)?;
        Ok(Self {
            id: raw.id.filter(|id| !id.is_empty()),
            policies: list("policies", raw.policies)?,
            ttl: if ttl.is_zero() { span("lease", &raw.lease)? } else { ttl },
            period: span("period", &raw.period)?,
            explicit_max_ttl: span("explicit_max_ttl", &raw.explicit_max_ttl)?,
            num_uses: count("num_uses", &raw.num_uses)?,
            renewable: flag("renewable", &raw.renewable)?,
            display_name: text("display_name", raw.display_name)?,
            meta: map("meta", raw.meta)?,
            no_parent: flag("no_parent", &raw.no_parent)?.unwrap_or_default(),
            no_default_policy: flag("no_default_policy", &raw.no_default_policy)?.unwrap_or_default(),
            kind: kind(&raw.kind)?,
            entity_alias: text("entity_alias", raw.entity_alias)?,
        })
    }
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(Secret::from))
}

fn span(field: &'static str, value: &Value) -> Result<Duration, Mistake> {
    let parsed = match value {
        Value::Null => Some(Duration::ZERO),
        Value::Number(seconds) => seconds.as_u64().map(Duration::from_secs),
        Value::String(text) if text.is_empty() => Some(Duration::ZERO),
        Value::String(text) => duration::parse(text).ok(),
        _ => None,
    };
    let expected = "a duration that is not negative, such as 90, \"90s\" or \"1h30m\"";
    parsed.ok_or(Mistake { field, expected })
}

fn count(field: &'static str, value: &Value) -> Result<u32, Mistake> {
    let parsed = match value {
        Value::Null => Some(0),
        Value::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
        Value::String(text) if text.is_empty() => Some(0),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    parsed.ok_or(Mistake { field, expected: "a whole number from 0 to 4294967295" })
}

fn flag(field: &'static str, value: &Value) -> Result<Option<bool>, Mistake> {
    match value {
        Value::Null => Ok(None),
        Value::Bool(flag) => Ok(Some(*flag)),
        Value::String(text) if matches!(&**text, "true" | "1") => Ok(Some(true)),
        Value::String(text) if matches!(&**text, "false" | "0") => Ok(Some(false)),
        _ => Err(Mistake { field, expected: "true or false" }),
    }
}

fn text(field: &'static str, value: Value) -> Result<String, Mistake> {
    match value {
        Value::Null => Ok(String::new()),
        value => scalar(value).ok_or(Mistake { field, expected: "a string" }),
    }
}

fn list(field: &'static str, value: Value) -> Result<Vec<String>, Mistake> {
    let parts: Option<Vec<String>> = match value {
        Value::Null => Some(Vec::new()),
        Value::String(text) => Some(text.split(',').map(str::to_owned).collect()),
        Value::Array(values) => values.into_iter().map(scalar).collect(),
        _ => None,
    };
    parts.ok_or(Mistake { field, expected: "a list of strings, or one string separated by commas" })
}

fn map(field: &'static str, value: Value) -> Result<BTreeMap<String, String>, Mistake> {
    let pairs: Option<BTreeMap<String, String>> = match value {
        Value::Null => Some(BTreeMap::new()),
        Value::Object(values) => values.into_iter().map(|(name, value)| Some((name, scalar(value)?))).collect(),
        _ => None,
    };
    pairs.ok_or(Mistake { field, expected: "an object whose values are strings" })
}

fn kind(value: &Value) -> Result<Option<TokenKind>, Mistake> {
    match value {
        Value::Null => Ok(None),
        Value::String(word) if matches!(&**word, "" | "default" | "default-service") => Ok(None),
        Value::String(word) if word == "service" => Ok(Some(TokenKind::Service)),
        Value::String(word) if matches!(&**word, "batch" | "default-batch") => Ok(Some(TokenKind::Batch)),
        _ => Err(Mistake { field: "type", expected: "service or batch" }),
    }
}

fn scalar(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Fields;

    fn parse(json: &str) -> crate::error::Result<CreateToken> {
        Fields::from_json(json.as_bytes())?.parse()
    }

    #[test]
    fn numbers_flags_and_lists_may_be_text() {
        let ask = parse(
            r#"{"policies":"a, b","ttl":"1h","period":90,"num_uses":"3","renewable":"false","no_parent":true,
                "meta":{"build":5,"who":"ci"},"type":"batch","id":"abc","display_name":"ci","unknown":[1]}"#,
        )
        .unwrap();
        assert_eq!(ask.policies, ["a", " b"]);
        assert_eq!((ask.ttl, ask.period), (Duration::from_secs(3600), Duration::from_secs(90)));
        assert_eq!((ask.num_uses, ask.renewable, ask.no_parent), (3, Some(false), true));
        assert_eq!(ask.meta.get("build").map(String::as_str), Some("5"));
        assert_eq!(ask.kind, Some(TokenKind::Batch));
        assert!(ask.id.unwrap().ct_eq(b"abc"));
    }

    #[test]
    fn mistakes_name_their_field_and_never_its_value() {
        for (json, field) in [
            (r#"{"ttl":"s3cr3t"}"#, "ttl"),
            (r#"{"ttl":-1}"#, "ttl"),
            (r#"{"period":"-5s"}"#, "period"),
            (r#"{"explicit_max_ttl":[1]}"#, "explicit_max_ttl"),
            (r#"{"num_uses":-1}"#, "num_uses"),
            (r#"{"num_uses":4294967296}"#, "num_uses"),
            (r#"{"renewable":"s3cr3t"}"#, "renewable"),
            (r#"{"policies":{"a":1}}"#, "policies"),
            (r#"{"meta":{"a":["s3cr3t"]}}"#, "meta"),
            (r#"{"type":"s3cr3t"}"#, "type"),
        ] {
            let error = parse(json).unwrap_err();
            assert!(error.detail.starts_with(&format!("{field}: expected ")), "{json}: {}", error.detail);
            assert!(!error.detail.contains("s3cr3t"), "{json}");
        }
    }
}
