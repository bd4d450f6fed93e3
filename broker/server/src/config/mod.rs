//! Configuration of `warder serve`: read once, checked whole, then immutable.
//!
//! Unknown settings are refused with their line; what parses but does not fit together is
//! reported all at once. No secret is ever a setting: only files that hold one.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer, de::Error as _};
use warder_store::sink::{self, Options};

mod plugin;

pub use plugin::{PluginConfig, Sha256};

/// Everything that `serve` needs to know.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where to listen.
    pub listener: ListenerConfig,
    /// Where to keep things.
    pub storage: StorageConfig,
    /// What opens the barrier.
    #[serde(default)]
    pub seal: SealConfig,
    /// Where audit records go, by name; at least one.
    #[serde(default)]
    pub audit: BTreeMap<String, AuditConfig>,
    /// Components beside the bundled plugins, by the name that they give themselves.
    #[serde(default)]
    pub plugins: BTreeMap<String, PluginConfig>,
    /// Components under the names that they give themselves; for development, so no setting.
    #[serde(skip)]
    pub unpinned: Vec<PathBuf>,
}

/// One listener.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ListenerConfig {
    /// Address and port, such as `0.0.0.0:8080`; port 0 takes a free one.
    pub address: SocketAddr,
    /// Certificate and key; required unless `tls_disable`.
    pub tls: Option<TlsConfig>,
    /// Serves plain HTTP: tokens and secrets cross the network readable. Default false.
    #[serde(default)]
    pub tls_disable: bool,
}

/// TLS 1.3 of a listener.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// PEM file: the certificate, then its chain.
    pub cert_file: PathBuf,
    /// PEM file: the private key.
    pub key_file: PathBuf,
    /// PEM file: CAs. Clients must then show a certificate that one of them signed. Default:
    /// clients show none.
    pub client_ca_file: Option<PathBuf>,
}

/// Where to keep things.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum StorageConfig {
    /// In memory; gone with the process.
    Memory {},
    /// One file, encrypted by the barrier.
    Redb {
        /// The file; made when it does not exist.
        path: PathBuf,
    },
}

impl StorageConfig {
    /// The word for it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Memory {} => "memory",
            Self::Redb { .. } => "redb",
        }
    }
}

/// What opens the barrier.
///
/// Variants without settings are written as empty structs, here and below: serde would let
/// unknown settings pass in a unit variant.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum SealConfig {
    /// Opens by itself from a key beside the store: for development only.
    Dev {},
    /// Key shares that people give. The default.
    Shamir {},
}

impl Default for SealConfig {
    fn default() -> Self {
        Self::Shamir {}
    }
}

/// One audit sink: a kind that the store knows (`file`, `stdout`), and that kind's options.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct AuditConfig {
    /// The kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// Options of the kind as text: `path`, `sync`. The sink refuses those it does not know.
    #[serde(flatten, deserialize_with = "options")]
    pub options: Options,
}

/// Text, numbers and booleans, each as its text; `path` is the sinks' `file_path`, which the Vault
/// API names so.
fn options<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Options, D::Error> {
    let values = BTreeMap::<String, toml::Value>::deserialize(deserializer)?;
    let text = |(name, value)| match value {
        toml::Value::String(text) => Ok((name, text)),
        toml::Value::Integer(number) => Ok((name, number.to_string())),
        toml::Value::Boolean(flag) => Ok((name, flag.to_string())),
        _ => Err(D::Error::custom(format!("`{name}`: expected a string, a whole number or a boolean"))),
    };
    let named = |(name, value): (String, toml::Value)| match name.as_str() {
        "path" => ("file_path".to_owned(), value),
        _ => (name, value),
    };
    values.into_iter().map(named).map(text).collect()
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
    /// It is not the TOML that is expected here.
    #[error("configuration {file}, {place}: {reason}")]
    Malformed {
        /// The file.
        file: String,
        /// `line 3, column 5`.
        place: Place,
        /// What was found and expected.
        reason: String,
    },
    /// Its settings do not fit together.
    #[error("configuration {file}:{}", list(mistakes))]
    Unfit {
        /// The file.
        file: String,
        /// All of them.
        mistakes: Vec<String>,
    },
}

/// Where in a file, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column, in bytes.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

fn list(mistakes: &[String]) -> String {
    mistakes.iter().map(|mistake| format!("\n  {mistake}")).collect()
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn read(file: &Path) -> Result<Self, ConfigError> {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file)
            .map_err(|e| ConfigError::Unreadable { file: name.clone(), reason: e.to_string() })?;
        Self::parse(&name, &text)
    }

    /// Parses and checks text; `file` is for the words of errors.
    ///
    /// # Errors
    /// [`ConfigError`].
    ///
    /// ```
    /// use warder::config::Config;
    /// let error = Config::parse("w.toml", "[listener]\naddres = \"127.0.0.1:0\"\n").unwrap_err();
    /// assert!(error.to_string().starts_with("configuration w.toml, line 2, column 1: unknown field `addres`"));
    /// ```
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|e| {
            let at = e.span().map_or(0, |span| span.start);
            ConfigError::Malformed { file: file.to_owned(), place: place(text, at), reason: e.message().to_owned() }
        })?;
        match config.mistakes() {
            none if none.is_empty() => Ok(config),
            mistakes => Err(ConfigError::Unfit { file: file.to_owned(), mistakes }),
        }
    }

    fn mistakes(&self) -> Vec<String> {
        let mut found = Vec::new();
        let tls = self.listener.tls.is_some();
        if !tls && !self.listener.tls_disable {
            found.push(
                "listener.tls is missing: give cert_file and key_file, or say listener.tls_disable = true".to_owned(),
            );
        }
        if tls && self.listener.tls_disable {
            found.push("listener.tls and listener.tls_disable = true contradict each other: keep one".to_owned());
        }
        if self.audit.is_empty() {
            found.push("no [audit.NAME] section: without an audit sink every request is refused".to_owned());
        }
        for (name, sink) in &self.audit {
            if sink::KINDS.iter().all(|(kind, _)| *kind != sink.kind) {
                let known: Vec<&str> = sink::KINDS.iter().map(|(kind, _)| *kind).collect();
                found.push(format!("audit.{name}.type is \"{}\": the kinds are {}", sink.kind, known.join(", ")));
            }
        }
        if self.audit.values().filter(|sink| sink.kind == "stdout").count() > 1 {
            found.push("more than one audit sink of type stdout: their records would interleave".to_owned());
        }
        let mut files: Vec<&String> = self.audit.values().filter_map(|sink| sink.options.get("file_path")).collect();
        files.sort_unstable();
        if files.windows(2).any(|pair| pair.first() == pair.last()) {
            found.push("two audit sinks write to the same path".to_owned());
        }
        found
    }
}

fn place(text: &str, at: usize) -> Place {
    let before = text.get(..at).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, str::len) + 1;
    Place { line, column }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
[listener]
address = "127.0.0.1:8200"
tls.cert_file = "cert.pem"
tls.key_file = "key.pem"

[storage]
type = "redb"
path = "/var/lib/warder/warder.redb"

[seal]
type = "shamir"

[audit.main]
type = "file"
path = "/var/log/warder/audit.log"

[audit.console]
type = "stdout"

[plugins.notes]
file = "notes.wasm"
sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
"#;

    #[test]
    fn a_whole_file_is_read() {
        let config = Config::parse("w.toml", WHOLE).unwrap();
        assert_eq!(config.storage.word(), "redb");
        assert_eq!(config.seal, SealConfig::Shamir {});
        assert_eq!(config.audit.len(), 2);
        let notes = PluginConfig { file: "notes.wasm".into(), sha256: Sha256::of(b"abc") };
        assert_eq!(config.plugins, [("notes".to_owned(), notes)].into());
    }

    #[test]
    fn mistakes_are_shown_with_their_line() {
        for (from, to, line, word) in [
            ("address = \"127.0.0.1:8200\"", "address = \"nowhere\"", 3, "socket address"),
            ("type = \"redb\"", "type = \"sqlite\"", 7, "sqlite"),
            ("[audit.console]", "[audit.console]\nsizes = [1]", 18, "expected a string"),
            ("[seal]", "[seel]", 11, "unknown field `seel`"),
            ("type = \"shamir\"", "type = shamir", 12, ""),
            ("sha256 = \"ba", "sha256 = \"", 23, "64 hexadecimal digits"),
            ("sha256 = ", "sha512 = ", 23, "unknown field `sha512`"),
        ] {
            let error = Config::parse("w.toml", &WHOLE.replace(from, to)).unwrap_err();
            let ConfigError::Malformed { place, reason, .. } = &error else { panic!("{error}") };
            assert!(reason.contains(word), "{reason}");
            assert!(place.line.abs_diff(line) <= 1, "{to}: {error}");
        }
    }

    #[test]
    fn an_unknown_sink_is_named_with_the_known_ones() {
        let words = Config::parse("w.toml", &WHOLE.replace("\"stdout\"", "\"kafka\"")).unwrap_err().to_string();
        assert!(words.contains("audit.console.type is \"kafka\": the kinds are file, stdout"), "{words}");
    }

    #[test]
    fn settings_that_contradict_each_other_are_reported_together() {
        let text = "listener.address = \"127.0.0.1:0\"\nstorage.type = \"memory\"\n";
        let words = Config::parse("w.toml", text).unwrap_err().to_string();
        assert!(words.contains("listener.tls is missing") && words.contains("no [audit.NAME] section"), "{words}");
    }
}
