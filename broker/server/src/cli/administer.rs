//! `status`, `mount`, `operator` and `audit`: the operator's commands.

use std::{fs::File, io::BufReader, path::PathBuf};

use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};
use warder_core::audit::verify::verify;
use warder_core::json::compose;
use warder_core::secret::Secret;
use zeroize::Zeroizing;

use super::{
    Shared,
    client::{Ask, Client, encoded},
    failure::Failure,
    input, output,
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
            Self::List => output::show(shared.output, &client.ask(Ask::new(Method::GET, "mounts")).await?),
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

fn one(path: &str) -> String {
    format!("mounts/{}", encoded(path.trim_matches('/')))
}

/// Initialize, unseal, seal.
#[derive(Debug, Subcommand)]
pub(crate) enum Operator {
    /// Make the keys: shows key shares and a root token, once.
    Init {
        /// Key shares to make.
        #[arg(long, default_value_t = 5)]
        shares: u8,
        /// Key shares needed to unseal.
        #[arg(long, default_value_t = 3)]
        threshold: u8,
    },
    /// Give one key share, from a prompt or standard input.
    Unseal {
        /// Drop the shares given so far.
        #[arg(long)]
        reset: bool,
    },
    /// Close the barrier: nothing can be read until it is unsealed.
    Seal,
}

impl Operator {
    pub(super) async fn run(self, shared: &Shared) -> Result<(), Failure> {
        let client = Client::new(shared)?;
        let request = match self {
            Self::Init { shares, threshold } => {
                let body = json!({ "shares": shares, "threshold": threshold });
                Ask::new(Method::POST, "sys/init").json(body.to_string())
            }
            Self::Unseal { reset: true } => Ask::new(Method::POST, "sys/unseal").json(r#"{"reset":true}"#),
            Self::Unseal { reset: false } => Ask::new(Method::POST, "sys/unseal").json(share()?),
            Self::Seal => Ask::new(Method::POST, "sys/seal"),
        };
        match client.ask(request).await? {
            Value::Null => output::done("sealed"),
            value => output::show(shared.output, &value)?,
        }
        Ok(())
    }
}

fn share() -> Result<Secret, Failure> {
    let key = input::hidden("Key share (not shown): ")?;
    let text = key.expose_str().ok_or_else(|| Failure::usage("a key share is text: hex or base64"))?;
    let mut quoted = Zeroizing::new(Vec::with_capacity(text.len() * 6 + 2));
    warder_core::json::write_string(&mut quoted, text);
    Ok(compose([("key", std::str::from_utf8(&quoted).unwrap_or("null"))]))
}

/// Work with audit logs.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check that a log is complete and unchanged.
    Verify {
        /// The log.
        file: PathBuf,
    },
}

impl AuditCommand {
    pub(super) fn run(self, shared: &Shared) -> Result<(), Failure> {
        let Self::Verify { file } = self;
        let name = file.display().to_string();
        let opened = File::open(&file).map_err(|e| Failure::usage(format!("{name}: {e}")))?;
        let verified = verify(BufReader::new(opened)).map_err(|e| Failure::other(format!("{name}: {e}")))?;
        let value = serde_json::to_value(&verified).map_err(|e| Failure::other(e.to_string()))?;
        output::show(shared.output, &value)
    }
}
