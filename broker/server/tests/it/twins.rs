//! What both native doors say of the same thing is the same: each row asks once over gRPC and once
//! over REST, and compares decision, data and word. Secrets by themselves are in `tests/grpc.rs`.

use prost_types::Timestamp;
use serde_json::{Value, json};
use tonic::{Request, Response, Status, transport::Channel};
use tonic_types::StatusExt as _;
use warder_proto::v1::{
    self, audit_service_client::AuditServiceClient, auth_service_client::AuthServiceClient,
    lease_service_client::LeaseServiceClient, limit_service_client::LimitServiceClient,
    mount_service_client::MountServiceClient, policy_service_client::PolicyServiceClient, secret_read_result::Outcome,
    secrets_service_client::SecretsServiceClient, sys_service_client::SysServiceClient,
    token_service_client::TokenServiceClient,
};

use crate::{raw, running::Running};

/// Both doors of one Warder.
struct Doors {
    warder: Running,
    channel: Channel,
    /// The token that is asked with.
    token: &'static str,
    differ: Vec<String>,
}

impl Doors {
    async fn open() -> Self {
        let warder = Running::dev(&["--root-token", "root"]);
        let channel = Channel::from_shared(format!("http://{}", warder.address)).unwrap().connect().await.unwrap();
        Self { warder, channel, token: "root", differ: Vec::new() }
    }

    fn asked<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if !self.token.is_empty() {
            request.metadata_mut().insert("authorization", format!("Bearer {}", self.token).parse().unwrap());
        }
        request
    }

    /// What REST says; for a refusal its word and field.
    fn rest(&self, method: &str, target: &str, body: &str) -> Value {
        let token = if self.token.is_empty() { String::new() } else { format!("X-Vault-Token: {}\r\n", self.token) };
        let request = format!(
            "{method} /api/v1/{target} HTTP/1.1\r\nHost: w\r\nConnection: close\r\n{token}\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = raw::send(self.warder.address, request.as_bytes());
        let shown = answer.json();
        match (answer.status, shown) {
            (400.., shown) => json!({"code": shown["code"], "field": shown["field"]}),
            (_, Value::Null) => json!({}),
            (_, shown) => shown,
        }
    }

    /// Notes a difference, and a word that is not the expected one.
    fn same(&mut self, what: &str, grpc: &Value, rest: &Value, expected: &str) {
        let word = rest.get("code").and_then(Value::as_str).unwrap_or("ok");
        let mut grpc = grpc.clone();
        // Some seconds may pass between the two questions.
        if let (Some(one), Some(other)) = (grpc["ttl_seconds"].as_u64(), rest["ttl_seconds"].as_u64())
            && one.abs_diff(other) <= 30
        {
            grpc["ttl_seconds"] = other.into();
        }
        if grpc != *rest || word != expected {
            self.differ.push(format!("{what}: expected {expected}\n  gRPC {grpc}\n  REST {rest}"));
        }
    }

    fn end(self) {
        assert!(self.differ.is_empty(), "{}", self.differ.join("\n"));
    }
}

/// An answer in REST's words.
fn said<T>(answered: Result<Response<T>, Status>, show: impl FnOnce(T) -> Value) -> Value {
    match answered {
        Ok(answer) => show(answer.into_inner()),
        Err(status) => {
            let details = status.get_error_details();
            let info = details.error_info().unwrap_or_else(|| panic!("{status:?} has no reason"));
            let field = details.bad_request().map(|bad| in_rest(&bad.field_violations[0].field));
            json!({"code": info.reason, "field": field})
        }
    }
}

fn nothing<T>(_: T) -> Value {
    json!({})
}

/// What REST calls a field.
fn in_rest(field: &str) -> &str {
    match field {
        "json" => "body",
        "block_interval_seconds" => "block_interval",
        "increment_seconds" => "increment",
        "interval_seconds" => "interval",
        field => field,
    }
}

fn moment(time: Option<&Timestamp>) -> Value {
    time.map_or(Value::Null, |time| json!(time.to_string()))
}

/// Times as gRPC prints them, and none of what is left out when it is nothing.
fn plain(mut shown: Value) -> Value {
    match &mut shown {
        Value::Object(members) => {
            members.retain(|name, value| !(value.is_null() && matches!(&**name, "renewed_at" | "period_seconds")));
            for (name, value) in members {
                let time = value.as_str().filter(|_| name.ends_with("_at")).and_then(|text| text.parse().ok());
                *value = time.map_or_else(|| plain(value.take()), |time: Timestamp| json!(time.to_string()));
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| *value = plain(value.take())),
        _ => {}
    }
    shown
}

/// What two things of one kind have in common: not their names and moments.
fn alike(mut shown: Value) -> Value {
    for name in ["token", "accessor", "created_at", "expires_at", "uuid", "records", "queued"] {
        if let Some(value) = shown.get_mut(name) {
            *value = json!(!value.is_null() && *value != "");
        }
    }
    shown
}

fn token(token: v1::Token) -> Value {
    let kind = if token.kind() == v1::TokenKind::Batch { "batch" } else { "service" };
    plain(json!({
        "accessor": token.accessor, "kind": kind, "display_name": token.display_name, "policies": token.policies,
        "entity_id": token.entity_id, "metadata": token.metadata, "path": token.path,
        "created_at": moment(token.created_at.as_ref()), "expires_at": moment(token.expires_at.as_ref()),
        "renewed_at": moment(token.renewed_at.as_ref()), "ttl_seconds": token.ttl_seconds,
        "creation_ttl_seconds": token.creation_ttl_seconds,
        "explicit_max_ttl_seconds": token.explicit_max_ttl_seconds, "period_seconds": token.period_seconds,
        "renewable": token.renewable, "orphan": token.orphan, "num_uses": token.num_uses,
    }))
}

fn issued(issued: v1::IssuedToken, warnings: &[String]) -> Value {
    let mut shown = json!({
        "accessor": issued.accessor, "policies": issued.policies, "ttl_seconds": issued.ttl_seconds,
        "renewable": issued.renewable, "entity_id": issued.entity_id, "metadata": issued.metadata,
    });
    if !issued.token.is_empty() {
        shown["token"] = json!(issued.token);
    }
    if !warnings.is_empty() {
        shown["warnings"] = json!(warnings);
    }
    shown
}

fn mount(mount: v1::Mount) -> Value {
    json!({
        "type": mount.plugin, "plugin": mount.plugin, "description": mount.description, "accessor": mount.accessor,
        "uuid": mount.uuid, "options": mount.options, "created_at": moment(mount.created_at.as_ref()),
    })
}

fn standing(status: Option<v1::SealStatus>) -> Value {
    let status = status.unwrap();
    json!({
        "initialized": status.initialized, "sealed": status.sealed, "seal": status.seal,
        "threshold": status.threshold, "shares": status.shares, "progress": status.progress,
        "nonce": status.nonce, "version": status.version,
    })
}

fn key_status(status: v1::SysServiceKeyStatusResponse) -> Value {
    let rewrap = status.rewrap.unwrap();
    json!({
        "term": status.term, "installed_at": moment(status.installed_at.as_ref()), "encryptions": status.encryptions,
        "oldest_term": status.oldest_term, "terms": status.terms,
        "rewrap": {"pending": rewrap.pending, "checked": rewrap.checked, "moved": rewrap.moved, "broken": rewrap.broken},
    })
}

/// Without what goes on between the two questions.
fn unsettled(mut shown: Value) -> Value {
    for name in ["encryptions", "oldest_term", "terms", "rewrap"] {
        assert!(shown.as_object_mut().unwrap().remove(name).is_some(), "{name} is missing");
    }
    shown
}

/// Without what a renewal says of the seconds that are left until the token's last.
fn unwarned(mut shown: Value) -> Value {
    if let Some(members) = shown.as_object_mut() {
        members.remove("warnings");
    }
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_the_same_through_both_doors() {
    let mut doors = Doors::open().await;
    let mut client = TokenServiceClient::new(doors.channel.clone());
    let mut made = Vec::new();
    let wanted = v1::TokenServiceCreateRequest::default;
    for (message, body, expected) in [
        (wanted(), "{}", "ok"),
        (
            v1::TokenServiceCreateRequest {
                policies: vec!["default".to_owned(), "nobody-wrote-it".to_owned()],
                ttl_seconds: 3600,
                display_name: "ci".to_owned(),
                metadata: [("team".to_owned(), "\"a\"".to_owned())].into(),
                ..wanted()
            },
            r#"{"policies":["default","nobody-wrote-it"],"ttl":"1h","display_name":"ci","metadata":{"team":"\"a\""}}"#,
            "ok",
        ),
        (
            v1::TokenServiceCreateRequest {
                policies: vec!["default".to_owned()],
                ttl_seconds: 600,
                explicit_max_ttl_seconds: 1200,
                renewable: Some(false),
                num_uses: 3,
                orphan: true,
                ..wanted()
            },
            r#"{"policies":["default"],"ttl":600,"explicit_max_ttl":1200,"renewable":false,"num_uses":3,"orphan":true}"#,
            "ok",
        ),
        (
            v1::TokenServiceCreateRequest {
                policies: vec!["a".to_owned()],
                period_seconds: 300,
                no_default_policy: true,
                kind: v1::TokenKind::Service.into(),
                ..wanted()
            },
            r#"{"policies":["a"],"period":300,"no_default_policy":true,"type":"service"}"#,
            "ok",
        ),
        (
            v1::TokenServiceCreateRequest {
                policies: vec!["a".to_owned()],
                kind: v1::TokenKind::Batch.into(),
                ttl_seconds: 60,
                ..wanted()
            },
            r#"{"policies":["a"],"type":"batch","ttl":60}"#,
            "ok",
        ),
        (
            v1::TokenServiceCreateRequest { kind: v1::TokenKind::Batch.into(), num_uses: 1, ..wanted() },
            r#"{"type":"batch","num_uses":1}"#,
            "invalid_request",
        ),
        (
            v1::TokenServiceCreateRequest { ttl_seconds: u64::MAX, policies: vec!["a".to_owned()], ..wanted() },
            r#"{"ttl":18446744073709551615,"policies":["a"]}"#,
            "ok",
        ),
        (
            v1::TokenServiceCreateRequest { id: "with.dots".to_owned(), ..wanted() },
            r#"{"id":"with.dots"}"#,
            "invalid_request",
        ),
    ] {
        let answered = client.create(doors.asked(message)).await;
        let grpc = said(answered, |answer| issued(answer.issued.unwrap(), &answer.warnings));
        let rest = doors.rest("POST", "auth/tokens", body);
        made.extend([&grpc, &rest].into_iter().filter_map(|shown| Some(shown["accessor"].as_str()?.to_owned())));
        doors.same(&format!("Create {body}"), &alike(grpc), &alike(rest), expected);
    }
    made.retain(|accessor| !accessor.is_empty());
    made.push("unknown".to_owned());
    for (at, accessor) in made.iter().enumerate() {
        let expected = if accessor == "unknown" { "not_found" } else { "ok" };
        let asked = v1::TokenServiceLookupRequest { accessor: accessor.clone() };
        let grpc = said(client.lookup(doors.asked(asked)).await, |answer| token(answer.token.unwrap()));
        let rest = plain(doors.rest("GET", &format!("auth/tokens/{accessor}"), ""));
        doors.same(&format!("Lookup {at}"), &grpc, &rest, expected);
    }
    for (at, accessor) in made.iter().enumerate() {
        for increment_seconds in [None, Some(120), Some(0)] {
            let asked = v1::TokenServiceRenewRequest { accessor: accessor.clone(), increment_seconds };
            let answered = client.renew(doors.asked(asked)).await;
            let grpc = said(answered, |answer| issued(answer.renewed.unwrap(), &answer.warnings));
            let body = increment_seconds.map_or_else(|| "{}".to_owned(), |s| format!(r#"{{"increment":{s}}}"#));
            let rest = doors.rest("POST", &format!("auth/tokens/{accessor}/renew"), &body);
            let expected = rest["code"].as_str().unwrap_or("ok").to_owned();
            doors.same(&format!("Renew {at} {body}"), &unwarned(grpc), &unwarned(rest), &expected);
        }
    }
    let mut after = None;
    for page in 0..20 {
        let asked = v1::TokenServiceListRequest { after: after.clone(), limit: Some(2) };
        let answered = client.list(doors.asked(asked)).await;
        let grpc = said(answered, |answer| json!({"keys": answer.accessors, "next": answer.next}));
        let from = after.take().map(|name| format!("&after={name}")).unwrap_or_default();
        let rest = doors.rest("GET", &format!("auth/tokens?limit=2{from}"), "");
        assert!(page > 0 || grpc["keys"].as_array().unwrap().len() == 2, "{grpc}");
        doors.same(&format!("List, page {page}"), &grpc, &rest, "ok");
        after = grpc["next"].as_str().map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    let whole = client.list(doors.asked(v1::TokenServiceListRequest::default())).await;
    let whole = said(whole, |answer| json!({"keys": answer.accessors, "next": answer.next}));
    doors.same("List", &whole, &doors.rest("GET", "auth/tokens", ""), "ok");
    assert!(whole["keys"].as_array().unwrap().len() > 8, "{whole}");
    for limit in [0, 10_001] {
        let asked = v1::TokenServiceListRequest { after: None, limit: Some(limit) };
        let grpc = said(client.list(doors.asked(asked)).await, |_| json!({}));
        doors.same("List", &grpc, &doors.rest("GET", &format!("auth/tokens?limit={limit}"), ""), "invalid_request");
    }
    for (at, accessor) in made.iter().enumerate() {
        // The other door says that it is gone.
        let asked = v1::TokenServiceRevokeRequest { accessor: accessor.clone() };
        let target = format!("auth/tokens/{accessor}");
        let first = if at % 2 == 0 {
            said(client.revoke(doors.asked(asked.clone())).await, nothing)
        } else {
            doors.rest("DELETE", &target, "")
        };
        assert_eq!(first.get("code").is_some(), accessor == "unknown", "{first}");
        let grpc = said(client.revoke(doors.asked(asked)).await, nothing);
        doors.same(&format!("Revoke {at}"), &grpc, &doors.rest("DELETE", &target, ""), "not_found");
    }
    doors.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn ones_own_token_is_the_same_through_both_doors() {
    let mut doors = Doors::open().await;
    let mut client = TokenServiceClient::new(doors.channel.clone());
    for (text, renewal) in [("root", "invalid_request"), ("mine", "ok"), ("other", "ok"), ("", "unauthenticated")] {
        if matches!(text, "mine" | "other") {
            doors.token = "root";
            let made =
                doors.rest("POST", "auth/tokens", &json!({"id": text, "policies": ["a"], "ttl": 600}).to_string());
            assert_eq!(made["token"], text, "{made}");
        }
        doors.token = text;
        let grpc = client.lookup_self(doors.asked(v1::TokenServiceLookupSelfRequest {})).await;
        let grpc = said(grpc, |answer| token(answer.token.unwrap()));
        let rest = plain(doors.rest("GET", "auth/self", ""));
        let known = if text.is_empty() { "unauthenticated" } else { "ok" };
        doors.same(&format!("LookupSelf {text}"), &grpc, &rest, known);
        let renewed = client.renew_self(doors.asked(v1::TokenServiceRenewSelfRequest { increment_seconds: Some(60) }));
        let grpc = said(renewed.await, |answer| issued(answer.renewed.unwrap(), &answer.warnings));
        let rest = doors.rest("POST", "auth/renew", r#"{"increment":60}"#);
        doors.same(&format!("RenewSelf {text}"), &grpc, &rest, renewal);
        if text == "mine" {
            let grpc = client.revoke_self(doors.asked(v1::TokenServiceRevokeSelfRequest {})).await;
            assert_eq!(said(grpc, nothing), json!({}));
        }
        if text == "other" {
            assert_eq!(doors.rest("POST", "auth/revoke", ""), json!({}));
        }
        if matches!(text, "mine" | "other") {
            let grpc = client.revoke_self(doors.asked(v1::TokenServiceRevokeSelfRequest {})).await;
            let rest = doors.rest("POST", "auth/revoke", "");
            doors.same("RevokeSelf", &said(grpc, nothing), &rest, "unauthenticated");
        }
    }
    doors.end();
}

const TEXT: &str = "path \"secret/data/a/*\" {\n  capabilities = [\"read\", \"create\"]\n}\n";

#[tokio::test(flavor = "multi_thread")]
async fn policies_are_the_same_through_both_doors() {
    let mut doors = Doors::open().await;
    let mut client = PolicyServiceClient::new(doors.channel.clone());
    for (name, text, expected) in [
        ("a", TEXT, "ok"),
        ("a", r#"{"path":{"b":{"capabilities":["list"]}}}"#, "ok"),
        ("b", TEXT, "ok"),
        ("b", "", "invalid_request"),
        ("b", "path {", "invalid_request"),
        ("b", r#"path "a" { capabilities = ["fly"] }"#, "invalid_request"),
        ("root", TEXT, "invalid_request"),
    ] {
        let asked = v1::PolicyServicePutRequest { name: name.to_owned(), policy: text.to_owned() };
        let grpc = said(client.put(doors.asked(asked)).await, nothing);
        let rest = doors.rest("PUT", &format!("policies/{name}"), &json!({"policy": text}).to_string());
        doors.same(&format!("Put {name} {text}"), &grpc, &rest, expected);
    }
    for (name, expected) in
        [("a", "ok"), ("b", "ok"), ("default", "ok"), ("root", "ok"), ("none", "not_found"), ("A B", "invalid_request")]
    {
        let asked = v1::PolicyServiceGetRequest { name: name.to_owned() };
        let grpc = said(
            client.get(doors.asked(asked)).await,
            |answer| json!({"name": answer.name, "policy": answer.policy, "updated_at": moment(answer.updated_at.as_ref())}),
        );
        let mut rest = plain(doors.rest("GET", &format!("policies/{}", name.replace(' ', "%20")), ""));
        if rest.get("code").is_none() && rest.get("updated_at").is_none() {
            rest["updated_at"] = Value::Null;
        }
        doors.same(&format!("Get {name}"), &grpc, &rest, expected);
    }
    for name in ["", "a/b", ".."] {
        let asked = v1::PolicyServiceGetRequest { name: name.to_owned() };
        let grpc = said(client.get(doors.asked(asked)).await, nothing);
        assert_eq!(grpc, json!({"code": "invalid_request", "field": "name"}), "{name}");
    }
    for (after, limit) in [(None, None), (None, Some(2)), (Some("b"), Some(2)), (Some("root"), None)] {
        let asked = v1::PolicyServiceListRequest { after: after.map(str::to_owned), limit };
        let answered = client.list(doors.asked(asked)).await;
        let grpc = said(answered, |answer| json!({"keys": answer.names, "next": answer.next}));
        let after = after.map(|name| format!("after={name}&")).unwrap_or_default();
        let limit = limit.map(|limit| format!("limit={limit}")).unwrap_or_default();
        let rest = doors.rest("GET", format!("policies?{after}{limit}").trim_end_matches(['?', '&']), "");
        doors.same(&format!("List {after}{limit}"), &grpc, &rest, "ok");
    }
    for (name, expected) in [("a", "ok"), ("none", "ok"), ("default", "invalid_request"), ("root", "invalid_request")] {
        let asked = v1::PolicyServiceDeleteRequest { name: name.to_owned() };
        let grpc = said(client.delete(doors.asked(asked)).await, nothing);
        doors.same(&format!("Delete {name}"), &grpc, &doors.rest("DELETE", &format!("policies/{name}"), ""), expected);
    }
    doors.end();
}

fn decision(answer: v1::PolicyServiceExplainResponse) -> Value {
    let word = |operation: v1::Operation| operation.as_str_name().trim_start_matches("OPERATION_").to_lowercase();
    let operation = word(answer.operation());
    let decision = answer.decision.unwrap();
    let matched = match decision.matched_by() {
        v1::MatchedBy::Unspecified => Value::Null,
        other => json!(other.as_str_name().trim_start_matches("MATCHED_BY_").to_lowercase()),
    };
    json!({
        "path": answer.path, "operation": operation, "policies": answer.policies,
        "decision": {
            "allowed": decision.allowed, "capabilities": decision.capabilities, "reason": decision.reason,
            "policies": decision.policies, "rule": decision.rule, "matched_by": matched, "missing": decision.missing,
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn explanations_are_the_same_through_both_doors() {
    let mut doors = Doors::open().await;
    let mut client = PolicyServiceClient::new(doors.channel.clone());
    assert_eq!(doors.rest("PUT", "policies/p", &json!({"policy": TEXT}).to_string()), json!({}));
    let parameters = r#"path "b" { capabilities = ["update"] denied_parameters = { "c" = ["d"] } }"#;
    assert_eq!(doors.rest("PUT", "policies/q", &json!({"policy": parameters}).to_string()), json!({}));
    let token =
        doors.rest("POST", "auth/tokens", r#"{"policies":["p"],"ttl":600}"#)["token"].as_str().unwrap().to_owned();
    for (operation, path, policies, token, fields, expected) in [
        ("READ", "secret/data/a/b", Some(vec!["p"]), None, None, "ok"),
        ("DELETE", "secret/data/a/b", Some(vec!["p", "default"]), None, None, "ok"),
        ("LIST", "elsewhere", Some(vec!["p"]), None, None, "ok"),
        ("PATCH", "secret/data/a", Some(vec![]), None, None, "ok"),
        ("CREATE", "secret/data/a/b", None, Some(&token), None, "ok"),
        ("ROTATE", "secret/data/a", None, None, None, "ok"),
        ("UPDATE", "b", Some(vec!["q"]), None, Some(r#"{"c":"d"}"#), "ok"),
        ("UPDATE", "b", Some(vec!["q"]), None, Some(r#"{"c":"e"}"#), "ok"),
        ("UPDATE", "b", Some(vec!["q"]), None, Some("[]"), "invalid_request"),
        ("READ", "a//b", None, None, None, "invalid_request"),
        ("READ", "a", None, Some(&"hvs.nobody".to_owned()), None, "permission_denied"),
    ] {
        let named = v1::Operation::from_str_name(&format!("OPERATION_{operation}")).unwrap();
        let names =
            |policies: &Vec<&str>| v1::PolicyNames { names: policies.iter().map(|p| (*p).to_owned()).collect() };
        let asked = v1::PolicyServiceExplainRequest {
            path: path.to_owned(),
            operation: named.into(),
            policies: policies.as_ref().map(names),
            token: token.cloned(),
            json: fields.unwrap_or_default().into(),
        };
        let grpc = said(client.explain(doors.asked(asked)).await, decision);
        let mut body =
            json!({"path": path, "operation": operation.to_lowercase(), "policies": policies, "token": token});
        if let Some(fields) = fields {
            body["fields"] = serde_json::from_str(fields).unwrap();
        }
        let rest = doors.rest("POST", "policies:explain", &body.to_string());
        doors.same(&format!("Explain {body}"), &grpc, &rest, expected);
    }
    let grpc = client.explain(doors.asked(v1::PolicyServiceExplainRequest::default())).await;
    assert_eq!(said(grpc, decision), json!({"code": "invalid_request", "field": "operation"}));
    doors.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn mounts_plugins_and_sinks_are_the_same_through_both_doors() {
    let mut doors = Doors::open().await;
    let mut client = MountServiceClient::new(doors.channel.clone());
    for (path, plugin, expected) in [
        ("team/$door", "kv", "ok"),
        ("team/$door/", "kv", "conflict"),
        ("secret/below", "kv", "conflict"),
        ("sys/mine", "kv", "invalid_request"),
        ("other", "nothing", "invalid_request"),
        ("other", "", "invalid_request"),
    ] {
        let at = |door: &str| path.replace("$door", door);
        let options = [("version".to_owned(), "2".to_owned())];
        let asked = v1::MountServiceEnableRequest {
            path: at("grpc"),
            plugin: plugin.to_owned(),
            description: "for \"tests\"".to_owned(),
            options: options.clone().into(),
        };
        let grpc = said(client.enable(doors.asked(asked)).await, nothing);
        let options: serde_json::Map<_, _> = options.into_iter().map(|(name, text)| (name, text.into())).collect();
        let mut body = json!({"description": "for \"tests\"", "options": options});
        if !plugin.is_empty() {
            body["plugin"] = plugin.into();
        }
        let rest = doors.rest("PUT", &format!("mounts/{}", at("rest")), &body.to_string());
        doors.same(&format!("Enable {path} {plugin}"), &grpc, &rest, expected);
    }
    let grpc = said(client.list(doors.asked(v1::MountServiceListRequest {})).await, |answer| {
        let all = answer.mounts.into_iter().map(|one| (one.path.clone(), mount(one)));
        Value::Object(all.collect())
    });
    assert_eq!(alike(grpc["team/grpc/"].clone()), alike(grpc["team/rest/"].clone()), "{grpc}");
    let rest = plain(doors.rest("GET", "mounts", ""));
    doors.same("List", &grpc, &rest, "ok");
    for (path, expected) in [("secret", "ok"), ("secret/", "ok"), ("team/rest", "ok"), ("nowhere", "not_found")] {
        let asked = v1::MountServiceGetRequest { path: path.to_owned() };
        let grpc = said(client.get(doors.asked(asked)).await, |answer| mount(answer.mount.unwrap()));
        let rest = plain(doors.rest("GET", &format!("mounts/{path}"), ""));
        doors.same(&format!("Get {path}"), &grpc, &rest, expected);
    }
    for path in ["", "/"] {
        let grpc = client.get(doors.asked(v1::MountServiceGetRequest { path: path.to_owned() })).await;
        assert_eq!(said(grpc, nothing), json!({"code": "invalid_request", "field": "path"}), "{path:?}");
    }
    for (path, options, expected) in [
        ("team/$door", r#"{"max_calls":"9","note":"a"}"#, "ok"),
        ("team/$door", r#"{"note":""}"#, "ok"),
        ("team/$door", r#"{"max_calls":"none"}"#, "invalid_request"),
        ("nowhere", "{}", "not_found"),
    ] {
        let body = format!(r#"{{"description":"tuned","options":{options}}}"#);
        let asked = v1::MountServiceTuneRequest {
            path: path.replace("$door", "grpc"),
            description: Some("tuned".to_owned()),
            options: serde_json::from_str(options).unwrap(),
        };
        let grpc = said(client.tune(doors.asked(asked)).await, nothing);
        let rest = doors.rest("PATCH", &format!("mounts/{}", path.replace("$door", "rest")), &body);
        doors.same(&format!("Tune {path} {body}"), &grpc, &rest, expected);
    }
    let shown = ["grpc", "rest"].map(|door| alike(doors.rest("GET", &format!("mounts/team/{door}"), "")));
    assert_eq!(shown[0], shown[1]);
    assert_eq!(shown[0]["options"], json!({"version": "2", "max_calls": "9"}));
    for (path, expected) in [("team/$door", "ok"), ("team/$door", "not_found"), ("nowhere", "not_found")] {
        let asked = v1::MountServiceDisableRequest { path: path.replace("$door", "grpc") };
        let grpc = said(client.disable(doors.asked(asked)).await, nothing);
        let rest = doors.rest("DELETE", &format!("mounts/{}", path.replace("$door", "rest")), "");
        doors.same(&format!("Disable {path}"), &grpc, &rest, expected);
    }
    let grpc = said(client.list_plugins(doors.asked(v1::MountServiceListPluginsRequest {})).await, |answer| {
        let all = answer.plugins.into_iter().map(|one| (one.name, one.version.into()));
        json!({"plugins": Value::Object(all.collect())})
    });
    assert!(grpc["plugins"]["kv"].is_string(), "{grpc}");
    let rest = doors.rest("GET", "plugins", "");
    doors.same("ListPlugins", &grpc, &rest, "ok");
    let mut client = AuditServiceClient::new(doors.channel.clone());
    let grpc = said(client.list_sinks(doors.asked(v1::AuditServiceListSinksRequest {})).await, |answer| {
        let one = |sink: v1::AuditSink| {
            alike(json!({
                "name": sink.name, "type": sink.r#type, "healthy": sink.healthy, "queued": sink.queued,
                "records": sink.records, "failures": sink.failures, "last_error": sink.last_error,
            }))
        };
        json!({"sinks": answer.sinks.into_iter().map(one).collect::<Vec<_>>()})
    });
    let mut rest = doors.rest("GET", "audit", "");
    rest["sinks"].as_array_mut().unwrap().iter_mut().for_each(|sink| *sink = alike(sink.take()));
    assert!(!rest["sinks"].as_array().unwrap().is_empty(), "{rest}");
    doors.same("ListSinks", &grpc, &rest, "ok");
    doors.end();
}

/// Whole numbers as REST writes them.
fn whole(number: f64) -> Value {
    if number.fract() == 0.0 { json!(number as u64) } else { json!(number) }
}

fn limit(limit: v1::Limit) -> Value {
    let group_by = match limit.group_by() {
        v1::GroupBy::Unspecified => "unspecified",
        v1::GroupBy::Ip => "ip",
        v1::GroupBy::None => "none",
        v1::GroupBy::TokenThenIp => "token_then_ip",
    };
    json!({
        "name": limit.name, "path": limit.path, "rate": whole(limit.rate), "group_by": group_by,
        "interval_seconds": whole(limit.interval_seconds.unwrap()),
        "block_interval_seconds": whole(limit.block_interval_seconds.unwrap()),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_limits_are_the_same_through_both_doors() {
    let mut doors = Doors::open().await;
    let mut client = LimitServiceClient::new(doors.channel.clone());
    let wanted = |rate: f64, path: &str| v1::Limit { rate, path: path.to_owned(), ..Default::default() };
    let slow = v1::Limit {
        interval_seconds: Some(0.5),
        block_interval_seconds: Some(90.0),
        group_by: v1::GroupBy::TokenThenIp.into(),
        ..wanted(1e6, "secret/$door")
    };
    let slow_body =
        r#"{"rate":1000000,"path":"secret/$door","interval":"500ms","block_interval":90,"group_by":"token_then_ip"}"#;
    let long = v1::Limit { interval_seconds: Some(90_000.0), ..wanted(1.0, "") };
    for (name, message, body, expected) in [
        ("$door", slow, slow_body, "ok"),
        ("$door-2", wanted(0.5, "secret/$door"), r#"{"rate":0.5,"path":"secret/$door"}"#, "ok"),
        ("again", wanted(0.5, "secret/$door"), r#"{"rate":0.5,"path":"secret/$door"}"#, "invalid_request"),
        ("none", wanted(0.0, ""), r#"{"rate":0}"#, "invalid_request"),
        ("none", wanted(f64::NAN, ""), r#"{"rate":null}"#, "invalid_request"),
        ("none", long, r#"{"rate":1,"interval":"25h"}"#, "invalid_request"),
        ("none", wanted(1.0, "nowhere/a"), r#"{"rate":1,"path":"nowhere/a"}"#, "invalid_request"),
        ("a b", wanted(1.0, ""), r#"{"rate":1}"#, "invalid_request"),
    ] {
        let mut sent = message;
        sent.name = name.replace("$door", "grpc");
        sent.path = sent.path.replace("$door", "grpc");
        let grpc = client.put(doors.asked(v1::LimitServicePutRequest { limit: Some(sent) })).await;
        let target = format!("limits/{}", name.replace("$door", "rest").replace(' ', "%20"));
        let rest = doors.rest("PUT", &target, &body.replace("$door", "rest"));
        doors.same(&format!("Put {name} {body}"), &said(grpc, nothing), &rest, expected);
    }
    for (name, expected) in [("grpc", "ok"), ("rest-2", "ok"), ("nobody", "not_found")] {
        let asked = v1::LimitServiceGetRequest { name: name.to_owned() };
        let grpc = said(client.get(doors.asked(asked)).await, |answer| limit(answer.limit.unwrap()));
        doors.same(&format!("Get {name}"), &grpc, &doors.rest("GET", &format!("limits/{name}"), ""), expected);
    }
    for (after, limit, target) in [(None, None, "limits"), (Some("grpc"), Some(1), "limits?after=grpc&limit=1")] {
        let asked = v1::LimitServiceListRequest { after: after.map(str::to_owned), limit };
        let grpc =
            said(client.list(doors.asked(asked)).await, |answer| json!({"keys": answer.names, "next": answer.next}));
        assert!(grpc["keys"].as_array().is_some_and(|keys| !keys.is_empty()), "{grpc}");
        doors.same(target, &grpc, &doors.rest("GET", target, ""), "ok");
    }
    let grpc = client.list_locked_users(doors.asked(v1::LimitServiceListLockedUsersRequest {})).await;
    let grpc = said(grpc, |answer| {
        let one = |user: v1::LockedUser| json!({"accessor": user.accessor, "name": user.name});
        json!({"locked": answer.locked.into_iter().map(one).collect::<Vec<_>>()})
    });
    doors.same("ListLockedUsers", &grpc, &doors.rest("GET", "locked-users", ""), "ok");
    for (accessor, name, expected) in [
        ("kv_1", "alice", "ok"),
        ("kv_1", "a/b", "ok"),
        ("kv_1", "", "invalid_request"),
        ("kv_1", "a//b", "invalid_request"),
    ] {
        let asked = v1::LimitServiceUnlockUserRequest { accessor: accessor.to_owned(), name: name.to_owned() };
        let grpc = said(client.unlock_user(doors.asked(asked)).await, nothing);
        let rest = doors.rest("DELETE", &format!("locked-users/{accessor}/{name}"), "");
        // A path that REST does not take is not its field's fault.
        let rest = if name == "a//b" { json!({"code": rest["code"], "field": "name"}) } else { rest };
        doors.same(&format!("UnlockUser {accessor} {name}"), &grpc, &rest, expected);
    }
    for name in ["$door", "$door", "nobody"] {
        let asked = v1::LimitServiceDeleteRequest { name: name.replace("$door", "grpc") };
        let grpc = said(client.delete(doors.asked(asked)).await, nothing);
        let rest = doors.rest("DELETE", &format!("limits/{}", name.replace("$door", "rest")), "");
        doors.same(&format!("Delete {name}"), &grpc, &rest, "ok");
    }
    doors.end();
}

/// What is there is asked for in the testkit, with a plugin that issues.
#[tokio::test(flavor = "multi_thread")]
async fn leases_are_the_same_through_both_doors() {
    const NONE: &str = "nowhere/a/AAAAAAAAAAAAAAAAAAAAAAAA";
    let mut doors = Doors::open().await;
    let mut client = LeaseServiceClient::new(doors.channel.clone());
    for (prefix, limit, target, expected) in [
        ("", None, "leases", "ok"),
        ("nowhere/a", Some(3), "leases?prefix=nowhere/a&limit=3", "ok"),
        ("nowhere/a/", None, "leases?prefix=nowhere/a/&list=true", "ok"),
        ("nowhere//a", None, "leases?prefix=nowhere//a", "invalid_request"),
        ("", Some(0), "leases?limit=0", "invalid_request"),
    ] {
        let asked = v1::LeaseServiceListRequest { prefix: prefix.to_owned(), after: None, limit };
        let grpc =
            said(client.list(doors.asked(asked)).await, |answer| json!({"keys": answer.keys, "next": answer.next}));
        doors.same(target, &grpc, &doors.rest("GET", target, ""), expected);
    }
    for id in [NONE, "nowhere"] {
        let lookup = v1::LeaseServiceLookupRequest { lease_id: id.to_owned() };
        let grpc = said(client.lookup(doors.asked(lookup)).await, nothing);
        doors.same(&format!("Lookup {id}"), &grpc, &doors.rest("GET", &format!("leases/{id}"), ""), "not_found");
        let renew = v1::LeaseServiceRenewRequest { lease_id: id.to_owned(), increment_seconds: Some(5) };
        let grpc = said(client.renew(doors.asked(renew)).await, nothing);
        let rest = doors.rest("POST", &format!("leases/{id}/renew"), r#"{"increment":5}"#);
        doors.same(&format!("Renew {id}"), &grpc, &rest, "not_found");
        let revoke = v1::LeaseServiceRevokeRequest { lease_id: id.to_owned() };
        let grpc = said(client.revoke(doors.asked(revoke)).await, nothing);
        doors.same(&format!("Revoke {id}"), &grpc, &doors.rest("DELETE", &format!("leases/{id}"), ""), "ok");
    }
    for (prefix, force, target, expected) in [
        ("nowhere", false, "leases?prefix=nowhere", "ok"),
        ("nowhere/", true, "leases?prefix=nowhere/&force=true", "ok"),
        ("", false, "leases", "invalid_request"),
        ("a//b", false, "leases?prefix=a//b", "invalid_request"),
    ] {
        let asked = v1::LeaseServiceRevokePrefixRequest { prefix: prefix.to_owned(), force };
        let grpc = said(client.revoke_prefix(doors.asked(asked)).await, nothing);
        doors.same(&format!("RevokePrefix {target}"), &grpc, &doors.rest("DELETE", target, ""), expected);
    }
    doors.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seal_and_logins_are_the_same_through_both_doors() {
    let mut doors = Doors::open().await;
    doors.token = "";
    let mut client = SysServiceClient::new(doors.channel.clone());
    let grpc = client.status(doors.asked(v1::SysServiceStatusRequest {})).await;
    let grpc = said(grpc, |answer| standing(answer.status));
    doors.same("Status", &grpc, &doors.rest("GET", "sys/status", ""), "ok");
    for (shares, threshold, expected) in
        [(1, 1, "conflict"), (0, 1, "invalid_request"), (3, 256, "invalid_request"), (3, 0, "invalid_request")]
    {
        let grpc = client.init(doors.asked(v1::SysServiceInitRequest { shares, threshold })).await;
        let body = json!({"shares": shares, "threshold": threshold}).to_string();
        doors.same(&format!("Init {body}"), &said(grpc, nothing), &doors.rest("POST", "sys/init", &body), expected);
    }
    for (key, reset, body, expected) in [
        ("", true, r#"{"reset":true}"#, "ok"),
        ("", false, "{}", "invalid_request"),
        ("not a share!", false, r#"{"key":"not a share!"}"#, "invalid_request"),
    ] {
        let asked = v1::SysServiceUnsealRequest { key: key.to_owned(), reset };
        let grpc = said(client.unseal(doors.asked(asked)).await, |answer| standing(answer.status));
        doors.same(&format!("Unseal {body}"), &grpc, &doors.rest("POST", "sys/unseal", body), expected);
    }
    doors.token = "root";
    for expected in ["ok", "ok"] {
        let grpc = client.rotate(doors.asked(v1::SysServiceRotateRequest {})).await;
        doors.same("Rotate", &said(grpc, nothing), &doors.rest("POST", "sys/rotate", ""), expected);
        let grpc = said(client.key_status(doors.asked(v1::SysServiceKeyStatusRequest {})).await, key_status);
        let rest = plain(doors.rest("GET", "sys/key-status", ""));
        assert!(rest["term"].as_u64() > Some(2) && rest["installed_at"].is_string(), "{rest}");
        doors.same("KeyStatus", &unsettled(grpc), &unsettled(rest), "ok");
    }
    doors.token = "";
    let grpc = client.rotate(doors.asked(v1::SysServiceRotateRequest {})).await;
    doors.same("Rotate", &said(grpc, nothing), &doors.rest("POST", "sys/rotate", ""), "unauthenticated");
    let mut client = AuthServiceClient::new(doors.channel.clone());
    for (method, mount, json, body, expected) in [
        ("kubernetes", None, "", r#"{"method":"kubernetes"}"#, "unauthenticated"),
        (
            "userpass",
            Some("people"),
            r#"{"a":1}"#,
            r#"{"method":"userpass","mount":"people","a":1}"#,
            "unauthenticated",
        ),
        ("kubernetes", None, "[]", "[]", "invalid_request"),
        ("", None, "", "{}", "invalid_request"),
        ("a//b", None, "", r#"{"method":"a//b"}"#, "invalid_request"),
        ("a", Some("b//c"), "", r#"{"method":"a","mount":"b//c"}"#, "invalid_request"),
    ] {
        let (method, mount) = (method.to_owned(), mount.map(str::to_owned));
        let asked = v1::AuthServiceLoginRequest { method, mount, json: json.into() };
        let grpc = said(client.login(doors.asked(asked)).await, |_| json!({}));
        doors.same(&format!("Login {body}"), &grpc, &doors.rest("POST", "auth/login", body), expected);
    }
    doors.end();
}

fn read(path: &str, version: Option<u64>) -> v1::SecretRead {
    v1::SecretRead { path: path.to_owned(), version }
}

/// One result in REST's words.
fn result(result: v1::SecretReadResult) -> Value {
    match result.outcome.unwrap() {
        Outcome::Secret(secret) => {
            let value: Value = serde_json::from_slice(&secret.json).unwrap();
            let metadata: Value = serde_json::from_slice(&secret.metadata_json).unwrap();
            let created = moment(secret.created_at.as_ref());
            json!({"path": secret.path, "data": value, "version": secret.version, "created_at": created, "metadata": metadata})
        }
        Outcome::Refusal(refusal) => {
            let known =
                |name: &str| refusal.metadata.get(name).map(|text| serde_json::from_str::<Value>(text).unwrap());
            assert!(!refusal.metadata["request_id"].is_empty() && !refusal.detail.is_empty(), "{refusal:?}");
            json!({"code": refusal.reason, "field": refusal.field, "detail": refusal.detail,
                "version": known("version"), "destroyed": known("destroyed")})
        }
    }
}

fn rest_result(result: &Value) -> Value {
    let Some(error) = result.get("error") else { return plain(result.clone()) };
    json!({"code": error["code"], "field": error["field"], "detail": error["detail"],
        "version": error["version"], "destroyed": error["destroyed"]})
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_the_same_through_both_doors_each_read_by_itself() {
    let mut doors = Doors::open().await;
    let mut client = SecretsServiceClient::new(doors.channel.clone());
    for (path, value) in [("a", r#"{"n":1.50}"#), ("a", r#"{"n":2}"#), ("b/c", r#"{"x":"y"}"#), ("gone", "{}")] {
        assert!(doors.rest("PUT", &format!("secrets/{path}"), value).get("code").is_none());
    }
    assert_eq!(doors.rest("DELETE", "secrets/gone", ""), json!({}));
    let policy = r#"path "secret/data/b/*" { capabilities = ["read"] }"#;
    assert_eq!(doors.rest("PUT", "policies/b", &json!({"policy": policy}).to_string()), json!({}));
    assert!(doors.rest("POST", "auth/tokens", r#"{"id":"only-b","policies":["b"]}"#).get("code").is_none());
    assert!(doors.rest("POST", "auth/tokens", r#"{"id":"twice","policies":["b"],"num_uses":4}"#).get("code").is_none());
    let mixed = || {
        vec![
            read("a", None),
            read("a", Some(1)),
            read("b/c", None),
            read("a", Some(9)),
            read("gone", None),
            read("none", None),
            read("a//b", None),
            read("a/", None),
            read("a", Some(0)),
            read("a", Some(1 << 32)),
            read("a", None),
        ]
    };
    for (token, reads, words) in [
        (
            "root",
            mixed(),
            "ok ok ok not_found not_found not_found invalid_request invalid_request invalid_request invalid_request ok",
        ),
        ("only-b", vec![read("a", None), read("b/c", None), read("b/none", None)], "permission_denied ok not_found"),
        // Its uses are spent read by read: two here, two by the other door.
        ("twice", vec![read("b/c", None), read("a", None)], "ok permission_denied"),
        ("root", vec![read("b/c", None); 100], ["ok"; 100].join(" ").as_str()),
        ("root", vec![read("b/c", None); 101], "invalid_request reads"),
        ("root", vec![], "invalid_request reads"),
        ("twice", vec![read("b/c", None)], "unauthenticated"),
        ("nobody", mixed(), "unauthenticated"),
        ("", mixed(), "unauthenticated"),
    ] {
        doors.token = token;
        let asked = v1::SecretsServiceBatchGetRequest { reads: reads.clone(), refresh: false };
        let answered = client.batch_get(doors.asked(asked)).await;
        let grpc = said(answered, |answer| answer.results.into_iter().map(result).collect());
        let all: Vec<Value> = reads.iter().map(|read| json!({"path": read.path, "version": read.version})).collect();
        let rest = doors.rest("POST", "secrets:batch", &json!({"reads": all}).to_string());
        let rest = match rest.get("results") {
            Some(results) => results.as_array().unwrap().iter().map(rest_result).collect(),
            None => rest,
        };
        assert_eq!(grpc, rest, "{token} {reads:?}");
        let said = match &rest {
            Value::Array(results) => {
                let word = |result: &Value| result["code"].as_str().unwrap_or("ok").to_owned();
                results.iter().map(word).collect::<Vec<_>>().join(" ")
            }
            refusal => {
                format!("{} {}", refusal["code"].as_str().unwrap(), refusal["field"].as_str().unwrap_or_default())
            }
        };
        assert_eq!(said.trim_end(), words, "{token} {reads:?}");
    }
    doors.token = "root";
    for body in
        ["{}", r#"{"reads":1}"#, r#"{"reads":[{}]}"#, r#"{"reads":[{"path":"a","x":1}]}"#, r#"{"reads":[],"x":1}"#]
    {
        assert_eq!(doors.rest("POST", "secrets:batch", body)["code"], "invalid_request", "{body}");
    }
}

/// The reads of a batch spend a token's uses one by one: what comes after the last is refused by
/// itself, as a request of its own would be.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_token_runs_out_midway_refuses_the_reads_that_are_left() {
    let mut doors = Doors::open().await;
    let mut client = SecretsServiceClient::new(doors.channel.clone());
    assert_eq!(doors.rest("PUT", "secrets/b", "{}")["version"], 1);
    let policy = r#"path "secret/data/b" { capabilities = ["read"] }"#;
    assert_eq!(doors.rest("PUT", "policies/b", &json!({"policy": policy}).to_string()), json!({}));
    for id in ["over-grpc", "over-rest"] {
        let wanted = json!({"id": id, "policies": ["b"], "num_uses": 11, "ttl": 600}).to_string();
        assert!(doors.rest("POST", "auth/tokens", &wanted).get("code").is_none());
    }
    doors.token = "over-grpc";
    let asked = v1::SecretsServiceBatchGetRequest { reads: vec![read("b", None); 40], refresh: false };
    let answered = client.batch_get(doors.asked(asked)).await;
    let grpc: Vec<Value> =
        said(answered, |answer| answer.results.into_iter().map(result).collect()).as_array().unwrap().clone();
    doors.token = "over-rest";
    let all = json!({"reads": vec![json!({"path": "b"}); 40]}).to_string();
    let rest = doors.rest("POST", "secrets:batch", &all);
    let rest: Vec<Value> = rest["results"].as_array().unwrap().iter().map(rest_result).collect();
    for results in [grpc, rest] {
        let word = |result: &Value| result["code"].as_str().unwrap_or("ok").to_owned();
        let words: Vec<String> = results.iter().map(word).collect();
        let count = |wanted: &str| words.iter().filter(|word| *word == wanted).count();
        assert_eq!((words.len(), count("ok"), count("unauthenticated")), (40, 11, 29), "{words:?}");
        // One alone, then eight at a time: within the second eight it may be any of them.
        assert!(words[..9].iter().all(|word| word == "ok") && words[17..].iter().all(|word| word != "ok"), "{words:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_holds_as_much_as_a_client_takes_and_says_what_did_not_fit() {
    let doors = Doors::open().await;
    let mut client = SecretsServiceClient::new(doors.channel.clone());
    let large = json!({"a": "x".repeat((1 << 20) - 8)}).to_string();
    for at in 0..4 {
        assert_eq!(doors.rest("PUT", &format!("secrets/large/{at}"), &large)["version"], 1);
    }
    assert_eq!(doors.rest("PUT", "secrets/small", "{}")["version"], 1);
    let mut reads: Vec<_> = (0..4).map(|at| read(&format!("large/{at}"), None)).collect();
    reads.push(read("small", None));
    // The client of tonic takes 4 MiB, as most do.
    let asked = v1::SecretsServiceBatchGetRequest { reads, refresh: false };
    let answer = client.batch_get(doors.asked(asked)).await.unwrap().into_inner();
    let word = |result: &v1::SecretReadResult| match result.outcome.as_ref().unwrap() {
        Outcome::Refusal(refusal) => refusal.reason.clone(),
        Outcome::Secret(_) => "ok".to_owned(),
    };
    let words: Vec<String> = answer.results.iter().map(word).collect();
    assert_eq!(words, ["ok", "ok", "ok", "too_large", "ok"]);
}
