//! `rotate`: a new key for what is written, and old values moved to it while everybody goes on.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use serde_json::{Value, json};
use warder_testkit::{Http, Result, Suite};

use super::{Place, until};

fn status(http: &Http) -> Result<Value> {
    http.get("/api/v1/sys/key-status").send()?.expect_status(200)?.json()
}

#[test]
fn the_keyring_rotates_by_every_command_line() -> Result {
    let place = Place::new()?;
    let keys = place.init(3, 2)?;
    let said = place.bao(&keys.token, &["operator", "rotate"], "")?.done()?;
    assert_eq!(said.value("Key Term")?, "2");
    assert!(said.value("Install Time")?.ends_with("UTC"), "{said:?}");
    assert_eq!(place.bao(&keys.token, &["operator", "key-status"], "")?.done()?.value("Key Term")?, "2");
    // The older name of the path, which other command lines use.
    place.http(&keys.token)?.put("/v1/sys/rotate").send()?.expect_status(204)?;
    let shown = place.http(&keys.token)?.get("/v1/sys/key-status").send()?.json()?;
    assert_eq!((&shown["data"]["term"], &shown["term"]), (&json!(3), &json!(3)), "{shown}");
    let said = place.cli(&keys.token, &["operator", "rotate", "--output", "json"], "")?.done()?;
    let shown: Value = serde_json::from_str(&said.out)?;
    assert_eq!((&shown["term"], said.err.trim()), (&json!(4), "rotated"), "{shown}");
    let said = place.cli(&keys.token, &["operator", "key-status"], "")?.done()?;
    assert_eq!(said.value("term")?, "4");
    place.bao("hvs.nobody", &["operator", "rotate"], "")?.refused("permission denied")?;
    let audit = place.audit()?;
    assert!(audit.contains("\"sys/rotate/keyring\"") && audit.contains("\"sys/rotate\""));
    Ok(())
}

/// `sudo`, as for every path that the compatible API protects so.
#[test]
fn rotating_needs_sudo_and_looking_does_not() -> Result {
    let place = Place::new()?;
    let keys = place.init(1, 1)?;
    let root = place.http(&keys.token)?;
    for (name, capabilities, rotates) in [("plain", r#"["update"]"#, 403), ("sudo", r#"["update","sudo"]"#, 204)] {
        let policy = format!(
            "path \"sys/rotate\" {{ capabilities = {capabilities} }}\n\
             path \"sys/rotate/keyring\" {{ capabilities = {capabilities} }}\n\
             path \"sys/key-status\" {{ capabilities = [\"read\"] }}"
        );
        root.put(&format!("/api/v1/policies/{name}")).json(&json!({ "policy": policy })).send()?.expect_status(204)?;
        let made = root.post("/api/v1/auth/tokens").json(&json!({"policies": [name]})).send()?.json()?;
        let http = place.http(made["token"].as_str().unwrap_or_default())?;
        http.post("/v1/sys/rotate").send()?.expect_status(rotates)?;
        http.post("/v1/sys/rotate/keyring").send()?.expect_status(rotates)?;
        http.post("/api/v1/sys/rotate").send()?.expect_status(rotates)?;
        status(&http)?;
    }
    Ok(())
}

/// Readers, writers and watchers of versions go on, the broker is killed in between and sealed, and
/// at the end one term is left and every value is what was written last.
#[test]
fn values_move_under_load_through_a_kill_and_a_seal() -> Result {
    let suite = Suite::new("it", "seal::rotation::values_move_under_load_through_a_kill_and_a_seal", 20_261_122);
    let count = suite.pick(400, 5_000);
    let mut place = Place::new()?;
    let keys = place.init(1, 1)?;
    let root = place.http(&keys.token)?;
    for n in 0..count {
        let body = json!({ "n": n });
        root.put(&format!("/api/v1/secrets/idle/{n}")).json(&body).send()?.expect_status(201)?;
    }
    let mut written = 0;
    for round in 0..3 {
        let root = place.http(&keys.token)?;
        root.post("/api/v1/sys/rotate").send()?.expect_status(204)?;
        let stop = &AtomicBool::new(false);
        written = thread::scope(|scope| -> Result<u64> {
            let reader = scope.spawn(|| -> Result {
                let mut n = 0;
                while !stop.load(Ordering::SeqCst) {
                    let got = root.get(&format!("/api/v1/secrets/idle/{n}?refresh=true")).send()?;
                    assert_eq!(got.expect_status(200)?.json()?["data"]["n"], n);
                    n = (n + 1) % count;
                }
                Ok(())
            });
            let writing = counted(&root, written, written + 40);
            if round < 2 {
                stop.store(true, Ordering::SeqCst);
            } else {
                until("one term is left", || Ok(status(&root)?["terms"] == 1))?;
                stop.store(true, Ordering::SeqCst);
            }
            reader.join().map_err(|_| "the reader panicked")??;
            writing
        })?;
        match round {
            0 => place.restart()?,
            1 => _ = root.post("/api/v1/sys/seal").send()?.expect_status(204)?,
            _ => continue,
        }
        assert_eq!(place.unseal(&keys.shares)?["sealed"], false);
    }
    let root = place.http(&keys.token)?;
    let last = status(&root)?;
    assert_eq!(
        (&last["term"], &last["oldest_term"], &last["rewrap"]["pending"]),
        (&json!(4), &json!(4), &json!(false))
    );
    place.restart()?;
    place.unseal(&keys.shares)?;
    let root = place.http(&keys.token)?;
    for n in 0..count {
        let got = root.get(&format!("/api/v1/secrets/idle/{n}")).send()?.expect_status(200)?.json()?;
        assert_eq!((&got["data"]["n"], &got["version"]), (&json!(n), &json!(1)));
    }
    assert_eq!(root.get("/api/v1/secrets/count").send()?.json()?["version"], written);
    Ok(())
}

/// Writes version after version, each with the check that the one before is the last.
fn counted(http: &Http, from: u64, to: u64) -> Result<u64> {
    for version in from..to {
        let call = http.put("/api/v1/secrets/count").json(&json!({ "v": version }));
        let call = match version {
            0 => call.header("If-None-Match", "*"),
            version => call.header("If-Match", &format!("\"{version}\"")),
        };
        assert_eq!(call.send()?.json()?["version"], version + 1);
    }
    Ok(to)
}
