//! `/v1`: key-value version 2 and tokens, as Vault's clients speak.

use serde_json::{Value, json};
use warder_testkit::Result;

use super::Walk;

pub(super) fn walk(walk: &mut Walk<'_>) -> Result {
    secrets(walk)?;
    refused(walk)?;
    tokens(walk)
}

fn at(walk: &Walk<'_>) -> impl Fn(&str) -> String + use<> {
    let folder = walk.folder;
    move |kind| format!("/v1/secret/{kind}/{folder}/vault")
}

fn secrets(walk: &mut Walk<'_>) -> Result {
    let (http, at) = (walk.http.clone(), at(walk));
    let (first, form) = (walk.value("/v1 write"), walk.value("/v1 patch"));
    let about = walk.word("/v1 custom metadata");
    walk.ask(http.post(&at("data")).json(&json!({"data": {"password": first, "n": 1.50}})), 200, &[])?;
    for query in ["", "", "?version=1"] {
        walk.ask(http.get(&(at("data") + query)), 200, &["/v1 write"])?;
    }
    let patch = http.call("PATCH", &at("data")).header("Content-Type", "application/merge-patch+json");
    let patch = patch.body(json!({"data": {"n": null, "more": form}, "options": {"cas": 1}}).to_string());
    walk.ask(patch, 200, &[])?;
    walk.ask(http.get(&at("data")), 200, &["/v1 write", "/v1 patch"])?;
    walk.ask(http.get(&at("subkeys")), 200, &[])?;
    walk.ask(http.post(&at("metadata")).json(&json!({"custom_metadata": {"about": about}})), 204, &[])?;
    walk.ask(http.get(&at("metadata")), 200, &["/v1 custom metadata"])?;
    walk.ask(http.get(&at("data")), 200, &["/v1 write", "/v1 patch", "/v1 custom metadata"])?;
    walk.ask(http.call("LIST", &format!("/v1/secret/metadata/{}", walk.folder)), 200, &[])?;
    walk.ask(
        http.call("LIST", &format!("/v1/secret/detailed-metadata/{}", walk.folder)),
        200,
        &["/v1 custom metadata"],
    )?;
    walk.ask(http.delete(&at("data")), 204, &[])?;
    walk.ask(http.get(&at("data")), 404, &["/v1 custom metadata"])?;
    walk.ask(http.post(&at("undelete")).json(&json!({"versions": [2]})), 204, &[])?;
    walk.ask(http.post(&at("delete")).json(&json!({"versions": [1]})), 204, &[])?;
    walk.ask(http.put(&at("destroy")).json(&json!({"versions": [1]})), 204, &[])?;
    Ok(())
}

/// What the plugin refuses, each with the secret where something else belongs.
fn refused(walk: &mut Walk<'_>) -> Result {
    let (http, at) = (walk.http.clone(), at(walk));
    let lost = walk.value("/v1 check-and-set that lost");
    walk.ask(http.post(&at("data")).json(&json!({"data": {"a": lost}, "options": {"cas": 99}})), 400, &[])?;
    type Body = fn(&str) -> Value;
    let rows: [(&str, &str, Body); 14] = [
        ("data that is text", "data", |v| json!({ "data": v })),
        ("data that is a list", "data", |v| json!({ "data": [v] })),
        ("options that are text", "data", |v| json!({"data": {}, "options": v})),
        ("cas that is text", "data", |v| json!({"data": {}, "options": {"cas": v}})),
        ("no data at all", "data", |v| json!({ "password": v })),
        ("versions that are text", "delete", |v| json!({ "versions": v })),
        ("a version that is text", "destroy", |v| json!({ "versions": [v] })),
        ("a version inside", "undelete", |v| json!({"versions": [{"v": v}]})),
        ("max_versions", "metadata", |v| json!({ "max_versions": v })),
        ("cas_required", "metadata", |v| json!({ "cas_required": v })),
        ("delete_version_after", "metadata", |v| json!({ "delete_version_after": v })),
        ("custom_metadata as text", "metadata", |v| json!({ "custom_metadata": v })),
        ("custom_metadata inside", "metadata", |v| json!({"custom_metadata": {"a": {"b": v}}})),
        ("custom_metadata too long", "metadata", |v| json!({"custom_metadata": {"a": v.repeat(40)}})),
    ];
    for (what, kind, body) in rows {
        let value = walk.value(what);
        walk.ask(http.post(&at(kind)).json(&body(&value)), 400, &[])?;
    }
    let about = &["/v1 custom metadata"];
    let (value, word) = (walk.value("an unknown member"), walk.word("a query parameter of /v1"));
    walk.ask(http.post(&at("data")).json(&json!({"data": {"a": 1}, "unknown": value})), 200, about)?;
    walk.ask(http.get(&format!("{}?version={word}", at("data"))), 400, &[])?;
    walk.ask(http.get(&format!("{}?unknown={word}", at("data"))), 200, about)?;
    walk.ask(http.post("/v1/secret/config").json(&json!({ "max_versions": value })), 400, &[])?;
    walk.ask(http.post("/v1/nowhere/at/all").json(&json!({ "a": value })), 404, &[])?;
    Ok(())
}

/// Tokens in bodies: good ones, ended ones, and what never was one.
fn tokens(walk: &mut Walk<'_>) -> Result {
    let http = walk.http.clone();
    let (never, chosen) = (walk.word("no token, in a body"), walk.word("a token of the caller's own choice"));
    let made = http.post("/v1/auth/token/create").json(&json!({"id": chosen, "policies": ["default"], "ttl": "1h"}));
    walk.ask(made, 200, &["a token of the caller's own choice"])?;
    walk.ask(
        http.post("/v1/auth/token/lookup").json(&json!({ "token": chosen })),
        200,
        &["a token of the caller's own choice"],
    )?;
    let own = http.with_token(&chosen);
    walk.ask(own.get("/v1/auth/token/lookup-self"), 200, &["a token of the caller's own choice"])?;
    let renew = http.post("/v1/auth/token/renew").json(&json!({ "token": chosen }));
    walk.ask(renew, 200, &["a token of the caller's own choice"])?;
    walk.ask(http.post("/v1/auth/token/revoke").json(&json!({ "token": chosen })), 204, &[])?;
    for path in ["lookup", "renew", "revoke", "revoke-orphan"] {
        for token in [&chosen, &never] {
            walk.send(http.post(&format!("/v1/auth/token/{path}")).json(&json!({ "token": token })), &[])?;
        }
    }
    walk.ask(own.get("/v1/auth/token/lookup-self"), 403, &[])?;
    for body in [
        json!({ "ttl": never }),
        json!({ "policies": {"a": never} }),
        json!({ "num_uses": never }),
        json!({"type": never}),
    ] {
        walk.ask(http.post("/v1/auth/token/create").json(&body), 400, &[])?;
    }
    Ok(())
}
