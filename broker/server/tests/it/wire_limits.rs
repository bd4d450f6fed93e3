//! Limits that need raw bytes: clients refuse to send these.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use serde_json::{Value, json};

use crate::running::Running;

/// Sends bytes, reads until the server closes or is done, splits status, head and body.
fn send(warder: &Running, request: &[u8]) -> (u16, String, Value) {
    let mut stream = TcpStream::connect(warder.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let text = String::from_utf8(answer).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), serde_json::from_str(body).unwrap_or(Value::Null))
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
    let (status, ..) = send(&warder, head("GET", "/api/v1/secrets/?list=true", "").as_bytes());
    assert_eq!(status, 404, "nothing was stored");
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
