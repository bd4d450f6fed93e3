//! Limits that need raw bytes: clients refuse to send these.

use serde_json::{Value, json};

use crate::{raw, running::Running};

fn send(warder: &Running, request: &[u8]) -> (u16, String, Value) {
    let answer = raw::send(warder.address, request);
    let body = answer.json();
    (answer.status, answer.head, body)
}

fn head(method: &str, target: &str, more: &str) -> String {
    format!(
        "{method} {target} HTTP/1.1\r\nHost: w\r\nConnection: close\r\nAuthorization: Bearer root\r\n\
         Content-Type: application/json\r\n{more}\r\n"
    )
}

#[test]
fn what_is_over_a_limit_or_ambiguous_is_refused_with_its_field_and_stores_nothing() {
    let warder = Running::dev(&["--root-token", "root"]);
    let put = |target: &str, more: &str| head("PUT", target, more).into_bytes();
    let body = |target: &str, text: &str| {
        let mut request = put(target, &format!("Content-Length: {}\r\n", text.len()));
        request.extend_from_slice(text.as_bytes());
        request
    };
    let chunked = {
        let mut request = put("/api/v1/secrets/big", "Transfer-Encoding: chunked\r\n");
        for _ in 0..33 {
            request.extend_from_slice(b"8000\r\n");
            request.extend_from_slice(&vec![b'x'; 0x8000]);
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"0\r\n\r\n");
        request
    };
    let declared = put("/api/v1/secrets/big", "Content-Length: 1048577\r\nExpect: 100-continue\r\n");
    let headers = put("/api/v1/secrets/a", &format!("X-Big: {}\r\nContent-Length: 0\r\n", "a".repeat(70_000)));
    let query = put(&format!("/api/v1/secrets/a?q={}", "a".repeat(9_000)), "Content-Length: 0\r\n");
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(64), "]".repeat(64));
    for (request, status, field, code) in [
        (chunked, 413, "body", "too_large"),
        (declared, 413, "body", "too_large"),
        (headers, 431, "headers", "too_large"),
        (query, 414, "query", "too_large"),
        (body("/api/v1/secrets/a%2Fb", "{}"), 400, "path", "invalid_request"),
        (body("/api/v1/secrets/a/../b", "{}"), 400, "path", "invalid_request"),
        (body("/api/v1/secrets/a%", "{}"), 400, "path", "invalid_request"),
        (body("/api/v1/secrets/%c0%af", "{}"), 400, "path", "invalid_request"),
        (body("/api/v1/secrets/a%00", "{}"), 400, "path", "invalid_request"),
        (body("/api/v1/secrets/a//b", "{}"), 400, "path", "invalid_request"),
        (body("/api/v1/secrets/a/", "{}"), 400, "path", "invalid_request"),
        (body("/api/v1/secrets/a?x=1", "{}"), 400, "x", "invalid_request"),
        (body("/api/v1/secrets/a", "{"), 400, "body", "invalid_request"),
        (body("/api/v1/secrets/a", "[]"), 400, "body", "invalid_request"),
        (body("/api/v1/secrets/a", "{\"a\":1,\"a\":2}"), 400, "body", "invalid_request"),
        (body("/api/v1/secrets/a", &deep), 400, "body", "invalid_request"),
        (head("DELETE", "/api/v1/secrets/a?destroy=true", "").into_bytes(), 400, "versions", "invalid_request"),
        (head("GET", "/api/v1/secrets/a?list=maybe", "").into_bytes(), 400, "list", "invalid_request"),
        (head("GET", "/api/v1/secrets/a/?list=true&limit=0", "").into_bytes(), 400, "limit", "invalid_request"),
        (
            head("GET", "/api/v1/secrets/a", "X-Vault-Token: other\r\n").into_bytes(),
            400,
            "Authorization",
            "invalid_request",
        ),
        (
            head("GET", "/api/v1/secrets/a", "X-Warder-Namespace: b\r\n").into_bytes(),
            400,
            "x-warder-namespace",
            "invalid_request",
        ),
        (
            head("PATCH", "/api/v1/secrets/a", "Content-Length: 0\r\n").into_bytes(),
            415,
            "Content-Type",
            "unsupported_media_type",
        ),
    ] {
        let shown = String::from_utf8_lossy(&request[..request.len().min(80)]).into_owned();
        let (got, head, answer) = send(&warder, &request);
        assert_eq!(
            (got, &answer["field"], &answer["code"]),
            (status, &json!(field), &json!(code)),
            "{shown}: {answer}"
        );
        assert!(head.contains("content-type: application/problem+json") && head.contains("x-request-id: "), "{head}");
    }
    let (status, _, names) = send(&warder, head("GET", "/api/v1/secrets/?list=true", "").as_bytes());
    assert_eq!((status, names), (200, json!({"keys": [], "next": null})), "nothing was stored");
    let (status, ..) = send(&warder, head("GET", "/api/v1/secrets/a/?list=true", "").as_bytes());
    assert_eq!(status, 404, "only the root is there when empty");
}

#[test]
fn head_is_get_without_its_body() {
    let warder = Running::dev(&["--root-token", "root"]);
    let mut put = head("PUT", "/api/v1/secrets/a", "Content-Length: 9\r\n").into_bytes();
    put.extend_from_slice(b"{\"b\":\"c\"}");
    assert_eq!(send(&warder, &put).0, 201);
    for target in ["/api/v1/secrets/a", "/api/v1/secrets/none", "/api/v1/mounts", "/livez"] {
        let whole = raw::send(warder.address, head("GET", target, "X-Request-Id: r-1\r\n").as_bytes());
        let bare = raw::send(warder.address, head("HEAD", target, "X-Request-Id: r-1\r\n").as_bytes());
        let undated =
            |text: &str| text.lines().filter(|line| !line.starts_with("date:")).collect::<Vec<_>>().join("\n");
        assert_eq!(undated(&whole.head), undated(&bare.head), "{target}");
        assert!(bare.body.is_empty() && !whole.body.is_empty(), "{target}");
    }
    assert_eq!(send(&warder, head("HEAD", "/api/v1/policies:explain", "").as_bytes()).0, 405);
}

#[test]
fn tokens_and_warnings_have_the_native_shape() {
    let warder = Running::dev(&["--root-token", "root"]);
    let ask = |method: &str, target: &str, body: &str| {
        let mut request = head(method, target, &format!("Content-Length: {}\r\n", body.len())).into_bytes();
        request.extend_from_slice(body.as_bytes());
        let (status, _, answer) = send(&warder, &request);
        (status, answer)
    };
    let wanted = r#"{"policies":["nobody-wrote-it"],"ttl":"1h","metadata":{"team":"a"}}"#;
    let (status, made) = ask("POST", "/api/v1/auth/tokens", wanted);
    assert_eq!((status, made["warnings"].as_array().map(Vec::len)), (201, Some(1)), "{made}");
    let accessor = made["accessor"].as_str().unwrap();
    let (status, shown) = ask("GET", &format!("/api/v1/auth/tokens/{accessor}"), "");
    assert_eq!((status, &shown["creation_ttl_seconds"], &shown["kind"]), (200, &json!(3600), &json!("service")));
    assert_eq!((&shown["metadata"], &shown["entity_id"]), (&json!({"team": "a"}), &Value::Null));
    for name in ["id", "ttl", "meta", "issue_time", "expire_time", "creation_time", "warnings"] {
        assert!(shown.get(name).is_none(), "{name}: {shown}");
    }
    assert!(
        shown["expires_at"].as_str().unwrap().ends_with('Z') && shown["created_at"].as_str().unwrap().ends_with('Z')
    );
    let (status, own) = ask("GET", "/api/v1/auth/self", "");
    assert_eq!((status, &own["expires_at"], &own["metadata"]), (200, &Value::Null, &json!({})));
    assert!(!own.to_string().contains("\"root\":") && own.get("id").is_none());
    let (status, unknown) = ask("GET", "/api/v1/auth/tokens/unknown", "");
    assert_eq!((status, &unknown["field"]), (404, &json!("accessor")));
    let (_, default) = ask("GET", "/api/v1/policies/default", "");
    assert_eq!(default["updated_at"], Value::Null);
    let (status, malformed) = ask("PUT", "/api/v1/secrets/a", "{\"a\":\n 1,}");
    assert_eq!((status, &malformed["field"]), (400, &json!("body")));
    assert!(malformed["detail"].as_str().unwrap().contains("line 2 column 4"), "{malformed}");
    let (status, looked) = ask("GET", "/v1/auth/token/lookup-self", "");
    assert_eq!((status, &looked["data"]["id"]), (200, &json!("root")), "Vault's door keeps Vault's shape");
}

#[test]
fn ids_and_traces_come_back_and_wrong_methods_name_the_right_ones() {
    let warder = Running::dev(&["--root-token", "root"]);
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let asked = head("GET", "/api/v1/secrets/none", &format!("X-Request-Id: r-17\r\ntraceparent: {trace}\r\n"));
    let (status, answered, body) = send(&warder, asked.as_bytes());
    assert_eq!((status, &body["request_id"]), (404, &json!("r-17")));
    assert!(
        answered.contains("x-request-id: r-17") && answered.contains(&format!("traceparent: {trace}")),
        "{answered}"
    );
    assert!(answered.contains("cache-control: no-store"), "{answered}");
    let (status, answered, _) = send(&warder, head("POST", "/api/v1/secrets/a/versions", "").as_bytes());
    assert_eq!(status, 405);
    assert!(answered.contains("allow: get"), "{answered}");
    assert_eq!(send(&warder, head("GET", "/nowhere", "").as_bytes()).0, 404);
}
