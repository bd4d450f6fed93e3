//! What the host does before a handler runs: routes, fields.

use serde_json::{Map, Value as Json, json};

use super::value::{Origin, Value as Sealed};
use crate::{Error, Field, FieldKind, Form, Operation, Plugin, Result, Route, Target, Value};

/// The first route whose pattern matches, if it takes the operation.
pub(super) fn find(plugin: &'static Plugin, operation: Operation, path: &str) -> Result<(&'static Route, Target)> {
    let found = plugin.routes.iter().find_map(|route| Some((route, captures(route.pattern, path)?)));
    let (route, captures) =
        found.ok_or_else(|| Error::not_found(format!("{} has no route for {path}", plugin.name)))?;
    if route.handler(operation).is_none() {
        return Err(Error::unsupported(format!("{path} does not take {}", operation.word())));
    }
    Ok((route, Target { path: path.to_owned(), route: route.pattern.to_owned(), captures }))
}

/// One trailing slash is not compared.
fn captures(pattern: &str, path: &str) -> Option<Vec<(String, String)>> {
    let pattern = pattern.strip_suffix('/').unwrap_or(pattern);
    let mut rest = path.strip_suffix('/').unwrap_or(path);
    let mut captures = Vec::new();
    for part in pattern.split('/') {
        if rest.is_empty() {
            return None;
        }
        let name = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
        if let Some(name) = name.and_then(|name| name.strip_suffix("...")) {
            captures.push((name.to_owned(), rest.to_owned()));
            return Some(captures);
        }
        let (segment, after) = rest.split_once('/').unwrap_or((rest, ""));
        match name {
            Some(name) => captures.push((name.to_owned(), segment.to_owned())),
            None if part == segment => {}
            None => return None,
        }
        rest = after;
    }
    rest.is_empty().then_some(captures)
}

/// The fields without the sensitive ones, and those, sealed.
pub(super) fn lift(route: &Route, captures: &[(String, String)], body: Json) -> Result<(Json, Vec<(String, Value)>)> {
    let Json::Object(mut body) = body else { return Err(Error::invalid("the body must be a JSON object")) };
    let (mut data, mut secrets) = (Map::new(), Vec::new());
    for field in route.fields {
        let clash = captures.iter().any(|(name, _)| name == field.name);
        assert!(!clash, "{}: the field {} has the name of a capture", route.pattern, field.name);
        match body.remove(field.name) {
            Some(given) if field.sensitive => secrets.push((format!("/{}", field.name), seal(field, given)?)),
            Some(given) => drop(data.insert(field.name.to_owned(), coerce(field, given)?)),
            None if field.required => return Err(Error::invalid(format!("missing field: {}", field.name))),
            None => {
                let default = field.default.map(serde_json::from_str::<Json>).transpose();
                let default = default.map_err(|e| Error::internal(format!("the default of {}: {e}", field.name)))?;
                data.extend(default.map(|json| (field.name.to_owned(), json)));
            }
        }
    }
    Ok((Json::Object(data), secrets))
}

fn seal(field: &Field, given: Json) -> Result<Value> {
    let sealed = match (field.kind, coerce(field, given)?) {
        (FieldKind::Document, json) => Sealed::document(&json, Origin::Foreign),
        (_, Json::String(text)) => Sealed::new(text.into_bytes(), Form::Text, Origin::Foreign),
        (_, json) => Sealed::document(&json, Origin::Foreign),
    };
    Ok(Value(sealed))
}

fn coerce(field: &Field, given: Json) -> Result<Json> {
    let coerced = match (field.kind, given) {
        (FieldKind::Document, given) => Some(given),
        (_, Json::Null) => Some(Json::Null),
        (FieldKind::Text, given) => text(&given).map(Json::String),
        (FieldKind::Boolean, given) => boolean(&given).map(Json::Bool),
        (FieldKind::Integer, given) => integer(&given).map(|number| json!(number)),
        (FieldKind::Duration, given) => seconds(&given).map(|number| json!(number)),
        (FieldKind::Choice(words), given) => given.as_str().is_some_and(|word| words.contains(&word)).then_some(given),
        (FieldKind::TextList, given) => list(&given).map(|texts| json!(texts)),
        (FieldKind::TextMap, given) => map(&given),
    };
    coerced.ok_or_else(|| Error::invalid(format!("field {:?}: expected {:?}", field.name, field.kind)))
}

fn text(json: &Json) -> Option<String> {
    match json {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(set) => Some(set.to_string()),
        _ => None,
    }
}

fn boolean(json: &Json) -> Option<bool> {
    match json.as_str() {
        None => json.as_bool(),
        Some("true" | "True" | "TRUE" | "t" | "T" | "1") => Some(true),
        Some("false" | "False" | "FALSE" | "f" | "F" | "0" | "") => Some(false),
        Some(_) => None,
    }
}

fn integer(json: &Json) -> Option<i64> {
    match json {
        Json::Number(number) => number.as_i64(),
        Json::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn seconds(json: &Json) -> Option<i64> {
    let Json::String(text) = json else { return json.as_i64() };
    let (sign, mut rest) = text.strip_prefix('-').map_or((1, text.as_str()), |rest| (-1, rest));
    if let Ok(seconds) = rest.parse::<i64>() {
        return Some(sign * seconds);
    }
    let mut all = 0_i64;
    while !rest.is_empty() {
        let (digits, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        let number: i64 = digits.parse().ok()?;
        all += match unit {
            "ms" => number,
            "s" => number * 1000,
            "m" => number * 60_000,
            "h" => number * 3_600_000,
            "d" => number * 86_400_000,
            _ => return None,
        };
        rest = after;
    }
    Some(sign * all / 1000)
}

fn list(json: &Json) -> Option<Vec<String>> {
    match json {
        Json::Array(items) => items.iter().map(text).collect(),
        Json::String(joined) => {
            Some(joined.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
        }
        Json::Number(number) => Some(vec![number.to_string()]),
        _ => None,
    }
}

fn map(json: &Json) -> Option<Json> {
    let members = json.as_object()?;
    members.iter().map(|(name, value)| Some((name.clone(), Json::String(text(value)?)))).collect()
}
