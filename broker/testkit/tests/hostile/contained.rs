//! Each deed ends within its budget with an error that names plugin, mount and cause; nothing of
//! it is stored, and the next request is served.

use serde_json::{Value, json};
use warder_testkit::{Result, Suite};

use crate::{
    deed::DEEDS,
    stage::{Door, Stage, check, document},
};

#[test]
fn every_deed_is_contained_named_and_without_effect() -> Result {
    let _suite = Suite::new("hostile", "contained::every_deed_is_contained_named_and_without_effect", 1);
    let stage = Stage::set()?;
    stage.serves()?;
    let before = stage.stored()?;
    assert_eq!(before, (json!(["behaved"]), json!(["neighbour"])));
    for deed in DEEDS {
        for door in [Door::Native, Door::Vault] {
            let reply = door.ask(&stage.http, deed)?;
            check(door, deed, &reply)?;
        }
        stage.serves()?;
        assert_eq!(stage.stored()?, before, "{} stored something", deed.path);
    }
    Ok(())
}

/// Attempts to read a sealed value answer with what the host said; the value itself must be in no
/// answer. The in-process tests of the runtime hold what each step must say.
#[test]
fn no_attempt_to_read_a_sealed_value_shows_it() -> Result {
    let stage = Stage::set()?;
    for what in ["names", "known-key", "known-secret", "twin-key", "relabel", "guess", "lengths", "fingerprints"] {
        // Each in a mount of its own: they keep keys of the same names.
        stage.http.put(&format!("/api/v1/mounts/{what}")).json(&json!({"plugin": "misbehave"})).send()?;
        let reply = stage.http.post(&format!("/v1/{what}/do/{what}")).json(&json!({"doc": document()})).send()?;
        let words = reply.expect_status(200)?.text();
        assert!(!words.contains("hunter2"), "{what}: {words}");
        assert_eq!(words.contains("ErrorKind::"), what != "fingerprints", "{what}: {words}");
    }
    stage.serves()
}

/// Text that looks like a place to fill in stays text.
#[test]
fn what_a_caller_writes_is_no_template() -> Result {
    let stage = Stage::set()?;
    let reply = stage.http.post("/v1/bad/do/template/%7B%7B1%7D%7D").json(&json!({"doc": document()})).send()?;
    let answer: Value = reply.expect_status(200)?.json()?;
    assert_eq!(answer["data"]["text"], "{{1}}{{0}}{0}$1%s:hunter2-AAAA");
    Ok(())
}
