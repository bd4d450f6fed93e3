//! Every route of every door, and every path that the broker itself serves, with every kind of
//! token. A route without a row here fails the test, and so does a row without a route. The
//! methods of the gRPC door have theirs in `every_method`.

use std::{collections::BTreeSet, sync::mpsc, time::Duration};

use serde_json::{Value, json};
use warder::edge::routes;
use warder_core::{request::Operation, sys};

use self::Expect::{Guest, Open, Token};
use crate::{raw, running::Running};

pub(crate) const ROOT: &str = "root";
pub(crate) const UNKNOWN: &str = "hvs.AAAAAAAAAAAAAAAAAAAAAAAA";

/// What a row expects of the six tokens.
#[derive(Clone, Copy)]
pub(crate) enum Expect {
    /// Answered without a token, but a token that is given must live.
    Guest(u16),
    /// One status whoever asks.
    Open(u16),
    /// Refused without a living token; with the default policy only; with the root policy.
    Token(u16, u16),
}

/// Method, pattern, target below the pattern's door, body, expectation. `$accessor` and `$token`
/// are those of a token made for the row.
pub(crate) type Row = (&'static str, &'static str, &'static str, &'static str, Expect);

const HOUR: &str = r#"{"ttl":"1h"}"#;
const NAMED: &str = r#"{"accessor":"$accessor"}"#;
const TEXT: &str = r#"{"token":"$token"}"#;
const POLICY: &str = r#"{"policy":"path \"a\" { capabilities = [\"read\"] }"}"#;
/// One that nobody meets here.
const LIMIT: &str = r#"{"rate":1000000}"#;
const TUNE: &str = r#"{"options":{"max_calls":"9"}}"#;
const EXPLAIN: &str = r#"{"path":"secret/data/a","operation":"read"}"#;
const LEASE: &str = r#"{"lease_id":"door"}"#;
const INIT: &str = r#"{"shares":1,"threshold":1}"#;
const VAULT_INIT: &str = r#"{"secret_shares":1,"secret_threshold":1}"#;
const READS: &str = r#"{"reads":[{"path":"door"}]}"#;
const SHARE: &str = r#"{"nonce":"a","key":"b"}"#;
const RESET: &str = r#"{"reset":true}"#;

/// The routes of the router.
pub(crate) const ROUTES: &[Row] = &[
    ("GET", "/health", "/health", "", Open(200)),
    ("HEAD", "/health", "/health", "", Open(200)),
    ("GET", "/livez", "/livez", "", Open(200)),
    ("HEAD", "/livez", "/livez", "", Open(200)),
    ("GET", "/metrics", "/metrics", "", Open(200)),
    ("GET", "/api/v1/openapi.json", "/api/v1/openapi.json", "", Guest(200)),
    ("GET", "/api/v1/secrets", "/api/v1/secrets?list=true", "", Token(403, 200)),
    ("GET", "/api/v1/secrets/", "/api/v1/secrets/?list=true", "", Token(403, 200)),
    // Each read is decided by itself: who may none of them gets an answer that says so.
    ("POST", "/api/v1/secrets:batch", "/api/v1/secrets:batch", READS, Token(200, 200)),
    ("GET", "/api/v1/secrets/{path...}/versions", "/api/v1/secrets/door/versions", "", Token(403, 200)),
    (
        "POST",
        "/api/v1/secrets/{path...}/undelete",
        "/api/v1/secrets/door/undelete",
        r#"{"versions":[1]}"#,
        Token(403, 200),
    ),
    // KV makes no values of its own.
    ("POST", "/api/v1/secrets/{path...}/rotate", "/api/v1/secrets/door/rotate", "", Token(403, 405)),
    ("GET", "/api/v1/secrets/{path...}", "/api/v1/secrets/door", "", Token(403, 200)),
    ("PUT", "/api/v1/secrets/{path...}", "/api/v1/secrets/door", "{}", Token(403, 200)),
    ("PATCH", "/api/v1/secrets/{path...}", "/api/v1/secrets/door", "{}", Token(403, 200)),
    ("DELETE", "/api/v1/secrets/{path...}", "/api/v1/secrets/door", "", Token(403, 204)),
    ("GET", "/api/v1/watch", "/api/v1/watch?prefix=door", "", Token(403, 200)),
    ("POST", "/api/v1/auth/login", "/api/v1/auth/login", r#"{"method":"none"}"#, Open(401)),
    ("GET", "/api/v1/auth/self", "/api/v1/auth/self", "", Token(200, 200)),
    ("POST", "/api/v1/auth/renew", "/api/v1/auth/renew", "{}", Token(200, 200)),
    ("POST", "/api/v1/auth/revoke", "/api/v1/auth/revoke", "", Token(204, 204)),
    ("POST", "/api/v1/auth/tokens", "/api/v1/auth/tokens", HOUR, Token(403, 201)),
    ("GET", "/api/v1/auth/tokens", "/api/v1/auth/tokens", "", Token(403, 200)),
    ("POST", "/api/v1/auth/tokens/{accessor}/renew", "/api/v1/auth/tokens/$accessor/renew", "{}", Token(403, 200)),
    ("GET", "/api/v1/auth/tokens/{accessor}", "/api/v1/auth/tokens/$accessor", "", Token(403, 200)),
    ("DELETE", "/api/v1/auth/tokens/{accessor}", "/api/v1/auth/tokens/$accessor", "", Token(403, 204)),
    ("GET", "/api/v1/policies", "/api/v1/policies", "", Token(403, 200)),
    ("POST", "/api/v1/policies:explain", "/api/v1/policies:explain", EXPLAIN, Token(403, 200)),
    ("GET", "/api/v1/policies/{name}", "/api/v1/policies/door", "", Token(403, 200)),
    ("PUT", "/api/v1/policies/{name}", "/api/v1/policies/door", POLICY, Token(403, 204)),
    ("DELETE", "/api/v1/policies/{name}", "/api/v1/policies/door", "", Token(403, 204)),
    ("GET", "/api/v1/leases", "/api/v1/leases", "", Token(403, 200)),
    ("DELETE", "/api/v1/leases", "/api/v1/leases?prefix=door", "", Token(403, 204)),
    // No lease is there, and everybody may ask for one by its id.
    ("POST", "/api/v1/leases/{lease_id...}/renew", "/api/v1/leases/door/renew", "{}", Token(404, 404)),
    ("GET", "/api/v1/leases/{lease_id...}", "/api/v1/leases/door", "", Token(404, 404)),
    ("DELETE", "/api/v1/leases/{lease_id...}", "/api/v1/leases/door", "", Token(403, 204)),
    ("GET", "/api/v1/limits", "/api/v1/limits", "", Token(403, 200)),
    ("GET", "/api/v1/limits/{name}", "/api/v1/limits/door", "", Token(403, 200)),
    ("PUT", "/api/v1/limits/{name}", "/api/v1/limits/door", LIMIT, Token(403, 204)),
    ("DELETE", "/api/v1/limits/{name}", "/api/v1/limits/door", "", Token(403, 204)),
    ("GET", "/api/v1/locked-users", "/api/v1/locked-users", "", Token(403, 200)),
    ("DELETE", "/api/v1/locked-users/{path...}", "/api/v1/locked-users/kv_1/door", "", Token(403, 204)),
    ("GET", "/api/v1/mounts", "/api/v1/mounts", "", Token(403, 200)),
    ("GET", "/api/v1/mounts/{path...}", "/api/v1/mounts/door", "", Token(403, 200)),
    ("PUT", "/api/v1/mounts/{path...}", "/api/v1/mounts/made/native", r#"{"plugin":"kv"}"#, Token(403, 204)),
    ("PATCH", "/api/v1/mounts/{path...}", "/api/v1/mounts/door", TUNE, Token(403, 204)),
    ("DELETE", "/api/v1/mounts/{path...}", "/api/v1/mounts/door", "", Token(403, 204)),
    ("GET", "/api/v1/plugins", "/api/v1/plugins", "", Token(403, 200)),
    ("GET", "/api/v1/audit", "/api/v1/audit", "", Token(403, 200)),
    ("GET", "/api/v1/sys/status", "/api/v1/sys/status", "", Open(200)),
    ("POST", "/api/v1/sys/init", "/api/v1/sys/init", INIT, Open(409)),
    ("POST", "/api/v1/sys/unseal", "/api/v1/sys/unseal", RESET, Open(200)),
    ("POST", "/api/v1/sys/rotate", "/api/v1/sys/rotate", "", Token(403, 204)),
    ("GET", "/api/v1/sys/key-status", "/api/v1/sys/key-status", "", Token(403, 200)),
    // The dev seal has no shares.
    ("GET", "/api/v1/sys/generate-root", "/api/v1/sys/generate-root", "", Token(403, 200)),
    ("POST", "/api/v1/sys/generate-root", "/api/v1/sys/generate-root", "", Token(403, 412)),
    ("DELETE", "/api/v1/sys/generate-root", "/api/v1/sys/generate-root", "", Token(403, 204)),
    ("POST", "/api/v1/sys/generate-root/shares", "/api/v1/sys/generate-root/shares", SHARE, Token(403, 409)),
    ("GET", "/api/v1/sys/rekey", "/api/v1/sys/rekey", "", Token(403, 200)),
    ("POST", "/api/v1/sys/rekey", "/api/v1/sys/rekey", INIT, Token(403, 412)),
    ("DELETE", "/api/v1/sys/rekey", "/api/v1/sys/rekey", "", Token(403, 204)),
    ("POST", "/api/v1/sys/rekey/shares", "/api/v1/sys/rekey/shares", SHARE, Token(403, 409)),
    ("GET", "/api/v1/sys/rekey/verify", "/api/v1/sys/rekey/verify", "", Token(403, 409)),
    ("POST", "/api/v1/sys/rekey/verify", "/api/v1/sys/rekey/verify", SHARE, Token(403, 409)),
    ("DELETE", "/api/v1/sys/rekey/verify", "/api/v1/sys/rekey/verify", "", Token(403, 409)),
    ("GET", "/api/v1/sys/snapshot", "/api/v1/sys/snapshot", "", Token(403, 200)),
    // An empty body is no snapshot.
    ("POST", "/api/v1/sys/restore", "/api/v1/sys/restore", "", Token(403, 400)),
    ("POST", "/api/v1/sys/seal", "/api/v1/sys/seal", "", Token(403, 204)),
    ("GET", "/v1/sys/health", "/v1/sys/health", "", Open(200)),
    ("HEAD", "/v1/sys/health", "/v1/sys/health", "", Open(200)),
    ("GET", "/v1/sys/seal-status", "/v1/sys/seal-status", "", Open(200)),
    ("GET", "/v1/sys/init", "/v1/sys/init", "", Open(200)),
    ("PUT", "/v1/sys/init", "/v1/sys/init", VAULT_INIT, Open(400)),
    ("POST", "/v1/sys/init", "/v1/sys/init", VAULT_INIT, Open(400)),
    ("PUT", "/v1/sys/unseal", "/v1/sys/unseal", RESET, Open(200)),
    ("POST", "/v1/sys/unseal", "/v1/sys/unseal", RESET, Open(200)),
    ("GET", "/v1/sys/leader", "/v1/sys/leader", "", Open(200)),
    ("GET", "/v1/sys/internal/specs/openapi", "/v1/sys/internal/specs/openapi", "", Guest(200)),
    ("GET", "/v1/sys/storage/raft/snapshot", "/v1/sys/storage/raft/snapshot", "", Token(403, 200)),
    // An empty body is no snapshot.
    ("PUT", "/v1/sys/storage/raft/snapshot", "/v1/sys/storage/raft/snapshot", "", Token(403, 400)),
    ("POST", "/v1/sys/storage/raft/snapshot", "/v1/sys/storage/raft/snapshot", "", Token(403, 400)),
    ("PUT", "/v1/sys/storage/raft/snapshot-force", "/v1/sys/storage/raft/snapshot-force", "", Token(403, 400)),
    ("POST", "/v1/sys/storage/raft/snapshot-force", "/v1/sys/storage/raft/snapshot-force", "", Token(403, 400)),
    ("GET", "/v1/{path...}", "/v1/secret/data/door", "", Token(403, 200)),
    ("LIST", "/v1/{path...}", "/v1/secret/metadata", "", Token(403, 200)),
    ("PUT", "/v1/{path...}", "/v1/secret/data/door", r#"{"data":{}}"#, Token(403, 200)),
    ("POST", "/v1/{path...}", "/v1/secret/data/door", r#"{"data":{}}"#, Token(403, 200)),
    ("PATCH", "/v1/{path...}", "/v1/secret/data/door", r#"{"data":{}}"#, Token(403, 200)),
    ("DELETE", "/v1/{path...}", "/v1/secret/data/door", "", Token(403, 204)),
];

/// The paths of the broker's own table; the method stands for its operation.
const PATHS: &[Row] = &[
    ("LIST", "auth/token/accessors", "/v1/auth/token/accessors", "", Token(403, 200)),
    ("POST", "auth/token/create", "/v1/auth/token/create", HOUR, Token(403, 200)),
    ("POST", "auth/token/create-orphan", "/v1/auth/token/create-orphan", HOUR, Token(403, 200)),
    ("POST", "auth/token/lookup", "/v1/auth/token/lookup", TEXT, Token(403, 200)),
    ("POST", "auth/token/lookup-accessor", "/v1/auth/token/lookup-accessor", NAMED, Token(403, 200)),
    ("GET", "auth/token/lookup-self", "/v1/auth/token/lookup-self", "", Token(200, 200)),
    ("POST", "auth/token/lookup-self", "/v1/auth/token/lookup-self", "", Token(403, 200)),
    ("POST", "auth/token/renew", "/v1/auth/token/renew", TEXT, Token(403, 200)),
    ("POST", "auth/token/renew-accessor", "/v1/auth/token/renew-accessor", NAMED, Token(403, 200)),
    ("POST", "auth/token/renew-self", "/v1/auth/token/renew-self", "{}", Token(200, 200)),
    ("POST", "auth/token/revoke", "/v1/auth/token/revoke", TEXT, Token(403, 204)),
    ("POST", "auth/token/revoke-accessor", "/v1/auth/token/revoke-accessor", NAMED, Token(403, 204)),
    ("POST", "auth/token/revoke-orphan", "/v1/auth/token/revoke-orphan", TEXT, Token(403, 204)),
    ("POST", "auth/token/revoke-self", "/v1/auth/token/revoke-self", "", Token(204, 204)),
    ("GET", "sys/audit", "/v1/sys/audit", "", Token(403, 200)),
    ("POST", "sys/capabilities", "/v1/sys/capabilities", r#"{"token":"$token","paths":["a"]}"#, Token(403, 200)),
    (
        "POST",
        "sys/capabilities-accessor",
        "/v1/sys/capabilities-accessor",
        r#"{"accessor":"$accessor","paths":["a"]}"#,
        Token(403, 200),
    ),
    ("POST", "sys/capabilities-self", "/v1/sys/capabilities-self", r#"{"paths":["a"]}"#, Token(200, 200)),
    ("GET", "sys/internal/specs/openapi", "/v1/sys/internal/specs/openapi", "", Guest(200)),
    ("GET", "sys/internal/ui/mounts/{path...}", "/v1/sys/internal/ui/mounts/secret/a", "", Token(403, 200)),
    ("GET", "sys/key-status", "/v1/sys/key-status", "", Token(403, 200)),
    ("GET", "sys/leases", "/v1/sys/leases?type=irrevocable", "", Token(403, 200)),
    ("GET", "sys/leases/count", "/v1/sys/leases/count", "", Token(403, 200)),
    ("LIST", "sys/leases/lookup", "/v1/sys/leases/lookup", "", Token(403, 404)),
    ("POST", "sys/leases/lookup", "/v1/sys/leases/lookup", LEASE, Token(400, 400)),
    ("LIST", "sys/leases/lookup/{prefix...}", "/v1/sys/leases/lookup/door", "", Token(403, 404)),
    ("POST", "sys/leases/renew", "/v1/sys/leases/renew", LEASE, Token(400, 400)),
    ("POST", "sys/leases/renew/{lease_id...}", "/v1/sys/leases/renew/door", "", Token(403, 400)),
    ("POST", "sys/leases/revoke", "/v1/sys/leases/revoke", LEASE, Token(403, 204)),
    ("POST", "sys/leases/revoke/{lease_id...}", "/v1/sys/leases/revoke/door", "", Token(403, 204)),
    ("POST", "sys/leases/revoke-force/{prefix...}", "/v1/sys/leases/revoke-force/door", "", Token(403, 204)),
    ("POST", "sys/leases/revoke-prefix/{prefix...}", "/v1/sys/leases/revoke-prefix/door", "", Token(403, 204)),
    ("GET", "sys/locked-users", "/v1/sys/locked-users", "", Token(403, 200)),
    (
        "POST",
        "sys/locked-users/{mount_accessor}/unlock/{name...}",
        "/v1/sys/locked-users/kv_1/unlock/door",
        "",
        Token(403, 204),
    ),
    ("GET", "sys/mounts", "/v1/sys/mounts", "", Token(403, 200)),
    ("GET", "sys/mounts/{path...}", "/v1/sys/mounts/door", "", Token(403, 200)),
    ("POST", "sys/mounts/{path...}", "/v1/sys/mounts/made/vault", r#"{"type":"kv"}"#, Token(403, 204)),
    ("DELETE", "sys/mounts/{path...}", "/v1/sys/mounts/door", "", Token(403, 204)),
    ("GET", "sys/plugins", "/v1/sys/plugins", "", Token(403, 200)),
    ("LIST", "sys/policies/acl", "/v1/sys/policies/acl", "", Token(403, 200)),
    ("GET", "sys/policies/acl/{name...}", "/v1/sys/policies/acl/door", "", Token(403, 200)),
    ("POST", "sys/policies/acl/{name...}", "/v1/sys/policies/acl/door", POLICY, Token(403, 204)),
    ("DELETE", "sys/policies/acl/{name...}", "/v1/sys/policies/acl/door", "", Token(403, 204)),
    ("POST", "sys/policies/explain", "/v1/sys/policies/explain", EXPLAIN, Token(403, 200)),
    ("LIST", "sys/quotas/rate-limit", "/v1/sys/quotas/rate-limit", "", Token(403, 200)),
    ("GET", "sys/quotas/rate-limit/{name}", "/v1/sys/quotas/rate-limit/door", "", Token(403, 200)),
    ("POST", "sys/quotas/rate-limit/{name}", "/v1/sys/quotas/rate-limit/door", LIMIT, Token(403, 204)),
    ("DELETE", "sys/quotas/rate-limit/{name}", "/v1/sys/quotas/rate-limit/door", "", Token(403, 204)),
    ("GET", "sys/generate-root/attempt", "/v1/sys/generate-root/attempt", "", Token(403, 200)),
    // The dev seal has no shares.
    ("POST", "sys/generate-root/attempt", "/v1/sys/generate-root/attempt", "{}", Token(403, 400)),
    ("DELETE", "sys/generate-root/attempt", "/v1/sys/generate-root/attempt", "", Token(403, 204)),
    ("POST", "sys/generate-root/update", "/v1/sys/generate-root/update", "{}", Token(403, 400)),
    ("GET", "sys/generate-root-token/attempt", "/v1/sys/generate-root-token/attempt", "", Token(403, 200)),
    // The dev seal has no shares.
    ("POST", "sys/generate-root-token/attempt", "/v1/sys/generate-root-token/attempt", "{}", Token(403, 400)),
    ("DELETE", "sys/generate-root-token/attempt", "/v1/sys/generate-root-token/attempt", "", Token(403, 204)),
    ("POST", "sys/generate-root-token/update", "/v1/sys/generate-root-token/update", "{}", Token(403, 400)),
    ("GET", "sys/rekey/init", "/v1/sys/rekey/init", "", Token(403, 200)),
    ("POST", "sys/rekey/init", "/v1/sys/rekey/init", "{}", Token(403, 400)),
    ("DELETE", "sys/rekey/init", "/v1/sys/rekey/init", "", Token(403, 204)),
    ("POST", "sys/rekey/update", "/v1/sys/rekey/update", "{}", Token(403, 400)),
    ("GET", "sys/rekey/verify", "/v1/sys/rekey/verify", "", Token(403, 400)),
    ("POST", "sys/rekey/verify", "/v1/sys/rekey/verify", "{}", Token(403, 400)),
    ("DELETE", "sys/rekey/verify", "/v1/sys/rekey/verify", "", Token(403, 400)),
    ("GET", "sys/rotate/root/init", "/v1/sys/rotate/root/init", "", Token(403, 200)),
    ("POST", "sys/rotate/root/init", "/v1/sys/rotate/root/init", "{}", Token(403, 400)),
    ("DELETE", "sys/rotate/root/init", "/v1/sys/rotate/root/init", "", Token(403, 204)),
    ("POST", "sys/rotate/root/update", "/v1/sys/rotate/root/update", "{}", Token(403, 400)),
    ("GET", "sys/rotate/root/verify", "/v1/sys/rotate/root/verify", "", Token(403, 400)),
    ("POST", "sys/rotate/root/verify", "/v1/sys/rotate/root/verify", "{}", Token(403, 400)),
    ("DELETE", "sys/rotate/root/verify", "/v1/sys/rotate/root/verify", "", Token(403, 400)),
    ("POST", "sys/rotate", "/v1/sys/rotate", "", Token(403, 204)),
    ("POST", "sys/rotate/keyring", "/v1/sys/rotate/keyring", "", Token(403, 204)),
    ("GET", "sys/storage/raft/snapshot", "/v1/sys/storage/raft/snapshot", "", Token(403, 200)),
    ("POST", "sys/storage/raft/snapshot", "/v1/sys/storage/raft/snapshot", "", Token(403, 400)),
    ("POST", "sys/storage/raft/snapshot-force", "/v1/sys/storage/raft/snapshot-force", "", Token(403, 400)),
    ("POST", "sys/seal", "/v1/sys/seal", "", Token(403, 204)),
];

/// A server, and the tokens that no longer live.
pub(crate) struct House {
    pub(crate) warder: Running,
    pub(crate) expired: String,
    pub(crate) revoked: String,
}

impl House {
    pub(crate) fn new() -> Self {
        let warder = Running::dev(&["--root-token", ROOT]);
        let mut house = Self { warder, expired: String::new(), revoked: String::new() };
        house.expired = house.token(r#"{"policies":["root"],"ttl":"1s"}"#)[0].clone();
        house.revoked = house.token(r#"{"policies":["root"],"ttl":"1h"}"#)[0].clone();
        assert_eq!(house.ask("POST", "/api/v1/auth/revoke", "", &house.revoked).0, 204);
        // Dropped only at the end, so that waiting on it lasts as long as it is told to.
        let (_never, pause) = mpsc::channel::<()>();
        for _ in 0..200 {
            if house.ask("GET", "/api/v1/auth/self", "", &house.expired).0 == 401 {
                return house;
            }
            let _ = pause.recv_timeout(Duration::from_millis(50));
        }
        panic!("a token with a time to live of 1 s lives for 10 s");
    }

    pub(crate) fn ask(&self, method: &str, target: &str, body: &str, token: &str) -> (u16, Value) {
        let token = if token.is_empty() { String::new() } else { format!("X-Vault-Token: {token}\r\n") };
        let media = match (method, target) {
            ("PATCH", _) => "application/merge-patch+json",
            (_, "/api/v1/sys/restore") => "application/gzip",
            _ => "application/json",
        };
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: w\r\nConnection: close\r\nContent-Type: {media}\r\n{token}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let goes_on = target.starts_with("/api/v1/watch");
        let ask = if goes_on { raw::begin } else { raw::send };
        let answer = ask(self.warder.address, request.as_bytes());
        (answer.status, answer.json())
    }

    /// Text and accessor of a new token.
    pub(crate) fn token(&self, wanted: &str) -> [String; 2] {
        let (status, made) = self.ask("POST", "/api/v1/auth/tokens", wanted, ROOT);
        assert_eq!(status, 201, "{made}");
        ["token", "accessor"].map(|name| made[name].as_str().unwrap().to_owned())
    }

    /// What rows read, change and remove is there.
    pub(crate) fn furnish(&self) -> [String; 2] {
        for (target, body) in [
            ("/api/v1/secrets/door", r#"{"a":1}"#),
            ("/api/v1/policies/door", POLICY),
            ("/api/v1/mounts/door", r#"{"plugin":"kv"}"#),
            ("/v1/sys/quotas/rate-limit/door", LIMIT),
        ] {
            let (status, answer) = self.ask("PUT", target, body, ROOT);
            // The mount is there already, mostly.
            assert!(status < 300 || target.contains("mounts"), "{target}: {status} {answer}");
        }
        self.token(r#"{"policies":["default"],"ttl":"1h"}"#)
    }

    fn check(&self, row: &Row) {
        let (method, pattern, target, body, expect) = *row;
        let weak = self.token(r#"{"policies":["default"],"ttl":"1h"}"#)[0].clone();
        let good = self.token(r#"{"policies":["root"],"ttl":"1h"}"#)[0].clone();
        let nobody = if target.starts_with("/v1/") { 403 } else { 401 };
        let tokens = ["", UNKNOWN, &self.expired, &self.revoked, &weak, &good];
        let expected = match expect {
            Open(status) => [status; 6],
            Guest(status) => [status, nobody, nobody, nobody, status, status],
            Token(weak, good) => [nobody, nobody, nobody, nobody, weak, good],
        };
        for (kind, (token, expected)) in
            ["no", "unknown", "expired", "revoked", "weak", "good"].iter().zip(tokens.iter().zip(expected))
        {
            let [text, accessor] = self.furnish();
            let fill = |text_of: &str| text_of.replace("$accessor", &accessor).replace("$token", &text);
            let (status, answer) = self.ask(method, &fill(target), &fill(body), token);
            assert_eq!(status, expected, "{method} {pattern} ({target}) with {kind} token: {answer}");
        }
    }
}

#[test]
fn every_route_and_path_answers_every_kind_of_token_as_its_row_says() {
    let mut house = House::new();
    for row in ROUTES.iter().chain(PATHS) {
        house.check(row);
        if row.2.ends_with("sys/seal") {
            house = House::new();
        }
    }
}

#[test]
fn every_route_of_the_router_has_a_row_and_says_whether_it_is_open() {
    let rows: BTreeSet<_> = ROUTES.iter().map(|row| (row.0, row.1, matches!(row.4, Guest(_) | Open(_)))).collect();
    let there: BTreeSet<_> = routes().iter().map(|route| (route.method, route.pattern, route.public)).collect();
    assert_eq!(rows, there, "give each new route its row in ROUTES");
}

#[test]
fn every_path_of_the_broker_has_a_row_for_each_operation() {
    let method = |operation: &Operation| match operation {
        Operation::Delete => "DELETE",
        Operation::List => "LIST",
        Operation::Patch => "PATCH",
        Operation::Read => "GET",
        _ => "POST",
    };
    let rows: BTreeSet<_> = PATHS.iter().map(|row| (row.0, row.1)).collect();
    let there: BTreeSet<_> =
        sys::table().flat_map(|(path, all)| all.iter().map(move |operation| (method(operation), path))).collect();
    assert_eq!(rows, there, "give each new path its row in PATHS");
}

#[test]
fn a_refusal_tells_a_stranger_nothing_about_what_is_there() {
    let house = House::new();
    house.furnish();
    let told = |target: &str, token: &str| {
        let (status, mut answer) = house.ask("GET", target, "", token);
        answer["request_id"] = json!("");
        (status, answer)
    };
    let weak = house.token(r#"{"policies":["default"],"ttl":"1h"}"#)[0].clone();
    for token in ["", UNKNOWN, &house.expired, &house.revoked, &weak] {
        let there = told("/api/v1/secrets/door", token);
        assert_eq!(there, told("/api/v1/secrets/nothing", token));
        assert_eq!(told("/api/v1/mounts/door", token), told("/api/v1/mounts/nothing", token));
    }
}
