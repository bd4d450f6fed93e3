//! Conditions on parameters. Every row was asked of OpenBao 2.7.2, but for those marked.

use super::*;

/// `(blocks of policies for one path, body, allowed)`.
const ROWS: &[(&[&str], &str, bool)] = &[
    // Required: the name of the request counts as it is written.
    (&["required_parameters=[\"Foo\"]"], r#"{"foo":1}"#, true),
    (&["required_parameters=[\"foo\"]"], r#"{"Foo":1}"#, false),
    (&["required_parameters=[\"foo\"]"], r#"{"bar":1}"#, false),
    (&["required_parameters=[\"foo\"]"], "{}", false),
    (&["required_parameters=[\"a\"]", "required_parameters=[\"b\"]"], r#"{"a":1}"#, false),
    // Allowed names.
    (&["allowed_parameters={Foo=[]}"], r#"{"foo":1}"#, true),
    (&["allowed_parameters={foo=[]}"], r#"{"FOO":1}"#, true),
    (&["allowed_parameters={foo=[]}"], r#"{"bar":1}"#, false),
    (&["allowed_parameters={foo=[]}"], "{}", true),
    (&["allowed_parameters={}"], r#"{"bar":1}"#, true),
    (&["allowed_parameters={foo=[\"a\"] \"*\"=[]}"], r#"{"bar":1}"#, true),
    (&["allowed_parameters={foo=[\"a\"] \"*\"=[]}"], r#"{"foo":"b"}"#, false),
    (&["allowed_parameters={\"*\"=[\"a\"]}"], r#"{"foo":"b"}"#, true),
    // Denied names.
    (&["denied_parameters={foo=[]}"], r#"{"Foo":"b"}"#, false),
    (&["denied_parameters={foo=[]}"], r#"{"bar":"b"}"#, true),
    (&["denied_parameters={\"*\"=[\"zz\"]}"], r#"{"foo":"cb"}"#, false),
    (&["denied_parameters={\"*\"=[]}"], "{}", true),
    (&["allowed_parameters={foo=[\"a\"]} denied_parameters={foo=[\"a\"]}"], r#"{"foo":"a"}"#, false),
    // Globs on strings.
    (&["denied_parameters={foo=[\"b*\"]}"], r#"{"foo":"bc"}"#, false),
    (&["denied_parameters={foo=[\"b*\"]}"], r#"{"foo":"cb"}"#, true),
    (&["denied_parameters={foo=[\"*b*\"]}"], r#"{"foo":"abc"}"#, false),
    (&["denied_parameters={foo=[\"*b\"]}"], r#"{"foo":"ab"}"#, false),
    (&["denied_parameters={foo=[\"**\"]}"], r#"{"foo":"ab"}"#, false),
    (&["allowed_parameters={foo=[\"ab*\"]}"], r#"{"foo":"abc"}"#, true),
    (&["allowed_parameters={foo=[\"*\"]}"], r#"{"foo":"abc"}"#, false),
    (&["allowed_parameters={foo=[\"*\"]}"], r#"{"foo":"*"}"#, true),
    (&["allowed_parameters={foo=[\"b\"]}"], r#"{"foo":"\u0062"}"#, true),
    // Other values.
    (&["allowed_parameters={foo=[3]}"], r#"{"foo":3}"#, false),
    (&["allowed_parameters={foo=[\"3\"]}"], r#"{"foo":3}"#, false),
    (&["allowed_parameters={foo=[true]}"], r#"{"foo":true}"#, true),
    (&["allowed_parameters={foo=[true]}"], r#"{"foo":"true"}"#, false),
    (&["allowed_parameters={foo=[[\"a\",\"b\"]]}"], r#"{"foo":["a", "b"]}"#, true),
    (&["allowed_parameters={foo=[[\"a*\"]]}"], r#"{"foo":["ab"]}"#, false),
    (&["allowed_parameters={foo=[[[\"a\"]]]}"], r#"{"foo":[["a"]]}"#, true),
    (&["allowed_parameters={foo=[{a=\"b\" c=\"d\"}]}"], r#"{"foo":{"c":"d","a":"b"}}"#, true),
    (&["allowed_parameters={foo=[{a=[\"b\"]}]}"], r#"{"foo":{"a":["b"]}}"#, true),
    (&["allowed_parameters={foo=[{a={b=\"c\"}}]}"], r#"{"foo":{"a":{"b":"c"}}}"#, false),
    (&["allowed_parameters={foo=[\"null\"]}"], r#"{"foo":null}"#, false),
    (&["denied_parameters={foo=[\"a\"]}"], r#"{"foo":null}"#, true),
    // Stricter than OpenBao, where numbers and objects in objects never equal a denied value.
    (&["denied_parameters={foo=[3]}"], r#"{"foo":3}"#, false),
    (&["denied_parameters={foo=[3]}"], r#"{"foo":3.0e0}"#, false),
    (&["denied_parameters={foo=[3]}"], r#"{"foo":"3"}"#, true),
    (&["denied_parameters={foo=[{a={b=\"c\"}}]}"], r#"{"foo":{"a":{"b":"c"}}}"#, false),
    // Several policies.
    (&["allowed_parameters={foo=[\"a\"]}", ""], r#"{"foo":"b"}"#, false),
    (&["", "allowed_parameters={foo=[\"a\"]}"], r#"{"foo":"b"}"#, false),
    (&["allowed_parameters={foo=[\"a\"]}", "allowed_parameters={foo=[\"b\"]}"], r#"{"foo":"b"}"#, true),
    (&["allowed_parameters={foo=[\"a\"]}", "allowed_parameters={foo=[]}"], r#"{"foo":"b"}"#, true),
    (&["allowed_parameters={foo=[]}", "allowed_parameters={foo=[\"a\"]}"], r#"{"foo":"b"}"#, true),
    (&["allowed_parameters={foo=[\"a\"]}", "allowed_parameters={bar=[]}"], r#"{"foo":"a","bar":1}"#, true),
    (&["denied_parameters={foo=[\"a\"]}", "denied_parameters={foo=[\"b\"]}"], r#"{"foo":"b"}"#, false),
    (&["denied_parameters={foo=[\"a\"]}", "denied_parameters={foo=[]}"], r#"{"foo":"z"}"#, false),
];

fn build(blocks: &[&str]) -> Acl {
    let all = "\"create\", \"delete\", \"list\", \"patch\", \"read\", \"update\"";
    let texts: Vec<String> =
        blocks.iter().map(|block| format!("path \"a\" {{ capabilities = [{all}] {block} }}")).collect();
    acl(&texts.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn parameters_are_held_to_every_condition() {
    for (blocks, body, allowed) in ROWS {
        let (acl, fields) = (build(blocks), fields(body));
        for operation in [Operation::Create, Operation::Patch, Operation::Read, Operation::Rotate, Operation::Update] {
            let decision = acl.decide(&question(operation, "a", &fields));
            assert_eq!(decision == Decision::Allowed, *allowed, "{blocks:?} {body} {operation:?}");
        }
    }
}

#[test]
fn lists_and_deletes_have_no_parameters_to_hold() {
    for (blocks, body, _) in ROWS {
        let (acl, fields) = (build(blocks), fields(body));
        for operation in [Operation::Delete, Operation::List] {
            assert_eq!(acl.decide(&question(operation, "a", &fields)), Decision::Allowed, "{blocks:?} {operation:?}");
        }
    }
}

#[test]
fn an_explanation_names_parameters_but_shows_no_value() {
    let acl = build(&["denied_parameters = { pin = [\"canary*\"] }"]);
    let fields = fields(r#"{"pin":"canary-7"}"#);
    let explanation = acl.explain(&question(Operation::Update, "a", &fields));
    assert_eq!(explanation.reason, "the rule denies this value of the parameter \"pin\"");
    assert!(!format!("{explanation:?}").contains("canary"));
}
