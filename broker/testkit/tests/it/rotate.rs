//! A rotation over REST and gRPC: the life of every request, up to a plugin that makes its values
//! itself; and its refusal where a plugin makes none.

use std::{collections::BTreeSet, fs, path::Path, thread};

use serde_json::{Value, json};
use tonic::{Code, Request, Status, transport::Channel};
use tonic_types::StatusExt as _;
use warder_proto::v1::{
    SecretsServiceRotateRequest as Rotate, SecretsServiceRotateResponse, secrets_service_client::SecretsServiceClient,
};
use warder_testkit::{Failure, Guest, Http, Reply, Result, Warder, temp_dir};

const SECRET: &str = "/api/v1/secrets/rotor/app/db";

/// Warder with the plugin `rotor`, mounted, and an audit file.
fn start(audit: &Path) -> Result<Warder> {
    let warder = Warder::dev().argument("--plugin").argument(Guest::Rotor.path()?);
    let warder = warder.argument("--audit").argument(audit).start()?;
    warder.http().put("/api/v1/mounts/rotor").json(&json!({"plugin": "rotor"})).send()?.expect_status(204)?;
    Ok(warder)
}

fn rotate(http: &Http, body: &Value) -> Result<Reply> {
    http.post(&format!("{SECRET}/rotate")).json(body).send()
}

/// Version and password, and that none of it is stale.
fn read(http: &Http) -> Result<(u64, String)> {
    let answer = http.get(SECRET).send()?.expect_status(200)?.json()?;
    let password = answer["data"]["password"].as_str().ok_or("no password")?;
    Ok((answer["version"].as_u64().ok_or("no version")?, password.to_owned()))
}

fn over_grpc(
    warder: &Warder,
    token: &str,
    path: &str,
    params: &str,
) -> Result<Result<SecretsServiceRotateResponse, Status>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let channel = Channel::from_shared(format!("http://{}", warder.address())).map_err(|why| why.to_string())?;
        let channel = channel.connect().await.map_err(|why| Failure::new("connect", why))?;
        let mut request = Request::new(Rotate { path: path.to_owned(), params_json: params.to_owned().into() });
        let bearer = format!("Bearer {token}").parse().map_err(|_| "a token is no metadata")?;
        request.metadata_mut().insert("authorization", bearer);
        Ok(SecretsServiceClient::new(channel).rotate(request).await.map(tonic::Response::into_inner))
    })
}

/// The word and the field of a refusal.
fn refused(status: &Status) -> (Code, String, Option<String>) {
    let details = status.get_error_details();
    let field = details.bad_request().map(|bad| bad.field_violations[0].field.clone());
    let reason = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
    (status.code(), reason, field)
}

#[test]
fn a_rotation_makes_the_next_value_through_both_doors() -> Result {
    let folder = temp_dir()?;
    let log = folder.path().join("audit.log");
    let warder = start(&log)?;
    let http = warder.http();
    http.get(SECRET).send()?.expect_status(404)?;

    let made = rotate(&http, &json!({}))?.expect_status(200)?;
    assert_eq!((made.header("etag"), &made.json()?["version"]), (Some("\"1\""), &json!(1)));
    assert_eq!(made.header("x-warder-resolved"), Some("rotor/made/app/db"));
    let first = read(&http)?;
    assert_eq!((first.0, first.1.len()), (1, 20));
    http.post(&format!("{SECRET}/rotate")).send()?.expect_status(200)?;
    rotate(&http, &json!({"params": {"length": 32}}))?.expect_status(200)?;
    let third = read(&http)?;
    assert_eq!((third.0, third.1.len()), (3, 32), "what was cached is read anew");
    let answer =
        over_grpc(&warder, "root", "rotor/app/db", r#"{"length":"40"}"#)?.map_err(|why| Failure::new("Rotate", why))?;
    assert_eq!(answer.path, "rotor/app/db");
    let fourth = read(&http)?;
    assert_eq!((fourth.0, fourth.1.len()), (4, 40));
    assert_eq!(answer.version, Some(4));
    over_grpc(&warder, "root", "rotor/app/db", "")?.map_err(|why| Failure::new("Rotate", why))?;
    assert_eq!(read(&http)?.0, 5);

    // It fails after it wrote: nothing happened.
    let before = read(&http)?;
    let reply = rotate(&http, &json!({"params": {"fail": true}}))?.expect_status(400)?;
    assert_eq!(reply.json()?["code"], "invalid_request");
    let refusal = over_grpc(&warder, "root", "rotor/app/db", r#"{"fail":true}"#)?;
    assert_eq!(refusal.map_err(|why| why.code()), Err(Code::InvalidArgument));
    assert_eq!(read(&http)?, before);

    let text = fs::read_to_string(&log)?;
    let records = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>();
    let records = records.map_err(|why| Failure::new("a line of the audit log", why))?;
    let of = |kind: &str| {
        let named = |record: &&Value| record["operation"] == "rotate" && record["type"] == kind;
        records.iter().filter(named).map(|record| record["path"].as_str().unwrap_or_default()).collect::<Vec<_>>()
    };
    assert_eq!((of("open"), of("close")), (vec!["rotor/made/app/db"; 7], vec!["rotor/made/app/db"; 7]));
    assert!(!text.contains(&before.1) && !text.contains(&first.1), "a password stands in the audit log");
    Ok(())
}

#[test]
fn rotations_at_once_follow_each_other() -> Result {
    let folder = temp_dir()?;
    let warder = start(&folder.path().join("audit.log"))?;
    let http = warder.http();
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let http = http.clone();
            thread::spawn(move || (0..4).map(|_| Ok(rotate(&http, &json!({}))?.status)).collect::<Result<Vec<u16>>>())
        })
        .collect();
    let mut all = BTreeSet::new();
    for thread in threads {
        all.extend(thread.join().map_err(|_| "a thread panicked")??);
    }
    assert_eq!(all, BTreeSet::from([200]));
    assert_eq!(read(&http)?.0, 32);
    Ok(())
}

#[test]
fn a_rotation_needs_update_and_a_plugin_that_makes_values() -> Result {
    let folder = temp_dir()?;
    let warder = start(&folder.path().join("audit.log"))?;
    let http = warder.http();
    let token = |name: &str, path: &str, capability: &str| -> Result<String> {
        let policy = format!("path \"{path}\" {{ capabilities = [\"{capability}\"] }}");
        http.put(&format!("/api/v1/policies/{name}")).json(&json!({"policy": policy})).send()?.expect_status(204)?;
        let made = http.post("/api/v1/auth/tokens").json(&json!({"policies": [name], "ttl": "1h"})).send()?;
        Ok(made.expect_status(201)?.json()?["token"].as_str().ok_or("no token")?.to_owned())
    };
    let reads = token("reads", "rotor/made/*", "read")?;
    let patches = token("patches", "rotor/made/*", "patch")?;
    let updates = token("updates", "rotor/made/app/*", "update")?;
    for (token, path, status, code, word) in [
        ("", "rotor/app/db", 401, Code::Unauthenticated, "unauthenticated"),
        ("hvs.AAAAAAAAAAAAAAAAAAAAAAAA", "rotor/app/db", 401, Code::Unauthenticated, "unauthenticated"),
        (&*reads, "rotor/app/db", 403, Code::PermissionDenied, "permission_denied"),
        (&*patches, "rotor/app/db", 403, Code::PermissionDenied, "permission_denied"),
        (&*updates, "rotor/other", 403, Code::PermissionDenied, "permission_denied"),
        (&*updates, "a", 403, Code::PermissionDenied, "permission_denied"),
        (&*updates, "rotor/app/db", 200, Code::Ok, ""),
        ("root", "a", 405, Code::Unimplemented, "method_not_allowed"),
        ("root", "a//b", 400, Code::InvalidArgument, "invalid_request"),
        ("root", "rotor/app/", 400, Code::InvalidArgument, "invalid_request"),
    ] {
        let stranger = warder.stranger();
        let asked = stranger.post(&format!("/api/v1/secrets/{path}/rotate")).header("X-Vault-Token", token);
        let answer =
            asked.send()?.expect_status(status).map_err(|why| Failure::new(format!("{token:?} {path}"), why))?;
        assert!(word.is_empty() || answer.json()?["code"] == word, "{path}: {}", answer.text());
        let grpc = over_grpc(&warder, token, path, "")?;
        let twin = grpc.as_ref().map_or_else(refused, |_| (Code::Ok, String::new(), None));
        assert_eq!((twin.0, &*twin.1), (code, word), "{token:?} {path}");
        if status == 405 {
            let told = answer.json()?;
            assert_eq!((&told["plugin"], &told["mount"]), (&json!("kv"), &json!("secret/")));
        }
    }
    assert_eq!(read(&http)?.0, 2, "what was allowed was done, and nothing else");
    Ok(())
}

/// What a rotation in steps would take is refused, not ignored.
#[test]
fn what_is_not_offered_is_refused_by_name() -> Result {
    let folder = temp_dir()?;
    let warder = start(&folder.path().join("audit.log"))?;
    let http = warder.http();
    for (body, field) in [
        (json!({"strategy": "dual"}), "strategy"),
        (json!({"dry_run": true}), "dry_run"),
        (json!({"revoke_now": false}), "revoke_now"),
        (json!({"params": [1]}), "params"),
        (json!({"params": {"length": "many"}}), "length"),
    ] {
        let answer = rotate(&http, &body)?.expect_status(400)?.json()?;
        assert_eq!(answer["field"], field, "{answer}");
    }
    let waiting = http.post(&format!("{SECRET}/rotate?wait=30s")).send()?.expect_status(400)?.json()?;
    assert_eq!(waiting["field"], "wait", "{waiting}");
    let keyed = http.post(&format!("{SECRET}/rotate")).header("Idempotency-Key", "k").send()?;
    assert_eq!(keyed.expect_status(400)?.json()?["field"], "Idempotency-Key");
    for params in ["[1]", "{", r#"{"length":1,"length":2}"#] {
        let status = over_grpc(&warder, "root", "rotor/app/db", params)?.err().ok_or("it was taken")?;
        let expected = (Code::InvalidArgument, "invalid_request".to_owned(), Some("params_json".to_owned()));
        assert_eq!(refused(&status), expected, "{params}");
    }
    http.get(SECRET).send()?.expect_status(404)?;
    Ok(())
}
