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
        Some(values) => any(values, value, Lists::Denied).then_some(Refusal::ValueDenied(name)),
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
        Some(values) => (!any(values, value, Lists::Allowed)).then_some(Refusal::ValueNotAllowed(name)),
    })
}

/// Which list a value is looked up in. To Vault no number equals another and no object inside of
/// an object does. In a list of allowed values that refuses, and is kept; in a list of denied
/// values it would let through what the policy names, so there equal values match.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lists {
    Allowed,
    Denied,
}

fn any(values: &[Constant], value: &Secret, list: Lists) -> bool {
    // Text that is not UTF-8 cannot be, bodies were checked. Fail closed with either list.
    let Some(text) = value.expose_str() else { return list == Lists::Denied };
    values.iter().any(|constant| match constant {
        Constant::Text(pattern) => json::string(text).is_ok_and(|text| glob(pattern, &text)),
        constant => equal(constant, text, list),
    })
}

/// Whether checked JSON text is this value.
fn equal(constant: &Constant, text: &str, list: Lists) -> bool {
    let text = text.trim();
    match constant {
        Constant::Boolean(value) => text == if *value { "true" } else { "false" },
        Constant::List(values) => json::elements(text).is_ok_and(|texts| {
            texts.len() == values.len() && values.iter().zip(texts).all(|(value, text)| equal(value, text, list))
        }),
        Constant::Number(value) => {
            list == Lists::Denied
                && json::kind(text) == Kind::Number
                && text.parse::<f64>().is_ok_and(|number| number == *value)
        }
        Constant::Object(values) => json::members(text).is_ok_and(|texts| {
            texts.len() == values.len()
                && texts.iter().all(|(name, text)| values.get(&**name).is_some_and(|value| inner(value, text, list)))
        }),
        Constant::Text(value) => json::string(text).is_ok_and(|text| *text == *value),
    }
}

/// [`equal`] for a member of an object.
fn inner(constant: &Constant, text: &str, list: Lists) -> bool {
    let nested = matches!(constant, Constant::Object(_));
    !(nested && list == Lists::Allowed) && equal(constant, text, list)
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

fn lower(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(name.to_lowercase())
    }
}
