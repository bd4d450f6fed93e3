//! What a real OpenBao 2.7.2 answered, request by request, as tables.

use serde_json::{Value as Json, json};
use warder_plugin::{
    Error, ErrorKind, Operation, Timestamp,
    testing::{AnswerKind, Answered, Mount},
};

use crate::PLUGIN;

/// The clock of a new mount, and as it is printed.
const START: Timestamp = Timestamp(1_795_318_610_123);
const T0: &str = "2026-11-22T03:36:50.123Z";

const NO_MATCH: &str = "check-and-set parameter did not match the current version";
const REQUIRED: &str = "check-and-set parameter required for this call";

fn mount() -> Mount {
    Mount::new(&PLUGIN)
}

/// Runs `METHOD path body` and says the answer in one word or the error's text.
fn run(kv: &Mount, request: &str) -> Result<Answered, Error> {
    let mut words = request.splitn(3, ' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut body: Json = words.next().map_or_else(|| json!({}), |text| serde_json::from_str(text).unwrap());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap();
        body[name] = json!(value);
    }
    let operation = match method {
        "GET" => Operation::Read,
        "LIST" => Operation::List,
        "PUT" => Operation::Update,
        "PATCH" => Operation::Patch,
        "DELETE" => Operation::Delete,
        other => panic!("{other}"),
    };
    kv.request(operation, path, body)
}

fn said(kv: &Mount, request: &str) -> String {
    match run(kv, request) {
        Ok(answered) => format!("{:?}", answered.kind),
        Err(error) => error.to_string(),
    }
}

fn table(kv: &Mount, rows: &[(&str, &str)]) {
    for (request, wanted) in rows {
        assert_eq!(&said(kv, request), wanted, "{request}");
    }
}

fn json_of(kv: &Mount, request: &str) -> Json {
    run(kv, request).unwrap_or_else(|error| panic!("{request}: {error}")).json()
}

fn seconds_later(kv: &Mount, seconds: u64) {
    kv.set_time(START.plus_seconds(seconds));
}

#[test]
fn what_was_never_written_is_nothing() {
    table(
        &mount(),
        &[
            ("GET data/none", "Nothing"),
            ("GET metadata/none", "Nothing"),
            ("GET subkeys/none", "Nothing"),
            ("LIST metadata", "Nothing"),
            ("LIST metadata/", "Nothing"),
            ("LIST metadata/none/", "Nothing"),
            ("LIST detailed-metadata/none/", "Nothing"),
            ("DELETE data/none", "Nothing"),
            ("DELETE metadata/none", "Nothing"),
            (r#"PUT delete/none {"versions":[1]}"#, "Nothing"),
            (r#"PUT undelete/none {"versions":[1]}"#, "Nothing"),
            (r#"PUT destroy/none {"versions":[1]}"#, "Nothing"),
            (r#"PATCH data/none {"data":{"a":1}}"#, "not found: there is no secret at none to patch"),
            (r#"PATCH data/none {"data":{},"options":{"cas":"z"}}"#, "not found: there is no secret at none to patch"),
            (r#"PATCH metadata/none {"max_versions":3}"#, "not found: there is no secret at none to patch"),
            ("PATCH metadata/none {}", "Nothing"),
            ("PATCH data/none {}", "invalid request: no data provided"),
        ],
    );
}

#[test]
fn routes_take_the_verbs_that_openbao_takes() {
    table(
        &mount(),
        &[
            ("LIST data/d", "unsupported: data/d does not take list"),
            ("LIST subkeys/d", "unsupported: subkeys/d does not take list"),
            ("GET delete/d", "unsupported: delete/d does not take read"),
            ("PUT subkeys/d", "unsupported: subkeys/d does not take update"),
            ("DELETE config", "unsupported: config does not take delete"),
            ("PATCH config", "unsupported: config does not take patch"),
            ("GET detailed-metadata/d", "unsupported: detailed-metadata/d does not take read"),
            ("GET foo", "not found: kv has no route for foo"),
            ("GET data", "not found: kv has no route for data"),
        ],
    );
}

#[test]
fn check_and_set_table() {
    let kv = mount();
    let failed = format!("precondition: {NO_MATCH}");
    let unparsed = "invalid request: error parsing check-and-set parameter";
    for (cas, wanted) in [
        ("1", failed.as_str()),
        ("0", "Document"),
        ("\"1\"", "Document"),
        ("2", "Document"),
        ("0", &failed),
        ("7", &failed),
        ("-1", &failed),
        ("null", &failed),
        ("true", &failed),
        ("\"\"", &failed),
        ("\"abc\"", unparsed),
        ("\"  3\"", unparsed),
        ("2.5", unparsed),
        ("[3]", unparsed),
        ("{}", unparsed),
        ("99999999999999999999", unparsed),
    ] {
        let request = format!(r#"PUT data/b {{"options":{{"cas":{cas}}},"data":{{"x":1}}}}"#);
        assert_eq!(said(&kv, &request), wanted, "{request}");
    }
    table(
        &kv,
        &[
            (r#"PUT data/b {"options":{},"data":{"x":1}}"#, "Document"),
            (r#"PUT data/b {"options":null,"data":{"x":1}}"#, "Document"),
            (r#"PUT data/b {"options":{"foo":1},"data":{"x":1}}"#, "Document"),
            (
                r#"PUT data/b {"options":"x","data":{"x":1}}"#,
                r#"invalid request: field "options": expected a JSON object"#,
            ),
            (r#"PATCH data/b {"options":{"cas":5},"data":{"x":1}}"#, &failed),
            (r#"PATCH data/b {"options":{"cas":6},"data":{"x":1}}"#, "Document"),
        ],
    );
    let error = run(&kv, r#"PUT data/b {"options":{"cas":0},"data":{}}"#).unwrap_err();
    assert_eq!((error.kind, error.detail.as_str()), (ErrorKind::Precondition, NO_MATCH));
}

#[test]
fn check_and_set_may_be_required_by_mount_or_secret() {
    let kv = mount();
    let missing = format!("invalid request: {REQUIRED}");
    table(
        &kv,
        &[
            (r#"PUT metadata/m {"cas_required":true}"#, "Nothing"),
            (r#"PUT data/m {"data":{"a":1}}"#, &missing),
            (r#"PUT data/m {"data":{"a":1},"options":{"cas":0}}"#, "Document"),
            (r#"PATCH data/m {"data":{"a":2}}"#, &missing),
            (r#"PATCH data/m {"data":{"a":2},"options":{"cas":1}}"#, "Document"),
            (r#"PUT data/free {"data":{}}"#, "Document"),
            (r#"PUT config {"cas_required":true}"#, "Nothing"),
            (r#"PUT data/free {"data":{}}"#, &missing),
        ],
    );
}

#[test]
fn data_is_an_object_or_null() {
    let kv = mount();
    let refused = r#"invalid request: field "data": expected a JSON object"#;
    table(
        &kv,
        &[
            ("PUT data/a {}", "invalid request: no data provided"),
            (r#"PUT data/a {"options":{"cas":9}}"#, "invalid request: no data provided"),
            (r#"PUT data/a {"data":"x"}"#, refused),
            (r#"PUT data/a {"data":[1]}"#, refused),
            (r#"PUT data/a {"data":5}"#, refused),
            (r#"PUT data/a {"data":"{\"q\":1}","options":{"cas":9}}"#, refused),
            (r#"PUT data/a {"data":null}"#, "Document"),
            ("GET data/a", "Document"),
            (r#"PUT data/a {"data":{}}"#, "Document"),
            (r#"PATCH data/a {"data":[1]}"#, refused),
        ],
    );
    assert_eq!(json_of(&kv, "GET data/a?version=1")["data"], Json::Null);
    assert_eq!(json_of(&kv, "GET data/a")["data"], json!({}));
    assert_eq!(json_of(&kv, "GET subkeys/a?version=1")["subkeys"], Json::Null);
    assert_eq!(json_of(&kv, "GET subkeys/a")["subkeys"], json!({}));
}

#[test]
fn a_version_is_told_with_its_metadata() {
    let kv = mount();
    let about = |version: u64| json!({"created_time": T0, "custom_metadata": null, "deletion_time": "", "destroyed": false, "version": version});
    assert_eq!(json_of(&kv, r#"PUT data/c {"data":{"x":1}}"#), about(1));
    assert_eq!(json_of(&kv, r#"PUT data/c {"data":{"x":2}}"#), about(2));
    let read = run(&kv, "GET data/c").unwrap();
    assert_eq!(read.version.as_deref(), Some("2"));
    assert_eq!(read.json(), json!({"data": {"x": 2}, "metadata": about(2)}));
    for (query, version) in [("0", 2), ("1", 1), ("-1", 2), ("2", 2)] {
        assert_eq!(json_of(&kv, &format!("GET data/c?version={query}"))["metadata"], about(version));
    }
    assert_eq!(said(&kv, "GET data/c?version=9"), "Nothing");
    assert_eq!(said(&kv, "GET data/c?version=x"), r#"invalid request: field "version": expected Integer"#);
}

#[test]
fn reads_ask_no_clock_unless_a_deletion_lies_ahead() {
    let kv = mount();
    json_of(&kv, r#"PUT data/c {"data":{"x":1}}"#);
    assert!(kv.asked_clock_or_caller());
    for request in ["GET data/c", "GET metadata/c", "GET subkeys/c", "LIST metadata", "GET config"] {
        run(&kv, request).unwrap();
        assert!(!kv.asked_clock_or_caller(), "{request}");
    }
}

#[test]
fn patches_merge_the_latest_version() {
    let kv = mount();
    json_of(&kv, r#"PUT data/c {"data":{"x":1,"n":{"y":2,"e":{},"l":[{"z":1}]}}}"#);
    for (patch, wanted) in [
        (r#"{"x":null,"k":{"a":1,"b":null}}"#, json!({"k": {"a": 1}, "n": {"e": {}, "l": [{"z": 1}], "y": 2}})),
        ("{}", json!({"k": {"a": 1}, "n": {"e": {}, "l": [{"z": 1}], "y": 2}})),
        (r#"{"k":null,"n":{"l":null,"e":null}}"#, json!({"n": {"y": 2}})),
        ("null", Json::Null),
    ] {
        json_of(&kv, &format!(r#"PATCH data/c {{"data":{patch}}}"#));
        assert_eq!(json_of(&kv, "GET data/c")["data"], wanted, "{patch}");
    }
}

#[test]
fn subkeys_show_names_to_a_depth() {
    let kv = mount();
    json_of(&kv, r#"PUT data/c {"data":{"x":1,"n":{"y":{"d":2},"e":{},"l":[{"z":1}]}}}"#);
    let all = json!({"n": {"e": null, "l": null, "y": {"d": null}}, "x": null});
    for (query, wanted) in [
        ("", &all),
        ("?depth=0", &all),
        ("?depth=3", &all),
        ("?depth=2", &json!({"n": {"e": null, "l": null, "y": null}, "x": null})),
        ("?depth=1", &json!({"n": null, "x": null})),
        ("?depth=-7", &json!({"n": null, "x": null})),
    ] {
        assert_eq!(&json_of(&kv, &format!("GET subkeys/c{query}"))["subkeys"], wanted, "{query}");
    }
    assert_eq!(said(&kv, "GET subkeys/c?version=9"), "Nothing");
}

#[test]
fn soft_deleted_versions_are_gone_until_restored() {
    let kv = mount();
    json_of(&kv, r#"PUT data/c {"data":{"x":1}}"#);
    seconds_later(&kv, 10);
    assert_eq!(said(&kv, "DELETE data/c"), "Nothing");
    seconds_later(&kv, 20);
    let about = json!({
        "created_time": T0, "custom_metadata": null, "deletion_time": "2026-11-22T03:37:00.123Z",
        "destroyed": false, "version": 1,
    });
    for (request, wanted) in [
        ("GET data/c", json!({"data": null, "metadata": about})),
        ("GET data/c?version=1", json!({"data": null, "metadata": about})),
        ("GET subkeys/c", json!({"metadata": about, "subkeys": null})),
        (r#"PATCH data/c {"data":{"x":3}}"#, about),
    ] {
        let gone = run(&kv, request).unwrap();
        assert_eq!((gone.kind.clone(), gone.json()), (AnswerKind::Gone, wanted), "{request}");
    }
    let no_match = format!("precondition: {NO_MATCH}");
    table(
        &kv,
        &[
            (r#"PATCH data/c {"data":{"x":3},"options":{"cas":9}}"#, &no_match),
            ("DELETE data/c", "Nothing"),
            (r#"PUT undelete/c {"versions":[1,99]}"#, "Nothing"),
        ],
    );
    assert_eq!(json_of(&kv, "GET data/c")["data"], json!({"x": 1}));
}

#[test]
fn versions_come_as_numbers_texts_or_one_text() {
    let kv = mount();
    for _ in 0..4 {
        json_of(&kv, r#"PUT data/c {"data":{"x":1}}"#);
    }
    let deleted = |kv: &Mount| {
        let versions = json_of(kv, "GET metadata/c")["versions"].clone();
        let gone = |n: &u64| versions[n.to_string()]["deletion_time"] != "";
        (1..=4).filter(gone).collect::<Vec<u64>>()
    };
    for (versions, wanted) in [
        ("[1]", vec![1]),
        (r#"["1",2]"#, vec![1, 2]),
        (r#""3,4""#, vec![3, 4]),
        ("3", vec![3]),
        ("[-1]", vec![]),
        ("[99, 2]", vec![2]),
    ] {
        assert_eq!(said(&kv, &format!(r#"PUT delete/c {{"versions":{versions}}}"#)), "Nothing");
        assert_eq!(deleted(&kv), wanted, "{versions}");
        assert_eq!(said(&kv, r#"PUT undelete/c {"versions":"1,2,3,4"}"#), "Nothing");
    }
    let none = "invalid request: No version number provided";
    let word = r#"invalid request: field "versions": expected whole numbers"#;
    table(
        &kv,
        &[
            ("PUT delete/c {}", none),
            (r#"PUT delete/c {"versions":[]}"#, none),
            (r#"PUT delete/c {"versions":null}"#, none),
            (r#"PUT delete/c {"versions":""}"#, none),
            ("PUT undelete/c {}", none),
            ("PUT destroy/c {}", "invalid request: no version number provided"),
            (r#"PUT delete/c {"versions":"x"}"#, word),
            (r#"PUT undelete/c {"versions":["x"]}"#, word),
            (r#"PUT destroy/none {"versions":["x"]}"#, word),
            (r#"PUT delete/c {"versions":[1.5]}"#, r#"invalid request: field "versions": expected whole numbers"#),
        ],
    );
}

#[test]
fn destroyed_versions_never_return() {
    let kv = mount();
    json_of(&kv, r#"PUT data/c {"data":{"x":1}}"#);
    json_of(&kv, r#"PUT data/c {"data":{"x":2}}"#);
    table(
        &kv,
        &[
            (r#"PUT destroy/c {"versions":[2, 77]}"#, "Nothing"),
            ("GET data/c", "Gone"),
            ("GET subkeys/c", "Gone"),
            (r#"PATCH data/c {"data":{"x":3}}"#, "Gone"),
            (r#"PUT undelete/c {"versions":[2]}"#, "Nothing"),
            ("DELETE data/c", "Nothing"),
            ("GET data/c", "Gone"),
            ("GET data/c?version=1", "Document"),
        ],
    );
    let about = &json_of(&kv, "GET data/c")["metadata"];
    assert_eq!((&about["destroyed"], &about["deletion_time"]), (&json!(true), &json!("")));
    assert_eq!(kv.keys(), ["meta/c", "ver/c/1"]);
    assert_eq!(json_of(&kv, r#"PUT data/c {"data":{},"options":{"cas":2}}"#)["version"], 3);
}

#[test]
fn destroying_keeps_the_deletion_time() {
    let kv = mount();
    table(
        &kv,
        &[
            (r#"PUT data/c {"data":{"x":1}}"#, "Document"),
            ("DELETE data/c", "Nothing"),
            (r#"PUT destroy/c {"versions":[1]}"#, "Nothing"),
            (r#"PUT undelete/c {"versions":[1]}"#, "Nothing"),
        ],
    );
    let version = &json_of(&kv, "GET metadata/c")["versions"]["1"];
    assert_eq!(version, &json!({"created_time": T0, "deletion_time": T0, "destroyed": true}));
}

#[test]
fn the_larger_limit_of_mount_and_secret_counts() {
    let kv = mount();
    let write = |times: usize| {
        for _ in 0..times {
            json_of(&kv, r#"PUT data/p {"data":{"a":1}}"#);
        }
        let meta = json_of(&kv, "GET metadata/p");
        let kept = meta["versions"].as_object().unwrap().len();
        (kept, meta["oldest_version"].as_u64().unwrap(), meta["current_version"].as_u64().unwrap())
    };
    assert_eq!(write(9), (9, 0, 9));
    assert_eq!(write(1), (10, 1, 10));
    assert_eq!(write(2), (10, 3, 12));
    assert_eq!(said(&kv, "GET data/p?version=1"), "Nothing");
    run(&kv, r#"PUT config {"max_versions":3}"#).unwrap();
    assert_eq!(write(0), (10, 3, 12));
    assert_eq!(write(1), (3, 11, 13));
    run(&kv, r#"PUT metadata/p {"max_versions":5}"#).unwrap();
    assert_eq!(write(3), (5, 12, 16));
    run(&kv, r#"PUT config {"max_versions":5}"#).unwrap();
    run(&kv, r#"PUT metadata/p {"max_versions":2}"#).unwrap();
    assert_eq!(write(1), (5, 13, 17));
    assert_eq!(kv.keys().iter().filter(|key| key.starts_with("ver/")).count(), 5);
}

#[test]
fn the_smaller_age_of_mount_and_secret_counts() {
    for (mount_age, secret_age, wanted) in [
        ("0s", "0s", ""),
        ("3s", "0s", "2026-11-22T03:36:53.123Z"),
        ("3s", "1h", "2026-11-22T03:36:53.123Z"),
        ("3s", "1s", "2026-11-22T03:36:51.123Z"),
        ("0s", "1h", "2026-11-22T04:36:50.123Z"),
        ("-9h", "1h", ""),
    ] {
        let kv = mount();
        run(&kv, &format!(r#"PUT config {{"delete_version_after":"{mount_age}"}}"#)).unwrap();
        run(&kv, &format!(r#"PUT metadata/c {{"delete_version_after":"{secret_age}"}}"#)).unwrap();
        let written = json_of(&kv, r#"PUT data/c {"data":{"a":1}}"#);
        assert_eq!(written["deletion_time"], wanted, "{mount_age} {secret_age}");
    }
}

#[test]
fn versions_expire_and_come_back_for_another_while() {
    let kv = mount();
    run(&kv, r#"PUT config {"delete_version_after":"3s"}"#).unwrap();
    json_of(&kv, r#"PUT data/b {"data":{"a":1}}"#);
    seconds_later(&kv, 2);
    assert_eq!(said(&kv, "GET data/b"), "Document");
    seconds_later(&kv, 3);
    assert_eq!(said(&kv, "GET data/b"), "Gone");
    assert!(!kv.asked_clock_or_caller());
    run(&kv, r#"PUT undelete/b {"versions":[1]}"#).unwrap();
    assert_eq!(json_of(&kv, "GET data/b")["metadata"]["deletion_time"], "2026-11-22T03:36:56.123Z");
    run(&kv, "DELETE data/b").unwrap();
    assert_eq!(json_of(&kv, "GET data/b")["metadata"]["deletion_time"], "2026-11-22T03:36:53.123Z");
    run(&kv, r#"PUT config {"delete_version_after":"0s"}"#).unwrap();
    run(&kv, r#"PUT undelete/b {"versions":[1]}"#).unwrap();
    assert_eq!(json_of(&kv, "GET data/b")["metadata"]["deletion_time"], "");
}

#[test]
fn config_table() {
    let kv = mount();
    let shown = |cas: bool, age: &str, versions: u32, metadata_cas: bool| json!({"cas_required": cas, "delete_version_after": age, "max_versions": versions, "metadata_cas_required": metadata_cas});
    for (body, wanted) in [
        ("{}", shown(false, "0s", 0, false)),
        (r#"{"max_versions":2}"#, shown(false, "0s", 2, false)),
        (r#"{"cas_required":"true"}"#, shown(true, "0s", 2, false)),
        (r#"{"delete_version_after":"1h30m5s"}"#, shown(true, "1h30m5s", 2, false)),
        (r#"{"delete_version_after":90}"#, shown(true, "1m30s", 2, false)),
        (r#"{"delete_version_after":"2d"}"#, shown(true, "48h0m0s", 2, false)),
        (r#"{"delete_version_after":"-9h","metadata_cas_required":true}"#, shown(true, "-1s", 2, true)),
        (
            r#"{"cas_required":null,"max_versions":null,"delete_version_after":null,"metadata_cas_required":null}"#,
            shown(false, "-1s", 0, false),
        ),
        (r#"{"delete_version_after":"0s","other":1}"#, shown(false, "0s", 0, false)),
    ] {
        assert_eq!(said(&kv, &format!("PUT config {body}")), "Nothing");
        assert_eq!(json_of(&kv, "GET config"), wanted, "{body}");
    }
    let range = "invalid request: max_versions must be between 0 and 4294967295";
    assert_eq!(said(&kv, r#"PUT config {"max_versions":-3}"#), range);
    assert_eq!(
        said(&kv, r#"PUT config {"max_versions":"x"}"#),
        r#"invalid request: field "max_versions": expected Integer"#
    );
}

#[test]
fn metadata_is_made_changed_and_patched() {
    let kv = mount();
    table(
        &kv,
        &[
            ("PUT metadata/m {}", "Nothing"),
            (r#"PUT metadata/m {"metadata_cas":5}"#, "Nothing"),
            (r#"PUT metadata/m {"delete_version_after":null}"#, "Nothing"),
            ("GET metadata/m", "Nothing"),
            (
                r#"PUT metadata/m {"max_versions":2,"cas_required":true,"delete_version_after":"1h","custom_metadata":{"a":"b"}}"#,
                "Nothing",
            ),
            ("GET data/m", "Nothing"),
            ("GET subkeys/m", "Nothing"),
            (r#"PATCH data/m {"data":{"a":1}}"#, "invalid request: check-and-set parameter required for this call"),
            ("DELETE data/m", "Nothing"),
        ],
    );
    let meta = |changes: u64, custom: Json, versions: u32, cas: bool| {
        json!({
            "cas_required": cas, "created_time": T0, "current_metadata_version": changes, "current_version": 0,
            "custom_metadata": custom, "delete_version_after": "1h0m0s", "max_versions": versions,
            "metadata_cas_required": false, "oldest_version": 0, "updated_time": T0, "versions": {},
        })
    };
    assert_eq!(json_of(&kv, "GET metadata/m"), meta(1, json!({"a": "b"}), 2, true));
    for (request, wanted) in [
        (r#"PUT metadata/m {"custom_metadata":{"c":"d"}}"#, meta(2, json!({"c": "d"}), 2, true)),
        (r#"PATCH metadata/m {"custom_metadata":{"c":null,"e":"f"}}"#, meta(3, json!({"e": "f"}), 2, true)),
        ("PATCH metadata/m {}", meta(3, json!({"e": "f"}), 2, true)),
        (r#"PATCH metadata/m {"custom_metadata":null}"#, meta(4, Json::Null, 2, true)),
        (
            r#"PATCH metadata/m {"custom_metadata":{"x":"1"},"max_versions":null,"cas_required":null,"delete_version_after":null}"#,
            meta(5, json!({"x": "1"}), 0, false),
        ),
        (r#"PATCH metadata/m {"custom_metadata":{}}"#, meta(6, json!({"x": "1"}), 0, false)),
        (r#"PUT metadata/m {"custom_metadata":{}}"#, meta(7, Json::Null, 0, false)),
        (r#"PUT metadata/m {"custom_metadata":null}"#, meta(8, Json::Null, 0, false)),
        (r#"PUT metadata/m {"custom_metadata":{"n":5,"t":true}}"#, meta(9, json!({"n": "5", "t": "1"}), 0, false)),
    ] {
        assert_eq!(said(&kv, request), "Nothing");
        assert_eq!(json_of(&kv, "GET metadata/m"), wanted, "{request}");
    }
}

#[test]
fn metadata_and_data_share_one_record() {
    let kv = mount();
    run(&kv, r#"PUT metadata/i {"max_versions":4,"custom_metadata":{"a":"b"}}"#).unwrap();
    seconds_later(&kv, 1);
    let later = "2026-11-22T03:36:51.123Z";
    let written = json_of(&kv, r#"PUT data/i {"data":{"a":1},"options":{"cas":0}}"#);
    assert_eq!(
        written,
        json!({"created_time": later, "custom_metadata": {"a": "b"}, "deletion_time": "", "destroyed": false, "version": 1})
    );
    assert_eq!(
        json_of(&kv, "GET metadata/i"),
        json!({
            "cas_required": false, "created_time": T0, "current_metadata_version": 1, "current_version": 1,
            "custom_metadata": {"a": "b"}, "delete_version_after": "0s", "max_versions": 4,
            "metadata_cas_required": false, "oldest_version": 0, "updated_time": later,
            "versions": {"1": {"created_time": later, "deletion_time": "", "destroyed": false}},
        })
    );
    run(&kv, "DELETE metadata/i").unwrap();
    assert_eq!(kv.keys(), [] as [&str; 0]);
}

#[test]
fn custom_metadata_has_limits() {
    let kv = mount();
    let failed = |why: &str| format!("invalid request: custom_metadata validation failed: {why}");
    let (key129, value513) = ("k".repeat(129), "v".repeat(513));
    let many = |n: usize| (0..n).map(|i| (format!("k{i}"), json!("v"))).collect::<serde_json::Map<_, _>>();
    for (custom, wanted) in [
        (json!({"": "x"}), failed("length of key \"\" is 0 but must be 0 < len(key) <= 128")),
        (json!({"x": ""}), failed("length of value for key \"x\" is 0 but must be 0 < len(value) <= 512")),
        (json!({"x": null}), failed("length of value for key \"x\" is 0 but must be 0 < len(value) <= 512")),
        (json!({"x\u{1}": "y"}), failed("key \"x\\u{1}\" contains unprintable characters")),
        (json!({"x\u{200b}": "y"}), failed("key \"x\\u{200b}\" contains unprintable characters")),
        (json!({"x": "y\t"}), failed("value for key \"x\" contains unprintable characters")),
        (json!({"x": "y\u{a0}"}), failed("value for key \"x\" contains unprintable characters")),
        (json!({"x": {"a": 1}}), failed("value for key \"x\" must be a string")),
        (json!({&key129: "x"}), failed(&format!("length of key \"{key129}\" is 129 but must be 0 < len(key) <= 128"))),
        (json!({"a": value513}), failed("length of value for key \"a\" is 513 but must be 0 < len(value) <= 512")),
        (Json::Object(many(65)), failed("payload must contain at most 64 keys, provided 65")),
        (json!("x"), "invalid request: field \"custom_metadata\": expected a JSON object".to_owned()),
        (json!(["x"]), "invalid request: field \"custom_metadata\": expected a JSON object".to_owned()),
        (json!({"x y": "\u{fc} 'e\u{301}' \"\\", &key129[1..]: &value513[1..]}), "Nothing".to_owned()),
        (Json::Object(many(64)), "Nothing".to_owned()),
    ] {
        assert_eq!(said(&kv, &format!("PUT metadata/m {}", json!({ "custom_metadata": custom }))), wanted);
    }
    assert_eq!(
        said(&kv, r#"PATCH metadata/m {"custom_metadata":{"new":"v"}}"#),
        failed("payload must contain at most 64 keys, provided 65")
    );
    assert_eq!(said(&kv, r#"PATCH metadata/m {"custom_metadata":{"new":"v","k0":null}}"#), "Nothing");
}

#[test]
fn metadata_check_and_set_table() {
    let kv = mount();
    let missing = "invalid request: metadata check-and-set parameter required for this call";
    let no_match = "precondition: metadata check-and-set parameter does not match the current version";
    table(
        &kv,
        &[
            (r#"PUT metadata/mc {"metadata_cas_required":true}"#, "Nothing"),
            (r#"PUT metadata/mc {"max_versions":3}"#, missing),
            (r#"PATCH metadata/mc {"max_versions":3}"#, missing),
            (r#"PUT metadata/mc {"max_versions":3,"metadata_cas":2}"#, no_match),
            (r#"PATCH metadata/mc {"max_versions":3,"metadata_cas":3}"#, no_match),
            (r#"PUT metadata/mc {"metadata_cas":null}"#, "Nothing"),
            (r#"PUT metadata/mc {"max_versions":3,"metadata_cas":1}"#, "Nothing"),
            (r#"PATCH metadata/mc {"max_versions":4,"metadata_cas":"2"}"#, "Nothing"),
            (r#"PUT data/mc {"data":{"a":1}}"#, "Document"),
            (r#"PUT config {"metadata_cas_required":true}"#, "Nothing"),
            (r#"PUT metadata/q {"max_versions":3}"#, missing),
            (r#"PUT metadata/q {"max_versions":3,"metadata_cas":0}"#, "Nothing"),
        ],
    );
}

#[test]
fn what_the_mount_mandates_is_warned_of() {
    let kv = mount();
    run(&kv, r#"PUT config {"cas_required":true,"metadata_cas_required":true}"#).unwrap();
    let warned = run(&kv, r#"PUT metadata/q {"cas_required":false,"metadata_cas_required":false,"metadata_cas":0}"#);
    let ignored =
        |field| format!("\"{field}\" set to false, but is mandated by backend config. This value will be ignored.");
    assert_eq!(warned.unwrap().warnings, [ignored("cas_required"), ignored("metadata_cas_required")]);
}

#[test]
fn metadata_refuses_a_negative_age() {
    let kv = mount();
    let wanted = "invalid request: delete_version_after must be between 0 and 4294967295";
    assert_eq!(said(&kv, r#"PUT metadata/m {"delete_version_after":"-5s"}"#), wanted);
    assert_eq!(said(&kv, "GET metadata/m"), "Nothing");
}

#[test]
fn lists_go_by_folder_and_page() {
    let kv = mount();
    for path in ["d/a", "d/b/c", "d/e/f/g", "d/e", "d/z", "top"] {
        json_of(&kv, &format!(r#"PUT data/{path} {{"data":{{"a":1}}}}"#));
    }
    for (request, wanted) in [
        ("LIST metadata", json!(["d/", "top"])),
        ("LIST metadata/d", json!(["a", "b/", "e", "e/", "z"])),
        ("LIST metadata/d/", json!(["a", "b/", "e", "e/", "z"])),
        ("LIST metadata/d/e", json!(["f/"])),
        ("LIST metadata/d/?limit=2", json!(["a", "b/"])),
        ("LIST metadata/d/?limit=2&after=b/", json!(["e", "e/"])),
        ("LIST metadata/d/?after=b", json!(["b/", "e", "e/", "z"])),
        ("LIST metadata/d/?limit=-1", json!(["a", "b/", "e", "e/", "z"])),
        ("LIST metadata/d/?limit=0", json!(["a", "b/", "e", "e/", "z"])),
    ] {
        assert_eq!(json_of(&kv, request), wanted, "{request}");
    }
    assert_eq!(said(&kv, "LIST metadata/d/a"), "Nothing");
    assert_eq!(said(&kv, "LIST metadata/d/?after=zz"), "Nothing");
    let detailed = json_of(&kv, "LIST detailed-metadata/d?limit=2");
    assert_eq!(detailed["keys"], json!(["a", "b/"]));
    assert_eq!(detailed["key_info"], json!({"a": json_of(&kv, "GET metadata/d/a"), "b/": {}}));
}

#[test]
fn more_names_than_a_page_are_all_listed() {
    let kv = mount();
    for i in 0..2000 {
        kv.host().put_json(&format!("meta/{i:04}"), &json!({})).unwrap();
    }
    assert_eq!(json_of(&kv, "LIST metadata").as_array().unwrap().len(), 2000);
    assert_eq!(json_of(&kv, "LIST metadata?limit=1500").as_array().unwrap().len(), 1500);
}

#[test]
fn creates_are_told_from_updates_by_the_record() {
    let kv = mount();
    let exists = PLUGIN.routes.iter().find(|route| route.pattern == "data/{path...}").and_then(|route| route.exists);
    let target = warder_plugin::Target {
        path: "data/a".to_owned(),
        route: "data/{path...}".to_owned(),
        captures: vec![("path".to_owned(), "a".to_owned())],
    };
    assert!(!exists.unwrap()(kv.host(), &target).unwrap());
    run(&kv, r#"PUT metadata/a {"max_versions":1}"#).unwrap();
    assert!(exists.unwrap()(kv.host(), &target).unwrap());
}

#[test]
fn refused_writes_leave_nothing_behind() {
    let kv = mount();
    json_of(&kv, r#"PUT data/a {"data":{"x":1}}"#);
    let before = kv.keys();
    for request in [
        r#"PUT data/a {"data":{"x":1},"options":{"cas":7}}"#,
        r#"PUT data/new {"data":"x"}"#,
        r#"PUT metadata/new {"custom_metadata":{"":"x"}}"#,
    ] {
        run(&kv, request).unwrap_err();
    }
    assert_eq!(kv.keys(), before);
}
