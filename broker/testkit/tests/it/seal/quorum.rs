//! What a quorum of key shares does: a new root token, and new shares.

use std::{thread, time::Duration};

use serde_json::{Value, json};
use warder_testkit::{Failure, Http, Result, Suite};

use super::{Place, Said};

fn nonce(said: &Said) -> Result<String> {
    said.value("Nonce")
}

fn is_root(place: &Place, token: &str) -> Result<bool> {
    let shown = place.http(token)?.get("/api/v1/auth/self").send()?;
    Ok(shown.status == 200 && shown.json()?["policies"] == json!(["root"]))
}

#[test]
fn a_quorum_makes_a_root_token_by_the_command_line_of_openbao() -> Result {
    let place = Place::new()?;
    let keys = place.init(3, 2)?;
    let bao = |arguments: &[&str], input: &str| {
        place.bao(&keys.token, &[&["operator", "generate-root"], arguments].concat(), input)
    };
    let said = bao(&["-status"], "")?.done()?;
    assert_eq!((said.value("Started")?, said.value("OTP Length")?), ("false".to_owned(), "28".to_owned()));
    let said = bao(&["-init"], "")?.done()?;
    let (nonce, otp) = (nonce(&said)?, said.value("OTP  ")?);
    assert_eq!((otp.len(), said.value("Progress")?), (28, "0/2".to_owned()));
    bao(&["-init"], "")?.refused("already in progress")?;
    let given = format!("-nonce={nonce}");
    let said = bao(&[&given, "-"], &keys.shares[2])?.done()?;
    assert_eq!(said.value("Progress")?, "1/2");
    bao(&[&given, "-"], &keys.shares[2])?.refused("already given")?;
    bao(&["-nonce=another", "-"], &keys.shares[0])?.refused("incorrect nonce")?;
    bao(&[&given, "-"], "not a share")?.refused("hex or base64")?;
    assert!(!bao(&["-status"], "")?.done()?.out.contains(&otp), "shown once");
    let said = bao(&[&given, "-"], &keys.shares[0])?.done()?;
    assert_eq!(said.value("Complete")?, "true");
    let encoded = said.value("Encoded Token")?;
    let said = bao(&[&format!("-decode={encoded}"), &format!("-otp={otp}")], "")?.done()?;
    let token = said.out.trim().to_owned();
    assert!(token.starts_with("hvs.") && token.len() == 28 && token != keys.token);
    assert!(is_root(&place, &token)?);
    assert_eq!(bao(&["-status"], "")?.done()?.value("Started")?, "false");
    let audit = place.audit()?;
    assert!(audit.contains("\"sys/generate-root-token/update\""));
    for secret in [&token, &otp, &encoded, &keys.shares[0], &keys.shares[2]] {
        assert!(!audit.contains(secret.as_str()), "a secret is in the audit log");
    }
    Ok(())
}

/// The paths that Vault's own command line uses, with a pad that the caller brought.
#[test]
fn a_pad_of_ones_own_a_wrong_share_and_giving_up() -> Result {
    let place = Place::new()?;
    let keys = place.init(3, 2)?;
    let root = place.http(&keys.token)?;
    let attempt = "/v1/sys/generate-root/attempt";
    let pad = "0123456789012345678901234567";
    for (body, words) in [
        (json!({"otp": "short"}), "28 characters"),
        (json!({"pgp_key": "mQENBF"}), "not supported"),
        (json!({"otp": 28}), "expected a JSON string"),
    ] {
        let refused = root.put(attempt).json(&body).send()?.expect_status(400)?.text();
        assert!(refused.contains(words), "{refused}");
    }
    let started = root.put(attempt).json(&json!({"otp": pad, "pgp_key": ""})).send()?.expect_status(200)?.json()?;
    assert_eq!((&started["otp"], &started["required"], &started["started"]), (&json!(""), &json!(2), &json!(true)));
    let give = |share: &str| {
        let body = json!({"nonce": started["nonce"], "key": share});
        root.put("/v1/sys/generate-root/update").json(&body).send()
    };
    let mut wrong = keys.shares[1].clone();
    wrong.replace_range(0..1, if wrong.starts_with('0') { "1" } else { "0" });
    give(&wrong)?.expect_status(200)?;
    let refused = give(&keys.shares[0])?.expect_status(400)?.text();
    assert!(refused.contains("do not open the barrier"), "{refused}");
    assert_eq!(root.get(attempt).send()?.json()?["progress"], 0, "all were dropped");
    give(&keys.shares[0])?.expect_status(200)?;
    let done = give(&keys.shares[1])?.expect_status(200)?.json()?;
    let mixed = data_encoding(done["encoded_token"].as_str().unwrap_or_default())?;
    let token: String = mixed.iter().zip(pad.bytes()).map(|(one, other)| char::from(one ^ other)).collect();
    assert!(is_root(&place, &token)?);
    give(&keys.shares[1])?.expect_status(400)?;
    root.put(attempt).send()?.expect_status(200)?;
    root.delete(attempt).send()?.expect_status(204)?;
    assert_eq!(root.get(attempt).send()?.json()?["started"], false);
    // Nobody begins, or gives a share, without a token that may.
    for http in [place.http("")?, place.http("hvs.nobody")?] {
        http.put(attempt).send()?.expect_status(403)?;
        http.put("/v1/sys/generate-root/update").json(&json!({"nonce": "", "key": ""})).send()?.expect_status(403)?;
    }
    Ok(())
}

/// Standard base64 without padding.
fn data_encoding(text: &str) -> Result<Vec<u8>> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bits = Vec::new();
    for byte in text.bytes() {
        let digit = DIGITS.iter().position(|one| *one == byte).ok_or("not base64")?;
        bits.extend((0..6).rev().map(|bit| digit >> bit & 1 == 1));
    }
    Ok(bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |all, bit| all << 1 | u8::from(*bit))).collect())
}

fn shares_of(said: &Said) -> Vec<String> {
    let keys = said.out.lines().filter(|line| line.starts_with("Key "));
    keys.filter_map(|line| line.split(": ").nth(1)).map(|key| key.trim().to_owned()).collect()
}

/// Whether these shares open a sealed barrier.
fn opens(place: &Place, shares: &[String]) -> Result<bool> {
    place.http("")?.post("/api/v1/sys/unseal").json(&json!({"reset": true})).send()?.expect_status(200)?;
    Ok(place.unseal(shares)?["sealed"] == false)
}

#[test]
fn new_shares_open_the_barrier_and_old_ones_do_not() -> Result {
    let mut place = Place::new()?;
    let keys = place.init(3, 2)?;
    let root = place.http(&keys.token)?;
    root.put("/api/v1/secrets/kept").json(&json!({"a": 1})).send()?.expect_status(201)?;
    let mut shares = keys.shares.clone();
    // The two names that the command line has for it.
    for (command, new) in [("rotate-keys", (5, 3)), ("rekey", (1, 1)), ("rotate-keys", (2, 2))] {
        let bao = |arguments: &[&str], input: &str| {
            place.bao(&keys.token, &[&["operator", command], arguments].concat(), input)
        };
        assert_eq!(bao(&["-status"], "")?.done()?.value("Started")?, "false");
        bao(&["-init", "-key-shares=2", "-key-threshold=3"], "")?.refused("threshold")?;
        bao(&["-init", "-key-shares=1", "-key-threshold=1", "-pgp-keys=nobody"], "")?.refused("")?;
        let said =
            bao(&["-init", &format!("-key-shares={}", new.0), &format!("-key-threshold={}", new.1)], "")?.done()?;
        bao(&["-init", "-key-shares=1", "-key-threshold=1"], "")?.refused("already in progress")?;
        let nonce = format!("-nonce={}", nonce(&said)?);
        bao(&["-nonce=other", "-"], &shares[0])?.refused("incorrect nonce")?;
        let needed: usize = said.value("Progress")?.trim_start_matches("0/").parse().map_err(|_| "no progress")?;
        let mut said = None;
        for share in &shares[..needed] {
            said = Some(bao(&[&nonce, "-"], share)?.done()?);
        }
        let made = shares_of(&said.ok_or("no share was given")?);
        assert_eq!(made.len(), new.0);
        place.restart()?;
        assert!(!opens(&place, &shares)?, "the old shares");
        assert!(!opens(&place, &made[..new.1 - 1])?, "one below the threshold");
        assert!(opens(&place, &made[made.len() - new.1..])?, "the new shares");
        let status = place.http("")?.get("/api/v1/sys/status").send()?.json()?;
        assert_eq!((&status["shares"], &status["threshold"]), (&json!(new.0), &json!(new.1)));
        assert_eq!(place.http(&keys.token)?.get("/api/v1/secrets/kept").send()?.json()?["data"]["a"], 1);
        shares = made;
    }
    let audit = place.audit()?;
    assert!(audit.contains("\"sys/rotate/root/update\"") && audit.contains("\"sys/rekey/update\""));
    assert!(shares.iter().all(|share| !audit.contains(share.as_str())));
    Ok(())
}

/// Begins to make new shares that must be shown before they count; those, and the nonce.
fn unverified(root: &Http, old: &[String]) -> Result<(Vec<String>, Value)> {
    let body = json!({"secret_shares": 3, "secret_threshold": 2, "require_verification": true, "pgp_keys": null});
    let begun = root.put("/v1/sys/rotate/root/init").json(&body).send()?.expect_status(200)?.json()?;
    let mut last = Value::Null;
    for share in old {
        let body = json!({"nonce": begun["data"]["nonce"], "key": share});
        last = root.put("/v1/sys/rotate/root/update").json(&body).send()?.expect_status(200)?.json()?;
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let made = last["data"]["keys"].as_array().into_iter().flatten().map(text).collect();
    Ok((made, last["data"]["verification_nonce"].clone()))
}

#[test]
fn shares_that_nobody_showed_are_not_valid_yet() -> Result {
    let mut place = Place::new()?;
    let keys = place.init(2, 2)?;
    let root = place.http(&keys.token)?;
    let (made, nonce) = unverified(&root, &keys.shares)?;
    let verify = |root: &Http, share: &str| {
        root.put("/v1/sys/rotate/root/verify").json(&json!({"nonce": nonce, "key": share})).send()
    };
    // Shares of the old key are none of the new.
    verify(&root, &keys.shares[0])?.expect_status(200)?;
    let refused = verify(&root, &made[0])?.expect_status(400)?.text();
    assert!(refused.contains("not the new shares"), "{refused}");
    assert_eq!(root.get("/v1/sys/rotate/root/verify").send()?.json()?["data"]["progress"], 0);
    place.restart()?;
    assert!(!opens(&place, &made)?, "new shares that were not verified");
    assert!(opens(&place, &keys.shares)?);
    let root = place.http(&keys.token)?;
    let (made, nonce) = unverified(&root, &keys.shares)?;
    for share in [&made[2], &made[0]] {
        root.put("/v1/sys/rekey/verify").json(&json!({"nonce": nonce, "key": share})).send()?.expect_status(200)?;
    }
    root.post("/v1/sys/seal").send()?.expect_status(204)?;
    assert!(!opens(&place, &keys.shares)?);
    assert!(opens(&place, &made[1..])?);
    Ok(())
}

/// Killed while the new shares become valid: either they are, or the old ones are, never both and
/// never neither.
#[test]
fn a_kill_at_any_moment_leaves_one_set_of_shares() -> Result {
    let suite = Suite::new("it", "seal::quorum::a_kill_at_any_moment_leaves_one_set_of_shares", 20_261_122);
    let mut random = suite.random();
    let mut place = Place::new()?;
    let keys = place.init(2, 2)?;
    let mut shares = keys.shares.clone();
    let (mut kept, mut changed) = (0, 0);
    for round in 0..suite.pick(8, 200) {
        let root = place.http(&keys.token)?;
        let (made, nonce) = unverified(&root, &shares)?;
        let give = |share: &str| {
            let body = json!({"nonce": nonce, "key": share});
            root.put("/v1/sys/rotate/root/verify").json(&body).send()
        };
        give(&made[0])?.expect_status(200)?;
        let pause = Duration::from_micros(random.below(20_000));
        thread::scope(|scope| -> Result {
            // The answer may or may not come.
            scope.spawn(|| _ = give(&made[1]));
            thread::park_timeout(pause);
            place.warder.take().ok_or_else(|| Failure::from("it does not run"))?.kill()?;
            Ok(())
        })?;
        place.start()?;
        let (old, new) = (opens(&place, &shares)?, if place.sealed()? { opens(&place, &made[..2])? } else { false });
        assert!(old != new, "round {round}: old shares {old}, new shares {new}");
        if old {
            root_seal(&place, &keys.token)?;
            assert!(!opens(&place, &made[..2])?, "round {round}: both sets open it");
            assert!(opens(&place, &shares)?);
            kept += 1;
        } else {
            shares = made[..2].to_vec();
            changed += 1;
        }
    }
    println!("old shares stayed {kept} times, new ones came {changed} times");
    Ok(())
}

fn root_seal(place: &Place, token: &str) -> Result {
    place.http(token)?.post("/api/v1/sys/seal").send()?.expect_status(204)?;
    Ok(())
}

/// Fewer shares than the threshold say so and open nothing; sealing forgets what was given.
#[test]
fn too_few_shares_are_told_and_sealing_forgets_attempts() -> Result {
    let place = Place::new()?;
    let keys = place.init(5, 3)?;
    let root = place.http(&keys.token)?;
    let begun = root.put("/v1/sys/generate-root/attempt").send()?.json()?;
    let body = json!({"nonce": begun["nonce"], "key": keys.shares[0]});
    root.put("/v1/sys/generate-root/update").json(&body).send()?.expect_status(200)?;
    root_seal(&place, &keys.token)?;
    let told = place.unseal(&keys.shares[..2])?;
    assert_eq!((&told["sealed"], &told["progress"], &told["threshold"]), (&json!(true), &json!(2), &json!(3)));
    let said = place.bao("", &["operator", "unseal", "-reset"], "")?.done()?;
    assert_eq!(said.value("Unseal Progress")?, "0/3");
    // What one of three people lost cannot be made up for by giving another share twice.
    place.unseal(&keys.shares[..2])?;
    let again = place.unseal(&keys.shares[1..2])?;
    assert!(again["detail"].as_str().is_some_and(|words| words.contains("already given")), "{again}");
    assert!(place.sealed()?);
    assert_eq!(place.unseal(&keys.shares[4..])?["sealed"], false);
    assert_eq!(place.http(&keys.token)?.get("/v1/sys/generate-root/attempt").send()?.json()?["started"], false);
    Ok(())
}
