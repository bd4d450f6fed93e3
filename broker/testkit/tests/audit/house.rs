//! A `warder serve` with sinks of the test's choice, on a real store.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use warder_testkit::{Failure, Http, Result, SmallDisk, TempDir, Warder, temp_dir};

use crate::console::Console;

/// Longest that anything may take before it counts as hanging: many times a sink's deadline (2 s).
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Longest that a start may take: a debug build compiles its plugins for many seconds, on a busy
/// machine for minutes.
const START: Duration = Duration::from_secs(300);
/// Size of the small disk.
const DISK_KIB: u32 = 256;

/// Where a sink writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The standard output: the house's console.
    Console,
    /// A file on a small disk.
    Disk,
    /// A file in a folder.
    Folder,
}

/// A running server and what belongs to it.
pub(crate) struct House {
    pub(crate) console: Console,
    folder: TempDir,
    sinks: Vec<(&'static str, Place)>,
    disk: SmallDisk,
    child: Child,
    address: SocketAddr,
    root: String,
}

impl House {
    /// Starts a server that is initialized and open, with these sinks.
    pub(crate) fn start(sinks: &[(&'static str, Place)]) -> Result<Self> {
        let folder = temp_dir()?;
        for name in ["disk", "log"] {
            fs::create_dir(folder.path().join(name))?;
        }
        let disk = SmallDisk::new(&folder.path().join("disk"), DISK_KIB);
        let console = Console::new(folder.path())?;
        let needs_disk = sinks.iter().any(|(_, place)| *place == Place::Disk);
        let config = configuration(folder.path(), sinks)?;
        let child = serve(&config, needs_disk.then_some(&disk))
            .stdout(console.output()?)
            .stderr(fs::File::create(folder.path().join("stderr"))?)
            .spawn()
            .map_err(|e| Failure::new(format_args!("start warder ({})", SmallDisk::ADVICE), e))?;
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let sinks = sinks.to_vec();
        let mut house = Self { console, folder, sinks, disk, child, address: nowhere, root: String::new() };
        house.address = house.banner()?;
        let made = house.stranger().post("/api/v1/sys/init").json(&json!({"shares": 1, "threshold": 1})).send()?;
        house.root = made.expect_status(200)?.json()?["root_token"].as_str().unwrap_or_default().to_owned();
        Ok(house)
    }

    fn banner(&mut self) -> Result<SocketAddr> {
        let start = Instant::now();
        while start.elapsed() < START && self.child.try_wait()?.is_none() {
            if let Some(line) = self.console.banner()? {
                let address = line.rsplit("//").next().unwrap_or_default();
                return address.parse().map_err(|e| Failure::new(line, e));
            }
            pause();
        }
        let words = fs::read_to_string(self.folder.path().join("stderr"))?;
        Err(Failure::new(
            format_args!("warder did not come up after {:?} ({})", start.elapsed(), SmallDisk::ADVICE),
            words,
        ))
    }

    /// A client with the root token.
    pub(crate) fn http(&self) -> Http {
        self.stranger().with_token(&self.root)
    }

    /// A client without a token.
    pub(crate) fn stranger(&self) -> Http {
        Http::at(self.address)
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    /// A folder of the test's own, beside the server's.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The small disk, as the test sees it.
    pub(crate) fn disk(&self) -> PathBuf {
        self.disk.seen_of(self.child.id())
    }

    /// The file of a sink, as the test sees it.
    pub(crate) fn file(&self, sink: &str) -> PathBuf {
        let place = self.sinks.iter().find(|(name, _)| *name == sink).map(|(_, place)| *place);
        match place {
            Some(Place::Disk) => self.disk().join(format!("{sink}.log")),
            _ => self.folder.path().join("log").join(format!("{sink}.log")),
        }
    }

    /// All that a sink holds; the console's is what was read of it.
    pub(crate) fn log(&self, sink: &str) -> Result<Vec<u8>> {
        match self.sinks.iter().any(|(name, place)| *name == sink && *place == Place::Console) {
            true => Ok(self.console.records().to_vec()),
            false => Ok(fs::read(self.file(sink))?),
        }
    }

    /// What `warder audit verify` says of a sink's log, which must be intact.
    pub(crate) fn verified(&self, sink: &str) -> Result<Value> {
        verified(&self.log(sink)?)
    }

    /// How `GET /api/v1/audit` shows a sink.
    pub(crate) fn status(&self, sink: &str) -> Result<Value> {
        let shown = self.http().get("/api/v1/audit").send()?.expect_status(200)?.json()?;
        let mut sinks = shown["sinks"].as_array().into_iter().flatten();
        let found = sinks.find(|shown| shown["name"] == *sink).cloned();
        found.ok_or_else(|| Failure::from(format!("{sink} is not in {shown}")))
    }

    /// One number of `/metrics`, by all that stands before it.
    pub(crate) fn metric(&self, series: &str) -> Result<u64> {
        let text = self.stranger().get("/metrics").send()?.expect_status(200)?.text();
        let number = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        number.and_then(|number| number.parse().ok()).ok_or_else(|| Failure::from(format!("no {series} in\n{text}")))
    }

    /// Whether the metrics say that the sink takes records.
    pub(crate) fn healthy(&self, sink: &str) -> Result<bool> {
        Ok(self.metric(&format!("warder_audit_sink_healthy{{sink=\"{sink}\"}}"))? == 1)
    }

    /// Reads the console, if anybody is there, and tries again until `reached`.
    pub(crate) fn until(&mut self, what: &str, mut reached: impl FnMut(&mut Self) -> Result<bool>) -> Result {
        let start = Instant::now();
        while !reached(self)? {
            if start.elapsed() > PATIENCE {
                let log = fs::read_to_string(self.folder.path().join("stderr"))?;
                return Err(Failure::from(format!("never {what}\n{log}")));
            }
            pause();
        }
        Ok(())
    }

    /// Asks it to reopen its logs.
    pub(crate) fn rotate(&self) -> Result {
        kill_process(Pid::from_child(&self.child), Signal::HUP).map_err(|e| Failure::new("send SIGHUP", e))
    }

    /// Asks it to end and waits until it did.
    pub(crate) fn stop(&mut self) -> Result<ExitStatus> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).map_err(|e| Failure::new("send SIGTERM", e))?;
        ended(&mut self.child)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn configuration(folder: &Path, sinks: &[(&str, Place)]) -> Result<PathBuf> {
    let here = folder.display();
    let mut text = format!(
        "listener = {{ address = \"127.0.0.1:0\", tls_disable = true }}\nseal.type = \"dev\"\n\
         storage = {{ type = \"redb\", path = \"{here}/store\" }}\n"
    );
    for (name, place) in sinks {
        text += &match place {
            Place::Console => format!("audit.{name}.type = \"stdout\"\n"),
            Place::Disk => format!("audit.{name} = {{ type = \"file\", path = \"{here}/disk/{name}.log\" }}\n"),
            Place::Folder => format!("audit.{name} = {{ type = \"file\", path = \"{here}/log/{name}.log\" }}\n"),
        };
    }
    let file = folder.join("warder.toml");
    fs::write(&file, text)?;
    Ok(file)
}

/// `warder serve`, on a small disk when there is one.
pub(crate) fn serve(config: &Path, disk: Option<&SmallDisk>) -> Command {
    let program = Warder::program().unwrap_or_else(|why| panic!("{why}"));
    let mut command = disk.map_or_else(|| Command::new(&program), |disk| disk.command(&program));
    command.args(["serve", "--log", "warn", "--config"]).arg(config).stdin(Stdio::null());
    command
}

/// Waits for a process that must end.
pub(crate) fn ended(child: &mut Child) -> Result<ExitStatus> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        pause();
    }
    child.kill()?;
    child.wait()?;
    Err("the process does not end".into())
}

/// `warder audit verify` of these bytes.
pub(crate) fn verify(log: &[u8]) -> Result<Output> {
    let folder = temp_dir()?;
    let file = folder.path().join("log");
    fs::write(&file, log)?;
    Ok(Command::new(Warder::program()?).args(["audit", "verify", "--output", "json"]).arg(&file).output()?)
}

/// What it says of an intact log.
pub(crate) fn verified(log: &[u8]) -> Result<Value> {
    let output = verify(log)?;
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout)?),
        false => Err(Failure::from(format!("{} bytes: {}", log.len(), String::from_utf8_lossy(&output.stderr)))),
    }
}

/// Lets others do something.
pub(crate) fn pause() {
    let (_never, pause) = mpsc::channel::<()>();
    _ = pause.recv_timeout(Duration::from_millis(5));
}
