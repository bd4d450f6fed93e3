//! What Warder says of its API is true: schemathesis asks a live server everything that the
//! description allows and much that it does not, and no answer is a 5xx, of a status, a media type or
//! a shape that is not described, nor is anything taken that should not be. `hooks.py` says what it
//! passes over, and why.
//!
//! Operations that end their own run (sealing, revoking the token that asks, limiting it) have runs
//! of their own; `ENDING` lists them. The long form asks ten times as much.

mod run;

use serde_json::{Value, json};
use warder_testkit::{Http, Parts, Result, Suite, Warder, temp_dir};

use run::Run;

/// What ends a run, each group on a server of its own: by the operations' ids.
const ENDING: [&str; 3] = [
    r"(sys|vault)\.seal(\.put)?",
    r"auth\.(renew|revoke)|vault\.token\.(renew|revoke)-self(\.put)?",
    r"(limits|vault\.rate-limit)\.write(\.put)?",
];

/// Answers that end when the client does not: of them only refusals are asked for, by a limited client,
/// a sealed server and tokens that may not; `watch` has suites of its own.
const ENDLESS: &str = r"secrets\.watch";

/// May everything, by a policy, and so can be a token that is revoked by nobody.
const TESTER: &str = r#"path "*" { capabilities = ["create","read","update","delete","list","patch","sudo"] }"#;

/// A Warder with something to find, and the token that asks.
fn house(kind: &str) -> Result<(Warder, String)> {
    let warder = Warder::dev().start()?;
    let http = warder.http();
    http.put("/api/v1/policies/tester").json(&json!({"policy": TESTER})).send()?.expect_status(204)?;
    http.put("/api/v1/mounts/team/kv").json(&json!({"plugin": "kv"})).send()?.expect_status(204)?;
    for path in ["app/db", "app/cache", "team/kv/app/db"] {
        for version in 1..=2 {
            let status = if version == 1 { 201 } else { 200 };
            let secret = json!({"user": "app", "version": version});
            http.put(&format!("/api/v1/secrets/{path}")).json(&secret).send()?.expect_status(status)?;
        }
    }
    let token = token(&http, &json!({"type": kind, "policies": ["tester"], "ttl": "20h"}))?;
    Ok((warder, token))
}

fn token(http: &Http, wanted: &Value) -> Result<String> {
    let made = http.post("/api/v1/auth/tokens").json(wanted).send()?.expect_status(201)?.json()?;
    Ok(made["token"].as_str().ok_or("a token has no text")?.to_owned())
}

#[test]
fn a_token_that_may_everything_finds_no_fault() -> Result {
    let suite = Suite::new("openapi", "a_token_that_may_everything_finds_no_fault", 1);
    let (warder, token) = house("batch")?;
    let run = Run::new(&suite, warder.address(), &token)?.examples(suite.pick(6, 60));
    let seen = run.without(&format!("{}|{ENDLESS}", ENDING.join("|"))).go()?;
    assert!(seen.operations >= 80 && seen.cases >= 2_000, "{seen:?}");
    Ok(())
}

#[test]
fn what_ends_a_run_ends_it_as_described() -> Result {
    let suite = Suite::new("openapi", "what_ends_a_run_ends_it_as_described", 1);
    for group in ENDING {
        let (warder, token) = house("service")?;
        let state = if group.contains("seal") { "sealed" } else { "open" };
        let run = Run::new(&suite, warder.address(), &token)?.examples(suite.pick(5, 50)).state(state);
        let seen = run.only(group).go()?;
        assert!(seen.operations >= 2 && seen.cases >= 10, "{group}: {seen:?}");
    }
    Ok(())
}

#[test]
fn a_limited_client_is_told_so_as_described() -> Result {
    let suite = Suite::new("openapi", "a_limited_client_is_told_so_as_described", 1);
    let (warder, token) = house("batch")?;
    let run = Run::new(&suite, warder.address(), &token)?.examples(suite.pick(2, 30)).phases("fuzzing");
    // So little that hardly anything else is answered.
    let limit = json!({"rate": 1, "interval": "1h"});
    warder.http().put("/v1/sys/quotas/rate-limit/all").json(&limit).send()?.expect_status(204)?;
    let seen = run.without(&ENDING.join("|")).go()?;
    assert!(seen.operations >= 80 && seen.cases >= 150, "{seen:?}");
    Ok(())
}

#[test]
fn a_weak_token_and_none_at_all_find_no_fault() -> Result {
    let suite = Suite::new("openapi", "a_weak_token_and_none_at_all_find_no_fault", 1);
    let (warder, tester) = house("batch")?;
    // Its own end is among what was run already.
    let weak = token(&warder.http(), &json!({"type": "batch", "policies": ["default"], "ttl": "20h"}))?;
    for (asked, phases) in [(&*weak, "coverage,fuzzing"), ("", "fuzzing")] {
        let run = Run::new(&suite, warder.address(), asked)?.described_by(&tester);
        let seen = run.examples(suite.pick(2, 40)).phases(phases).without(ENDLESS).go()?;
        assert!(seen.operations >= 100 && seen.cases >= 200, "{seen:?}");
    }
    Ok(())
}

#[test]
fn a_sealed_and_a_new_server_answer_as_described() -> Result {
    let suite = Suite::new("openapi", "a_sealed_and_a_new_server_answer_as_described", 1);
    let (warder, token) = house("batch")?;
    let run = Run::new(&suite, warder.address(), &token)?.examples(suite.pick(2, 30)).phases("fuzzing").state("sealed");
    warder.http().post("/api/v1/sys/seal").send()?.expect_status(204)?;
    let seen = run.go()?;
    assert!(seen.operations >= 100 && seen.cases >= 200, "{seen:?}");

    let folder = temp_dir()?;
    let file = folder.path().join("warder.toml");
    let config = "[listener]\naddress = \"127.0.0.1:0\"\ntls_disable = true\n[storage]\ntype = \"memory\"\n";
    std::fs::write(
        &file,
        format!("{config}[audit.main]\ntype = \"file\"\npath = \"{}/audit\"\n", folder.path().display()),
    )?;
    let warder = Warder::serve(&file).start()?;
    let run = Run::new(&suite, warder.address(), "")?.examples(suite.pick(2, 30)).phases("fuzzing").state("new");
    let seen = run.go()?;
    assert!(seen.operations >= 80 && seen.cases >= 150, "{seen:?}");
    Ok(())
}

#[test]
fn a_validator_of_others_takes_every_form_of_the_document() -> Result {
    let (warder, token) = house("batch")?;
    let folder = temp_dir()?;
    let python = Parts::find().openapi("python")?;
    let valid = |document: &Value| -> Result<bool> {
        let file = folder.path().join("document.json");
        std::fs::write(&file, document.to_string())?;
        let said = std::process::Command::new(&python).args(["-m", "openapi_spec_validator"]).arg(&file).output()?;
        Ok(said.status.success())
    };
    let (tester, nobody) = (warder.http().with_token(&token), warder.stranger());
    for (http, target) in [
        (&nobody, "/api/v1/openapi.json"),
        (&tester, "/api/v1/openapi.json"),
        (&tester, "/api/v1/openapi.json?mount=team/kv"),
        (&nobody, "/v1/sys/internal/specs/openapi"),
        (&tester, "/v1/sys/internal/specs/openapi"),
    ] {
        let mut document = http.get(target).send()?.expect_status(200)?.json()?;
        assert_eq!(document["openapi"], "3.1.0");
        assert!(valid(&document)?, "{target}");
        document["info"]["title"] = json!(1);
        assert!(!valid(&document)?, "a validator that takes anything");
    }
    Ok(())
}
