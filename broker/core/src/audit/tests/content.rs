//! What stands in a record, and what never does.

use std::collections::BTreeMap;

use base64::Engine as _;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::port::backend::MountScope;
use crate::{
    audit::{
        AnswerDigest, Outcome,
        digest::{Keys, MAX_LEAVES, write_hidden},
        hmac_text,
    },
    error::Error,
    identity::{Identity, TokenKind},
    json,
    path::Path,
    request::{Answer, Auth, Door, Fields, Operation, Reply},
};

const CANARY: &str = "cAnArY\"7f3a\u{e9}\n91";

#[test]
fn what_an_error_quotes_is_not_recorded() {
    for (words, recorded) in [
        ("plain words", "plain words"),
        (r#"unknown key "hunter2"; expected "path""#, r#"unknown key ".."; expected "..""#),
        (r#"found "hunter2 \" and \\", expected x"#, r#"found "..", expected x"#),
        (r#"cut in "hunter2"#, r#"cut in ".."#),
    ] {
        let Outcome::Failed { detail, .. } = Outcome::failed(&Error::invalid("policy", words)) else { panic!() };
        assert_eq!(detail, recorded);
    }
}

fn identity() -> Identity {
    Identity {
        digest: "d1".into(),
        holder: String::new(),
        accessor: format!("accessor {CANARY}"),
        policies: vec!["ci".into(), "default".into()],
        display_name: "token-ci".into(),
        path: "auth/token/create".into(),
        metadata: BTreeMap::new(),
        entity_id: Some("entity-1".into()),
        kind: TokenKind::Service,
        counted: false,
        orphan: false,
        expires: None,
        recorded: Arc::default(),
    }
}

fn issued() -> Auth {
    Auth {
        token: Secret::from(format!("hvs.{CANARY}")),
        accessor: format!("new {CANARY}"),
        policies: vec!["ci".into()],
        ttl: Duration::from_secs(60),
        renewable: true,
        entity_id: None,
        metadata: BTreeMap::new(),
        kind: TokenKind::Batch,
        orphan: true,
        num_uses: 0,
    }
}

fn document() -> String {
    json!({ "data": { "password": CANARY, "port": 31337, "on": true, "off": false, "none": null, "list": [1.5e3, "x"] } })
        .to_string()
}

/// Everything that an entry can hold.
fn full() -> Entry {
    Entry {
        door: Some(Door::Vault),
        mount: Some(Arc::new(MountScope {
            path: "secret/".into(),
            plugin: "kv".into(),
            fingerprint_key: Secret::from("k"),
        })),
        remote_address: Some("2001:db8::7".parse().unwrap()),
        proxy_address: Some("192.0.2.1".parse().unwrap()),
        token: Some(Secret::from(CANARY)),
        identity: Some(Arc::new(identity())),
        fields: Some(Arc::new(Fields::from_json(document().as_bytes()).unwrap())),
        ..entry("request-1")
    }
}

fn done() -> Outcome {
    let document = Secret::from(document());
    Outcome::Done { answer: Some(document), digest: None, issued: Some(Arc::new(issued())), lease: None }
}

fn written(salted: bool, records: Vec<Record>) -> SinkDouble {
    let sink = SinkDouble::default();
    let audit = start(&[(config("memory"), &sink)]);
    if salted {
        audit.set_salt(&salt);
    }
    block(async {
        for record in records {
            audit.record(record).await.unwrap();
        }
    });
    sink
}

fn hashed(value: &str) -> String {
    hmac_text(&salt("memory"), value)
}

fn hashed_document() -> Value {
    json!({ "data": {
        "password": hashed(CANARY), "port": hashed("31337"), "on": hashed("true"), "off": hashed("false"),
        "none": null, "list": [hashed("1500.0"), hashed("x")]
    } })
}

#[test]
fn records_hold_the_documented_members_and_no_others() {
    let failure = Outcome::failed(&Error::denied());
    let records = vec![
        Record::open(&full()),
        Record::close(&full(), done()),
        Record::combined(full(), failure),
        Record::combined(entry("bare"), Outcome::done(None)),
    ];
    let sink = written(true, records);
    let hash_of = |i: usize| sink.records()[i]["hash"].clone();
    let prev_of = |i: usize| sink.records()[i]["prev"].clone();
    let auth = json!({
        "token": hashed(CANARY), "accessor": hashed(&format!("accessor {CANARY}")), "display_name": "token-ci",
        "policies": ["ci", "default"], "token_type": "service", "entity_id": "entity-1"
    });
    let issued = json!({
        "token": hashed(&format!("hvs.{CANARY}")), "accessor": hashed(&format!("new {CANARY}")), "policies": ["ci"],
        "token_type": "batch"
    });
    let common = |seq: usize, kind: &str| {
        json!({
            "time": "2026-11-22T03:36:50.123Z", "seq": seq, "prev": prev_of(seq - 1), "type": kind, "id": "request-1",
            "door": "vault", "operation": "read", "path": "secret/data/a", "mount": "secret/", "plugin": "kv",
            "remote_address": "2001:db8::7", "proxy_address": "192.0.2.1", "auth": auth, "hash": hash_of(seq - 1)
        })
    };
    let mut expected = vec![common(1, "open"), common(2, "close"), common(3, "hit")];
    expected[0]["request"] = hashed_document();
    expected[1]["response"] = hashed_document();
    expected[1]["issued"] = issued;
    expected[2]["request"] = hashed_document();
    expected[2]["error"] = json!({ "code": "permission_denied", "detail": "permission denied" });
    expected.push(json!({
        "time": "2026-11-22T03:36:50.123Z", "seq": 4, "prev": prev_of(3), "type": "hit", "id": "bare",
        "operation": "read", "path": "secret/data/a", "hash": hash_of(3)
    }));
    assert_eq!(sink.records(), expected);
    assert_eq!(sink.records()[0]["prev"], "0".repeat(64));
}

#[test]
fn members_stand_in_the_documented_order() {
    let sink = written(true, vec![Record::open(&full())]);
    let names = ["time", "seq", "prev", "type", "id", "door", "operation", "path", "mount", "plugin"];
    let places: Vec<_> = names
        .iter()
        .chain(&["remote_address", "proxy_address", "auth", "request", "hash"])
        .map(|n| sink.text().find(&format!("\"{n}\":")))
        .collect();
    assert!(places.is_sorted() && places.iter().all(Option::is_some), "{places:?}");
}

/// Raw, JSON-escaped, base64 and hex forms of each marked value, salted and sealed.
#[test]
fn no_marked_value_reaches_a_sink() {
    for salted in [false, true] {
        let text = written(salted, vec![Record::open(&full()), Record::close(&full(), done())]).text();
        let mut escaped = Vec::new();
        json::write_string(&mut escaped, CANARY);
        let escaped = String::from_utf8(escaped).unwrap();
        let hex: String = CANARY.bytes().map(|byte| format!("{byte:02x}")).collect();
        let base64 = base64::engine::general_purpose::STANDARD_NO_PAD.encode(CANARY);
        for form in [CANARY, "cAnArY", "7f3a", escaped.trim_matches('"'), &hex, &hex.to_uppercase(), &base64] {
            let hits = text.match_indices(form).filter(|(at, _)| !inside_digest(&text, *at)).count();
            assert_eq!(hits, 0, "{form:?} in {text}");
        }
        for bare in [":31337", ":1500", "[1500", ":true", ":false", ",\"x\"", "hvs."] {
            assert!(!text.contains(bare), "{bare} in {text}");
        }
        for name in ["password", "port", "on", "off", "none", "list"] {
            assert!(text.contains(&format!("\"{name}\":")), "the name {name} stays");
        }
    }
}

/// Whether the place is within 64 hex digits, where four digits may occur by chance.
fn inside_digest(text: &str, at: usize) -> bool {
    let before = text[..at].bytes().rev().take_while(u8::is_ascii_hexdigit).count();
    let after = text[at..].bytes().take_while(u8::is_ascii_hexdigit).count();
    before + after == 64
}

#[test]
fn while_sealed_values_are_a_constant() {
    let sink = written(false, vec![Record::open(&full())]);
    let record = &sink.records()[0];
    assert_eq!(record["auth"]["token"], "hmac-sha256:sealed");
    assert_eq!(record["request"]["data"]["port"], "hmac-sha256:sealed");
}

#[test]
fn forgetting_the_salts_seals_records_again() {
    let sink = SinkDouble::default();
    let audit = audit(&sink);
    let memory = Arc::new(AnswerDigest::default());
    let hit = || Record::combined(entry("1"), Outcome::cached(Secret::from("\"v\""), Arc::clone(&memory)));
    block(async {
        audit.record(hit()).await.unwrap();
        audit.clear_salt();
        audit.record(hit()).await.unwrap();
    });
    assert_eq!(sink.records()[0]["response"], hashed("v"));
    assert_eq!(sink.records()[1]["response"], "hmac-sha256:sealed");
}

#[test]
fn an_empty_salt_is_no_salt() {
    let sink = SinkDouble::default();
    let audit = start(&[(config("memory"), &sink)]);
    audit.set_salt(&|_| Secret::from(""));
    block(audit.record(Record::close(&entry("1"), Outcome::done(Some(Secret::from("\"v\"")))))).unwrap();
    assert_eq!(sink.records()[0]["response"], "hmac-sha256:sealed");
}

#[test]
fn sinks_cannot_be_joined_on_their_digests() {
    let (a, b) = (SinkDouble::default(), SinkDouble::default());
    let audit = start(&[(config("a"), &a), (config("b"), &b)]);
    audit.set_salt(&salt);
    let memory = Arc::new(AnswerDigest::default());
    block(async {
        for _ in 0..3 {
            let outcome = Outcome::cached(Secret::from("[\"v\"]"), Arc::clone(&memory));
            audit.record(Record::combined(entry("1"), outcome)).await.unwrap();
        }
    });
    drop(audit);
    for (sink, name) in [(&a, "a"), (&b, "b")] {
        assert!(sink.records().iter().all(|r| r["response"] == json!([hmac_text(&salt(name), "v")])));
    }
    assert_eq!(memory.len(), 2 * "[\"hmac-sha256:\"]".len() + 128, "one form per sink, made once");
}

/// The memory is what is written: a second hit does not look at the answer again.
#[test]
fn a_remembered_answer_is_not_hashed_again() {
    let keys = Keys::new(&salt("a"));
    let memory = AnswerDigest::default();
    let [mut first, mut second] = [Vec::new(), Vec::new()];
    crate::audit::digest::write_answer(&mut first, Some(&keys), &Secret::from("1"), Some(&memory));
    crate::audit::digest::write_answer(&mut second, Some(&keys), &Secret::from("2"), Some(&memory));
    assert_eq!(first, second);
    let fresh = Keys::new(&salt("b"));
    second.clear();
    crate::audit::digest::write_answer(&mut second, Some(&fresh), &Secret::from("1"), Some(&memory));
    assert_ne!(first, second, "another salt is another form");
}

#[test]
fn closing_records_carry_the_time_of_the_answer() {
    let sink = SinkDouble::default();
    let clock = Arc::new(ManualClock::new(NOW));
    let audit = Audit::start(vec![(config("a"), Box::new(sink.clone()))], Arc::clone(&clock) as _).unwrap();
    block(async {
        audit.record(open("1")).await.unwrap();
        clock.advance(Duration::from_millis(1877));
        audit.record(Record::close(&entry("1"), Outcome::done(None))).await.unwrap();
    });
    assert_eq!(sink.records()[0]["time"], "2026-11-22T03:36:50.123Z");
    assert_eq!(sink.records()[1]["time"], "2026-11-22T03:36:52.000Z");
}

#[test]
fn text_from_outside_cannot_break_a_line() {
    let hostile = "a\n{\"seq\":1}\u{0}\u{7f}\"\\";
    let mut entry = Entry { fields: None, ..full() };
    entry.id = hostile.into();
    entry.path = hostile.into();
    let failure = Outcome::Failed { kind: ErrorKind::Internal, detail: hostile.into() };
    let sink = written(true, vec![Record::combined(entry, failure)]);
    let record = &sink.records()[0];
    assert_eq!((&record["id"], &record["path"]), (&json!(hostile), &json!(hostile)));
    assert_eq!(record["error"]["detail"], json!(hostile));
    assert_eq!(sink.text().lines().count(), 1);
}

#[test]
fn what_a_reply_shows_is_recorded() {
    let answers = [
        (Answer::Document(Secret::from("{\"a\":1}")), json!({ "a": hashed("1") })),
        (Answer::Gone(Secret::from("[]")), json!([])),
        (Answer::Names { keys: vec!["k\"/".into(), "l".into()] }, json!({ "keys": [hashed("k\"/"), hashed("l")] })),
        (Answer::Nothing, Value::Null),
        (
            Answer::Raw { status: 200, content_type: "text/plain".into(), body: Secret::from("plain, bytes") },
            json!(hashed("plain, bytes")),
        ),
    ];
    for (answer, expected) in answers {
        let reply = Reply::new(Operation::Read, Path::parse("secret/a").unwrap(), answer);
        let sink = written(true, vec![Record::close(&entry("1"), Outcome::of(&reply, None))]);
        assert_eq!(sink.records()[0]["response"], expected);
    }
}

fn hidden(text: &[u8]) -> String {
    let mut out = Vec::new();
    write_hidden(&mut out, Some(&Keys::new(&salt("memory"))), text);
    String::from_utf8(out).unwrap()
}

#[test]
fn what_is_over_a_limit_or_no_json_is_hashed_as_a_whole() {
    let many = format!("[{}1]", "1,".repeat(MAX_LEAVES));
    let long = format!("{{\"{}\":null}}", "n".repeat(1 << 20));
    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    for text in [&many, &long, &deep, "", "{", "{\"a\"}", "[1,]", "nul", "-x", "1 2", "\"a", "{\"\\ud800\":1}", "\"\\"]
    {
        assert_eq!(hidden(text.as_bytes()), format!("\"{}\"", hashed(text)), "{:.20}", text);
    }
    assert_eq!(hidden(b"\xff\xfe"), format!("\"{}\"", hmac_text(&salt("memory"), b"\xff\xfe")));
    let most = format!("[{}1]", "1,".repeat(MAX_LEAVES - 1));
    assert!(hidden(most.as_bytes()).starts_with('['));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// The same by way of a tree: what the recorded form must be.
fn hidden_tree(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::String(text) => hashed(text).into(),
        Value::Bool(_) | Value::Number(_) => hashed(&value.to_string()).into(),
        Value::Array(items) => items.iter().map(hidden_tree).collect(),
        Value::Object(map) => map.iter().map(|(name, inner)| (name.clone(), hidden_tree(inner))).collect(),
    }
}

proptest! {
    #[test]
    fn every_leaf_is_hashed_and_every_name_stays(value in any_json(), pretty in any::<bool>()) {
        let text = if pretty { format!(" {value:#}\n") } else { value.to_string() };
        let out = hidden(text.as_bytes());
        prop_assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), hidden_tree(&value));
        prop_assert!(!out.contains(|c: char| c < ' '));
    }

    #[test]
    fn any_bytes_become_one_line_of_json(text in "[\\[\\]{}:,\"\\\\ \n0-9a-ftrueénul.-]{0,40}") {
        let out = hidden(text.as_bytes());
        prop_assert!(serde_json::from_str::<Value>(&out).is_ok(), "{}", out);
        prop_assert!(!out.contains(|c: char| c < ' '));
    }
}
