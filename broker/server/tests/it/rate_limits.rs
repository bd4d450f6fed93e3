//! Rate limits from outside: set and lifted as Vault's clients do, felt at every door.

use serde_json::json;

use crate::{
    every_door::ROOT,
    raw::{self, Answer},
    running::Running,
};

fn ask(warder: &Running, method: &str, target: &str, token: &str, body: &str) -> Answer {
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: w\r\nConnection: close\r\nContent-Type: application/json\r\n\
         X-Vault-Token: {token}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    raw::send(warder.address, request.as_bytes())
}

fn limit(warder: &Running, name: &str, body: &str) {
    let answer = ask(warder, "POST", &format!("/v1/sys/quotas/rate-limit/{name}"), ROOT, body);
    assert_eq!(answer.status, 204, "{body}: {}", answer.json());
}

#[test]
fn a_limit_is_felt_at_both_doors_alike_and_says_when_to_come_again() {
    let warder = Running::dev(&["--root-token", ROOT]);
    assert_eq!(ask(&warder, "PUT", "/api/v1/secrets/a", ROOT, r#"{"a":1}"#).status, 201);
    limit(&warder, "reads", r#"{"path":"secret/data/a","rate":3,"interval":"1h"}"#);
    for target in ["/api/v1/secrets/a", "/v1/secret/data/a", "/api/v1/secrets/a"] {
        assert_eq!(ask(&warder, "GET", target, ROOT, "").status, 200, "{target}");
    }
    // The rate comes back in 20 minutes, and a token that is not known is counted like any other.
    for (target, token, words) in [
        ("/api/v1/secrets/a", ROOT, "/detail"),
        ("/v1/secret/data/a", ROOT, "/errors/0"),
        ("/v1/secret/data/a", "hvs.unknown", "/errors/0"),
    ] {
        let answer = ask(&warder, "GET", target, token, "");
        assert_eq!(answer.status, 429, "{target}");
        let wait = answer.head.lines().find_map(|line| line.strip_prefix("retry-after: "));
        assert!((1190..=1200).contains(&wait.unwrap().parse::<u32>().unwrap()), "{}", answer.head);
        let said = answer.json().pointer(words).cloned().unwrap_or_default();
        assert_eq!(said, r#"request path "secret/data/a": rate limit quota "reads" exceeded"#, "{}", answer.json());
    }
    assert_eq!(ask(&warder, "GET", "/api/v1/secrets/b", ROOT, "").status, 404, "another path");
    assert_eq!(ask(&warder, "DELETE", "/v1/sys/quotas/rate-limit/reads", ROOT, "").status, 204);
    assert_eq!(ask(&warder, "GET", "/api/v1/secrets/a", ROOT, "").status, 200);
}

#[test]
fn a_limit_is_shown_as_it_was_set_and_a_wrong_one_refused_by_field() {
    let warder = Running::dev(&["--root-token", ROOT]);
    limit(&warder, "all", r#"{"rate":"0.5","interval":"1m","block_interval":90,"group_by":"token_then_ip"}"#);
    let shown = ask(&warder, "GET", "/v1/sys/quotas/rate-limit/all", ROOT, "").json();
    let expected = serde_json::json!({
        "name": "all", "type": "rate-limit", "path": "", "rate": 0.5, "interval": 60, "block_interval": 90,
        "group_by": "token_then_ip", "role": "", "inheritable": false,
    });
    assert_eq!(shown["data"], expected);
    let names = ask(&warder, "LIST", "/v1/sys/quotas/rate-limit", ROOT, "").json();
    assert_eq!(names["data"]["keys"], serde_json::json!(["all"]));
    for (body, words) in [
        ("{}", "missing field: rate"),
        (r#"{"rate":0}"#, "expected a number over 0"),
        (r#"{"rate":"many"}"#, "expected a number over 0"),
        (r#"{"rate":1,"path":"nowhere/"}"#, "is in no mount"),
        (r#"{"rate":1,"role":"ci"}"#, "limits by login role are not enforced"),
        (r#"{"rate":1,"group_by":"entity"}"#, "unknown variant"),
        (r#"{"rate":1,"interval":"25h"}"#, "at most 24h"),
    ] {
        let answer = ask(&warder, "POST", "/v1/sys/quotas/rate-limit/wrong", ROOT, body);
        let said = answer.json()["errors"][0].as_str().unwrap_or_default().to_owned();
        assert!(answer.status == 400 && said.contains(words), "{body}: {} {said}", answer.status);
    }
    assert_eq!(ask(&warder, "GET", "/v1/sys/quotas/rate-limit/wrong", ROOT, "").status, 404);
}

#[test]
fn each_token_has_a_limit_of_its_own_and_an_invented_one_has_none() {
    let warder = Running::dev(&["--root-token", ROOT]);
    let token = |wanted: &str| {
        let answer = ask(&warder, "POST", "/api/v1/auth/tokens", ROOT, wanted).json();
        ["token", "accessor"].map(|name| answer[name].as_str().unwrap().to_owned())
    };
    let read = |token: &str| ask(&warder, "GET", "/api/v1/secrets/a", token, "").status;
    let [one, _] = token(r#"{"policies":["root"],"ttl":"1h"}"#);
    let [two, accessor] = token(r#"{"policies":["root"],"id":"chosen","ttl":"1h"}"#);
    let policy = json!({"policy": r#"path "secret/*" { capabilities = ["read"] }"#}).to_string();
    assert_eq!(ask(&warder, "PUT", "/api/v1/policies/reader", ROOT, &policy).status, 204);
    let [batch, _] = token(r#"{"policies":["reader"],"type":"batch","ttl":"1h"}"#);
    let [other, _] = token(r#"{"policies":["reader"],"type":"batch","ttl":"1h"}"#);
    limit(&warder, "each", r#"{"path":"secret/","rate":2,"interval":"1h","group_by":"token_then_ip"}"#);
    for token in [&one, &two, &batch, &other] {
        assert_eq!([read(token), read(token), read(token)], [404, 404, 429], "{token}");
    }
    // All that nobody knows are their address together, and those without a token too.
    assert_eq!([read("hvs.a"), read("hvs.b"), read("hvs.c"), read("")], [401, 401, 429, 429]);
    // The same text is the same client, though another token.
    assert_eq!(ask(&warder, "DELETE", &format!("/api/v1/auth/tokens/{accessor}"), ROOT, "").status, 204);
    let [again, _] = token(r#"{"policies":["root"],"id":"chosen","ttl":"1h"}"#);
    assert_eq!(read(&again), 429);
    let [new, _] = token(r#"{"policies":["root"],"ttl":"1h"}"#);
    assert_eq!(read(&new), 404);
}
