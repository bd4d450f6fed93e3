//! Which rule wins. Every row was asked of OpenBao 2.7.2 through `sys/capabilities`.

use super::*;

/// `(path, capability)` of each block.
type Rules = &'static [(&'static str, &'static str)];

/// `(rules, path, capability of the winner)`; `deny` where nothing matches.
const ROWS: &[(Rules, &str, &str)] = &[
    // Exact.
    (&[("a", "read")], "a", "read"),
    (&[("a", "read")], "a/", "read"),
    (&[("a", "read")], "a/b", "deny"),
    (&[("A", "read")], "a", "deny"),
    (&[("", "read")], "x", "deny"),
    (&[("/a", "read")], "a", "read"),
    (&[("//a", "read")], "a", "deny"),
    (&[("a/", "read"), ("a", "list")], "a/", "read"),
    (&[("a/b", "deny"), ("a/b/*", "list")], "a/b/", "deny"),
    (&[("secret/metadata/*", "list"), ("secret/metadata", "deny")], "secret/metadata/", "deny"),
    // Prefixes.
    (&[("*", "read")], "x", "read"),
    (&[("a/*", "read")], "a/", "read"),
    (&[("a/*", "read")], "a", "deny"),
    (&[("a*", "read"), ("a/*", "list")], "a/b", "list"),
    (&[("a**", "read")], "a*b", "read"),
    (&[("a/*/b", "read")], "a/*/b", "read"),
    (&[("a/*/b", "read")], "a/x/b", "deny"),
    // Segments.
    (&[("+", "read")], "x", "read"),
    (&[("+", "read")], "x/", "read"),
    (&[("+/", "read")], "x/", "read"),
    (&[("a/+", "read")], "a/", "read"),
    (&[("a/+", "read")], "a/b/", "read"),
    (&[("a/+b", "read")], "a/xb", "deny"),
    (&[("a/+b", "read"), ("a/*", "list")], "a/+b", "read"),
    // (a) the later first wildcard.
    (&[("a/b*", "read"), ("a/+", "list")], "a/b", "read"),
    (&[("a/+/c*", "read"), ("a/b/*", "list")], "a/b/c", "list"),
    (&[("a+/+", "read"), ("a*", "list")], "a+/b", "read"),
    // (b) not ending in `*`.
    (&[("a/*", "read"), ("a/+", "list")], "a/b", "list"),
    (&[("+/x*", "read"), ("+/+", "list")], "a/xy", "list"),
    (&[("+/x*", "read"), ("+/+", "list")], "a/xy/z", "read"),
    // (c) fewer `+`.
    (&[("a/+/+", "read"), ("a/+/c", "list")], "a/b/c", "list"),
    (&[("a/+/+/d*", "read"), ("a/+/c*", "list")], "a/b/c/d", "list"),
    // Lists: with the trailing slash first (GHSA-xp3c-3jw3-4vcr).
    (&[("a/+/", "read"), ("a/*", "list")], "a/b/", "read"),
    (&[("a/+", "deny"), ("a/*", "list")], "a/b/", "list"),
    (&[("a/+", "read"), ("a/+/*", "list")], "a/b/", "list"),
];

fn text(rules: &[(&str, &str)]) -> String {
    rules
        .iter()
        .map(|(path, capability)| format!("path \"{path}\" {{ capabilities = [\"{capability}\"] }}\n"))
        .collect()
}

#[test]
fn the_most_specific_rule_alone_decides() {
    for (rules, path, expected) in ROWS {
        assert_eq!(acl(&[&text(rules)]).capabilities(path), [*expected], "{rules:?} {path}");
        let reversed: Vec<_> = rules.iter().rev().copied().collect();
        assert_eq!(acl(&[&text(&reversed)]).capabilities(path), [*expected], "{reversed:?} {path}");
        let (first, others) = rules.split_at(1);
        assert_eq!(acl(&[&text(first), &text(others)]).capabilities(path), [*expected], "{rules:?} {path}");
    }
}

#[test]
fn only_a_list_is_looked_up_without_its_trailing_slash() {
    for rule in ["a", "+", "a*"] {
        let acl = acl(&[&format!("path \"{rule}\" {{ capabilities = [\"list\", \"read\"] }}")]);
        assert!(allows(&acl, Operation::List, "a/"), "{rule}");
        assert_eq!(allows(&acl, Operation::Read, "a/"), rule == "a*", "{rule}");
    }
}

#[test]
fn leading_slashes_of_a_request_do_not_count() {
    let acl = acl(&["path \"a\" { capabilities = [\"deny\"] } path \"*\" { capabilities = [\"read\"] }"]);
    assert!(!allows(&acl, Operation::Read, "//a") && allows(&acl, Operation::Read, "/b"));
}

#[test]
fn the_same_path_in_several_policies_unites_and_any_deny_wins() {
    for (capabilities, expected) in [
        (&["read", "list"][..], &["list", "read"][..]),
        (&["read", "read"], &["read"]),
        (&["read", "deny"], &["deny"]),
        (&["deny", "read", "list"], &["deny"]),
    ] {
        let texts: Vec<String> = capabilities.iter().map(|one| text(&[("a/+/*", one)])).collect();
        let apart: Vec<&str> = texts.iter().map(String::as_str).collect();
        assert_eq!(acl(&apart).capabilities("a/b/c"), expected, "{capabilities:?}");
        assert_eq!(acl(&[&texts.concat()]).capabilities("a/b/c"), expected, "{capabilities:?} in one policy");
    }
}

#[test]
fn nothing_is_granted_without_policies() {
    let acl = acl(&[]);
    assert_eq!(acl.capabilities("a"), ["deny"]);
    assert!(!allows(&acl, Operation::Read, "a") && !allows(&acl, Operation::List, ""));
}
