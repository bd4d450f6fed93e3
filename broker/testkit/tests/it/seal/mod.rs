//! The life of the seal, driven by the command lines of others and by ours: keys, their rotation,
//! a new root token, new shares, snapshots.

mod commands;
mod endless;
mod quorum;
mod rotation;
mod snapshots;

use std::{
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use warder_testkit::{Failure, Http, Parts, Result, Warder, temp_dir};

/// `warder serve` over a store of its own, sealed by shares.
struct Place {
    warder: Option<Warder>,
    folder: TempDir,
}

/// What `init` showed.
#[derive(Clone, Debug)]
struct Keys {
    shares: Vec<String>,
    token: String,
}

/// What a command line left.
#[derive(Debug)]
struct Said {
    ok: bool,
    out: String,
    err: String,
}

impl Place {
    fn new() -> Result<Self> {
        Self::with("")
    }

    /// With more lines in its configuration.
    fn with(more: &str) -> Result<Self> {
        let folder = temp_dir()?;
        let at = folder.path().display();
        let text = format!(
            "[listener]\naddress = \"127.0.0.1:0\"\ntls_disable = true\n[storage]\ntype = \"redb\"\npath = \"{at}/store.redb\"\n\
             [seal]\ntype = \"shamir\"\n[audit.file]\ntype = \"file\"\npath = \"{at}/audit.log\"\n{more}"
        );
        std::fs::write(folder.path().join("warder.toml"), text)?;
        let mut place = Self { warder: None, folder };
        place.start()?;
        Ok(place)
    }

    fn start(&mut self) -> Result {
        self.warder = Some(Warder::serve(&self.folder.path().join("warder.toml")).start()?);
        Ok(())
    }

    /// Ends it without warning and starts it again: sealed.
    fn restart(&mut self) -> Result {
        if let Some(warder) = self.warder.take() {
            warder.kill()?;
        }
        self.start()
    }

    fn warder(&self) -> Result<&Warder> {
        self.warder.as_ref().ok_or_else(|| Failure::from("it does not run"))
    }

    fn http(&self, token: &str) -> Result<Http> {
        Ok(self.warder()?.stranger().with_token(token))
    }

    fn sealed(&self) -> Result<bool> {
        Ok(self.http("")?.get("/api/v1/sys/status").send()?.json()?["sealed"] == true)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn audit(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.path().join("audit.log"))?)
    }

    fn init(&self, shares: u8, threshold: u8) -> Result<Keys> {
        let body = json!({"shares": shares, "threshold": threshold});
        let made = self.http("")?.post("/api/v1/sys/init").json(&body).send()?.expect_status(200)?.json()?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let all = made["keys"].as_array().into_iter().flatten().map(text).collect();
        Ok(Keys { shares: all, token: text(&made["root_token"]) })
    }

    /// Gives shares until it is open; what it said last.
    fn unseal(&self, shares: &[String]) -> Result<Value> {
        let mut last = Value::Null;
        for share in shares {
            last = self.http("")?.post("/api/v1/sys/unseal").json(&json!({ "key": share })).send()?.json()?;
        }
        Ok(last)
    }

    /// Runs OpenBao's command line against it.
    fn bao(&self, token: &str, arguments: &[&str], input: &str) -> Result<Said> {
        let address = format!("http://{}", self.warder()?.address());
        let mut command = Command::new(Parts::find().openbao()?);
        command.args(arguments).env("BAO_ADDR", &address).env("VAULT_ADDR", &address);
        run(command.env("BAO_TOKEN", token).env("HOME", self.path()), input)
    }

    /// Runs our own.
    fn cli(&self, token: &str, arguments: &[&str], input: &str) -> Result<Said> {
        let mut command = Command::new(Warder::program()?);
        command.args(arguments).env("WARDER_ADDR", format!("http://{}", self.warder()?.address()));
        run(command.env("WARDER_TOKEN", token), input)
    }
}

fn run(command: &mut Command, input: &str) -> Result<Said> {
    use std::io::Write as _;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // Who reads nothing may be gone already.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Said { ok: output.status.success(), out: text(&output.stdout), err: text(&output.stderr) })
}

impl Said {
    fn done(self) -> Result<Self> {
        if self.ok { Ok(self) } else { Err(Failure::from(format!("{self:?}"))) }
    }

    fn refused(self, words: &str) -> Result<Self> {
        let said = format!("{}{}", self.out, self.err);
        if !self.ok && said.contains(words) {
            Ok(self)
        } else {
            Err(Failure::from(format!("no refusal with {words:?}: {self:?}")))
        }
    }

    /// The value beside a name, in a table.
    fn value(&self, name: &str) -> Result<String> {
        let line = self.out.lines().find_map(|line| line.strip_prefix(name));
        line.map(|rest| rest.trim().trim_start_matches(':').trim().to_owned())
            .ok_or_else(|| format!("no {name}: {self:?}").into())
    }
}

/// Asks again and again, for 30 s.
fn until(what: &str, done: impl Fn() -> Result<bool>) -> Result {
    let start = std::time::Instant::now();
    while !done()? {
        if start.elapsed() > std::time::Duration::from_secs(30) {
            return Err(format!("not in 30 s: {what}").into());
        }
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
    Ok(())
}
