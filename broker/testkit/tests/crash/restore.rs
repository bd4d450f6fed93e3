//! A disk without room for a snapshot that is put back: 507, and the store that was there goes on.

use warder_testkit::{Http, Reply, Result, Volume, Warder};

use crate::{
    directory::Directory,
    written::{Written, problem},
};

const DISK: usize = 24 << 20;
/// What is left for a snapshot, a little more each time.
const STEP: usize = 384 << 10;

fn restore(http: &Http, bytes: &[u8]) -> Result<Reply> {
    let asked = http.post("/api/v1/sys/restore").header("Content-Type", "application/gzip");
    asked.body(bytes.to_vec()).send()
}

#[test]
fn a_disk_that_fills_up_in_a_restore_keeps_the_old_store() -> Result {
    let (disk, other) = (Volume::new(DISK as u64)?, Directory::new()?);
    let audit = other.path().join("audit.log");
    let dev = Warder::dev().on(&disk).data_dir(&disk.path()).argument("--audit").argument(&audit);
    let mut warder = dev.start()?;
    let mut written = Written::default();
    let pad = serde_json::json!({ "pad": "x".repeat(500_000) });
    for n in 0..4 {
        warder.http().put(&format!("/api/v1/secrets/pad/{n}")).json(&pad).send()?.expect_status(201)?;
    }
    let snapshot = warder.http().get("/api/v1/sys/snapshot").send()?.expect_status(200)?.body;
    assert!(snapshot.len() > 2_000_000, "what is encrypted does not pack: {}", snapshot.len());
    for _ in 0..50 {
        written.write(&warder.http())?.expect_status(201)?;
    }
    // Refused where it is received, and where it is put in the place of what is there.
    let (mut received, mut put) = (0, 0);
    for round in 0.. {
        let room = round * STEP;
        assert!(room < DISK, "it never fits");
        disk.shell("rm -f filler; cat /dev/zero > filler 2>/dev/null; true")?;
        disk.shell(&format!("size=$(stat -c %s filler); truncate -s $((size > {room} ? size - {room} : 0)) filler"))?;
        let reply = restore(&warder.http(), &snapshot)?;
        if reply.status == 200 {
            break;
        }
        problem(&reply, 507, "storage_full");
        if reply.text().contains("for the snapshot") {
            received += 1
        } else {
            put += 1
        }
        written.is_there(&warder.http())?;
        // Also for a server that begins anew.
        if round % 4 == 0 {
            warder.kill()?;
            warder = dev.start()?;
            written.is_there(&warder.http())?;
        }
    }
    assert!(received > 0 && put > 0, "refused {received} times as it came, {put} times as it was put back");
    let http = warder.http();
    http.get("/api/v1/secrets/pad/3").send()?.expect_status(200)?;
    written.refused.append(&mut written.acknowledged);
    written.is_all(&http)?;
    disk.shell("rm -f filler")?;
    written.write(&http)?.expect_status(201)?;
    warder.kill()?;
    let warder = dev.start()?;
    written.is_there(&warder.http())?;
    written.is_all(&warder.http())
}
