//! `dev`: one process that is ready to try: initialized, unsealed, KV at `secret/`.
//!
//! Everything about it is for development: plain HTTP, a root token on the screen, a seal that
//! opens by itself.

use std::{
    fs,
    io::{self, Write as _},
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use clap::Args;
use ring::rand::{SecureRandom as _, SystemRandom};
use warder_core::{broker::Broker, error::Error, identity::Peer, secret::Secret};

use super::{failure::Failure, output, serve::Signals};
use crate::{
    config::{self, AuditConfig, Config, ListenerConfig, LoadConfig, SealConfig, SealKind, StorageConfig, StorageKind},
    telemetry::{self, LogFormat},
    wire,
};

const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Run one process for development: initialized, unsealed, KV at secret/.
#[derive(Args)]
#[command(after_help = "Without --data-dir everything is in memory, and audit records go to a new temporary \
    directory, removed at the end (see --audit). With it, secrets and the root token are kept in it across restarts.\n\n\
    Not for production: plain HTTP, and the keys lie beside the data.\n\n\
    Examples:\n  warder dev\n  warder dev --listen 127.0.0.1:0 --data-dir ./warder-data\n  \
    warder dev --plugin ./notes.wasm    (then: warder mount enable notes --path notes)")]
pub(crate) struct Dev {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The root token; made up when left out. Use it for experiments only: arguments are no secret.
    #[arg(long, value_name = "TOKEN")]
    root_token: Option<String>,
    /// Keeps secrets there: DIR/warder.redb, DIR/root-token, DIR/audit.log.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where audit records go.
    #[arg(long, value_name = "FILE")]
    audit: Option<PathBuf>,
    /// Loads this component beside the bundled plugins, under the name that it gives itself.
    /// Again for more.
    #[arg(long = "plugin", value_name = "FILE")]
    plugins: Vec<PathBuf>,
    /// Level or directives, such as info or info,warder=debug.
    #[arg(long, env = "WARDER_LOG_LEVEL", default_value = "info", value_name = "FILTER")]
    log: String,
    /// How log lines look on stderr.
    #[arg(long, env = "WARDER_LOG_FORMAT", value_enum, default_value_t)]
    log_format: LogFormat,
}

impl std::fmt::Debug for Dev {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dev").field("listen", &self.listen).field("data_dir", &self.data_dir).finish_non_exhaustive()
    }
}

impl Dev {
    pub(super) async fn run(self) -> Result<(), Failure> {
        telemetry::start(&self.log, self.log_format, None).map_err(Failure::usage)?;
        let signals = Signals::watch()?;
        if let Some(folder) = &self.data_dir {
            make(folder)?;
        }
        let temporary = if self.audit.is_none() && self.data_dir.is_none() { Some(Temporary::new()?) } else { None };
        let folder = self.data_dir.as_ref().or_else(|| temporary.as_ref().map(|temporary| &temporary.0));
        let audit = match (&self.audit, folder) {
            (Some(file), _) => file.clone(),
            (None, folder) => folder.cloned().unwrap_or_default().join("audit.log"),
        };
        // Sinks take absolute paths only: a log must not move with the working directory.
        let audit = std::path::absolute(&audit).map_err(|e| Failure::usage(format!("{}: {e}", audit.display())))?;
        let config = self.config(&audit);
        let wired = wire::wire(&config, None, true).await.map_err(|e| Failure::other(e.to_string()))?;
        let token = self.open(wired.broker()).await?;
        let address = wired.listening().next().and_then(|door| door.address()).unwrap_or(self.listen);
        output::bytes(self.banner(address, &token, &audit).as_bytes())?;
        signals.until_told(wired.serve()).await
    }

    fn config(&self, audit: &Path) -> Config {
        let storage = match &self.data_dir {
            None => StorageConfig { kind: StorageKind::Memory, path: PathBuf::new() },
            Some(folder) => StorageConfig { kind: StorageKind::Redb, path: folder.join("warder.redb") },
        };
        let address = config::Address::Tcp(self.listen);
        let listener = ListenerConfig { address, tls_disable: true, ..ListenerConfig::default() };
        let sink = AuditConfig { path: audit.to_owned(), ..AuditConfig::default() };
        Config {
            listeners: [(String::new(), listener)].into(),
            storage,
            seal: SealConfig { kind: SealKind::Dev },
            audit: [("dev".to_owned(), sink)].into(),
            unpinned: self.plugins.clone(),
            // Who develops has wrong tokens, and one address.
            load: LoadConfig { failures: 0, ..LoadConfig::default() },
            ..Config::default()
        }
    }

    /// The token that the last run kept, if this one keeps anything.
    fn kept(&self) -> Result<Option<Secret>, Failure> {
        let Some(file) = self.token_file() else { return Ok(None) };
        match fs::read(&file) {
            Ok(kept) => Ok(Some(Secret::from(kept.trim_ascii())).filter(|kept| !kept.is_empty())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::other(format!("{}: {error}", file.display()))),
        }
    }

    fn token_file(&self) -> Option<PathBuf> {
        self.data_dir.as_ref().map(|folder| folder.join("root-token"))
    }

    /// Initializes a new store, or opens a kept one, and says which root token it has.
    async fn open(&self, broker: &Broker) -> Result<Secret, Failure> {
        let refused = |e: Error| Failure::other(format!("the store does not open: {}", e.chain()));
        let given = self.root_token.as_deref().map(Secret::from);
        let kept = self.kept()?;
        let token = if broker.seal_status().initialized {
            broker.start().await.map_err(refused)?;
            let token = chosen(given, kept.clone())?;
            if custom(&token) {
                broker.ensure_root(token.clone()).await.map_err(refused)?;
            }
            token
        } else {
            // A kept token that the broker once made itself belongs to a store that is gone.
            let wanted = given.or_else(|| kept.clone().filter(custom));
            broker.initialize("dev", Peer::default(), 1, 1, wanted).await.map_err(refused)?.root_token
        };
        match self.token_file() {
            Some(file) if kept.is_none_or(|kept| !kept.ct_eq(token.expose())) => {
                keep(&file, &token).map_err(|e| Failure::other(format!("{}: {e}", file.display())))?;
            }
            _ => {}
        }
        Ok(token)
    }

    fn banner(&self, address: SocketAddr, token: &Secret, audit: &Path) -> String {
        let token = token.expose_str().unwrap_or_default();
        let storage = self.data_dir.as_ref().map_or_else(
            || "in memory: gone when this process ends".to_owned(),
            |folder| format!("{}", folder.join("warder.redb").display()),
        );
        let exposed = if address.ip().is_loopback() { "" } else { " (readable by anybody on the network)" };
        format!(
            "\
Warder {version}, development mode: never for production.

  address     http://{address}{exposed}
  root token  {token}
  storage     {storage}
  audit       {audit}

Try in another terminal:

  export WARDER_ADDR=http://{address} WARDER_TOKEN={token}
  curl -X PUT $WARDER_ADDR/api/v1/secrets/database/postgres -H \"Authorization: Bearer $WARDER_TOKEN\" \
-H 'Content-Type: application/json' -d '{{\"username\":\"admin\",\"password\":\"secure123\"}}'
  curl $WARDER_ADDR/api/v1/secrets/database/postgres -H \"Authorization: Bearer $WARDER_TOKEN\"
  {program} get database/postgres

",
            version = env!("CARGO_PKG_VERSION"),
            audit = audit.display(),
            program = program(),
        )
    }
}

/// The root token of a store that is there already.
fn chosen(given: Option<Secret>, kept: Option<Secret>) -> Result<Secret, Failure> {
    match (given, kept) {
        (Some(given), Some(kept)) if !given.ct_eq(kept.expose()) => Err(Failure::usage(
            "--root-token is not the one kept in this --data-dir: leave it out, or use another directory",
        )),
        (Some(token), _) | (None, Some(token)) => Ok(token),
        // The file was lost, the data was not.
        (None, None) => Ok(Secret::from(format!("dev-{}", random_text(24)?))),
    }
}

/// Whether the token can be asked for by name: those that the broker makes have a dot in them.
fn custom(token: &Secret) -> bool {
    !token.expose().contains(&b'.')
}

fn make(folder: &Path) -> Result<(), Failure> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|e| Failure::usage(format!("--data-dir {}: {e}", folder.display())))
}

/// A new directory for the audit log of a store that is gone with the process, and so is this.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("warder-dev-{}", random_text(12)?));
        let made = fs::DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(|e| Failure::other(format!("{}: {e}", folder.display())))?;
        Ok(Self(folder))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's cleaning of temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Replaces the file as a whole, readable by its owner only.
fn keep(file: &Path, token: &Secret) -> io::Result<()> {
    let fresh = file.with_extension("new");
    let mut kept = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    kept.write_all(token.expose())?;
    kept.sync_all()?;
    fs::rename(&fresh, file)
}

/// Base62 characters, each equally likely.
fn random_text(length: usize) -> Result<String, Failure> {
    let random = SystemRandom::new();
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let mut byte = [0u8; 1];
        random.fill(&mut byte).map_err(|_| Failure::other("the system's random source failed"))?;
        // 248 = 4 * 62: bytes above it would favour the first letters.
        if byte[0] < 248 {
            text.push(char::from(ALPHABET[usize::from(byte[0] % 62)]));
        }
    }
    Ok(text)
}

/// How the reader can call this program.
fn program() -> String {
    std::env::args().next().filter(|name| name.contains('/')).unwrap_or_else(|| "warder".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        dev: Dev,
    }

    fn dev(arguments: &[&str]) -> Dev {
        Line::parse_from([&["dev"], arguments].concat()).dev
    }

    #[test]
    fn a_token_is_kept_for_its_owner_only_and_replaced_whole() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let dev = dev(&["--data-dir", folder.path().to_str().unwrap()]);
        assert!(dev.kept().unwrap().is_none());
        for text in ["hvs.longer", "short"] {
            let file = dev.token_file().unwrap();
            keep(&file, &Secret::from(text)).unwrap();
            assert!(dev.kept().unwrap().unwrap().ct_eq(text.as_bytes()));
            assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn another_token_than_the_kept_one_is_refused() {
        let secret = |text: &str| Some(Secret::from(text));
        assert!(chosen(secret("a"), secret("b")).is_err());
        assert!(chosen(secret("a"), secret("a")).unwrap().ct_eq(b"a"));
        assert!(chosen(None, secret("b")).unwrap().ct_eq(b"b"));
        assert!(custom(&chosen(None, None).unwrap()));
    }

    #[test]
    fn the_banner_names_address_and_token_on_lines_of_their_own() {
        let banner = dev(&[]).banner("127.0.0.1:9".parse().unwrap(), &Secret::from("hvs.x"), Path::new("/a"));
        assert!(banner.lines().any(|line| line.trim() == "address     http://127.0.0.1:9"), "{banner}");
        assert!(banner.lines().any(|line| line.trim() == "root token  hvs.x"), "{banner}");
    }
}
