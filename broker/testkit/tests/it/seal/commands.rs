//! The same by our own command line, which speaks `/api/v1`: a new root token, new shares,
//! snapshots.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::{Value, json};
use warder_testkit::{Failure, Result};

use super::{Place, Said};

fn of(said: &Said) -> Result<Value> {
    Ok(serde_json::from_str(&said.out)?)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Whether these shares open a sealed barrier.
fn opens(place: &Place, shares: &[String]) -> Result<bool> {
    place.http("")?.post("/api/v1/sys/unseal").json(&json!({"reset": true})).send()?.expect_status(200)?;
    Ok(place.unseal(shares)?["sealed"] == false)
}

#[test]
fn a_quorum_makes_a_root_token() -> Result {
    let place = Place::new()?;
    let keys = place.init(3, 2)?;
    let root = |arguments: &[&str], input: &str| {
        place.cli(&keys.token, &[&["operator", "generate-root"], arguments].concat(), input)
    };
    assert_eq!(root(&["status"], "")?.done()?.out, "Nothing is under way.\n");
    root(&["share"], &keys.shares[0])?.refused("no root generation in progress")?;
    let begun = root(&["start"], "")?.done()?;
    let (nonce, otp) = (begun.value("Nonce")?, begun.value("One-time password")?);
    assert_eq!((otp.len(), begun.value("Progress")?), (28, "0 of 2".to_owned()));
    root(&["start"], "")?.refused("already in progress")?;
    // A share from a file, for the attempt that was told.
    let file = place.path().join("share.txt");
    fs::write(&file, format!("{}\n", keys.shares[2]))?;
    let given = root(&["share", "--nonce", &nonce, &file.display().to_string()], "")?.done()?;
    assert_eq!(given.value("Progress")?, "1 of 2");
    root(&["share", "--nonce", "another"], &keys.shares[0])?.refused("incorrect nonce")?;
    root(&["share", "-"], "not a share")?.refused("hex or base64")?;
    // What one of three people lost is not made up for by giving another's share twice.
    root(&["share"], &keys.shares[2])?.refused("already given")?;
    let status = of(&root(&["status", "--output", "json"], "")?.done()?)?;
    assert_eq!((&status["progress"], &status["otp"], &status["nonce"]), (&json!(1), &json!(""), &json!(nonce)));
    let done = root(&["share"], &keys.shares[0])?.done()?;
    let encoded = done.value("Encoded token")?;
    let token = root(&["decode"], &format!("{encoded}\n{otp}\n"))?.done()?.out.trim().to_owned();
    assert!(token.starts_with("hvs.") && token.len() == 28 && token != keys.token, "{done:?}");
    let shown = place.http(&token)?.get("/api/v1/auth/self").send()?.expect_status(200)?.json()?;
    assert_eq!(shown["policies"], json!(["root"]));
    root(&["decode"], &format!("{encoded}\n{}\n", "x".repeat(27)))?.refused("no encoded token")?;
    root(&["decode"], &encoded)?.refused("two lines")?;
    // With a one-time password of one's own, and giving up.
    root(&["start", "--otp", "-"], "short")?.refused("28 characters")?;
    let begun = of(&root(&["start", "--otp", "-", "--output", "json"], &"p".repeat(28))?.done()?)?;
    assert_eq!((&begun["otp"], &begun["started"]), (&json!(""), &json!(true)));
    root(&["cancel"], "")?.done()?;
    assert_eq!(root(&["status"], "")?.done()?.out, "Nothing is under way.\n");
    let audit = place.audit()?;
    assert!(audit.contains("\"sys/generate-root/update\""));
    for secret in [&token, &otp, &encoded, &keys.shares[0], &keys.shares[2]] {
        assert!(!audit.contains(secret.as_str()), "a secret is in the audit log");
    }
    place.cli("hvs.nobody", &["operator", "generate-root", "start"], "")?.refused("Not authenticated (401)")?;
    Ok(())
}

#[test]
fn new_shares_count_once_they_were_given_back() -> Result {
    let mut place = Place::new()?;
    let keys = place.init(3, 2)?;
    let rekey = |place: &Place, arguments: &[&str], input: &str| {
        place.cli(&keys.token, &[&["operator", "rekey"], arguments].concat(), input)
    };
    rekey(&place, &["start", "--shares", "2", "--threshold", "3"], "")?.refused("threshold")?;
    rekey(&place, &["verify"], &keys.shares[0])?.refused("no rekey verification in progress")?;
    let begun = rekey(&place, &["start", "--shares", "3", "--threshold", "2", "--verify"], "")?.done()?;
    let nonce = begun.value("Nonce")?;
    rekey(&place, &["share", "--nonce", &nonce], &keys.shares[0])?.done()?;
    rekey(&place, &["share"], &keys.shares[0])?.refused("already given")?;
    let made = of(&rekey(&place, &["share", "--output", "json"], &keys.shares[1])?.done()?)?;
    let shares: Vec<String> = made["keys"].as_array().into_iter().flatten().map(text).collect();
    assert_eq!((shares.len(), &made["verification_required"]), (3, &json!(true)));
    assert!(rekey(&place, &["status"], "")?.done()?.out.contains("wait for `warder operator rekey verify`"));
    let verification = text(&made["verification_nonce"]);
    let given = rekey(&place, &["verify", "--nonce", &verification], &shares[1])?.done()?;
    assert_eq!(given.value("Progress")?, "1 of 2");
    // Not before.
    place.restart()?;
    assert!(!opens(&place, &shares[..2])? && opens(&place, &keys.shares[1..])?);
    let mut old = keys.shares.clone();
    for (verify, new) in [(true, "3"), (false, "1")] {
        let numbers = ["start", "--shares", new, "--threshold", if new == "1" { "1" } else { "2" }];
        rekey(&place, &[&numbers[..], if verify { &["--verify"] } else { &[] }].concat(), "")?.done()?;
        rekey(&place, &["share"], &old[0])?.done()?;
        let made = rekey(&place, &["share"], &old[1])?.done()?;
        let lines = made.out.lines().filter_map(|line| line.strip_prefix("Key share "));
        let shares: Vec<String> = lines.filter_map(|line| Some(line.split(": ").nth(1)?.to_owned())).collect();
        assert_eq!(shares.len().to_string(), new);
        if verify {
            rekey(&place, &["verify"], &shares[2])?.done()?;
            assert!(rekey(&place, &["verify"], &shares[0])?.done()?.out.contains("open the barrier from now on"));
        }
        place.cli(&keys.token, &["operator", "seal"], "")?.done()?;
        assert!(!opens(&place, &old[..2])?, "the old shares");
        assert!(opens(&place, &shares[..shares.len().min(2)])?, "the new shares");
        old = shares;
    }
    let audit = place.audit()?;
    assert!(audit.contains("\"sys/rekey/verify\"") && old.iter().all(|share| !audit.contains(share.as_str())));
    Ok(())
}

#[test]
fn a_snapshot_is_saved_verified_and_restored() -> Result {
    let place = Place::new()?;
    let keys = place.init(1, 1)?;
    let root = place.http(&keys.token)?;
    let put = |n: u8| {
        root.put("/api/v1/secrets/a").json(&json!({ "n": n })).send()?.expect_status(if n == 1 { 201 } else { 200 })
    };
    put(1)?;
    // More than a request may have otherwise.
    for n in 0..4 {
        let large = json!({"text": "x".repeat(900_000)});
        root.put(&format!("/api/v1/secrets/large/{n}")).json(&large).send()?.expect_status(201)?;
    }
    let snapshot =
        |arguments: &[&str], token: &str| place.cli(token, &[&["operator", "snapshot"], arguments].concat(), "");
    let file = place.path().join("a.snap");
    let name = &*file.display().to_string();
    let saved = of(&snapshot(&["save", name, "--output", "json"], &keys.token)?.done()?)?;
    assert!(saved["records"].as_u64() > Some(7) && saved["revision"].as_u64() > Some(0), "{saved}");
    assert_eq!(fs::metadata(&file)?.permissions().mode() & 0o777, 0o600);
    assert!(!place.path().join("a.snap.part").exists());
    put(2)?;
    let found = of(&snapshot(&["verify", name, "--output", "json"], &keys.token)?.done()?)?;
    assert_eq!(
        (&found["same_keyring"], &found["authentic"], &found["restored"]),
        (&json!(true), &json!(true), &json!(false))
    );
    // Without a token, and without a server, it is looked at by itself.
    let alone = of(&snapshot(&["verify", name, "--output", "json"], "")?.done()?)?;
    assert_eq!((&alone["whole"], &alone["records"]), (&json!(true), &found["records"]));
    snapshot(&["verify", name, "--offline", "--address", "http://127.0.0.1:1"], &keys.token)?.done()?;
    assert_eq!(root.get("/api/v1/secrets/a").send()?.json()?["data"]["n"], 2);
    let restored = of(&snapshot(&["restore", name, "--output", "json"], &keys.token)?.done()?)?;
    assert_eq!((&restored["restored"], &restored["revision"]), (&json!(true), &saved["revision"]));
    assert_eq!(root.get("/api/v1/secrets/a").send()?.json()?["data"]["n"], 1);
    put(3)?;
    let none = place.path().join("none.snap").display().to_string();
    for refused in [&["save", &none][..], &["restore", name]] {
        assert!(snapshot(refused, "hvs.nobody")?.refused("Not authenticated (401)")?.out.is_empty());
    }
    assert!(!fs::exists(&none)? && !fs::exists(format!("{none}.part"))?);
    snapshot(&["verify", &none], &keys.token)?.refused("No such file")?;
    Ok(())
}

/// Told apart, and told before anything is sent.
#[test]
fn a_file_that_is_no_whole_snapshot_is_refused_with_the_reason() -> Result {
    let place = Place::new()?;
    let keys = place.init(1, 1)?;
    let root = place.http(&keys.token)?;
    root.put("/api/v1/secrets/a").json(&json!({ "n": 1 })).send()?.expect_status(201)?;
    let file = place.path().join("a.snap").display().to_string();
    place.cli(&keys.token, &["operator", "snapshot", "save", &file], "")?.done()?;
    let whole = fs::read(&file)?;
    root.put("/api/v1/secrets/a").json(&json!({ "n": 2 })).send()?.expect_status(200)?;
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 0x10;
    for (bytes, words) in [
        (whole[..whole.len() / 2].to_vec(), "it is cut off"),
        (whole[..whole.len() - 4].to_vec(), "it is cut off"),
        (Vec::new(), "it is cut off"),
        // Which of its checks sees it depends on what the bit was.
        (flipped, "this is not a whole snapshot: "),
        ([&whole[..], b"more"].concat(), "something follows its end"),
        (b"not a snapshot at all, but text".to_vec(), "it is damaged, or something else"),
    ] {
        fs::write(&file, bytes)?;
        for arguments in [&["verify", "--offline"][..], &["verify"], &["restore"], &["restore", "--force"]] {
            let said = place.cli(&keys.token, &[&["operator", "snapshot"], arguments, &[&file]].concat(), "")?;
            let said = said.refused(words)?;
            if said.out.is_empty() { Ok(()) } else { Err(Failure::from(format!("{said:?}"))) }?;
        }
    }
    assert_eq!(root.get("/api/v1/secrets/a").send()?.json()?["data"]["n"], 2);
    Ok(())
}

#[test]
fn a_snapshot_of_another_keyring_is_refused_unless_forced() -> Result {
    let (here, there) = (Place::new()?, Place::new()?);
    let (own, other) = (here.init(1, 1)?, there.init(3, 2)?);
    there.http(&other.token)?.put("/api/v1/secrets/a").json(&json!({"of": "there"})).send()?.expect_status(201)?;
    let file = here.path().join("other.snap").display().to_string();
    there.cli(&other.token, &["operator", "snapshot", "save", &file], "")?.done()?;
    let snapshot = |arguments: &[&str]| here.cli(&own.token, &[&["operator", "snapshot"], arguments].concat(), "");
    snapshot(&["verify", &file])?.refused("taken under another root key")?;
    snapshot(&["restore", &file])?
        .refused("Precondition failed (412): the snapshot was taken under another root key")?;
    here.http(&own.token)?.get("/api/v1/secrets/a").send()?.expect_status(404)?;
    snapshot(&["restore", &file, "--force"])?.done()?;
    assert!(here.sealed()? && !opens(&here, &own.shares)? && opens(&here, &other.shares[1..])?);
    let shown = here.http(&other.token)?.get("/api/v1/secrets/a").send()?.expect_status(200)?.json()?;
    assert_eq!(shown["data"]["of"], "there");
    Ok(())
}
