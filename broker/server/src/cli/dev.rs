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
use warder_core::{identity::Peer, secret::Secret};

use super::{
    failure::Failure,
    output,
    serve::{Logging, until_told},
};
use crate::{
    config::{AuditConfig, Config, ListenerConfig, SealConfig, StorageConfig},
    wire,
};

const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Run one process for development: initialized, unsealed, KV at secret/.
#[derive(Args)]
#[command(after_help = "Without --data-dir everything is in memory, and audit records go to a new temporary \
    directory. With it, secrets and the root token are kept in it across restarts.\n\n\
    Not for production: plain HTTP, and the keys lie beside the data.")]
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
    #[command(flatten)]
    logging: Logging,
}

impl std::fmt::Debug for Dev {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dev").field("listen", &self.listen).field("data_dir", &self.data_dir).finish_non_exhaustive()
    }
}

impl Dev {
    pub(super) async fn run(self) -> Result<(), Failure> {
        self.logging.start()?;
        if let Some(folder) = &self.data_dir {
            make(folder)?;
        }
        let audit = match (&self.audit, &self.data_dir) {
            (Some(file), _) => file.clone(),
            (None, Some(folder)) => folder.join("audit.log"),
            (None, None) => temporary()?.join("audit.log"),
        };
        let config = self.config(&audit);
        let wired = wire::wire(&config, true).await.map_err(|e| Failure::other(e.to_string()))?;
        let token = self.token()?;
        open(&wired, token.clone()).await?;
        output::bytes(self.banner(wired.address(), &token, &audit).as_bytes())?;
        until_told(wired.serve()).await
    }

    fn config(&self, audit: &Path) -> Config {
        let storage = match &self.data_dir {
            None => StorageConfig::Memory {},
            Some(folder) => StorageConfig::Redb { path: folder.join("warder.redb") },
        };
        let path = audit.display().to_string();
        let sink = AuditConfig { kind: "file".to_owned(), options: [("path".to_owned(), path)].into() };
        Config {
            listener: ListenerConfig { address: self.listen, tls: None, tls_disable: true },
            storage,
            seal: SealConfig::Dev {},
            audit: [("dev".to_owned(), sink)].into(),
        }
    }

    /// The root token: given, kept from the last time, or new; kept before it is first used.
    fn token(&self) -> Result<Secret, Failure> {
        let given = self.root_token.as_deref().map(Secret::from);
        if given.as_ref().is_some_and(|token| token.is_empty() || !token.expose().iter().all(u8::is_ascii_graphic)) {
            return Err(Failure::usage("--root-token: expected printable ASCII characters without spaces"));
        }
        let Some(folder) = &self.data_dir else { return given.map_or_else(fresh, Ok) };
        let file = folder.join("root-token");
        let unusable = |e: io::Error| Failure::other(format!("{}: {e}", file.display()));
        match (fs::read(&file), given) {
            (Ok(kept), None) => Ok(Secret::from(kept.trim_ascii())),
            (Ok(kept), Some(given)) if given.ct_eq(kept.trim_ascii()) => Ok(given),
            (Ok(_), Some(_)) => Err(Failure::usage(format!(
                "--root-token is not the one kept in {}: leave it out, or use another --data-dir",
                file.display()
            ))),
            (Err(error), given) if error.kind() == io::ErrorKind::NotFound => {
                let token = given.map_or_else(fresh, Ok)?;
                keep(&file, &token).map_err(unusable)?;
                Ok(token)
            }
            (Err(error), _) => Err(unusable(error)),
        }
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

/// Initializes a new store, or opens a kept one with the token that belongs to it.
async fn open(wired: &wire::Wired, token: Secret) -> Result<(), Failure> {
    let broker = wired.broker();
    let opened = if broker.seal_status().initialized {
        match broker.start().await {
            Ok(()) => broker.ensure_root(token).await,
            refused => refused,
        }
    } else {
        broker.initialize("dev", Peer::default(), 1, 1, Some(token)).await.map(|_| ())
    };
    opened.map_err(|e| Failure::other(format!("the store does not open: {}", e.chain())))
}

fn make(folder: &Path) -> Result<(), Failure> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|e| Failure::usage(format!("--data-dir {}: {e}", folder.display())))
}

fn temporary() -> Result<PathBuf, Failure> {
    let name = format!("warder-dev-{}", random_text(12)?);
    let folder = std::env::temp_dir().join(name);
    let made = fs::DirBuilder::new().mode(0o700).create(&folder);
    made.map_err(|e| Failure::other(format!("{}: {e}", folder.display())))?;
    Ok(folder)
}

fn keep(file: &Path, token: &Secret) -> io::Result<()> {
    let mut kept = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    kept.write_all(token.expose())?;
    kept.sync_all()
}

fn fresh() -> Result<Secret, Failure> {
    Ok(Secret::from(format!("hvs.{}", random_text(24)?)))
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
    fn the_token_of_a_data_directory_stays() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().to_str().unwrap().to_owned();
        let first = dev(&["--data-dir", &data]).token().unwrap();
        assert!(first.expose().starts_with(b"hvs.") && first.len() == 28);
        assert!(dev(&["--data-dir", &data]).token().unwrap().ct_eq(first.expose()));
        assert!(dev(&["--data-dir", &data, "--root-token", "other"]).token().is_err());
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(folder.path().join("root-token")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_token_that_cannot_be_sent_is_refused() {
        for bad in ["", "a b", "\u{e9}"] {
            assert!(dev(&["--root-token", bad]).token().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_banner_names_address_and_token_on_lines_of_their_own() {
        let banner = dev(&[]).banner("127.0.0.1:9".parse().unwrap(), &Secret::from("hvs.x"), Path::new("/a"));
        assert!(banner.lines().any(|line| line.trim() == "address     http://127.0.0.1:9"), "{banner}");
        assert!(banner.lines().any(|line| line.trim() == "root token  hvs.x"), "{banner}");
    }
}
