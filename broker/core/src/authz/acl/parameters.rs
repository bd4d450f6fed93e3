//! Conditions on parameters. Values are secrets: they are compared where they lie.

use std::borrow::Cow;

use super::{Grant, judge::Refusal};
use crate::{
    authz::policy::{Constant, Parameters},
    json::{self, Kind},
    request::Fields,
    secret::Secret,
};

pub(super) fn refusal<'a>(grant: &'a Grant, fields: &'a Fields) -> Option<Refusal<'a>> {
    missing(grant, fields).or_else(|| denied(&grant.denied, fields)).or_else(|| not_allowed(&grant.allowed, fields))
}

/// A required name is lower case and is looked up as it is, as in Vault.
fn missing<'a>(grant: &'a Grant, fields: &Fields) -> Option<Refusal<'a>> {
    grant.required.iter().find(|name| fields.get(name).is_none()).map(|name| Refusal::ParameterMissing(name))
}

fn denied<'a>(denied: &Parameters, fields: &'a Fields) -> Option<Refusal<'a>> {
    if denied.is_empty() || fields.is_empty() {
        return None;
    }
    if denied.contains_key("*") {
        return Some(Refusal::ParametersAllDenied);
    }
    fields.iter().find_map(|(name, value)| match denied.get(&*lower(name)) {
        None => None,
        Some(values) if values.is_empty() => Some(Refusal::ParameterDenied(name)),
        Some(values) => any(values, value, Numbers::ByValue).then_some(Refusal::ValueDenied(name)),
    })
}

fn not_allowed<'a>(allowed: &Parameters, fields: &'a Fields) -> Option<Refusal<'a>> {
    let others = allowed.contains_key("*");
    if allowed.is_empty() || (others && allowed.len() == 1) {
        return None;
    }
    fields.iter().find_map(|(name, value)| match allowed.get(&*lower(name)) {
        None => (!others).then_some(Refusal::ParameterNotAllowed(name)),
        Some(values) if values.is_empty() => None,
        Some(values) => (!any(values, value, Numbers::Never)).then_some(Refusal::ValueNotAllowed(name)),
    })
}

/// How a number in a policy compares with a number in a request. Vault never finds them equal:
/// in a list of allowed values that refuses, and is kept; in a list of denied values it would let
/// through what the policy names, so there equal numbers match.
#[derive(Clone, Copy)]
enum Numbers {
    ByValue,
    Never,
}

fn any(values: &[Constant], value: &Secret, numbers: Numbers) -> bool {
    // Text that is not UTF-8 cannot be: bodies were checked. Fail closed in both lists.
    let Some(text) = value.expose_str() else { return matches!(numbers, Numbers::ByValue) };
    values.iter().any(|constant| matches(constant, text.trim(), numbers, glob))
}

/// `text` is checked JSON text; `strings` compares strings (globs count at the top level only).
fn matches(constant: &Constant, text: &str, numbers: Numbers, strings: fn(&str, &str) -> bool) -> bool {
    let kind = json::kind(text);
    match constant {
        Constant::Boolean(value) => kind == Kind::Boolean && (text == "true") == *value,
        Constant::List(values) => json::elements(text).is_ok_and(|texts| {
            texts.len() == values.len()
                && values.iter().zip(texts).all(|(value, text)| matches(value, text.trim(), numbers, equal))
        }),
        Constant::Number(value) => match numbers {
            Numbers::ByValue => kind == Kind::Number && text.parse::<f64>().is_ok_and(|number| number == *value),
            Numbers::Never => false,
        },
        Constant::Object(values) => json::members(text).is_ok_and(|texts| {
            texts.len() == values.len()
                && texts.iter().all(|(name, text)| {
                    values.get(&**name).is_some_and(|value| matches(value, text.trim(), numbers, equal))
                })
        }),
        Constant::Text(value) => kind == Kind::String && json::string(text).is_ok_and(|text| strings(value, &text)),
    }
}

/// `*` at either end stands for anything; alone it is a plain character.
fn glob(pattern: &str, text: &str) -> bool {
    if pattern.len() < 2 {
        return pattern == text;
    }
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (None, None) => pattern == text,
        (None, Some(start)) => text.starts_with(start),
        (Some(end), None) => text.ends_with(end),
        (Some(rest), Some(_)) => text.contains(rest.strip_suffix('*').unwrap_or(rest)),
    }
}

fn equal(one: &str, other: &str) -> bool {
    one == other
}

fn lower(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(name.to_lowercase())
    }
}
