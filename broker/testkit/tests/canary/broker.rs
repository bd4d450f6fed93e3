//! `warder serve` as operators run it, at the most verbose log level, with a directory that
//! holds all it may write: storage, two audit sinks, temporary files.

use std::{
    fs,
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use warder_testkit::{Collector, Failure, Guest, Http, Process, Result, SmallDisk, TempDir, Warder, temp_dir};

use crate::{
    forward::Forward,
    keys::{self, Opened},
    marks::Marks,
    places,
    search::{Find, Search},
};

/// For a start on a machine that does much else; a start that hangs ends here.
const PATIENCE: Duration = Duration::from_secs(300);

/// How clients reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Plain,
    Tls,
}

/// What lies on a small disk, to be filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    Audit,
    Storage,
}

impl Full {
    const fn folder(self) -> &'static str {
        match self {
            Self::Audit => "log",
            Self::Storage => "data",
        }
    }
}

/// A Warder of a test's own, and all it leaves behind.
pub(crate) struct Broker {
    folder: TempDir,
    over: Over,
    full: Option<Full>,
    /// Its findings lie in the folder, which is searched.
    collector: Collector,
    process: Process,
    http: Http,
    forward: Option<Forward>,
    /// What earlier processes of it said.
    said: String,
}

/// What `init` showed.
pub(crate) struct Keys {
    pub(crate) shares: Vec<String>,
    pub(crate) root_token: String,
}

impl Keys {
    /// What two of the shares make.
    pub(crate) fn root(&self) -> Vec<u8> {
        let shares: Vec<Vec<u8>> = self.shares[..2].iter().map(|share| unhex(share)).collect();
        keys::root(&shares)
    }
}

impl Broker {
    /// A new store; nothing is initialized.
    pub(crate) fn start(over: Over) -> Result<Self> {
        Self::prepared(over, None)
    }

    /// One of whose folders is a disk of 8 MiB.
    pub(crate) fn on_small_disk(full: Full) -> Result<Self> {
        Self::prepared(Over::Plain, Some(full))
    }

    fn prepared(over: Over, full: Option<Full>) -> Result<Self> {
        let folder = temp_dir()?;
        for name in ["data", "log", "otlp", "tmp"] {
            fs::create_dir(folder.path().join(name))?;
        }
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["127.0.0.1".to_owned()]).map_err(|why| why.to_string())?;
        fs::write(folder.path().join("cert.pem"), cert.pem())?;
        fs::write(folder.path().join("key.pem"), signing_key.serialize_pem())?;
        let collector = Collector::start(&folder.path().join("otlp"))?;
        let config = config(folder.path(), over, full)? + &telemetry(&collector)?;
        fs::write(folder.path().join("warder.toml"), config)?;
        let (process, http, forward) = run(folder.path(), over, full)?;
        Ok(Self { folder, over, full, collector, process, http, forward, said: String::new() })
    }

    /// Ends it with a signal and starts it over the same store: sealed.
    pub(crate) fn restart(&mut self) -> Result {
        self.stop()?;
        (self.process, self.http, self.forward) = run(self.folder.path(), self.over, self.full)?;
        Ok(())
    }

    /// Asks it to end, and waits.
    pub(crate) fn stop(&mut self) -> Result {
        self.forward = None;
        let status = self.process.terminate()?;
        self.said += &(self.process.stdout() + &self.process.stderr());
        if status.success() {
            return Ok(());
        }
        Err(Failure::from(format!("warder ended with {status}\n{}", self.said)))
    }

    /// A client without a token, over TLS where the broker speaks it.
    pub(crate) fn stranger(&self) -> Http {
        self.http.clone()
    }

    /// Where clients without TLS of their own reach it.
    pub(crate) fn address(&self) -> SocketAddr {
        self.http.address()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The disk that can be filled, as only its process sees it.
    pub(crate) fn small_disk(&self) -> PathBuf {
        let folder = self.full.map_or("tmp", Full::folder);
        small_disk(self.folder.path(), folder).seen_of(self.pid())
    }

    /// Its storage as it stands, opened with the keys of a copy's own working out.
    pub(crate) fn opened(&self, keys: &Keys) -> Result<Opened> {
        let copy = self.folder.path().join("copy.redb");
        fs::copy(self.folder.path().join("data/warder.redb"), &copy)?;
        let opened = Opened::with(&copy, &keys.root());
        fs::remove_file(copy)?;
        opened
    }

    /// A place for a file that is looked through with all others.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The audit log of a sink.
    pub(crate) fn audit(&self, sink: &str) -> Result<String> {
        Ok(fs::read_to_string(self.folder.path().join(format!("log/{sink}.log")))?)
    }

    /// Makes the store: three shares, two of them open it.
    pub(crate) fn initialize(&self, marks: &mut Marks) -> Result<Keys> {
        let stranger = self.stranger();
        let asked = stranger.post("/api/v1/sys/init").json(&json!({"shares": 3, "threshold": 2}));
        let made = asked.send()?.expect_status(200)?.json()?;
        let text = |value: &Value| value.as_str().map(str::to_owned).ok_or("init answered with no text");
        let shares: Vec<String> = made["keys"].as_array().into_iter().flatten().map(text).collect::<Result<_, _>>()?;
        for (at, share) in shares.iter().enumerate() {
            marks.given(&format!("key share {at}"), &unhex(share)[..32]);
        }
        let root_token = text(&made["root_token"])?;
        marks.token("the root token", &root_token);
        Ok(Keys { shares, root_token })
    }

    /// Opens it again.
    pub(crate) fn unseal(&self, keys: &Keys) -> Result {
        for share in &keys.shares[1..] {
            self.stranger().post("/api/v1/sys/unseal").json(&json!({ "key": share })).send()?.expect_status(200)?;
        }
        Ok(())
    }

    /// Runs the command line against it; `input` is its standard input.
    pub(crate) fn command(&self, token: Option<&str>, arguments: &[&str], input: &str) -> Result<Output> {
        let mut command = Command::new(Warder::program()?);
        let scheme = if self.over == Over::Tls { "https" } else { "http" };
        let port = self.forward.as_ref().map_or_else(|| self.address(), Forward::behind);
        command.args(arguments).env("WARDER_ADDR", format!("{scheme}://{port}"));
        command.env("WARDER_CACERT", self.folder.path().join("cert.pem"));
        command.env("TMPDIR", self.folder.path().join("tmp"));
        command.env_remove("WARDER_TOKEN").env_remove("VAULT_TOKEN");
        command.envs(token.map(|token| ("WARDER_TOKEN", token)));
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().map_err(|why| Failure::new("start the command line", why))?;
        // One that reads nothing may have ended already.
        _ = child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
        Ok(child.wait_with_output()?)
    }

    /// Everything that it left behind, but its memory: output, files, process, metrics.
    pub(crate) fn leaks(&self, search: &Search) -> Result<Vec<Find>> {
        let mut finds = places::process(search, self.pid())?;
        let metrics = self.stranger().get("/metrics").send()?.expect_status(200)?;
        finds.extend(search.look("/metrics", &metrics.body));
        finds.extend(self.left(search)?);
        Ok(finds)
    }

    /// What is left when it has ended.
    pub(crate) fn left(&self, search: &Search) -> Result<Vec<Find>> {
        let said = self.said.clone() + &self.process.stdout() + &self.process.stderr();
        if !said.contains(" DEBUG ") {
            return Err(Failure::from("the log is not at its most verbose"));
        }
        for signal in ["traces", "metrics", "logs"] {
            // Or nothing would be proved of what is sent.
            let some = |collector: &Collector| Ok((!collector.all(signal)?.is_empty()).then_some(()));
            self.collector.wait(signal, some)?;
        }
        let mut finds = search.look("stdout and stderr", said.as_bytes());
        finds.extend(places::files(search, self.folder.path())?);
        if self.full.is_some() {
            finds.extend(places::files(search, &self.small_disk())?);
        }
        Ok(finds)
    }
}

fn config(folder: &Path, over: Over, full: Option<Full>) -> Result<String> {
    let folder = folder.display();
    let plugin = Guest::Misbehave.path()?;
    let digest = digest(&SHA256, &fs::read(&plugin)?);
    let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    // Where records must not be taken, no other sink may take them.
    let console = if full == Some(Full::Audit) { "" } else { "[audit.console]\ntype = \"stdout\"\n" };
    let tls = match over {
        Over::Plain => "tls_disable = true".to_owned(),
        Over::Tls => format!("tls.cert_file = \"{folder}/cert.pem\"\ntls.key_file = \"{folder}/key.pem\""),
    };
    Ok(format!(
        "[listener]\naddress = \"127.0.0.1:0\"\n{tls}\n\
         [storage]\ntype = \"redb\"\npath = \"{folder}/data/warder.redb\"\n\
         [audit.main]\ntype = \"file\"\npath = \"{folder}/log/main.log\"\n\
         [audit.second]\ntype = \"file\"\npath = \"{folder}/log/second.log\"\n\
         [plugins.misbehave]\nfile = \"{}\"\nsha256 = \"{digest}\"\n{console}",
        plugin.display()
    ))
}

/// Everything goes to the double of a collector as well.
fn telemetry(collector: &Collector) -> Result<String> {
    let endpoint = collector.endpoint("grpc")?;
    Ok(format!("\n[telemetry]\nendpoint = \"{endpoint}\"\ninterval = \"1s\"\n"))
}

fn small_disk(folder: &Path, name: &str) -> SmallDisk {
    SmallDisk::new(&folder.join(name), 8 << 10)
}

fn run(folder: &Path, over: Over, full: Option<Full>) -> Result<(Process, Http, Option<Forward>)> {
    let mut command = match full {
        Some(full) => small_disk(folder, full.folder()).command(Warder::program()?),
        None => Command::new(Warder::program()?),
    };
    command.args(["serve", "--log", "trace", "--config"]).arg(folder.join("warder.toml"));
    command.current_dir(folder).env("TMPDIR", folder.join("tmp")).env("RUST_BACKTRACE", "full");
    let process = Process::spawn("warder", &mut command)?;
    let address = process.wait_for(PATIENCE, listening)?;
    let forward = match over {
        Over::Plain => None,
        Over::Tls => Some(Forward::start(address, &folder.join("cert.pem"))?),
    };
    let http = Http::at(forward.as_ref().map_or(address, Forward::address));
    Ok((process, http, forward))
}

fn listening(said: &str) -> Option<SocketAddr> {
    let line = said.lines().find(|line| line.starts_with("listening on "))?;
    said.contains(&format!("{line}\n")).then_some(())?;
    line.split_once("://")?.1.parse().ok()
}

/// Bytes of well-formed hex.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap_or_default();
    text.as_bytes().as_chunks::<2>().0.iter().map(|[high, low]| digit(*high) << 4 | digit(*low)).collect()
}
