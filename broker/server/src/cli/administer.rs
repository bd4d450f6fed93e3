//! `status`, `mount`, `operator` and `audit`: the operator's commands.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};
use warder_core::audit::verify::{Known, verify_with};
use warder_core::secret::Secret;

use super::{
    Shared,
    client::{Ask, Client, encoded},
    failure::Failure,
    input, output, quorum, snapshot,
};

/// Shows where the seal stands.
pub(crate) async fn status(shared: &Shared) -> Result<(), Failure> {
    let value = Client::new(shared)?.ask(Ask::new(Method::GET, "sys/status")).await?;
    output::show(shared.output, &value)?;
    let ready = value["initialized"] == json!(true) && value["sealed"] == json!(false);
    if ready { Ok(()) } else { Err(Failure::not_ready()) }
}

/// Work with mounts.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:\n  \
    warder mount list\n  \
    warder mount enable kv --path team/kv --description \"secrets of the team\"\n  \
    warder mount disable team/kv    (removes all that it holds)")]
pub(crate) enum Mount {
    /// List all mounts.
    List,
    /// Bind a plugin to a path.
    Enable {
        /// Name of the plugin, such as kv.
        plugin: String,
        /// Path of the mount; the plugin's name when left out.
        #[arg(long)]
        path: Option<String>,
        /// For people.
        #[arg(long)]
        description: Option<String>,
    },
    /// Remove a mount with all that it holds.
    Disable {
        /// Path of the mount.
        path: String,
    },
}

impl Mount {
    pub(super) async fn run(self, shared: &Shared) -> Result<(), Failure> {
        let client = Client::new(shared)?;
        match self {
            Self::List => output::show_as(shared.output, &client.ask(Ask::new(Method::GET, "mounts")).await?, mounts),
            Self::Enable { plugin, path, description } => {
                let path = one(path.as_deref().unwrap_or(&plugin));
                let body = json!({ "plugin": plugin, "description": description.unwrap_or_default() });
                client.ask(Ask::new(Method::PUT, path).json(body.to_string())).await?;
                output::done("mounted");
                Ok(())
            }
            Self::Disable { path } => {
                client.ask(Ask::new(Method::DELETE, one(&path))).await?;
                output::done("removed");
                Ok(())
            }
        }
    }
}

fn mounts(value: &Value) -> String {
    let row = |(path, mount): (&String, &Value)| {
        let [plugin, words, created, accessor] =
            ["plugin", "description", "created_at", "accessor"].map(|name| output::plain(&mount[name]));
        [path.clone(), plugin, words, created, accessor]
    };
    let header = ["PATH", "PLUGIN", "DESCRIPTION", "CREATED", "ACCESSOR"];
    output::columns(header, value.as_object().into_iter().flatten().map(row))
}

fn one(path: &str) -> String {
    format!("mounts/{}", encoded(path.trim_matches('/')))
}

/// Initialize, unseal, seal; keys, root tokens, snapshots.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:\n  \
    warder operator init --shares 3 --threshold 2\n  \
    warder operator unseal                  (asks for a key share; repeat with others)\n  \
    warder operator unseal < share.txt\n  \
    warder operator seal\n  \
    warder operator rotate\n  \
    warder operator key-status\n  \
    warder operator rekey start --shares 5 --threshold 3 --verify\n  \
    warder operator generate-root start\n  \
    warder operator snapshot save backup.snap")]
pub(crate) enum Operator {
    /// Make the keys: shows key shares and a root token, once.
    #[command(after_help = "Keep each share with another person. Nobody can show them again.\n\nExamples:\n  \
        warder operator init --shares 3 --threshold 2\n  \
        warder operator init --output json > keys.json")]
    Init {
        /// Key shares to make.
        #[arg(long, default_value_t = 5)]
        shares: u8,
        /// Key shares needed to unseal.
        #[arg(long, default_value_t = 3)]
        threshold: u8,
    },
    /// Give one key share, from a prompt or standard input.
    #[command(after_help = "Examples:\n  warder operator unseal\n  warder operator unseal < share.txt")]
    Unseal {
        /// Drop the shares given so far.
        #[arg(long)]
        reset: bool,
    },
    /// Close the barrier: nothing can be read until it is unsealed.
    Seal,
    /// Encrypt what is written from now on under a new key; old values move to it in the background.
    Rotate,
    /// Show the keys that values are encrypted under, and how far old values have moved.
    KeyStatus,
    /// Make new key shares, by enough of the old ones.
    #[command(subcommand)]
    Rekey(quorum::Rekey),
    /// Make a root token, by enough key shares.
    #[command(subcommand)]
    GenerateRoot(quorum::GenerateRoot),
    /// Take snapshots of the whole store, look at them, put them back.
    #[command(subcommand)]
    Snapshot(snapshot::Snapshot),
}

impl Operator {
    pub(super) async fn run(self, shared: &Shared) -> Result<(), Failure> {
        let client = Client::new(shared)?;
        let request = match self {
            Self::GenerateRoot(command) => return command.run(shared).await,
            Self::Rekey(command) => return command.run(shared).await,
            Self::Snapshot(command) => return command.run(shared).await,
            Self::Init { shares, threshold } => {
                let body = json!({ "shares": shares, "threshold": threshold });
                let made = client.ask(Ask::new(Method::POST, "sys/init").json(body.to_string())).await?;
                return output::show_as(shared.output, &made, |made| keys(made, threshold));
            }
            Self::Unseal { reset: true } => Ask::new(Method::POST, "sys/unseal").json(r#"{"reset":true}"#),
            Self::Unseal { reset: false } => Ask::new(Method::POST, "sys/unseal").json(share()?),
            Self::Seal => Ask::new(Method::POST, "sys/seal"),
            Self::Rotate => {
                client.ask(Ask::new(Method::POST, "sys/rotate")).await?;
                output::done("rotated");
                Ask::new(Method::GET, "sys/key-status")
            }
            Self::KeyStatus => Ask::new(Method::GET, "sys/key-status"),
        };
        match client.ask(request).await? {
            Value::Null => output::done("sealed"),
            value => output::show(shared.output, &value)?,
        }
        Ok(())
    }
}

fn keys(made: &Value, threshold: u8) -> String {
    let shares = made["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    let lines =
        shares.iter().enumerate().map(|(at, share)| format!("Key share {}: {}\n", at + 1, output::plain(share)));
    let token = format!("\nRoot token: {}\n", output::plain(&made["root_token"]));
    let advice = match shares.len() {
        0 => "\nKeep the token now: nothing shows it again.\n".to_owned(),
        all => format!(
            "\nKeep them now: nothing shows them again. {threshold} of {all} shares open the barrier \
             (`warder operator unseal`);\nwith fewer, all secrets are lost.\n"
        ),
    };
    lines.chain([token, advice]).collect()
}

fn share() -> Result<Secret, Failure> {
    quorum::members(&[("key", &input::hidden("Key share (not shown): ")?)])
}

/// Work with audit logs.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:\n  warder audit list\n  warder audit verify /var/log/warder/audit.log\n  \
    warder audit verify audit.log --known 17:9f86d0...    (finds that the end was cut off, too)")]
pub(crate) enum AuditCommand {
    /// List the sinks and how they do.
    List,
    /// Check that a log is complete and unchanged; exit code 1 names the first bad record.
    Verify {
        /// The log.
        file: PathBuf,
        /// A record known from before: last_seq and last_hash of an earlier check. The log must hold
        /// it, or go on right behind it.
        #[arg(long, value_name = "SEQ:HASH")]
        known: Option<Known>,
    },
}

/// Lists the sinks of a server.
pub(crate) async fn sinks(shared: &Shared) -> Result<(), Failure> {
    let value = Client::new(shared)?.ask(Ask::new(Method::GET, "audit")).await?;
    output::show_as(shared.output, &value, |value| {
        let row = |sink: &Value| {
            ["name", "type", "healthy", "queued", "records", "failures", "last_error"]
                .map(|name| output::plain(&sink[name]))
        };
        let header = ["NAME", "TYPE", "HEALTHY", "QUEUED", "RECORDS", "FAILURES", "LAST ERROR"];
        output::columns(header, value["sinks"].as_array().into_iter().flatten().map(row))
    })
}

/// Checks a log; asks no server.
pub(crate) fn verified(file: &Path, known: Option<Known>, shared: &Shared) -> Result<(), Failure> {
    let name = file.display().to_string();
    let opened = File::open(file).map_err(|e| Failure::usage(format!("{name}: {e}")))?;
    let verified = verify_with(BufReader::new(opened), known).map_err(|e| Failure::other(format!("{name}: {e}")))?;
    let value = serde_json::to_value(&verified).map_err(|e| Failure::other(e.to_string()))?;
    output::show(shared.output, &value)
}
