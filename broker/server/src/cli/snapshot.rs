//! `operator snapshot`: the whole store as a file, looked at, and back.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Subcommand;
use http::Method;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::time::timeout;
use warder_store::snapshot::{self, About};

use super::{
    Shared,
    client::{Ask, Client},
    failure::Failure,
    output,
};

/// Longest silence while a snapshot comes.
const SILENCE: Duration = Duration::from_secs(60);

/// Take snapshots of the whole store, look at them, put them back.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "A snapshot is encrypted as the store is: it is opened by the key shares of its time.\n\nExamples:\n  \
    warder operator snapshot save backup.snap\n  \
    warder operator snapshot verify backup.snap            (with a token also: does it fit this server?)\n  \
    warder operator snapshot restore backup.snap\n  \
    warder operator snapshot restore --force backup.snap   (of another root key: seals, and brings its own)"
)]
pub(crate) enum Snapshot {
    /// Take one while the server goes on.
    Save {
        /// Where to; in the place of what is there, once it is whole.
        file: PathBuf,
    },
    /// Check that one is whole and unaltered and, when there is a token, that it fits the server. Changes
    /// nothing.
    Verify {
        /// The snapshot.
        file: PathBuf,
        /// Ask no server.
        #[arg(long)]
        offline: bool,
    },
    /// Put one in the place of all that is stored.
    Restore {
        /// The snapshot.
        file: PathBuf,
        /// Take one of another root key, too: the server is sealed then, and opened by its shares.
        #[arg(long)]
        force: bool,
    },
}

impl Snapshot {
    pub(super) async fn run(self, shared: &Shared) -> Result<(), Failure> {
        let value = match self {
            Self::Save { file } => save(&Client::new(shared)?, &file).await?,
            Self::Verify { file, offline } => verify(shared, &file, offline).await?,
            Self::Restore { file, force } => {
                look(&file)?;
                send(&Client::new(shared)?, &file, if force { "?force=true" } else { "" }).await?
            }
        };
        output::show(shared.output, &value)
    }
}

/// Takes one into a file beside its place, and moves it there when it has proven whole.
async fn save(client: &Client, file: &Path) -> Result<Value, Failure> {
    let (body, driving) = client.open(Ask::new(Method::GET, "sys/snapshot")).await?;
    let mut name = file.as_os_str().to_owned();
    name.push(".part");
    let part = PathBuf::from(name);
    let saved = match receive(body, &part).await {
        Ok(()) => look(&part).and_then(|about| {
            fs::rename(&part, file).map_err(|e| Failure::other(format!("{}: {e}", file.display())))?;
            told(&about)
        }),
        Err(failure) => Err(failure),
    };
    driving.abort();
    if saved.is_err() {
        // What is no snapshot must not lie there as one; if it cannot be removed, its name tells.
        let _ = fs::remove_file(&part);
    }
    saved
}

async fn receive(mut body: Incoming, part: &Path) -> Result<(), Failure> {
    let failed = |e: io::Error| Failure::other(format!("{}: {e}", part.display()));
    let _ = fs::remove_file(part);
    // Names of secrets are in it: for nobody else.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(part).map_err(failed)?;
    loop {
        let frame = timeout(SILENCE, body.frame()).await;
        let frame = frame.map_err(|_| Failure::unreachable("the server has gone silent"))?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|e| Failure::unreachable(format!("the snapshot was cut off: {e}")))?;
        if let Ok(data) = frame.into_data() {
            file.write_all(&data).map_err(failed)?;
        }
    }
    file.sync_all().map_err(failed)
}

async fn verify(shared: &Shared, file: &Path, offline: bool) -> Result<Value, Failure> {
    let about = look(file)?;
    if offline {
        return told(&about);
    }
    let client = Client::new(shared)?;
    if !client.has_token() {
        return told(&about);
    }
    let found = send(&client, file, "?dry_run=true").await?;
    match (&found["same_keyring"], &found["authentic"]) {
        (Value::Bool(true), Value::Bool(true)) => Ok(found),
        (Value::Bool(true), _) => Err(Failure::refused(format!(
            "{}: it is whole, but its checksums do not carry the mark of the server's keyring: it was altered",
            file.display()
        ))),
        _ => Err(Failure::refused(format!(
            "{}: it is whole, but was taken under another root key than the server's: only `restore --force` takes it, \
             and it is opened by the shares of its time",
            file.display()
        ))),
    }
}

async fn send(client: &Client, file: &Path, query: &str) -> Result<Value, Failure> {
    let opened = File::open(file).map_err(|e| Failure::usage(format!("{}: {e}", file.display())))?;
    let ask = Ask::new(Method::POST, format!("sys/restore{query}")).file("application/gzip", opened);
    client.ask(ask.map_err(|e| Failure::usage(format!("{}: {e}", file.display())))?).await
}

/// Reads all of it; asks no server.
fn look(file: &Path) -> Result<About, Failure> {
    let name = file.display();
    let opened = File::open(file).map_err(|e| Failure::usage(format!("{name}: {e}")))?;
    snapshot::verify(opened).map_err(|words| Failure::other(format!("{name}: this is not a whole snapshot: {words}")))
}

fn told(about: &About) -> Result<Value, Failure> {
    let mut value = serde_json::to_value(about).map_err(|e| Failure::other(e.to_string()))?;
    value["whole"] = json!(true);
    Ok(value)
}
