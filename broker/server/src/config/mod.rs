//! Configuration of `warder serve`: read once, checked whole, then immutable.
//!
//! A file, the environment and the command line give settings (`source.rs`); one table says what
//! options there are (`options.rs`); a configuration is put together (`build.rs`) or every mistake
//! reported, with its place. No secret is ever an option: only files that hold one.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use warder_core::{audit::SinkConfig, authn::TokenConfig, broker::BrokerConfig, feed::FeedConfig, route::Bounds};
use warder_runtime::RuntimeConfig;
use warder_store::sink::{Options, Sync};

use crate::{
    edge::Limits,
    telemetry::{LogFormat, TelemetryConfig},
};

mod build;
mod example;
mod listener;
mod names;
mod network;
mod options;
mod plugin;
mod source;
mod value;

pub use example::{Effective, generate};
pub use listener::{
    Address, ClientAuth, ForwardedConfig, ForwardedHeader, ListenerConfig, Mode, Owner, SocketConfig, TlsConfig,
    TlsVersion, section,
};
pub use network::Networks;
pub use plugin::{PluginConfig, Sha256};
pub use source::{Mistake, Source};

/// Everything that `serve` needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to listen, by name; the one without has the empty name. At least one.
    pub listeners: BTreeMap<String, ListenerConfig>,
    /// Where to keep things.
    pub storage: StorageConfig,
    /// What opens the barrier.
    pub seal: SealConfig,
    /// Where audit records go, by name; at least one.
    pub audit: BTreeMap<String, AuditConfig>,
    /// Components beside the bundled plugins, by the name that they give themselves.
    pub plugins: BTreeMap<String, PluginConfig>,
    /// Bounds of what clients may send and use.
    pub limits: Limits,
    /// Bounds of what is under way.
    pub load: LoadConfig,
    /// Bound of the answer cache, in bytes.
    pub cache_bytes: u64,
    /// Bounds of those who watch.
    pub feed: FeedConfig,
    /// Token lifetimes.
    pub token: TokenConfig,
    /// Bounds of plugins' calls.
    pub runtime: RuntimeConfig,
    /// What the process says of itself.
    pub log: LogConfig,
    /// What is sent to a collector.
    pub telemetry: TelemetryConfig,
    /// Components under the names that they give themselves; for development, so no option.
    pub unpinned: Vec<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listeners: [(String::new(), ListenerConfig::default())].into(),
            storage: StorageConfig::default(),
            seal: SealConfig::default(),
            audit: BTreeMap::new(),
            plugins: BTreeMap::new(),
            limits: Limits::default(),
            load: LoadConfig::default(),
            cache_bytes: BrokerConfig::default().cache_bytes,
            feed: FeedConfig::default(),
            token: TokenConfig::default(),
            runtime: RuntimeConfig::default(),
            log: LogConfig::default(),
            telemetry: TelemetryConfig::default(),
            unpinned: Vec::new(),
        }
    }
}

/// Bounds of what is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadConfig {
    /// Requests at once; further ones are shed.
    pub requests: usize,
    /// Credentials from one address that may fail at once; 0 for any number.
    pub failures: u32,
    /// Bounds of a mount that has none of its own.
    pub mount: Bounds,
}

impl Default for LoadConfig {
    fn default() -> Self {
        let BrokerConfig { requests, failures, bounds, .. } = BrokerConfig::default();
        Self { requests, failures, mount: bounds }
    }
}

/// Where to keep things.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageConfig {
    /// On what.
    pub kind: StorageKind,
    /// The file, for `redb`; made when it does not exist.
    pub path: PathBuf,
}

/// On what things are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StorageKind {
    /// In memory; gone with the process.
    Memory,
    /// One file, encrypted by the barrier.
    #[default]
    Redb,
}

impl StorageKind {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Redb => "redb",
        }
    }
}

/// What opens the barrier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SealConfig {
    /// How.
    pub kind: SealKind,
}

/// How the barrier is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SealKind {
    /// By itself from a key beside the store: for development only.
    Dev,
    /// By key shares that people give.
    #[default]
    Shamir,
}

/// One audit sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditConfig {
    /// Where it writes.
    pub kind: AuditKind,
    /// The file, for a `file`; absolute.
    pub path: PathBuf,
    /// Which records are on the disk before they count, for a `file`.
    pub sync: Sync,
    /// How long a record may wait to be taken.
    pub deadline: Duration,
    /// Records that may wait.
    pub queue: usize,
}

impl Default for AuditConfig {
    fn default() -> Self {
        let SinkConfig { queue, deadline, .. } = SinkConfig::default();
        Self { kind: AuditKind::File, path: PathBuf::new(), sync: Sync::Effects, deadline, queue }
    }
}

/// Where a sink writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditKind {
    /// To a file.
    File,
    /// To the standard output.
    Stdout,
}

impl AuditKind {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Stdout => "stdout",
        }
    }
}

impl AuditConfig {
    /// As the store's sinks take it.
    #[must_use]
    pub fn options(&self) -> Options {
        let sync = match self.sync {
            Sync::Always => "always",
            Sync::Effects => "effects",
            Sync::Never => "never",
        };
        let text = |name: &str, value: String| (name.to_owned(), value);
        match self.kind {
            AuditKind::Stdout => Options::new(),
            AuditKind::File => {
                [text("file_path", self.path.display().to_string()), text("sync", sync.to_owned())].into()
            }
        }
    }
}

/// What the process says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// A level, or directives.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::default() }
    }
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("configuration {file}: {reason}")]
    Unreadable {
        /// The file.
        file: String,
        /// The operating system's words.
        reason: String,
    },
    /// It has mistakes: all of them, by place.
    #[error("the configuration has {}:{}", counted(.0.len()), list(.0))]
    Mistaken(Vec<Mistake>),
}

fn counted(mistakes: usize) -> String {
    if mistakes == 1 { "a mistake".to_owned() } else { format!("{mistakes} mistakes") }
}

fn list(mistakes: &[impl fmt::Display]) -> String {
    mistakes.iter().map(|mistake| format!("\n  {mistake}")).collect()
}

/// A configuration, and who said what.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Which setting won, by option; the others are defaults.
    given: BTreeMap<String, Source>,
}

impl Loaded {
    /// Every option that holds, and who said so.
    #[must_use]
    pub fn effective(&self) -> Vec<Effective> {
        example::effective(self)
    }
}

/// A setting from the command line.
#[derive(Clone, Debug)]
pub struct Argument {
    /// The argument, for errors.
    pub argument: String,
    /// The option's path.
    pub option: String,
    /// What it is set to.
    pub value: OsString,
}

impl Config {
    /// Reads a file, the environment and arguments; what comes later in this list goes first.
    ///
    /// # Errors
    /// [`ConfigError`], with every mistake of all three.
    pub fn load(
        file: &Path,
        environment: impl Iterator<Item = (OsString, OsString)>,
        arguments: &[Argument],
    ) -> Result<Loaded, ConfigError> {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file)
            .map_err(|e| ConfigError::Unreadable { file: name.clone(), reason: e.to_string() })?;
        let mut settings = source::Settings::default();
        settings.file(&name, &text);
        settings.environment(environment);
        for Argument { argument, option, value } in arguments {
            settings.argument(argument, option, value);
        }
        build::build(&settings, Source::Whole(name.into())).map_err(ConfigError::Mistaken)
    }

    /// Parses and checks the text of a file alone; `file` is for the words of errors.
    ///
    /// # Errors
    /// [`ConfigError::Mistaken`].
    ///
    /// ```
    /// use warder::config::Config;
    /// let error = Config::parse("w.toml", "[listener]\nadress = \"127.0.0.1:0\"\n").unwrap_err();
    /// let first = "w.toml:2:1: unknown option listener.adress: did you mean listener.address?";
    /// assert!(error.to_string().contains(first));
    /// ```
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let mut settings = source::Settings::default();
        settings.file(file, text);
        let built = build::build(&settings, Source::Whole(file.into()));
        built.map(|loaded| loaded.config).map_err(ConfigError::Mistaken)
    }
}

#[cfg(test)]
mod tests;
