//! What no door takes, with a secret in each part of the request.

use serde_json::json;
use warder_testkit::{Call, Http, Result};

use super::Walk;

const SECRET: &str = "/api/v1/secrets/canary/refused";
const VAULT: &str = "/v1/secret/data/canary/refused";
const JSON: (&str, &str) = ("Content-Type", "application/json");

pub(super) fn walk(walk: &mut Walk<'_>) -> Result {
    bodies(walk)?;
    large(walk)?;
    headers(walk)?;
    queries(walk)?;
    public(walk)
}

fn bodies(walk: &mut Walk<'_>) -> Result {
    let http = walk.http.clone();
    type Write = fn(&str) -> String;
    let rows: [(&str, Write); 12] = [
        ("JSON without an end", |v| format!("{{\"password\":\"{v}")),
        ("JSON with a bare word", |v| format!("{{\"password\":{v}}}")),
        ("JSON with a word before", |v| format!("{v}{{}}")),
        ("JSON with a word after", |v| format!("{{}} {v}")),
        ("JSON with a bad escape", |v| format!("{{\"a\":\"{v}\\x\"}}")),
        ("JSON with a control character", |v| format!("{{\"a\":\"{v}\u{1}\"}}")),
        ("JSON with a lone surrogate", |v| format!("{{\"a\":\"\\ud800{v}\"}}")),
        ("JSON with a member twice", |v| format!("{{\"a\":\"{v}\",\"a\":\"{v}\"}}")),
        ("JSON that is text", |v| format!("\"{v}\"")),
        ("JSON that is a list", |v| format!("[\"{v}\"]")),
        ("JSON that is too deep", |v| format!("{{\"a\":{}\"{v}\"{}}}", "[".repeat(200), "]".repeat(200))),
        ("no JSON at all", |v| format!("password={v}")),
    ];
    for (kind, write) in rows {
        let body = write(&walk.word(kind));
        walk.ask(http.put(SECRET).header(JSON.0, JSON.1).body(body.clone()), 400, &[])?;
        let patch = http.call("PATCH", SECRET).header(JSON.0, "application/merge-patch+json");
        walk.ask(patch.body(body.clone()), 400, &[])?;
        walk.ask(http.post(VAULT).header(JSON.0, JSON.1).body(body.clone()), 400, &[])?;
        walk.ask(http.post("/api/v1/auth/tokens").header(JSON.0, JSON.1).body(body.clone()), 400, &[])?;
        walk.ask(http.post("/api/v1/sys/unseal").header(JSON.0, JSON.1).body(body), 400, &[])?;
    }
    let word = walk.word("a body that is not UTF-8");
    let body = [b"{\"a\":\"\xff".as_slice(), word.as_bytes(), b"\"}"].concat();
    walk.ask(http.put(SECRET).header(JSON.0, JSON.1).body(body.clone()), 400, &[])?;
    walk.ask(http.post(VAULT).header(JSON.0, JSON.1).body(body), 400, &[])?;
    let typed = walk.value("a body of another media type");
    for media in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        walk.ask(http.put(SECRET).header(JSON.0, media).body(json!({ "a": typed }).to_string()), 415, &[])?;
    }
    let method = walk.value("a body where none belongs");
    walk.ask(http.post(SECRET).json(&json!({ "a": method })), 405, &[])?;
    walk.ask(http.put("/nowhere").json(&json!({ "a": method })), 404, &[])?;
    walk.ask(http.get(SECRET).json(&json!({ "a": method })), 404, &[])?;
    Ok(())
}

fn large(walk: &mut Walk<'_>) -> Result {
    let http = walk.http.clone();
    let word = walk.word("a body over the limit");
    let body = json!({ "a": word.clone() + &"x".repeat(1 << 20), "b": word }).to_string();
    walk.ask(http.put(SECRET).header(JSON.0, JSON.1).body(body.clone()), 413, &[])?;
    walk.ask(http.post(VAULT).header(JSON.0, JSON.1).body(body.clone()), 413, &[])?;
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let call = http.put(SECRET).header(JSON.0, JSON.1).header("Transfer-Encoding", "chunked");
    walk.ask(after_head(call, &chunked), 413, &[])?;
    let word = walk.word("headers over the limit");
    walk.ask(http.get(SECRET).header("X-Large", &(word + &"x".repeat(70_000))), 431, &[])?;
    let word = walk.word("a query over the limit");
    walk.ask(http.get(&format!("{SECRET}?a={word}{}", "x".repeat(9_000))), 414, &[])?;
    Ok(())
}

/// A call whose body the test frames itself: the last header carries it.
fn after_head<'a>(call: Call<'a>, body: &str) -> Call<'a> {
    call.header("X-Last", &format!("1\r\n\r\n{body}"))
}

fn headers(walk: &mut Walk<'_>) -> Result {
    let http = walk.http.clone();
    let stranger = walk.broker.stranger();
    let wrong = walk.word("a wrong token");
    for target in [SECRET, VAULT, "/api/v1/auth/self", "/v1/auth/token/lookup-self"] {
        let status = if target.starts_with("/v1/") { 403 } else { 401 };
        walk.ask(stranger.with_token(&wrong).get(target), status, &[])?;
        walk.ask(stranger.get(target).header("Authorization", &format!("Bearer {wrong}")), status, &[])?;
        walk.ask(stranger.with_token(&format!("hvs.{wrong}")).get(target), status, &[])?;
        walk.ask(stranger.with_token(&format!("hvb.{wrong}")).get(target), status, &[])?;
    }
    let (two, basic) = (walk.word("a second token"), walk.word("a token of another scheme"));
    walk.ask(http.get(SECRET).header("Authorization", &format!("Bearer {two}")), 400, &[])?;
    walk.ask(http.get(SECRET).header("X-Vault-Token", &two), 400, &[])?;
    walk.ask(stranger.get(SECRET).header("Authorization", &format!("Basic {basic}")), 400, &[])?;
    walk.ask(stranger.with_token(&format!("{basic}\u{e9}")).get(SECRET), 400, &[])?;
    walk.ask(stranger.with_token(&(basic + &"x".repeat(9_000))).get(SECRET), 400, &[])?;
    let rows: [(&str, u16); 14] = [
        ("Cookie", 404),
        ("Referer", 404),
        ("User-Agent", 404),
        ("X-Forwarded-For", 404),
        ("X-Unknown", 404),
        ("Accept", 404),
        ("Traceparent", 404),
        ("Tracestate", 404),
        ("Content-Type", 404),
        ("If-None-Match", 404),
        ("X-Warder-Namespace", 400),
        ("X-Vault-Namespace", 400),
        ("X-Vault-Wrap-TTL", 400),
        ("Expect", 404),
    ];
    for (name, status) in rows {
        let word = walk.word(&format!("the header {name}"));
        walk.ask(http.get(SECRET).header(name, &word), status, &[])?;
    }
    // An id of plain characters is taken over by design; this one is none.
    let word = walk.word("the header X-Request-Id");
    walk.ask(http.get(SECRET).header("X-Request-Id", &format!("{word} {word}")), 404, &[])?;
    for (name, status) in [("If-Match", 400), ("If-None-Match", 400), ("Content-Type", 415)] {
        let word = walk.word(&format!("the header {name} of a write"));
        walk.ask(http.put(SECRET).header(name, &word).body("{\"a\":1}"), status, &[])?;
    }
    Ok(())
}

fn queries(walk: &mut Walk<'_>) -> Result {
    let http = walk.http.clone();
    for (kind, target, status) in [
        ("an unknown parameter", format!("{SECRET}?unknown="), 400),
        ("a version", format!("{SECRET}?version="), 400),
        ("a flag", format!("{SECRET}?refresh="), 400),
        ("a list flag", format!("{SECRET}?list="), 400),
        ("a limit", "/api/v1/secrets/?list=true&limit=".to_owned(), 400),
        ("versions", format!("{SECRET}?versions="), 405),
        ("a parameter of health", "/health?token=".to_owned(), 200),
        ("a parameter of metrics", "/metrics?token=".to_owned(), 200),
        ("a parameter with a bad escape", format!("{SECRET}?a=%zz"), 400),
        ("a token in a query", format!("{SECRET}?token="), 400),
        ("a parameter of Vault's health", "/v1/sys/health?standbyok=".to_owned(), 200),
    ] {
        let word = walk.word(&format!("the query parameter: {kind}"));
        let method = if kind == "versions" { "POST" } else { "GET" };
        walk.ask(http.call(method, &format!("{target}{word}")), status, &[])?;
    }
    let word = walk.word("the query parameter: versions to delete");
    walk.ask(http.delete(&format!("{SECRET}?versions={word}")), 400, &[])?;
    walk.ask(http.delete(&format!("{SECRET}?destroy={word}")), 400, &[])?;
    Ok(())
}

/// Without a token: login, init and unseal.
fn public(walk: &mut Walk<'_>) -> Result {
    let stranger = walk.broker.stranger();
    let (password, method) = (walk.value("a password of a login"), walk.value("a method of a login"));
    walk.ask(stranger.post("/api/v1/auth/login").json(&json!({"method": "userpass", "password": password})), 401, &[])?;
    walk.ask(stranger.post("/api/v1/auth/login").json(&json!({ "method": [method] })), 400, &[])?;
    walk.ask(stranger.post("/v1/auth/userpass/login/u").json(&json!({ "password": password })), 403, &[])?;
    let share = walk.word("a share that is none");
    for path in ["/api/v1/sys/unseal", "/v1/sys/unseal"] {
        for body in [json!({ "key": share }), json!({"key": [share]}), json!({"reset": share})] {
            any(walk, &stranger, path, &body)?;
        }
    }
    for body in [
        json!({ "shares": share }),
        json!({"shares": 1, "threshold": share}),
        json!({"shares": 1, "threshold": 1, "pgp": share}),
    ] {
        for path in ["/api/v1/sys/init", "/v1/sys/init"] {
            any(walk, &stranger, path, &body)?;
        }
    }
    let mount = walk.value("settings of a mount");
    for body in [
        json!({"plugin": "kv", "options": {"version": mount}}),
        json!({"plugin": [mount]}),
        json!({"plugin": "kv", "unknown": mount}),
        json!({"plugin": "kv", "options": mount}),
    ] {
        let http = walk.http.clone();
        any(walk, &http, "/v1/sys/mounts/canary", &body)?;
    }
    Ok(())
}

/// Whatever the status, nothing may come back.
fn any(walk: &mut Walk<'_>, http: &Http, path: &str, body: &serde_json::Value) -> Result {
    walk.send(http.post(path).json(body), &[]).map(|_| ())
}
