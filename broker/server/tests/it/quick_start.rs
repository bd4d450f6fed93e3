//! The quick start of the documents, word for word but for the port.

use serde_json::json;

use crate::running::Running;

const JSON: &str = "Content-Type: application/json";

#[test]
fn the_quick_start_works_and_its_secret_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let data = data.to_str().unwrap();
    let warder = Running::dev(&["--data-dir", data]);
    let token = warder.token.clone();
    let bearer = format!("Authorization: Bearer {token}");
    let secret = r#"{"username":"admin","password":"secure123"}"#;

    let put = ["-X", "PUT", "{}/api/v1/secrets/database/postgres", "-H", &bearer, "-H", JSON, "-d", secret];
    let (status, answer) = warder.curl(&put);
    assert_eq!((status, &answer["version"]), (201, &json!(1)));

    let get = ["{}/api/v1/secrets/database/postgres", "-H", &bearer];
    let (status, before) = warder.curl(&get);
    assert_eq!(status, 200);
    assert_eq!(before["data"], json!({"username": "admin", "password": "secure123"}));

    let body = r#"{"method":"kubernetes","jwt":"<service-account-token>"}"#;
    let (status, answer) = warder.curl(&["-X", "POST", "{}/api/v1/auth/login", "-H", JSON, "-d", body]);
    assert_eq!((status, &answer["code"]), (401, &json!("unauthenticated")));
    assert!(answer["detail"].as_str().unwrap().ends_with("mounted methods: none are mounted"));

    let (status, answer) = warder.curl(&["{}/health"]);
    assert_eq!((status, &answer["status"]), (200, &json!("ready")));
    warder.stop();

    let warder = Running::dev(&["--data-dir", data]);
    assert_eq!(warder.token, token, "the root token stays");
    assert_eq!(warder.curl(&get), (200, before), "the same bytes after a restart");
    let one = warder.command(&["get", "database/postgres", "--field", "password"], "");
    assert_eq!(one.stdout, b"secure123\n");
}

#[test]
fn a_secret_has_a_whole_life_through_the_native_door() {
    let warder = Running::dev(&["--root-token", "root"]);
    assert_eq!(warder.token, "root");
    let root = "Authorization: Bearer root";
    let merge = "Content-Type: application/merge-patch+json";
    let at = "{}/api/v1/secrets/app/db";
    for (arguments, status, pointer, value) in [
        (&["-X", "PUT", at, "-H", root, "-H", JSON, "-d", r#"{"a":1}"#][..], 201, "/version", json!(1)),
        (&["-X", "PUT", at, "-H", root, "-H", JSON, "-d", r#"{"a":2}"#], 200, "/version", json!(2)),
        (&["-X", "PATCH", at, "-H", root, "-H", merge, "-d", r#"{"b":3}"#], 200, "/version", json!(3)),
        (&[at, "-H", root], 200, "/data", json!({"a": 2, "b": 3})),
        (&["{}/api/v1/secrets/app/db?version=1", "-H", root], 200, "/data/a", json!(1)),
        (&["{}/api/v1/secrets/app/db?field=b", "-H", root], 200, "/value", json!(3)),
        (&["{}/api/v1/secrets/app/db?field=c", "-H", root], 404, "/field", json!("field")),
        (&[at, "-H", root, "-H", "If-None-Match: \"3\""], 304, "", json!(null)),
        (&["-X", "PUT", at, "-H", root, "-H", JSON, "-H", "If-Match: \"2\"", "-d", "{ }"], 412, "/status", json!(412)),
        (&["-X", "PUT", at, "-H", root, "-H", JSON, "-H", "If-None-Match: *", "-d", "{ }"], 412, "/status", json!(412)),
        (&["{}/api/v1/secrets/?list=true", "-H", root], 200, "/keys", json!(["app/"])),
        (&["{}/api/v1/secrets/app/?list=true&limit=1", "-H", root], 200, "/next", json!("db")),
        (&["-X", "DELETE", at, "-H", root], 204, "", json!(null)),
        (&[at, "-H", root], 404, "/version", json!(3)),
        (
            &["-X", "POST", "{}/api/v1/secrets/app/db/undelete", "-H", root, "-H", JSON, "-d", r#"{"versions":[3]}"#],
            200,
            "/versions",
            json!([3]),
        ),
        (&["-X", "DELETE", "{}/api/v1/secrets/app/db?versions=1&destroy=true", "-H", root], 204, "", json!(null)),
        (&["{}/api/v1/secrets/app/db?version=1", "-H", root], 404, "/destroyed", json!(true)),
        (&["{}/api/v1/secrets/app/db/versions", "-H", root], 200, "/current_version", json!(3)),
        (&["{}/v1/secret/data/app/db", "-H", "X-Vault-Token: root"], 200, "/data/data/b", json!(3)),
        (&["-X", "LIST", "{}/v1/secret/metadata/app", "-H", "X-Vault-Token: root"], 200, "/data/keys", json!(["db"])),
        (&["{}/v1/secret/data/none", "-H", "X-Vault-Token: root"], 404, "", json!({"errors": []})),
        (&["{}/v1/secret/data/app/db"], 403, "", json!({"errors": ["permission denied"]})),
        (&["-X", "POST", "{}/api/v1/sys/seal", "-H", root], 204, "", json!(null)),
        (&["{}/health"], 503, "/status", json!("sealed")),
        (&[at, "-H", root], 503, "/code", json!("sealed")),
        (&["{}/v1/secret/data/app/db"], 503, "", json!({"errors": ["Vault is sealed"]})),
    ] {
        let (got, answer) = warder.curl(arguments);
        assert_eq!(got, status, "{arguments:?}: {answer}");
        assert_eq!(answer.pointer(pointer), Some(&value), "{arguments:?}: {answer}");
    }
}
