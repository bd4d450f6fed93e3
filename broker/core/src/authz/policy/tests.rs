use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn error(text: &str) -> String {
    match Policy::parse("p", text) {
        Ok(policy) => panic!("accepted {text:?} as {:?}", policy.rules),
        Err(error) => error.to_string(),
    }
}

fn rule(block: &str) -> Rule {
    let text = format!("path \"a\" {{ {block} }}");
    Policy::parse("p", &text).unwrap_or_else(|e| panic!("{text}: {e}")).rules.remove(0)
}

fn paths(text: &str) -> Vec<String> {
    let policy = Policy::parse("p", text).unwrap_or_else(|e| panic!("{text}: {e}"));
    policy.rules.iter().map(|rule| format!("{} {}", rule.path, rule.capabilities.names().join(","))).collect()
}

#[test]
fn every_notation_that_vault_takes_is_taken() {
    for (text, expected) in [
        ("", &[][..]),
        ("# nothing\n", &[]),
        ("{}", &[]),
        ("path {}", &[]),
        ("name = \"x\" path \"a\" {}", &["a deny"]),
        ("path \"a\" { capabilities = [\"read\"] }", &["a read"]),
        ("path \"a\" { capabilities = [\"read\", \"list\",] }", &["a list,read"]),
        ("path \"a\" { capabilities=[\"read\"], comment=\"x\" }", &["a read"]),
        ("path a { capabilities = [\"read\"] }", &["a read"]),
        ("\"path\" \"a\" { \"capabilities\" = [\"read\"] }", &["a read"]),
        ("path = { \"a\" = { capabilities = [\"read\"] } }", &["a read"]),
        ("path = [{ \"a\" = { capabilities = [\"read\"] } }, { \"b\" = {} }]", &["a read", "b deny"]),
        ("path \"a\" {} path \"b\" {} // end", &["a deny", "b deny"]),
        ("/* one\ntwo */ path \"a\" /* x */ { # y\n // z\n}", &["a deny"]),
        ("path \"/a\" {}", &["a deny"]),
        ("path \"//a\" {}", &["/a deny"]),
        ("path \"a\\x2fb\\u00e9\\\"\\\\\" {}", &["a/b\u{e9}\"\\ deny"]),
        ("path \"a\" { policy = \"deny\" }", &["a deny"]),
        ("path \"a\" { policy = \"read\" }", &["a list,read"]),
        ("path \"a\" { policy = \"write\" }", &["a create,delete,list,read,update"]),
        ("path \"a\" { policy = \"sudo\" }", &["a create,delete,list,read,sudo,update"]),
        ("path \"a\" { policy = \"read\" capabilities = [\"create\"] }", &["a create,list,read"]),
        ("path \"a\" { capabilities = [\"read\", \"deny\"] }", &["a deny"]),
        ("path \"a\" { capabilities = [\"patch\", \"scan\"] }", &["a patch,scan"]),
        ("path \"a\" { comment = 3 }", &["a deny"]),
        ("\u{feff}path \"a\" {}\r\n", &["a deny"]),
        ("{\"path\":{\"a\":{\"capabilities\":[\"read\"]}}}", &["a read"]),
        (" {\"path\": [{\"a\": {\"policy\": \"read\"}}, {\"b\": {}}], \"name\": \"x\"}\n", &["a list,read", "b deny"]),
        ("{\"path\":{\"a\":[{\"capabilities\":[\"read\"]}]}}", &["a read"]),
        ("{\"path\":{\"\\u0061\\/\\ud83d\\ude00\":{}}}", &["a/\u{1f600} deny"]),
    ] {
        assert_eq!(paths(text), expected, "{text:?}");
    }
}

#[test]
fn mistakes_are_named_with_their_place() {
    for (text, expected) in [
        (
            "path \"a\" { capabilities = [\"raed\"] }",
            "line 1 column 28: unknown capability \"raed\"; expected one of create, delete, deny, list, patch, read, scan, sudo, update",
        ),
        (
            "path \"a\" {\n  capabilities = [\"deny\", \"READ\"]\n}",
            "line 2 column 27: unknown capability \"READ\"; expected one of create, delete, deny, list, patch, read, scan, sudo, update",
        ),
        ("path \"a\" { capabilities = \"read\" }", "line 1 column 27: expected a list, found a string"),
        ("path \"a\" { capabilities = [3] }", "line 1 column 28: expected a string, found a number"),
        ("path \"a\" { capabilities = [\"read\" \"list\"] }", "line 1 column 35: expected \",\" or \"]\", found '\"'"),
        ("path \"a\" { capabilities = [\"read\"", "line 1 column 27: this \"[\" is never closed"),
        (
            "path \"a\" { policy = \"\" }",
            "line 1 column 21: unknown policy \"\"; expected one of deny, read, sudo, write",
        ),
        (
            "path \"a\" { capability = [] }",
            "line 1 column 12: unknown key \"capability\"; expected one of capabilities, policy, allowed_parameters, denied_parameters, required_parameters, min_wrapping_ttl, max_wrapping_ttl, comment",
        ),
        ("\n\npaht \"a\" {}", "line 3 column 1: unknown key \"paht\"; expected one of name, path"),
        (
            "path \"a\" { capabilities = [] capabilities = [] }",
            "line 1 column 30: \"capabilities\" is given twice in this block",
        ),
        ("path \"a\" \"b\" {}", "line 1 column 10: expected \"{\" after the label \"a\", found '\"'"),
        ("path \"a\" = {}", "line 1 column 10: expected \"{\" after the label \"a\", found '='"),
        ("path", "line 1 column 5: expected \"=\" or \"{\" after \"path\", found the end of the policy"),
        ("path: \"a\"", "line 1 column 5: expected \"=\" or \"{\" after \"path\", found ':'"),
        ("path \"a\" {}; path \"b\" {}", "line 1 column 12: expected a key, found ';'"),
        ("path \"a\" {", "line 1 column 10: this \"{\" is never closed"),
        ("path \"a\" {} }", "line 1 column 13: expected a key, found '}'"),
        ("path \"a", "line 1 column 6: this string is not closed on its line"),
        ("path \"a\n\" {}", "line 1 column 6: this string is not closed on its line"),
        ("path \"a\\q\" {}", "line 1 column 8: unknown escape; expected one of \\n \\r \\t \\\" \\\\ \\xNN \\uNNNN"),
        ("path \"\\ud800\" {}", "line 1 column 7: this escape is no Unicode character"),
        ("path \"a${b}\" {}", "line 1 column 8: \"${\" is not taken in policies: nothing is interpolated"),
        (
            "path \"a\" { comment = <<E\nx\nE\n}",
            "line 1 column 22: heredocs are not taken in policies: write a quoted string",
        ),
        ("/* open", "line 1 column 1: this comment is never closed"),
        ("path \"a\" { policy = read }", "line 1 column 21: unknown word \"read\"; strings need quotes"),
        ("path \"a\" { min_wrapping_ttl = 1x }", "line 1 column 31: \"1x\" is not a number"),
        (
            "path \"a\" { min_wrapping_ttl = \"-5s\" }",
            "line 1 column 31: expected a duration such as 90, \"90s\", \"1h30m\" or \"2d\"",
        ),
        (
            "path \"a\" { min_wrapping_ttl = 10 max_wrapping_ttl = 5 }",
            "line 1 column 6: max_wrapping_ttl cannot be less than min_wrapping_ttl",
        ),
        ("path \"a/+*\" {}", "line 1 column 6: \"+*\" is not a wildcard: write \"+/*\" or \"*\""),
        ("path \"e/{{identity.entity.id}}\" {}", "line 1 column 6: templates (\"{{..}}\") are not supported in paths"),
        ("path \"a\" { allowed_parameters = { k = \"a\" } }", "line 1 column 39: expected a list, found a string"),
        ("path \"a\" { allowed_parameters = { k = [] K = [] } }", "line 1 column 42: parameter \"K\" is given twice"),
        (
            "path \"a\" { mfa_methods = [\"x\"] }",
            "line 1 column 12: mfa_methods is not supported: it would not be enforced, so the rule would allow too much",
        ),
        (
            "path \"a\" { control_group {} }",
            "line 1 column 12: control_group is not supported: it would not be enforced, so the rule would allow too much",
        ),
        (
            "path \"a\" { expiration = \"2027-01-01\" }",
            "line 1 column 12: expiration is not supported: it would not be enforced, so the rule would allow too much",
        ),
        (
            "path \"a\" { pagination_limit = 3 }",
            "line 1 column 12: pagination_limit is not supported: it would not be enforced, so the rule would allow too much",
        ),
        ("name = 3", "line 1 column 8: expected a string, found a number"),
        ("path = 3", "line 1 column 8: expected an object, found a number"),
        ("{\"path\":{\"a\":{\"capabilities\":null}}}", "line 1 column 30: expected a list, found null"),
        ("{\"path\":{\"a\":{\"capabilities\":[\"read\",]}}}", "line 1 column 38: expected a JSON value, found ']'"),
        (
            "{\"path\":{\"a\":{\n\"capabilities\":[\"raed\"]}}}",
            "line 2 column 17: unknown capability \"raed\"; expected one of create, delete, deny, list, patch, read, scan, sudo, update",
        ),
        ("{\"path\" {}}", "line 1 column 9: expected \":\" after \"path\", found '{'"),
        ("{path:{}}", "line 1 column 2: expected a quoted member name, found 'p'"),
        ("{} x", "line 1 column 4: expected nothing after the closing \"}\", found 'x'"),
        ("{\"path\":{\"\\ud800x\":{}}}", "line 1 column 11: this escape is half of a surrogate pair"),
        ("{\"name\":\"a\nb\"}", "line 1 column 11: control characters in strings must be escaped"),
        ("{\"name\":01}", "line 1 column 9: \"01\" is not a number"),
    ] {
        assert_eq!(error(text), expected, "{text:?}");
    }
}

#[test]
fn durations_are_seconds_or_go_notation() {
    for (text, expected) in [
        ("90", Some(Duration::from_secs(90))),
        ("1.5", Some(Duration::from_millis(1500))),
        ("\"90\"", Some(Duration::from_secs(90))),
        ("\"1h30m\"", Some(Duration::from_secs(5400))),
        ("\"2d\"", Some(Duration::from_secs(172_800))),
        ("\"250ms\"", Some(Duration::from_millis(250))),
        ("\"\"", None),
        ("0", None),
    ] {
        assert_eq!(rule(&format!("min_wrapping_ttl = {text}")).min_wrapping_ttl, expected, "{text}");
    }
    for text in ["\"x\"", "\"5\u{f6}\"", "\"1h30\"", "\"h\"", "-1", "\"1e3s\"", "true", "1e300"] {
        assert!(
            error(&format!("path \"a\" {{ max_wrapping_ttl = {text} }}")).contains("expected a duration"),
            "{text}"
        );
    }
}

#[test]
fn parameter_names_are_lower_cased_and_values_keep_their_kind() {
    let rule = rule(
        "allowed_parameters = { Foo = [\"A\", 3, 0x10, true, [\"x\"], { y = \"z\" }], \"*\" = [] } required_parameters = [\"Bar\"]",
    );
    let text = |text: &str| Constant::Text(text.into());
    let object = Constant::Object([("y".to_owned(), text("z"))].into());
    let expected = [
        text("A"),
        Constant::Number(3.0),
        Constant::Number(16.0),
        Constant::Boolean(true),
        Constant::List(vec![text("x")]),
        object,
    ];
    assert_eq!(rule.allowed["foo"], expected);
    assert_eq!((rule.allowed["*"].len(), rule.required), (0, vec!["bar".to_owned()]));
}

#[test]
fn sizes_depths_and_counts_are_bounded() {
    assert_eq!(error(&" ".repeat(MAX_TEXT_BYTES + 1)), "line 1 column 1: the policy is longer than 1048576 bytes");
    let path = "a".repeat(MAX_PATH_BYTES + 1);
    assert!(error(&format!("path \"{path}\" {{}}")).ends_with("the path is longer than 1024 bytes"));
    let blocks = "path \"a\" {}\n".repeat(MAX_RULES + 1);
    assert_eq!(error(&blocks), "line 10001 column 6: more than 10000 path blocks");
    let deep = format!("path \"{}a\" {{}}\n", "+/".repeat(511));
    assert_eq!(Policy::parse("p", &deep.repeat(128)).map(|_| ()), Ok(()));
    assert_eq!(error(&deep.repeat(129)), "line 129 column 6: more than 65536 segments in paths with a '+'");
    for open in ["[", "{a=", "{a "] {
        assert!(error(&format!("name = {}", open.repeat(100_000))).ends_with("nested deeper than 16 levels"), "{open}");
    }
    for open in ["[", "{\"a\":"] {
        assert!(
            error(&format!("{{\"name\":{}", open.repeat(100_000))).ends_with("nested deeper than 16 levels"),
            "{open}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,80}") {
        _ = Policy::parse("p", &text);
        _ = Policy::parse("p", &format!("{{{text}"));
    }

    #[test]
    fn no_sequence_of_tokens_makes_the_parser_panic(
        tokens in prop::collection::vec(
            prop::sample::select(vec![
                "path", "\"a\"", "{", "}", "[", "]", "=", ",", ":", "capabilities", "\"read\"", "true", "null", "3", "-",
                "0x", "\\", "\"", "\n", "#", "//", "/*", "*/", "<<E", "\\u12", "\u{e9}", "policy", "min_wrapping_ttl", "\"1h\"", " ",
            ]), 0..40),
    ) {
        _ = Policy::parse("p", &tokens.concat());
        _ = Policy::parse("p", &format!("{{{}", tokens.concat()));
        _ = Policy::parse("p", &format!("path \"a\" {{ min_wrapping_ttl = \"{}\" }}", tokens.concat()));
    }
}
