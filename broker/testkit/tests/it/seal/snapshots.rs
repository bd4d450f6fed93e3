//! Snapshots: taken while everybody goes on, looked at, put back or refused whole.

use std::{
    fs,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use warder_testkit::{Failure, Http, Result, Suite, temp_dir};

use super::{Place, run};

const SNAPSHOT: &str = "/v1/sys/storage/raft/snapshot";
const FORCE: &str = "/v1/sys/storage/raft/snapshot-force";

fn put(http: &Http, path: &str, value: &Value) -> Result {
    http.put(&format!("/api/v1/secrets/{path}")).json(value).send()?;
    Ok(())
}

fn get(http: &Http, path: &str) -> Result<Value> {
    http.get(&format!("/api/v1/secrets/{path}")).send()?.json()
}

fn save(http: &Http) -> Result<Vec<u8>> {
    Ok(http.get(SNAPSHOT).send()?.expect_status(200)?.body)
}

/// The files inside, as other programs unpack them.
fn unpacked(bytes: &[u8], folder: &Path) -> Result<PathBuf> {
    let (file, inside) = (folder.join("a.snap"), folder.join("inside"));
    fs::write(&file, bytes)?;
    fs::create_dir_all(&inside)?;
    run(Command::new("tar").arg("xzf").arg(&file).arg("-C").arg(&inside), "")?.done()?;
    Ok(inside)
}

#[test]
fn the_command_line_of_openbao_saves_and_restores() -> Result {
    let place = Place::new()?;
    let keys = place.init(3, 2)?;
    let root = place.http(&keys.token)?;
    put(&root, "a", &json!({"n": 1}))?;
    // More than a request may have otherwise.
    for n in 0..4 {
        put(&root, &format!("large/{n}"), &json!({"text": "x".repeat(900_000)}))?;
    }
    let made = root.post("/api/v1/auth/tokens").json(&json!({"policies": ["default"]})).send()?.json()?;
    let file = place.path().join("a.snap").display().to_string();
    place.bao(&keys.token, &["operator", "raft", "snapshot", "save", &file], "")?.done()?;
    let inside = unpacked(&fs::read(&file)?, place.path())?;
    run(Command::new("sha256sum").args(["-c", "SHA256SUMS"]).current_dir(&inside), "")?.done()?;
    let meta: Value = serde_json::from_slice(&fs::read(inside.join("meta.json"))?)?;
    assert_eq!(meta["format"], 1);
    let state = fs::read(inside.join("state.bin"))?;
    assert_eq!(meta["state_bytes"], state.len());
    let holds = |needle: &[u8]| state.windows(needle.len()).any(|window| window == needle);
    assert!(holds(b"barrier/keyring") && !holds(&[b'x'; 64]), "records are as stored: encrypted");

    put(&root, "a", &json!({"n": 2}))?;
    put(&root, "b", &json!({"n": 1}))?;
    let accessor = made["accessor"].as_str().unwrap_or_default();
    root.delete(&format!("/api/v1/auth/tokens/{accessor}")).send()?.expect_status(204)?;
    assert_eq!(get(&root, "a")?["version"], 2);
    place.bao(&keys.token, &["operator", "raft", "snapshot", "restore", &file], "")?.done()?;
    // At once, also what caches knew.
    let a = get(&root, "a")?;
    assert_eq!((&a["version"], &a["data"]["n"]), (&json!(1), &json!(1)));
    root.get("/api/v1/secrets/b").send()?.expect_status(404)?;
    assert_eq!(get(&root, "large/3")?["data"]["text"].as_str().map(str::len), Some(900_000));
    // SECURITY.md says so: what was revoked since comes back.
    let back = place.http(made["token"].as_str().unwrap_or_default())?;
    back.get("/api/v1/auth/self").send()?.expect_status(200)?;
    // And everything goes on.
    put(&root, "a", &json!({"n": 3}))?;
    assert_eq!(get(&root, "a")?["version"], 2);
    assert!(place.audit()?.contains("\"sys/storage/raft/snapshot\""));
    Ok(())
}

#[test]
fn a_dry_run_tells_and_changes_nothing() -> Result {
    let place = Place::new()?;
    let keys = place.init(1, 1)?;
    let root = place.http(&keys.token)?;
    put(&root, "a", &json!({"n": 1}))?;
    let bytes = save(&root)?;
    put(&root, "a", &json!({"n": 2}))?;
    let told = root.post(&format!("{SNAPSHOT}?dry_run=true")).body(bytes).send()?.expect_status(200)?.json()?;
    let told = &told["data"];
    assert_eq!(
        (&told["same_keyring"], &told["authentic"], &told["restored"]),
        (&json!(true), &json!(true), &json!(false))
    );
    assert!(told["revision"].as_u64() > Some(0) && told["records"].as_u64() > Some(3), "{told}");
    assert_eq!(get(&root, "a")?["data"]["n"], 2);
    Ok(())
}

/// The tar inside, changed and packed again.
fn packed(tar: &[u8]) -> Result<Vec<u8>> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(tar)?;
    Ok(out.finish()?)
}

#[test]
fn what_is_torn_or_altered_is_refused_before_anything_changes() -> Result {
    let suite =
        Suite::new("it", "seal::snapshots::what_is_torn_or_altered_is_refused_before_anything_changes", 20_261_122);
    let mut random = suite.random();
    let place = Place::new()?;
    let keys = place.init(1, 1)?;
    let root = place.http(&keys.token)?;
    put(&root, "a", &json!({"n": 1}))?;
    let bytes = save(&root)?;
    put(&root, "a", &json!({"n": 2}))?;
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(&*bytes).read_to_end(&mut tar)?;
    let mut bad = vec![Vec::new(), b"not gzip".to_vec(), packed(b"not a tar")?, packed(&[&*tar, &[1; 512]].concat())?];
    let place_in = |bound: usize, random: &mut warder_testkit::Random| {
        usize::try_from(random.below(bound as u64)).unwrap_or_default()
    };
    for _ in 0..suite.pick(20, 500) {
        bad.push(bytes[..place_in(bytes.len(), &mut random)].to_vec());
        bad.push(packed(&tar[..place_in(tar.len() - 1, &mut random)])?);
        let mut changed = tar.clone();
        // Not the time of a file, of which the checksum of its header speaks alone.
        changed[place_in(tar.len(), &mut random)] ^= 1 << random.below(8);
        bad.push(packed(&changed)?);
    }
    // Somebody who makes the checksums anew has not the key that marks them.
    let inside = unpacked(&bytes, place.path())?;
    let state = fs::read(inside.join("state.bin"))?;
    let at = tar.windows(state.len()).position(|window| window == state).ok_or("no state")?;
    let mut forged = tar.clone();
    forged[at + state.len() - 1] ^= 1;
    fs::write(inside.join("state.bin"), &forged[at..at + state.len()])?;
    let sums = run(Command::new("sha256sum").args(["meta.json", "state.bin"]).current_dir(&inside), "")?.done()?.out;
    let old = fs::read(inside.join("SHA256SUMS"))?;
    let from = tar.windows(old.len()).position(|window| window == old).ok_or("no checksums")?;
    forged[from..from + old.len()].copy_from_slice(sums.as_bytes());
    bad.push(packed(&forged)?);
    for (at, bytes) in bad.into_iter().enumerate() {
        let answer = root.post(SNAPSHOT).body(bytes).send()?;
        assert_eq!(answer.status, 400, "{at}: {}", answer.text());
    }
    assert_eq!(get(&root, "a")?["data"]["n"], 2);
    // Nothing was left where they were received.
    let names: Vec<_> = fs::read_dir(place.path())?.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().starts_with(".tmp")), "{names:?}");
    root.post(SNAPSHOT).body(bytes_of(&tar)?).send()?.expect_status(204)?;
    assert_eq!(get(&root, "a")?["data"]["n"], 1);
    Ok(())
}

fn bytes_of(tar: &[u8]) -> Result<Vec<u8>> {
    packed(tar)
}

#[test]
fn a_snapshot_of_another_keyring_needs_force_and_brings_its_seal() -> Result {
    let (here, there) = (Place::new()?, Place::new()?);
    let (own, other) = (here.init(1, 1)?, there.init(3, 2)?);
    put(&here.http(&own.token)?, "a", &json!({"of": "here"}))?;
    put(&there.http(&other.token)?, "a", &json!({"of": "there"}))?;
    let file = here.path().join("other.snap").display().to_string();
    there.bao(&other.token, &["operator", "raft", "snapshot", "save", &file], "")?.done()?;
    let root = here.http(&own.token)?;
    let told = root.post(&format!("{FORCE}?dry_run=true")).body(fs::read(&file)?).send()?.expect_status(200)?.json()?;
    assert_eq!((&told["data"]["same_keyring"], &told["data"]["authentic"]), (&json!(false), &json!(false)));
    here.bao(&own.token, &["operator", "raft", "snapshot", "restore", &file], "")?.refused("another root key")?;
    assert_eq!(get(&root, "a")?["data"]["of"], "here");
    here.bao(&own.token, &["operator", "raft", "snapshot", "restore", "-force", &file], "")?.done()?;
    let status = here.http("")?.get("/api/v1/sys/status").send()?.json()?;
    assert_eq!((&status["sealed"], &status["shares"], &status["threshold"]), (&json!(true), &json!(3), &json!(2)));
    assert_ne!(here.unseal(&own.shares)?["sealed"], false, "its own share does not open it any more");
    here.http("")?.post("/api/v1/sys/unseal").json(&json!({"reset": true})).send()?;
    assert_eq!(here.unseal(&other.shares[1..])?["sealed"], false);
    assert_eq!(get(&here.http(&other.token)?, "a")?["data"]["of"], "there");
    here.http(&own.token)?.get("/api/v1/auth/self").send()?.expect_status(401)?;
    Ok(())
}

#[test]
fn who_may_not_gets_no_snapshot_and_sends_none() -> Result {
    let place = Place::new()?;
    let keys = place.init(1, 1)?;
    let root = place.http(&keys.token)?;
    let bytes = save(&root)?;
    let policy = format!("path \"{}*\" {{ capabilities = [\"read\", \"update\"] }}", &SNAPSHOT[4..]);
    root.put("/api/v1/policies/almost").json(&json!({ "policy": policy })).send()?.expect_status(204)?;
    let made = root.post("/api/v1/auth/tokens").json(&json!({"policies": ["almost"]})).send()?.json()?;
    for token in ["", "hvs.nobody", made["token"].as_str().unwrap_or_default()] {
        let http = place.http(token)?;
        http.get(SNAPSHOT).send()?.expect_status(403)?;
        for path in [SNAPSHOT, FORCE] {
            http.post(path).body(bytes.clone()).send()?.expect_status(403)?;
        }
    }
    root.post("/v1/sys/seal").send()?.expect_status(204)?;
    root.get(SNAPSHOT).send()?.expect_status(503)?;
    root.post(SNAPSHOT).body(bytes).send()?.expect_status(503)?;
    Ok(())
}

/// Taken under writers, it shows one state: of two secrets that are written in turn none is ahead
/// of the other by more than the one write between.
#[test]
fn a_snapshot_under_writers_is_one_state() -> Result {
    let place = Place::new()?;
    let keys = place.init(1, 1)?;
    let root = place.http(&keys.token)?;
    let stop = &AtomicBool::new(false);
    let shots = thread::scope(|scope| -> Result<Vec<Vec<u8>>> {
        let writer = scope.spawn(|| -> Result {
            let mut n = 0;
            while !stop.load(Ordering::SeqCst) {
                n += 1;
                put(&root, "first", &json!({ "n": n }))?;
                put(&root, "second", &json!({ "n": n }))?;
            }
            Ok(())
        });
        let shots = (0..4).map(|_| {
            thread::park_timeout(Duration::from_millis(100));
            save(&root)
        });
        let shots = shots.collect();
        stop.store(true, Ordering::SeqCst);
        writer.join().map_err(|_| "the writer panicked")??;
        shots
    })?;
    for bytes in shots {
        root.post(SNAPSHOT).body(bytes).send()?.expect_status(204)?;
        let n = |path: &str| -> Result<i64> { Ok(get(&root, path)?["data"]["n"].as_i64().unwrap_or_default()) };
        let (first, second) = (n("first")?, n("second")?);
        assert!(first == second || first == second + 1, "first {first}, second {second}");
    }
    Ok(())
}

/// Killed while a snapshot is put back: afterwards it is all there, or nothing of it.
#[test]
fn a_kill_in_a_restore_leaves_the_old_state_or_the_new() -> Result {
    let suite = Suite::new("it", "seal::snapshots::a_kill_in_a_restore_leaves_the_old_state_or_the_new", 20_261_122);
    let mut random = suite.random();
    let mut place = Place::new()?;
    let keys = place.init(1, 1)?;
    let root = place.http(&keys.token)?;
    let count = 60;
    for n in 0..count {
        put(&root, &format!("all/{n}"), &json!({"of": "old"}))?;
    }
    let old = save(&root)?;
    for n in 0..count {
        put(&root, &format!("all/{n}"), &json!({"of": "new"}))?;
    }
    let new = save(&root)?;
    let (mut came, mut stayed) = (0, 0);
    for round in 0..suite.pick(8, 100) {
        let (bytes, before, after) = if round % 2 == 0 { (&old, "new", "old") } else { (&new, "old", "new") };
        let root = place.http(&keys.token)?;
        root.post(SNAPSHOT).body(if before == "new" { new.clone() } else { old.clone() }).send()?.expect_status(204)?;
        let pause = Duration::from_micros(random.below(60_000));
        thread::scope(|scope| -> Result {
            scope.spawn(|| _ = root.post(SNAPSHOT).body(bytes.clone()).send());
            thread::park_timeout(pause);
            place.warder.take().ok_or_else(|| Failure::from("it does not run"))?.kill()?;
            Ok(())
        })?;
        place.start()?;
        assert_eq!(place.unseal(&keys.shares)?["sealed"], false, "round {round}");
        let root = place.http(&keys.token)?;
        let found = get(&root, "all/0")?["data"]["of"].clone();
        for n in 0..count {
            assert_eq!(get(&root, &format!("all/{n}"))?["data"]["of"], found, "round {round}: {n}");
        }
        assert!(found == before || found == after, "round {round}: {found}");
        if found == after { came += 1 } else { stayed += 1 }
    }
    println!("the new state came {came} times, the old one stayed {stayed} times");
    Ok(())
}

/// An older snapshot after rotations: its keys come with it, and values move to the newest again.
#[test]
fn a_snapshot_from_before_a_rotation_is_restored() -> Result {
    let mut place = Place::new()?;
    let keys = place.init(1, 1)?;
    let root = place.http(&keys.token)?;
    put(&root, "a", &json!({"n": 1}))?;
    let bytes = save(&root)?;
    for _ in 0..2 {
        root.post("/v1/sys/rotate").send()?.expect_status(204)?;
    }
    super::until("one term is left", || Ok(root.get("/api/v1/sys/key-status").send()?.json()?["terms"] == 1))?;
    put(&root, "a", &json!({"n": 2}))?;
    root.post(SNAPSHOT).body(bytes).send()?.expect_status(204)?;
    assert_eq!(get(&root, "a")?["data"]["n"], 1);
    assert_eq!(root.get("/api/v1/sys/key-status").send()?.json()?["term"], 1);
    put(&root, "a", &json!({"n": 3}))?;
    place.restart()?;
    place.unseal(&keys.shares)?;
    assert_eq!(get(&place.http(&keys.token)?, "a")?["data"]["n"], 3);
    drop(temp_dir()?);
    Ok(())
}
