//! A disk that takes no writes: found at the start, or turned so under a running server.

use std::{fs, path::Path, process::Command};

use warder_testkit::{Failure, Http, Result, Volume, Warder};

use crate::{
    directory::Directory,
    full::recorded,
    written::{Written, problem},
};

#[test]
fn a_read_only_disk_is_named_at_the_start_and_used_again_when_it_is_writable() -> Result {
    let (disk, other) = (Volume::new(16 << 20)?, Directory::new()?);
    let audit = other.path().join("audit.log");
    for (data, audit, named) in
        [(disk.path(), audit, "warder.redb"), (other.path().join("data"), disk.path().join("audit.log"), "audit.log")]
    {
        let dev = Warder::dev().on(&disk).data_dir(&data).argument("--audit").argument(&audit);
        let (mut written, warder) = (Written::default(), dev.start()?);
        for _ in 0..20 {
            written.write(&warder.http())?.expect_status(201)?;
        }
        assert!(disk.read_only(true).is_err(), "the kernel makes no disk read-only while files on it are written");
        assert!(warder.stop()?.success());
        disk.read_only(true)?;
        let refused = dev.start().err().ok_or("it started")?.to_string();
        assert!(refused.contains(named) && refused.contains("Read-only file system"), "{refused}");
        disk.read_only(false)?;
        let warder = dev.start()?;
        written.is_there(&warder.http())?;
        written.write(&warder.http())?.expect_status(201)?;
        drop(warder);
        let copy = other.path().join("copy.log");
        let bytes = disk.command("cat").arg(&audit).output()?.stdout;
        fs::write(&copy, bytes)?;
        recorded(&copy, &written)?;
    }
    Ok(())
}

#[test]
fn data_that_turned_read_only_is_read_on_and_written_again_when_it_is_writable() -> Result {
    let turning = Turning::new()?;
    let warder = turning.start()?;
    let (http, mut written) = (warder.http(), Written::default());
    for _ in 0..20 {
        written.write(&http)?.expect_status(201)?;
    }
    turning.fail(Some("30 w /warder.redb"))?; // EROFS
    for _ in 0..3 {
        problem(&written.write(&http)?, 503, "unavailable");
        written.is_there(&http)?;
        written.is_all(&http)?;
    }
    turning.fail(None)?;
    written.write(&http)?.expect_status(201)?;
    turning.holds(warder, &written)
}

#[test]
fn an_audit_file_that_turned_read_only_lets_nothing_happen_until_it_is_writable() -> Result {
    let turning = Turning::new()?;
    let warder = turning.start()?;
    let (http, mut written) = (warder.http(), Written::default());
    for _ in 0..20 {
        written.write(&http)?.expect_status(201)?;
    }
    turning.fail(Some("30 w /audit.log"))?;
    for _ in 0..3 {
        problem(&written.write(&http)?, 503, "audit_unavailable");
        problem(&read(&http)?, 503, "audit_unavailable");
    }
    turning.fail(None)?;
    written.write_until_taken(&http)?;
    turning.holds(warder, &written)
}

/// After a failed sync the kernel may show what is not on the disk, and later syncs may succeed
/// without it: only a restart shows what is durable.
#[test]
fn data_whose_sync_failed_is_neither_written_nor_read_until_a_restart() -> Result {
    let turning = Turning::new()?;
    let warder = turning.start()?;
    let (http, mut written) = (warder.http(), Written::default());
    for _ in 0..20 {
        written.write(&http)?.expect_status(201)?;
    }
    turning.fail(Some("5 s /warder.redb"))?; // EIO
    problem(&written.write(&http)?, 503, "unavailable");
    let last = written.refused.pop();
    turning.fail(None)?;
    for _ in 0..3 {
        problem(&written.write(&http)?, 503, "unavailable");
        problem(&read(&http)?, 503, "unavailable");
    }
    warder.process().says("a sync failed: restart to recover")?;
    warder.kill()?;
    let warder = turning.start()?;
    written.is_there(&warder.http())?;
    written.is_all(&warder.http())?;
    // The one whose sync failed may be there; then it is whole.
    written.refused = last.into_iter().collect();
    written.is_whole(&warder.http())
}

fn read(http: &Http) -> Result<warder_testkit::Reply> {
    http.get("/api/v1/secrets/disk/crash-0-0-1?refresh=true").send()
}

/// A server whose file calls can be made to fail while it runs (see `failing.c`).
struct Turning {
    directory: Directory,
}

impl Turning {
    fn new() -> Result<Self> {
        let directory = Directory::new()?;
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crash/failing.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(directory.path().join("failing.so"))
            .arg(source)
            .arg("-ldl")
            .output()
            .map_err(|why| Failure::new("run cc (Debian: apt-get install gcc libc6-dev)", why))?;
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        Ok(Self { directory })
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    fn start(&self) -> Result<Warder> {
        let dev = Warder::dev().data_dir(&self.directory.path().join("data"));
        let dev = dev.environment("LD_PRELOAD", &self.path("failing.so"));
        dev.environment("WARDER_TEST_FAILING", &self.path("failing")).start()
    }

    /// What fails from now on. Replaced whole: the server reads it at any moment.
    fn fail(&self, what: Option<&str>) -> Result {
        let Some(what) = what else { return Ok(fs::remove_file(self.path("failing"))?) };
        fs::write(self.path("failing.new"), what)?;
        Ok(fs::rename(self.path("failing.new"), self.path("failing"))?)
    }

    /// Everything acknowledged and nothing refused is there, now and after a crash, and recorded.
    fn holds(&self, warder: Warder, written: &Written) -> Result {
        written.is_there(&warder.http())?;
        written.is_all(&warder.http())?;
        warder.kill()?;
        let warder = self.start()?;
        written.is_there(&warder.http())?;
        written.is_all(&warder.http())?;
        drop(warder);
        recorded(Path::new(&self.path("data/audit.log")), written)
    }
}
