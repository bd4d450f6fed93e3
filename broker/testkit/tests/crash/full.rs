//! A disk without room: writes are refused as such, reads go on, nothing is acknowledged that is
//! not there, and with room again writing goes on, without a restart.

use std::{path::Path, process::Command};

use serde_json::json;
use warder_testkit::{Http, Result, Volume, Warder};

use crate::{
    directory::Directory,
    records::{Log, verify},
    written::{Written, problem},
};

const SMALL: u64 = 2 << 20;

#[test]
fn a_full_disk_under_the_data_refuses_writes_and_serves_reads() -> Result {
    let (disk, other) = (Volume::new(SMALL)?, Directory::new()?);
    let audit = other.path().join("audit.log");
    let dev = Warder::dev().on(&disk).data_dir(&disk.path()).argument("--audit").argument(&audit);
    let mut warder = dev.start()?;
    let mut written = Written::default();
    let refusal = written.fill(&warder.http())?;
    problem(&refusal, 507, "storage_full");
    assert!(written.acknowledged.len() > 100, "{} fitted", written.acknowledged.len());
    every_door_says_so(&warder)?;
    for _ in 0..20 {
        problem(&written.fill(&warder.http())?, 507, "storage_full");
    }
    written.is_there(&warder.http())?;
    written.is_all(&warder.http())?;

    warder.kill()?;
    warder = dev.start()?;
    written.is_there(&warder.http())?;
    every_door_says_so(&warder)?;

    disk.resize(2 * SMALL)?;
    written.write(&warder.http())?.expect_status(201)?;
    warder.http().put("/api/v1/secrets/large").json(&large()).send()?.expect_status(201)?;
    warder.kill()?;
    let warder = dev.start()?;
    written.is_there(&warder.http())?;
    written.is_all(&warder.http())?;
    recorded(&audit, &written)
}

#[test]
fn a_full_disk_under_the_data_and_the_only_audit_file_refuses_everything() -> Result {
    let disk = Volume::new(SMALL)?;
    let dev = Warder::dev().on(&disk).data_dir(&disk.path());
    let warder = dev.start()?;
    let (http, mut written) = (warder.http(), Written::default());
    for _ in 0..50 {
        written.write(&http)?.expect_status(201)?;
    }
    disk.shell(FILL)?;
    // The page that the audit file ends in takes some records still.
    loop {
        let refusal = written.write(&http)?;
        if refusal.status != 507 {
            break problem(&refusal, 503, "audit_unavailable");
        }
        problem(&refusal, 507, "storage_full");
    }
    refuses_everything(&http, &mut written)?;
    disk.shell("rm filler")?;
    written.write_until_taken(&http)?;
    written.is_there(&http)?;
    written.is_whole(&http)?;
    warder.kill()?;

    let warder = dev.start()?;
    written.is_there(&warder.http())?;
    written.is_whole(&warder.http())?;
    let other = Directory::new()?;
    let copy = other.path().join("audit.log");
    std::fs::write(&copy, disk.shell("cat audit.log")?)?;
    recorded(&copy, &written)
}

#[test]
fn a_full_disk_under_the_only_audit_file_lets_nothing_happen() -> Result {
    let (disk, data) = (Volume::new(SMALL)?, Directory::new()?);
    let audit = disk.path().join("audit.log");
    let warder = Warder::dev().on(&disk).data_dir(data.path()).argument("--audit").argument(audit).start()?;
    let (http, mut written) = (warder.http(), Written::default());
    for _ in 0..50 {
        written.write(&http)?.expect_status(201)?;
    }
    disk.shell(FILL)?;
    while written.write(&http)?.status == 201 {}
    // The last one may have had room for its open record alone: it is done and not answered.
    let last = written.refused.pop();
    refuses_everything(&http, &mut written)?;
    disk.shell("rm filler")?;
    written.write_until_taken(&http)?;
    written.is_there(&http)?;
    written.is_all(&http)?;
    written.refused.extend(last);
    written.is_whole(&http)?;
    drop(warder);
    let copy = data.path().join("copy.log");
    std::fs::write(&copy, disk.shell("cat audit.log")?)?;
    recorded(&copy, &written)
}

/// Takes all the room there is.
const FILL: &str = "cat /dev/zero > filler 2>/dev/null || true";

/// No record, no request.
fn refuses_everything(http: &Http, written: &mut Written) -> Result {
    let read = || http.get("/api/v1/secrets/disk/crash-0-0-1").send();
    // The record of a read is the shorter one: there may be room for some.
    while read()?.status == 200 {}
    for _ in 0..20 {
        problem(&written.write(http)?, 503, "audit_unavailable");
        problem(&read()?, 503, "audit_unavailable");
    }
    Ok(())
}

/// Native, Vault's and gRPC, for secrets, policies and tokens.
fn every_door_says_so(warder: &Warder) -> Result {
    let http = warder.http();
    problem(&http.put("/api/v1/secrets/large").json(&large()).send()?, 507, "storage_full");
    let policy = format!("# {}\npath \"secret/*\" {{ capabilities = [\"read\"] }}", "x".repeat(100_000));
    problem(&http.put("/api/v1/policies/large").json(&json!({ "policy": policy })).send()?, 507, "storage_full");
    let metadata: serde_json::Map<_, _> = (0..60).map(|n| (format!("k{n}"), json!("x".repeat(500)))).collect();
    let token = http.post("/api/v1/auth/tokens").json(&json!({ "policies": ["default"], "metadata": metadata }));
    problem(&token.send()?, 507, "storage_full");
    let vault = http.post("/v1/secret/data/large").json(&json!({ "data": large() })).send()?.expect_status(507)?;
    assert_eq!(vault.json()?, json!({ "errors": ["no space left on the storage device"] }));
    let (status, message) = grpc_put(warder, "large", &large().to_string())?;
    assert_eq!((status.as_str(), message.contains("no space left")), ("8", true), "{message}");
    http.get("/api/v1/secrets/large").send()?.expect_status(404)?;
    Ok(())
}

fn large() -> serde_json::Value {
    json!({ "pad": "x".repeat(100_000) })
}

/// `SecretsService.Put` by hand: `grpc-status` and `grpc-message` (RESOURCE_EXHAUSTED is 8).
fn grpc_put(warder: &Warder, path: &str, json: &str) -> Result<(String, String)> {
    let mut message = Vec::new();
    for (field, text) in [(1_u8, path), (2, json)] {
        message.push(field << 3 | 2);
        let mut length = text.len();
        while length >= 0x80 {
            message.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        message.push(u8::try_from(length).unwrap());
        message.extend_from_slice(text.as_bytes());
    }
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(&message);
    let directory = Directory::new()?;
    let file = directory.path().join("frame");
    std::fs::write(&file, frame)?;
    let answer = Command::new("curl")
        .args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "60", "--http2-prior-knowledge"])
        .args(["-D", "-", "-o", "/dev/null", "-H", "content-type: application/grpc", "-H", "te: trailers"])
        .args(["-H", "x-vault-token: root", "--data-binary", &format!("@{}", file.display())])
        .arg(format!("http://{}/warder.v1.SecretsService/Put", warder.address()))
        .output()?;
    let text = String::from_utf8_lossy(&answer.stdout).into_owned();
    let header = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    };
    Ok((header("grpc-status:"), header("grpc-message:").replace("%20", " ")))
}

/// The chain is whole, and everything acknowledged is in it.
pub(crate) fn recorded(audit: &Path, written: &Written) -> Result {
    verify(audit)?;
    let mut log = Log::new(audit.to_owned());
    log.read()?;
    written.acknowledged.iter().for_each(|attempt| log.holds(*attempt));
    Ok(())
}
