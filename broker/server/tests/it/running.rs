//! A `warder dev` of a test's own; ends with the value.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_warder");

pub(crate) struct Running {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
    /// Where it listens beside: the lines of `serve` after the first.
    pub(crate) beside: Vec<String>,
}

impl Running {
    /// Starts it on a free port and reads its banner.
    pub(crate) fn dev(arguments: &[&str]) -> Self {
        Self::dev_telling(Stdio::inherit(), arguments)
    }

    /// The same with its log going there.
    pub(crate) fn dev_telling(log: Stdio, arguments: &[&str]) -> Self {
        let mut child = Command::new(BINARY)
            .args(["dev", "--listen", "127.0.0.1:0", "--log", "warn"])
            .args(arguments)
            .env_remove("WARDER_TOKEN")
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut after = |label: &str| {
            let line = lines.find(|line| line.trim_start().starts_with(label)).expect("the banner names it");
            line.split(label).nth(1).unwrap().trim().to_owned()
        };
        let address = after("address").trim_start_matches("http://").parse().unwrap();
        let token = after("root token");
        Self { child, address, token, beside: Vec::new() }
    }

    /// Starts `warder serve` over a store in `folder`, sealed with key shares; `tls` is the part of
    /// the configuration that says so, empty for plain HTTP.
    pub(crate) fn serve(folder: &Path, tls: &str) -> Self {
        Self::serve_telling(Stdio::inherit(), folder, tls)
    }

    /// The same with its log going there.
    pub(crate) fn serve_telling(log: Stdio, folder: &Path, tls: &str) -> Self {
        let listener = if tls.is_empty() { "tls_disable = true" } else { tls };
        let config = format!(
            "[listener]\naddress = \"127.0.0.1:0\"\n{listener}\n[storage]\ntype = \"redb\"\npath = \"{0}/store\"\n\
             [audit.main]\ntype = \"file\"\npath = \"{0}/audit.log\"\n",
            folder.display()
        );
        let file = folder.join("warder.toml");
        std::fs::write(&file, config).unwrap();
        Self::configured(log, &file, &[])
    }

    /// Starts `warder serve` with this configuration, in an environment of its own.
    pub(crate) fn configured(log: Stdio, file: &Path, variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(BINARY)
            .args(["serve", "--log", "warn", "--config"])
            .arg(file)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let (mut lines, mut first) = (BufReader::new(child.stdout.take().unwrap()), String::new());
        lines.read_line(&mut first).unwrap();
        assert!(first.ends_with('\n'), "it did not start");
        let address = first.trim().rsplit("//").next().unwrap();
        let address = address.parse().unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 0)));
        // They come in one piece.
        let beside = std::str::from_utf8(lines.buffer()).unwrap().lines().map(str::to_owned).collect();
        Self { child, address, token: String::new(), beside }
    }

    /// The same, asked with this token.
    pub(crate) fn with_token(mut self, token: &str) -> Self {
        token.clone_into(&mut self.token);
        self
    }

    /// `curl -s` with these arguments; `{}` stands for the address.
    pub(crate) fn curl(&self, arguments: &[&str]) -> (u16, serde_json::Value) {
        let arguments = arguments.iter().map(|text| text.replace("{}", &format!("http://{}", self.address)));
        let output = Command::new("curl")
            .args(["-s", "--path-as-is", "-w", "\n%{http_code}"])
            .args(arguments)
            .output()
            .expect("curl is installed: apt-get install curl");
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, code) = text.rsplit_once('\n').unwrap();
        (code.parse().unwrap(), serde_json::from_str(body).unwrap_or(serde_json::Value::Null))
    }

    /// `warder` as a client of it.
    pub(crate) fn command(&self, arguments: &[&str], input: &str) -> Output {
        use std::io::Write as _;
        let mut child = Command::new(BINARY)
            .args(arguments)
            .env("WARDER_ADDR", format!("http://{}", self.address))
            .env("WARDER_TOKEN", &self.token)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that refuses its arguments does not wait for its input.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// Asks it to read again what it can.
    pub(crate) fn hang_up(&self) {
        let told = Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status();
        assert!(told.unwrap().success());
    }

    /// Asks it to end, as an init system does, and waits until it did.
    pub(crate) fn stop(mut self) {
        assert!(self.terminate().unwrap().success());
    }

    /// Asks it to end.
    pub(crate) fn ask_to_end(&self) {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(told.unwrap().success());
    }

    /// Waits until it has ended.
    pub(crate) fn ended(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    fn terminate(&mut self) -> std::io::Result<ExitStatus> {
        self.ask_to_end();
        self.child.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Not by force: it removes its temporary files. Gone already after `stop`.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.terminate();
        }
    }
}
