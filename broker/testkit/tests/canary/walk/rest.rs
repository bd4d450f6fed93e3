//! `/api/v1`: what is stored, what is issued, and what may not be had.

use serde_json::json;
use warder_testkit::Result;

use super::Walk;

fn secret(walk: &Walk<'_>) -> String {
    format!("/api/v1/secrets/{}/rest", walk.folder)
}

pub(super) fn walk(walk: &mut Walk<'_>) -> Result {
    secrets(walk)?;
    conditions(walk)?;
    tokens(walk)?;
    policies(walk)?;
    denied(walk)
}

fn secrets(walk: &mut Walk<'_>) -> Result {
    let http = walk.http.clone();
    let secret = &secret(walk);
    let (first, second) = (walk.value("PUT"), walk.value("PATCH"));
    let body = json!({"password": first, "deep": {"list": [first, 1, null]}});
    walk.ask(http.put(secret).json(&body), 201, &[])?;
    // From the sandbox, from the cache, around the cache, one field, one version.
    for query in ["", "", "?refresh=true", "?field=password", "?version=1"] {
        walk.ask(http.get(&format!("{secret}{query}")), 200, &["PUT"])?;
    }
    let reads = json!({"reads": [{"path": secret.trim_start_matches("/api/v1/secrets/")}, {"path": "none"}]});
    walk.ask(http.post("/api/v1/secrets:batch").json(&reads), 200, &["PUT"])?;
    let patch = http.call("PATCH", secret).header("Content-Type", "application/merge-patch+json");
    walk.ask(patch.body(json!({"deep": null, "other": second}).to_string()), 200, &[])?;
    walk.ask(http.get(secret), 200, &["PUT", "PATCH"])?;
    walk.ask(http.call("HEAD", secret), 200, &[])?;
    walk.ask(http.get(secret).header("If-None-Match", "\"2\""), 304, &[])?;
    walk.ask(http.get(&format!("/api/v1/secrets/{}/?list=true", walk.folder)), 200, &[])?;
    walk.ask(http.get(&format!("{secret}/versions")), 200, &[])?;
    let params = json!({"params": {"password": walk.value("rotate")}});
    walk.ask(http.post(&format!("{secret}/rotate")).json(&params), 405, &[])?;
    walk.ask(http.delete(secret), 204, &[])?;
    walk.ask(http.get(secret), 404, &[])?;
    walk.ask(http.post(&format!("{secret}/undelete")).json(&json!({"versions": [2]})), 200, &[])?;
    walk.ask(http.get(secret), 200, &["PUT", "PATCH"])?;
    walk.ask(http.delete(&format!("{secret}?versions=1&destroy=true")), 204, &[])?;
    walk.ask(http.get(&format!("{secret}?version=1")), 404, &[])?;
    Ok(())
}

fn conditions(walk: &mut Walk<'_>) -> Result {
    let http = walk.http.clone();
    let secret = &secret(walk);
    let (lost, again) = (walk.value("If-Match that lost"), walk.value("create only, but there"));
    walk.ask(http.put(secret).header("If-Match", "\"7\"").json(&json!({ "password": lost })), 412, &[])?;
    walk.ask(http.put(secret).header("If-None-Match", "*").json(&json!({ "password": again })), 412, &[])?;
    let absent = walk.value("PATCH of nothing");
    let patch = http.call("PATCH", "/api/v1/secrets/absent").header("Content-Type", "application/merge-patch+json");
    walk.ask(patch.body(json!({ "password": absent }).to_string()), 404, &[])?;
    Ok(())
}

fn tokens(walk: &mut Walk<'_>) -> Result {
    let http = walk.http.clone();
    let secret = &secret(walk);
    for kind in ["service", "batch"] {
        let made = http.post("/api/v1/auth/tokens").json(&json!({"policies": ["default"], "ttl": "1h", "type": kind}));
        let made = walk.ask(made, 201, &[])?.json()?;
        let (token, accessor) = (text(&made["token"]), text(&made["accessor"]));
        let name = walk.kind(&format!("a {kind} token"));
        walk.marks.token(&name, &token);
        let last = walk.answers.last_mut().ok_or("no answer was kept")?;
        last.shows.push(name);
        let own = http.with_token(&token);
        walk.ask(own.get("/api/v1/auth/self"), 200, &[])?;
        walk.ask(own.get(secret), 403, &[])?;
        if kind == "service" {
            walk.ask(own.post("/api/v1/auth/renew").json(&json!({"increment": "2h"})), 200, &[])?;
            let one = format!("/api/v1/auth/tokens/{accessor}");
            walk.ask(http.get(&one), 200, &[])?;
            walk.ask(http.post(&format!("{one}/renew")), 200, &[])?;
            walk.ask(http.get("/api/v1/auth/tokens?list=true"), 200, &[])?;
            walk.ask(http.delete(&one), 204, &[])?;
            walk.ask(own.get("/api/v1/auth/self"), 401, &[])?;
        }
    }
    Ok(())
}

fn policies(walk: &mut Walk<'_>) -> Result {
    let http = walk.http.clone();
    let (comment, bad, json_bad) =
        (walk.word("a policy's comment"), walk.word("a policy that does not parse"), walk.word("a policy in bad JSON"));
    let text = format!("# {comment}\npath \"secret/data/canary/*\" {{ capabilities = [\"read\"] }}");
    let policy = |name: &str| format!("/api/v1/policies/{name}");
    walk.ask(http.put(&policy("canary")).json(&json!({ "policy": text })), 204, &[])?;
    walk.ask(http.get(&policy("canary")), 200, &["a policy's comment"])?;
    for text in
        [format!("path \"secret/*\" {{ {bad} = [\"read\"] }}"), format!("{bad} {{"), format!("path \"a\" \"{bad}\" {{")]
    {
        walk.ask(http.put(&policy("bad")).header("Content-Type", "application/hcl").body(text), 400, &[])?;
        walk.may_quote("a policy that does not parse");
    }
    walk.ask(http.put(&policy("bad")).json(&json!({ "policy": { "path": json_bad } })), 400, &[])?;
    walk.ask(http.put(&policy("bad")).json(&json!({ "policy": [json_bad] })), 400, &[])?;
    Ok(())
}

/// Values that a policy names, and values that it keeps out.
fn denied(walk: &mut Walk<'_>) -> Result {
    let http = walk.http.clone();
    let (allowed, refused) = (walk.word("an allowed parameter"), walk.word("a parameter that is denied"));
    let text = format!(
        "path \"secret/data/only\" {{ capabilities = [\"create\", \"update\"]\n \
         allowed_parameters = {{ \"data\" = [], \"options\" = [], \"note\" = [\"{allowed}\"] }} }}\n\
         path \"sys/policies/explain\" {{ capabilities = [\"update\"] }}"
    );
    walk.ask(http.put("/api/v1/policies/only").json(&json!({ "policy": text })), 204, &[])?;
    let made = http.post("/api/v1/auth/tokens").json(&json!({"policies": ["only"]})).send()?.json()?;
    let token = text_of(&made, "token");
    let name = walk.kind("a weak token");
    walk.marks.token(&name, &token);
    let weak = http.with_token(&token);
    let only = "/v1/secret/data/only";
    walk.ask(weak.post(only).json(&json!({"data": {"a": refused}, "note": refused})), 403, &[])?;
    walk.ask(weak.post(only).json(&json!({"data": {"a": refused}, "other": refused})), 403, &[])?;
    walk.ask(weak.post(only).json(&json!({"data": {"a": refused}, "note": allowed})), 200, &[])?;
    walk.ask(weak.put("/api/v1/secrets/other").json(&json!({ "a": refused })), 403, &[])?;
    let question =
        json!({"path": "secret/data/only", "operation": "update", "token": token, "fields": {"note": refused}});
    walk.ask(http.post("/api/v1/policies:explain").json(&question), 200, &[])?;
    let question = json!({"path": "secret/data/only", "operation": refused});
    walk.ask(http.post("/api/v1/policies:explain").json(&question), 400, &[])?;
    walk.ask(http.post("/v1/sys/capabilities").json(&json!({"token": token, "paths": ["secret/data/a"]})), 200, &[])?;
    Ok(())
}

fn text_of(value: &serde_json::Value, name: &str) -> String {
    text(&value[name])
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
