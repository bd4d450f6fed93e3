//! The rules of policies once more, as plainly as they can be written: no index, no merging ahead,
//! every question from the blocks. Slow and obvious on purpose.

use std::{cmp::Ordering, collections::BTreeMap};

use serde_json::Value;
use warder_core::{authz::privileged, request::Operation};

use super::case::{Ask, Block, Parameters, Policies};

/// Whose rules about values in lists of denied ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// To OpenBao no number equals another and no object inside of an object does, so a policy that
    /// denies such a value denies nothing.
    OpenBao,
    /// There Warder refuses what the policy names: the one accepted difference of decisions.
    Warder,
}

/// What is granted on a path, as `sys/capabilities` says it.
pub(crate) fn capabilities(policies: &Policies, path: &str) -> Vec<&'static str> {
    let granted = winners(policies, true, path).map(|blocks| granted(&blocks)).unwrap_or_default();
    if granted.is_empty() || granted.contains(&"deny") { vec!["deny"] } else { granted }
}

/// Whether it may be done.
pub(crate) fn allows(policies: &Policies, ask: &Ask, whose: Whose) -> bool {
    let Some(blocks) = winners(policies, ask.operation == Operation::List, &ask.path) else { return false };
    let granted = granted(&blocks);
    let word = ask.operation.word();
    !granted.contains(&"deny")
        && granted.contains(&word)
        && (!privileged(&ask.path) || granted.contains(&"sudo"))
        && wrapped(&blocks, ask.wrap)
        && (matches!(ask.operation, Operation::List | Operation::Delete) || parameters(&blocks, &ask.fields, whose))
}

fn granted(blocks: &[&Block]) -> Vec<&'static str> {
    let mut all: Vec<_> = blocks.iter().flat_map(|block| block.capabilities.clone()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Of several bounds the smallest counts, each way.
fn wrapped(blocks: &[&Block], wrap: Option<u64>) -> bool {
    let min = blocks.iter().map(|block| block.min_wrap).filter(|seconds| *seconds > 0).min();
    let max = blocks.iter().map(|block| block.max_wrap).filter(|seconds| *seconds > 0).min();
    match wrap {
        None => min.is_none() && max.is_none(),
        Some(ttl) => min.is_none_or(|min| ttl >= min) && max.is_none_or(|max| ttl <= max),
    }
}

fn parameters(blocks: &[&Block], fields: &BTreeMap<&'static str, Value>, whose: Whose) -> bool {
    let required = blocks.iter().flat_map(|block| &block.required);
    let allowed = union(blocks.iter().map(|block| &block.allowed));
    let denied = union(blocks.iter().map(|block| &block.denied));
    let any_allowed = allowed.contains_key("*");
    required.map(|name| name.to_lowercase()).all(|name| fields.contains_key(name.as_str()))
        && fields.iter().all(|(name, value)| {
            let name = name.to_lowercase();
            let refused =
                denied.get(&name).is_some_and(|had| had.is_empty() || had.iter().any(|one| is(one, value, whose)));
            let listed = match allowed.get(&name) {
                _ if allowed.is_empty() || (any_allowed && allowed.len() == 1) => true,
                None => any_allowed,
                Some(had) => had.is_empty() || had.iter().any(|one| is(one, value, Whose::OpenBao)),
            };
            !denied.contains_key("*") && !refused && listed
        })
}

/// Lists of one parameter add up; an empty one means every value.
fn union<'a>(all: impl Iterator<Item = &'a Parameters>) -> BTreeMap<String, Vec<Value>> {
    let mut united: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (name, values) in all.flatten() {
        let name = name.to_lowercase();
        let had = united.get(&name);
        let every = values.is_empty() || had.is_some_and(Vec::is_empty);
        let both = [had.cloned().unwrap_or_default(), values.clone()].concat();
        united.insert(name, if every { Vec::new() } else { both });
    }
    united
}

fn is(constant: &Value, value: &Value, whose: Whose) -> bool {
    match (constant, value) {
        (Value::String(pattern), Value::String(text)) => glob(pattern, text),
        _ => equal(constant, value, whose),
    }
}

fn glob(pattern: &str, text: &str) -> bool {
    match (pattern.len() > 1, pattern.starts_with('*'), pattern.ends_with('*')) {
        (true, true, true) => text.contains(&pattern[1..pattern.len() - 1]),
        (true, true, false) => text.ends_with(&pattern[1..]),
        (true, false, true) => text.starts_with(&pattern[..pattern.len() - 1]),
        _ => pattern == text,
    }
}

fn equal(one: &Value, other: &Value, whose: Whose) -> bool {
    match (one, other) {
        (Value::Number(_), Value::Number(_)) => whose == Whose::Warder && one == other,
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other, whose))
        }
        (Value::Object(one), Value::Object(other)) => {
            let nested = |value: &Value| value.is_object() && whose == Whose::OpenBao;
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(name, one)| !nested(one) && other.get(name).is_some_and(|other| equal(one, other, whose)))
        }
        _ => one == other,
    }
}

/// The blocks of the one path that decides.
fn winners<'a>(policies: &'a Policies, list: bool, path: &str) -> Option<Vec<&'a Block>> {
    let blocks: Vec<&Block> = policies.0.iter().flatten().collect();
    let shorter = path.strip_suffix('/').filter(|_| list);
    let exact = |path: &str| blocks.iter().map(|block| &block.path).find(|rule| *rule == path && !wild(rule));
    let best = |path: &str| {
        let rules = blocks.iter().map(|block| &block.path);
        rules.filter(|rule| wild(rule) && matches(rule, path)).max_by(|one, other| compare(one, other))
    };
    let rule =
        exact(path).or_else(|| shorter.and_then(exact)).or_else(|| best(path)).or_else(|| shorter.and_then(best))?;
    Some(blocks.iter().copied().filter(|block| block.path == *rule).collect())
}

fn wild(rule: &str) -> bool {
    rule.ends_with('*') || plus(rule)
}

fn plus(rule: &str) -> bool {
    rule == "+" || rule.starts_with("+/") || rule.contains("/+")
}

fn matches(rule: &str, path: &str) -> bool {
    if !plus(rule) {
        return path.starts_with(rule.trim_end_matches('*'));
    }
    let (rules, segments): (Vec<_>, Vec<_>) = (rule.split('/').collect(), path.split('/').collect());
    let last = rules.len() - 1;
    let prefix = rule.ends_with('*');
    if segments.len() < rules.len() || (!prefix && segments.len() > rules.len()) {
        return false;
    }
    rules.iter().zip(&segments).enumerate().all(|(place, (rule, segment))| match *rule {
        "+" => true,
        rule if place == last && prefix => segment.starts_with(rule.trim_end_matches('*')),
        rule => rule == *segment,
    })
}

/// Greater is more specific: a later first wildcard, no `*` at the end, fewer `+`, longer, and
/// then as the alphabet has it.
fn compare(one: &str, other: &str) -> Ordering {
    let bare = |rule: &str| rule.trim_end_matches('*').to_owned();
    let first = |rule: &str| if plus(rule) { rule.find('+') } else { rule.find('*') };
    let wildcards = |rule: &str| rule.split('/').filter(|segment| *segment == "+").count();
    first(one)
        .cmp(&first(other))
        .then_with(|| other.ends_with('*').cmp(&one.ends_with('*')))
        .then_with(|| wildcards(other).cmp(&wildcards(one)))
        .then_with(|| bare(one).len().cmp(&bare(other).len()))
        .then_with(|| bare(one).cmp(&bare(other)))
}
