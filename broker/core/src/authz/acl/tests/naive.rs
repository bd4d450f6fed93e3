//! The rules of matching once more, as plainly as they can be written, against random policies.

use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;

/// Path and capabilities of one block.
type Block = (String, Vec<&'static str>);

/// The winner's path and capabilities for a lookup.
fn winner(blocks: &[Block], list: bool, path: &str) -> Option<(String, Vec<&'static str>)> {
    let shorter = path.strip_suffix('/').filter(|_| list);
    let exact = |path: &str| blocks.iter().any(|(rule, _)| rule == path && !wild(rule)).then(|| path.to_owned());
    let rule = exact(path)
        .or_else(|| shorter.and_then(exact))
        .or_else(|| best(blocks, path))
        .or_else(|| shorter.and_then(|path| best(blocks, path)))?;
    let mut granted: Vec<_> =
        blocks.iter().filter(|(had, _)| *had == rule).flat_map(|(_, capabilities)| capabilities.clone()).collect();
    granted.sort_unstable();
    granted.dedup();
    let denied = granted.is_empty() || granted.contains(&"deny");
    Some((rule, if denied { vec!["deny"] } else { granted }))
}

fn best(blocks: &[Block], path: &str) -> Option<String> {
    let candidates = blocks.iter().map(|(rule, _)| rule).filter(|rule| wild(rule) && matches(rule, path));
    candidates.max_by(|one, other| compare(one, other)).cloned()
}

fn wild(rule: &str) -> bool {
    rule.ends_with('*') || plus(rule)
}

fn plus(rule: &str) -> bool {
    rule.starts_with("+/") || rule.contains("/+") || rule == "+"
}

fn matches(rule: &str, path: &str) -> bool {
    if !plus(rule) {
        return path.starts_with(rule.trim_end_matches('*'));
    }
    match (rule.split_once('/'), path.split_once('/')) {
        (Some((first, rule)), Some((head, path))) => (first == "+" || first == head) && tail(rule, path),
        (None, None) => segment(rule, path),
        _ => false,
    }
}

/// As `matches`, without asking again whether there is a `+`.
fn tail(rule: &str, path: &str) -> bool {
    match (rule.split_once('/'), path.split_once('/')) {
        (Some((first, rule)), Some((head, path))) => (first == "+" || first == head) && tail(rule, path),
        (None, _) if rule.ends_with('*') => path.starts_with(rule.trim_end_matches('*')),
        (None, None) => segment(rule, path),
        _ => false,
    }
}

fn segment(rule: &str, path: &str) -> bool {
    rule == "+" || rule == path
}

/// (a) to (e) of the contract.
fn compare(one: &str, other: &str) -> Ordering {
    let bare = |rule: &str| rule.trim_end_matches('*').to_owned();
    let first = |rule: &str| match plus(rule) {
        true => rule.find('+').unwrap(),
        false => rule.find('*').unwrap(),
    };
    let wildcards = |rule: &str| if plus(rule) { bare(rule).split('/').filter(|s| *s == "+").count() } else { 0 };
    first(one)
        .cmp(&first(other))
        .then_with(|| other.ends_with('*').cmp(&one.ends_with('*')))
        .then_with(|| wildcards(other).cmp(&wildcards(one)))
        .then_with(|| bare(one).len().cmp(&bare(other).len()))
        .then_with(|| bare(one).cmp(&bare(other)))
}

fn rule_path() -> impl Strategy<Value = String> {
    let segments = prop::collection::vec(prop::sample::select(vec!["a", "b", "ab", "+", "+a", "a+"]), 1..5);
    let ends = prop::sample::select(vec!["", "", "/", "*", "/*"]);
    (segments, ends)
        .prop_map(|(segments, end)| format!("{}{end}", segments.join("/")))
        .prop_filter("no such wildcard", |path| !path.contains("+*"))
}

fn request_path() -> impl Strategy<Value = String> {
    let segments = prop::collection::vec(prop::sample::select(vec!["a", "b", "ab", "aba", "+a", "a+"]), 1..5);
    (segments, any::<bool>()).prop_map(|(segments, slash)| segments.join("/") + if slash { "/" } else { "" })
}

fn block() -> impl Strategy<Value = Block> {
    let capability = prop::sample::select(vec!["read", "read", "list", "list", "update", "sudo", "deny"]);
    (rule_path(), prop::collection::vec(capability, 0..3))
}

fn text(blocks: &[Block]) -> String {
    blocks
        .iter()
        .map(|(path, capabilities)| format!("path \"{path}\" {{ capabilities = {capabilities:?} }}\n"))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn decisions_are_those_of_the_plain_rules(
        policies in prop::collection::vec(prop::collection::vec(block(), 0..7), 0..3),
        path in request_path(),
    ) {
        let texts: Vec<String> = policies.iter().map(|blocks| text(blocks)).collect();
        let acl = acl(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        let blocks = policies.concat();
        let listed = winner(&blocks, true, &path).map_or_else(|| vec!["deny"], |(_, granted)| granted);
        prop_assert_eq!(acl.capabilities(&path), listed);
        for (operation, word) in [(Operation::Read, "read"), (Operation::List, "list"), (Operation::Rotate, "update")] {
            let expected = winner(&blocks, operation == Operation::List, &path);
            let fields = Fields::default();
            let question = question(operation, &path, &fields);
            let explanation = acl.explain(&question);
            prop_assert_eq!(&explanation.rule, &expected.as_ref().map(|(rule, _)| rule.clone()));
            let allowed = expected.is_some_and(|(_, granted)| granted.contains(&word));
            prop_assert_eq!(acl.decide(&question) == Decision::Allowed, allowed);
            prop_assert_eq!(explanation.allowed, allowed);
        }
    }
}
