//! `policy`: list, read, write, delete, explain.

use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};
use warder_core::secret::Secret;

use super::{
    Shared,
    client::{Ask, Client, encoded},
    failure::Failure,
    input,
    output::{self, Format},
};

/// Work with policies.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:\n  \
    warder policy list\n  \
    warder policy write reader reader.hcl\n  \
    echo 'path \"secret/data/app/*\" { capabilities = [\"read\"] }' | warder policy write reader -\n  \
    warder policy read reader\n  \
    warder policy explain secret/data/app/db read --policy reader\n  \
    warder policy delete reader")]
pub(crate) enum Policy {
    /// List the names of all policies.
    List,
    /// Show a policy's text.
    Read {
        /// Name of the policy.
        name: String,
    },
    /// Write a policy from a file.
    Write {
        /// Name of the policy.
        name: String,
        /// File of HCL or JSON; - for standard input.
        file: String,
    },
    /// Remove a policy.
    Delete {
        /// Name of the policy.
        name: String,
    },
    /// Show which rule decides a request, and why.
    Explain {
        /// Canonical path, such as secret/data/database/postgres.
        path: String,
        /// create, read, update, patch, delete or list.
        operation: String,
        /// As if the caller had this policy; may be repeated. Default: your own policies.
        #[arg(long = "policy", value_name = "NAME")]
        policies: Vec<String>,
    },
}

impl Policy {
    pub(super) async fn run(self, shared: &Shared) -> Result<(), Failure> {
        let client = Client::new(shared)?;
        match self {
            Self::List => output::show(shared.output, &client.ask(Ask::new(Method::GET, "policies?list=true")).await?),
            Self::Read { name } => {
                let value = client.ask(Ask::new(Method::GET, one(&name))).await?;
                match (shared.output, value.get("policy").and_then(Value::as_str)) {
                    (Format::Table, Some(text)) => output::bytes(format!("{}\n", text.trim_end()).as_bytes()),
                    _ => output::show(shared.output, &value),
                }
            }
            Self::Write { name, file } => {
                let text = input::text(&file)?;
                let request = Ask::new(Method::PUT, one(&name)).body("application/hcl", Secret::from(text.as_slice()));
                done(&client, request, "written", shared).await
            }
            Self::Delete { name } => done(&client, Ask::new(Method::DELETE, one(&name)), "deleted", shared).await,
            Self::Explain { path, operation, policies } => {
                let mut body = json!({ "path": path, "operation": operation });
                if !policies.is_empty() {
                    body["policies"] = json!(policies);
                }
                let request = Ask::new(Method::POST, "policies:explain").json(body.to_string());
                output::show(shared.output, &client.ask(request).await?)
            }
        }
    }
}

async fn done(client: &Client, request: Ask<'_>, words: &str, shared: &Shared) -> Result<(), Failure> {
    match client.ask(request).await? {
        Value::Null => output::done(words),
        value => output::show(shared.output, &value)?,
    }
    Ok(())
}

fn one(name: &str) -> String {
    format!("policies/{}", encoded(name))
}
