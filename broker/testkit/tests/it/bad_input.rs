//! Bad input is refused with the field and the reason, and nothing of it is stored.

use serde_json::{Value, json};
use warder_testkit::{Call, Http, Reply, Result, Warder};

/// A request that must be refused.
struct Row {
    method: &'static str,
    target: String,
    headers: &'static [(&'static str, &'static str)],
    body: Option<Vec<u8>>,
    /// What must come back: status, `field`, and a part of `detail`.
    status: u16,
    field: &'static str,
    detail: &'static str,
}

/// Below the prefix of every row, so that one listing shows whether anything was stored.
const SECRETS: &str = "/api/v1/secrets/in";

#[test]
fn bad_input_is_refused_with_field_and_reason_and_nothing_is_stored() -> Result {
    let warder = Warder::dev().start()?;
    let http = warder.http();
    let before = stored(&http)?;
    for row in [paths(), bodies(), conditions(), queries(), elsewhere()].iter().flatten() {
        let reply = row.call(&http).send()?;
        row.check(&reply)
            .map_err(|why| format!("{}\n  {why}\n  answered {} {}", row.curl(&http), reply.status, reply.text()))?;
    }
    assert_eq!(stored(&http)?, before, "something of a refused request was stored");
    Ok(())
}

/// What no HTTP library would send: refused before a path can be named.
#[test]
fn raw_control_characters_in_a_request_line_are_refused() -> Result {
    let warder = Warder::dev().start()?;
    let http = warder.http();
    let before = stored(&http)?;
    for target in
        ["/api/v1/secrets/in/a\u{1}b", "/api/v1/secrets/in/a\u{7f}b", "/api/v1/secrets/in/a b", "api/v1/secrets/in"]
    {
        let reply = http.put(target).json(&json!({"k": "v"})).send()?;
        assert_eq!(reply.status, 400, "{target:?}: {}", reply.text());
    }
    assert_eq!(stored(&http)?, before);
    Ok(())
}

/// The refusals above are not a server that refuses everything.
#[test]
fn input_at_each_limit_is_taken() -> Result {
    let warder = Warder::dev().start()?;
    let http = warder.http();
    let longest = format!("/api/v1/secrets/{}", "p/".repeat(28) + &"x".repeat(900));
    let deepest = format!("{{\"a\":{}1{}}}", "[".repeat(63), "]".repeat(63));
    let largest = format!("{{\"a\":\"{}\"}}", "x".repeat((1 << 20) - 8));
    for (target, body) in [
        (longest.as_str(), "{\"a\":1}"),
        ("/api/v1/secrets/ok/deep", deepest.as_str()),
        ("/api/v1/secrets/ok/large", largest.as_str()),
        ("/api/v1/secrets/ok/gr%C3%BCn%20..x", "{\"\":null}"),
    ] {
        http.put(target).header("Content-Type", "application/json").body(body).send()?.expect_status(201)?;
        let read = http.get(target).send()?.expect_status(200)?.json()?;
        assert_eq!(read["data"], serde_json::from_str::<Value>(body)?);
    }
    Ok(())
}

fn paths() -> Vec<Row> {
    let put = |tail: &str, detail| Row::put(&format!("{SECRETS}{tail}"), br#"{"k":"v"}"#, 400, "path", detail);
    vec![
        put("/a%", "percent-encoding"),
        put("/a%4", "percent-encoding"),
        put("/a%zz", "percent-encoding"),
        put("/a%2Fb", "slash"),
        put("/a%c0%af", "UTF-8"),
        put("/a%ff", "UTF-8"),
        put("/a%00b", "control"),
        put("/a%0ab", "control"),
        put("/a%7f", "control"),
        put("/a%E2%80%AEb", "unprintable"),
        put("/../b", "'..'"),
        put("/%2e%2E/b", "'..'"),
        put("/./b", "'.'"),
        put("//b", "empty segment"),
        put("/a//", "empty segment"),
        put("/folder/", "folder"),
        put(&format!("/{}", "x".repeat(1100)), "1024 bytes"),
        put(&format!("/{}", "%41".repeat(1200)), "1024 bytes"),
        put(&"/a".repeat(33), "32 segments"),
    ]
}

fn bodies() -> Vec<Row> {
    let a = format!("{SECRETS}/a");
    let put = |body: &[u8], detail| Row::put(&a, body, 400, "body", detail);
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(64), "]".repeat(64));
    vec![
        put(b"", "JSON"),
        put(b"{\"a\":", "malformed JSON"),
        put(b"{\"a\":1}x", "malformed JSON"),
        put(b"{\"a\":01}", "malformed JSON"),
        put(b"{\"a\":\"\xff\"}", "malformed JSON"),
        put(b"{\"a\":1,\"a\":2}", "duplicate"),
        put(b"[1]", "object"),
        put(b"\"text\"", "object"),
        put(b"null", "object"),
        put(b"5", "object"),
        put(deep.as_bytes(), "64 levels"),
        Row { status: 413, ..put(&[b' '; (1 << 20) + 1], "1048576 bytes") },
        Row {
            headers: &[("Content-Type", "text/plain")],
            status: 415,
            field: "Content-Type",
            ..put(b"{}", "application/json")
        },
        Row { method: "PATCH", status: 415, field: "Content-Type", ..put(b"{}", "application/merge-patch+json") },
        Row { method: "PATCH", headers: &[("Content-Type", "application/merge-patch+json")], ..put(b"[1]", "object") },
    ]
}

fn conditions() -> Vec<Row> {
    let put =
        |headers, field| Row { headers, field, ..Row::put(&format!("{SECRETS}/a"), b"{}", 400, field, "expected") };
    let both = &[("If-Match", "\"1\""), ("If-None-Match", "*"), ("Content-Type", "application/json")];
    vec![
        put(&[("If-Match", "3"), ("Content-Type", "application/json")], "If-Match"),
        put(&[("If-Match", "\"x\""), ("Content-Type", "application/json")], "If-Match"),
        put(&[("If-Match", "\"-1\""), ("Content-Type", "application/json")], "If-Match"),
        put(&[("If-None-Match", "\"3\""), ("Content-Type", "application/json")], "If-None-Match"),
        Row { detail: "exclude", ..put(both, "If-Match") },
    ]
}

fn queries() -> Vec<Row> {
    let get = |query: &str, field, detail| Row::bare("GET", &format!("{SECRETS}/a?{query}"), 400, field, detail);
    let delete = |query: &str, detail| Row::bare("DELETE", &format!("{SECRETS}/a?{query}"), 400, "versions", detail);
    let undelete = |body: &[u8]| Row {
        method: "POST",
        ..Row::put(&format!("{SECRETS}/a/undelete"), body, 400, "versions", "versions")
    };
    vec![
        get("version=x", "version", "whole number"),
        get("version=-1", "version", "whole number"),
        get("version=1.5", "version", "whole number"),
        get("version=99999999999", "version", "whole number"),
        get("version=1&version=2", "version", "twice"),
        get("list=maybe", "list", "true or false"),
        get("refresh=maybe", "refresh", "true or false"),
        get("stray=1", "stray", "unknown"),
        get("field=", "field", "name"),
        get("list=true&limit=x", "limit", "whole number"),
        get("list=true&limit=0", "limit", "whole number"),
        get("version=%zz", "query", "percent-encoding"),
        Row { status: 414, ..get(&format!("version={}", "1".repeat(9000)), "query", "8192 bytes") },
        delete("versions=", "whole number"),
        delete("versions=a", "whole number"),
        delete("versions=0", "whole number"),
        delete("versions=1,,2", "whole number"),
        delete("destroy=true", "needs versions"),
        undelete(b"{}"),
        undelete(b"{\"versions\":[]}"),
        undelete(b"{\"versions\":\"x\"}"),
        undelete(b"{\"versions\":[1.5]}"),
        undelete(b"{\"versions\":[0]}"),
    ]
}

fn elsewhere() -> Vec<Row> {
    let put = |target: &str, body: &[u8], field, detail| Row::put(target, body, 400, field, detail);
    let post = |target: &str, body: &[u8], field, detail| Row { method: "POST", ..put(target, body, field, detail) };
    vec![
        post("/api/v1/auth/login", b"{}", "method", "missing"),
        post("/api/v1/auth/login", b"{\"method\":5}", "method", "string"),
        post("/api/v1/auth/login", b"{\"method\":\"../sys\"}", "method", "'..'"),
        post("/api/v1/auth/login", b"{", "body", "malformed JSON"),
        post("/api/v1/auth/tokens", b"{\"orphan\":5}", "orphan", "true or false"),
        post("/api/v1/auth/renew", b"{\"stray\":1}", "stray", "unknown"),
        put("/api/v1/policies/p", b"{\"stray\":1}", "stray", "unknown"),
        put("/api/v1/policies/p", b"{\"policy\":\"path {\"}", "policy", ""),
        put("/api/v1/policies/p", b"{\"policy\":\"path \\\"a\\\" { capabilities = [\\\"fly\\\"] }\"}", "policy", "fly"),
    ]
}

impl Row {
    fn put(target: &str, body: &[u8], status: u16, field: &'static str, detail: &'static str) -> Self {
        let headers = &[("Content-Type", "application/json")];
        Self { headers, body: Some(body.to_vec()), ..Self::bare("PUT", target, status, field, detail) }
    }

    fn bare(method: &'static str, target: &str, status: u16, field: &'static str, detail: &'static str) -> Self {
        Self { method, target: target.to_owned(), headers: &[], body: None, status, field, detail }
    }

    fn call<'a>(&self, http: &'a Http) -> Call<'a> {
        let call = http.call(self.method, &self.target);
        let call = self.headers.iter().fold(call, |call, (name, value)| call.header(name, value));
        match &self.body {
            Some(body) => call.body(body.clone()),
            None => call,
        }
    }

    fn curl(&self, http: &Http) -> String {
        self.call(http).curl().chars().take(600).collect()
    }

    /// problem+json with the status, the field and the reason, and no more than that.
    fn check(&self, reply: &Reply) -> Result<(), String> {
        let problem = reply.json().map_err(|why| why.to_string())?;
        let text = |member: &str| problem[member].as_str().unwrap_or_default().to_owned();
        let expectations = [
            (reply.status == self.status, format!("status {}", self.status)),
            (reply.header("content-type") == Some("application/problem+json"), "application/problem+json".to_owned()),
            (problem["status"] == self.status, format!("member status {}", self.status)),
            (text("field") == self.field, format!("field {:?}", self.field)),
            (
                text("detail").contains(self.detail) && !text("detail").is_empty(),
                format!("a detail with {:?}", self.detail),
            ),
            (
                !text("code").is_empty() && !text("title").is_empty() && !text("type").is_empty(),
                "code, title, type".to_owned(),
            ),
            (reply.header("x-request-id") == Some(text("request_id").as_str()), "the request id".to_owned()),
        ];
        match expectations.into_iter().find(|(holds, _)| !holds) {
            Some((_, expected)) => Err(format!("expected {expected}")),
            None => Ok(()),
        }
    }
}

/// Names at the top of the mount and of the rows' prefix, and the policies.
fn stored(http: &Http) -> Result<Vec<(u16, Value)>> {
    let listings = ["/api/v1/secrets/?list=true", "/api/v1/secrets/in/?list=true", "/api/v1/policies?list=true"];
    let names = |target: &&str| {
        http.get(target)
            .send()
            .map(|reply| (reply.status, reply.json().map(|all| all["keys"].clone()).unwrap_or_default()))
    };
    listings.iter().map(names).collect()
}
