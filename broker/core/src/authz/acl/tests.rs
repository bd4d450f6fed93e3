mod matching;
mod naive;
mod parameters;

use super::*;
use crate::authz::MatchedBy;

fn policies(texts: &[&str]) -> Vec<Arc<Policy>> {
    let parse = |(number, text): (usize, &&str)| Policy::parse(&format!("p{number}"), text);
    texts.iter().enumerate().map(parse).map(|policy| Arc::new(policy.unwrap())).collect()
}

fn acl(texts: &[&str]) -> Acl {
    Acl::new(&policies(texts))
}

fn fields(json: &str) -> Fields {
    Fields::from_json(json.as_bytes()).unwrap()
}

fn question<'a>(operation: Operation, path: &'a str, fields: &'a Fields) -> Question<'a> {
    Question { operation, path, fields, privileged: false, wrap_ttl: None }
}

fn allows(acl: &Acl, operation: Operation, path: &str) -> bool {
    acl.decide(&question(operation, path, &Fields::default())) == Decision::Allowed
}

#[test]
fn each_operation_needs_its_own_capability() {
    use Operation::{Create, Delete, List, Patch, Read, Rotate, Update};
    for (capability, granted) in [
        ("create", &[Create][..]),
        ("delete", &[Delete]),
        ("deny", &[]),
        ("list", &[List]),
        ("patch", &[Patch]),
        ("read", &[Read]),
        ("scan", &[]),
        ("sudo", &[]),
        ("update", &[Rotate, Update]),
    ] {
        let acl = acl(&[&format!("path \"a\" {{ capabilities = [\"{capability}\"] }}")]);
        for operation in [Create, Delete, List, Patch, Read, Rotate, Update] {
            assert_eq!(allows(&acl, operation, "a"), granted.contains(&operation), "{capability} {operation:?}");
        }
    }
}

#[test]
fn root_may_do_everything_even_where_sudo_is_needed() {
    let acl = Acl::root();
    let fields = fields("{\"a\":1}");
    let question = Question { privileged: true, ..question(Operation::Delete, "sys/raw/x", &fields) };
    assert_eq!(acl.decide(&question), Decision::Allowed);
    assert_eq!(acl.capabilities("x"), ["root"]);
    assert_eq!(acl.explain(&question).policies, ["root"]);
}

#[test]
fn a_privileged_path_needs_sudo_on_top() {
    for (capabilities, privileged, expected) in [
        ("\"read\"", false, Decision::Allowed),
        ("\"read\"", true, Decision::Denied),
        ("\"read\", \"sudo\"", true, Decision::Allowed),
        ("\"sudo\"", true, Decision::Denied),
    ] {
        let acl = acl(&[&format!("path \"a\" {{ capabilities = [{capabilities}] }}")]);
        let fields = Fields::default();
        let question = Question { privileged, ..question(Operation::Read, "a", &fields) };
        assert_eq!(acl.decide(&question), expected, "{capabilities} {privileged}");
    }
}

#[test]
fn wrapping_must_be_asked_for_within_the_range() {
    let seconds = |seconds: Option<u64>| seconds.map(Duration::from_secs);
    let (five, ten) = ("min_wrapping_ttl = 5", "max_wrapping_ttl = 10");
    for (blocks, wrap_ttl, allowed) in [
        (&[five][..], None, false),
        (&[five], Some(4), false),
        (&[five], Some(5), true),
        (&[ten], None, false),
        (&[ten], Some(10), true),
        (&[ten], Some(11), false),
        (&[five, ten], Some(7), true),
        (&[five, ""], None, false),
        (&[five, "min_wrapping_ttl = 3"], Some(3), true),
        (&[ten, "max_wrapping_ttl = 20"], Some(15), false),
        (&["min_wrapping_ttl = 20", ten], Some(15), false),
    ] {
        let texts: Vec<String> =
            blocks.iter().map(|block| format!("path \"a\" {{ capabilities = [\"read\"] {block} }}")).collect();
        let acl = acl(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        let fields = Fields::default();
        let question = Question { wrap_ttl: seconds(wrap_ttl), ..question(Operation::Read, "a", &fields) };
        assert_eq!(acl.decide(&question) == Decision::Allowed, allowed, "{blocks:?} {wrap_ttl:?}");
    }
}

#[test]
fn an_explanation_names_the_rule_its_policies_and_what_is_missing() {
    let acl = acl(&[
        "path \"a/*\" { capabilities = [\"read\"] } path \"a/+/c\" { capabilities = [\"list\"] }",
        "path \"a/*\" { capabilities = [\"list\"] } path \"a/x\" { policy = \"deny\" }",
    ]);
    let explain = |operation, path| acl.explain(&question(operation, path, &Fields::default()));
    let read = explain(Operation::Read, "a/b");
    assert!(read.allowed && read.missing.is_empty());
    assert_eq!((&*read.policies, read.rule.as_deref()), (&["p0".to_owned()][..], Some("a/*")));
    assert_eq!((read.matched_by, read.capabilities), (Some(MatchedBy::Prefix), vec!["list", "read"]));
    let update = explain(Operation::Update, "a/b");
    assert_eq!((&*update.reason, &*update.missing), ("the rule does not grant update", &["update"][..]));
    assert_eq!(update.policies, ["p0", "p1"]);
    let denied = explain(Operation::Read, "a/x");
    assert_eq!((&*denied.reason, denied.matched_by), ("the rule denies everything", Some(MatchedBy::Exact)));
    assert_eq!((&*denied.policies, &*denied.capabilities), (&["p1".to_owned()][..], &["deny"][..]));
    let nothing = explain(Operation::Read, "z");
    assert_eq!((nothing.rule, &*nothing.missing), (None, &["read"][..]));
    let json = serde_json::to_string(&explain(Operation::List, "a/b/c")).unwrap();
    assert_eq!(
        json,
        r#"{"allowed":true,"capabilities":["list"],"reason":"the rule grants list","policies":["p0"],"rule":"a/+/c","matched_by":"segment","missing":[]}"#
    );
}

#[test]
fn both_notations_of_one_policy_decide_alike() {
    let hcl = "path \"a/*\" { capabilities = [\"read\", \"update\"] denied_parameters = { k = [\"x*\", 3] } }\n\
               path \"a/+/c\" { policy = \"deny\" } path \"b\" { capabilities = [\"list\"] max_wrapping_ttl = \"1m\" }";
    let json = r#"{"path": [{"a/*": {"capabilities": ["read", "update"], "denied_parameters": {"k": ["x*", 3]}},
                   "a/+/c": {"policy": "deny"}}, {"b": [{"capabilities": ["list"], "max_wrapping_ttl": "1m"}]}]}"#;
    let (hcl, json) = (acl(&[hcl]), acl(&[json]));
    for path in ["a", "a/", "a/b", "a/b/c", "b", "b/", "c"] {
        for body in ["{}", r#"{"k":"xy"}"#, r#"{"k":3}"#, r#"{"K":"y"}"#] {
            for wrap_ttl in [None, Some(Duration::from_secs(60)), Some(Duration::from_secs(61))] {
                for operation in [Operation::Read, Operation::List, Operation::Update, Operation::Delete] {
                    let fields = fields(body);
                    let question = Question { wrap_ttl, ..question(operation, path, &fields) };
                    assert_eq!(hcl.explain(&question), json.explain(&question), "{question:?}");
                }
            }
        }
    }
}
