//! The real `warder` binary.

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};

use crate::{
    failure::{Failure, Result},
    http::Http,
    process::Process,
    volume::Volume,
};

/// Root token of every `warder dev` started here.
const ROOT_TOKEN: &str = "root";

/// A running Warder; ends with the value.
#[derive(Debug)]
pub struct Warder {
    process: Process,
    http: Http,
}

impl Warder {
    /// `warder dev` on a free port, root token `root`, in memory unless told otherwise.
    #[must_use]
    pub fn dev() -> Dev {
        Dev { arguments: Vec::new(), environment: Vec::new(), within: Vec::new() }
    }

    /// `warder serve --config FILE`.
    #[must_use]
    pub fn serve(config: &Path) -> Serve {
        Serve { config: config.to_owned(), arguments: Vec::new(), directory: None }
    }

    /// The program under test: `WARDER_BIN`, or the one that cargo built beside this test.
    ///
    /// # Errors
    /// When it is not there; the words say how to build it.
    pub fn program() -> Result<PathBuf> {
        if let Some(path) = std::env::var_os("WARDER_BIN") {
            return built(PathBuf::from(path));
        }
        let this = std::env::current_exe()?;
        let beside =
            this.parent().map(|folder| if folder.ends_with("deps") { folder.join("..") } else { folder.into() });
        built(beside.unwrap_or_default().join("warder"))
    }

    /// A client with the root token.
    #[must_use]
    pub fn http(&self) -> Http {
        self.http.with_token(ROOT_TOKEN)
    }

    /// A client without a token.
    #[must_use]
    pub fn stranger(&self) -> Http {
        self.http.clone()
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.http.address()
    }

    /// Its process: output, pid.
    #[must_use]
    pub const fn process(&self) -> &Process {
        &self.process
    }

    /// Asks it to end and waits.
    ///
    /// # Errors
    /// When it cannot be signalled or waited for.
    pub fn stop(mut self) -> Result<ExitStatus> {
        self.process.terminate()
    }

    /// Ends it without warning.
    ///
    /// # Errors
    /// When it cannot be signalled or waited for.
    pub fn kill(mut self) -> Result<ExitStatus> {
        self.process.kill()
    }

    fn start(command: &mut Command) -> Result<Self> {
        let process = Process::spawn("warder", command)?;
        let address = process.wait_for(Duration::from_secs(60), address)?;
        Ok(Self { process, http: Http::at(address) })
    }
}

/// `warder dev`, being put together.
#[derive(Clone, Debug)]
pub struct Dev {
    arguments: Vec<OsString>,
    environment: Vec<(String, String)>,
    within: Vec<OsString>,
}

impl Dev {
    /// Keeps its data there, across restarts.
    #[must_use]
    pub fn data_dir(self, directory: &Path) -> Self {
        self.argument("--data-dir").argument(directory)
    }

    /// Adds a command-line argument.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Lets it see this disk.
    #[must_use]
    pub fn on(mut self, disk: &Volume) -> Self {
        self.within = disk.entering().to_vec();
        self
    }

    /// Starts it and waits for its banner.
    ///
    /// # Errors
    /// When the binary is missing or does not come up.
    pub fn start(&self) -> Result<Warder> {
        let mut line = self.within.iter().cloned().chain([Warder::program()?.into_os_string()]);
        let mut command = Command::new(line.next().unwrap_or_default());
        command.args(line);
        command.args(["dev", "--listen", "127.0.0.1:0", "--root-token", ROOT_TOKEN]);
        command.args(&self.arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        Warder::start(&mut command)
    }
}

/// `warder serve`, being put together.
#[derive(Clone, Debug)]
pub struct Serve {
    config: PathBuf,
    arguments: Vec<OsString>,
    directory: Option<PathBuf>,
}

impl Serve {
    /// Adds a command-line argument.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Runs it in this directory.
    #[must_use]
    pub fn directory(mut self, directory: &Path) -> Self {
        self.directory = Some(directory.to_owned());
        self
    }

    /// Starts it and waits until it prints its address.
    ///
    /// # Errors
    /// When the binary is missing or does not come up.
    pub fn start(&self) -> Result<Warder> {
        let mut command = Command::new(Warder::program()?);
        command.arg("serve").arg("--config").arg(&self.config).args(&self.arguments);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        Warder::start(&mut command)
    }
}

fn built(path: PathBuf) -> Result<PathBuf> {
    if path.is_file() {
        return Ok(path);
    }
    let profile = if cfg!(debug_assertions) { "" } else { " --release" };
    Err(Failure::from(format!(
        "the binary under test is missing at {}: run `cargo build{profile} -p warder`, or set WARDER_BIN",
        path.display()
    )))
}

/// The address in the first `http://ADDRESS` or `https://ADDRESS` of the banner.
fn address(banner: &str) -> Option<SocketAddr> {
    let (whole_lines, _) = banner.rsplit_once('\n')?;
    let (_, rest) = whole_lines.split_once("://")?;
    rest.split(|c: char| c.is_whitespace() || c == '/').next()?.parse().ok()
}
