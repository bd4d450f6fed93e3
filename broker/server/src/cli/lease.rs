//! `lease`: list, look up, renew, revoke.

use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

use super::{
    Shared,
    client::{Ask, Client, encoded},
    failure::Failure,
    output,
};

/// Work with leases: what was issued for a time.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:\n  \
    warder lease list database/creds\n  \
    warder lease lookup LEASE_ID\n  \
    warder lease renew LEASE_ID --increment 1h\n  \
    warder lease revoke LEASE_ID\n  \
    warder lease revoke --prefix database/creds")]
pub(crate) enum Lease {
    /// List what is below a prefix of paths; folders end in a slash.
    List {
        /// Canonical path, mount first; the top when left out.
        prefix: Option<String>,
    },
    /// Show what is known of a lease.
    Lookup {
        /// Its id, as it came with the secret.
        id: String,
    },
    /// Give a lease more time.
    Renew {
        /// Its id.
        id: String,
        /// Wanted time to live, such as 1h.
        #[arg(long)]
        increment: Option<String>,
    },
    /// Revoke a lease, or all below a prefix; done when the command ends.
    Revoke {
        /// Its id; with --prefix a canonical path, mount first.
        id: String,
        /// Everything at and below this path.
        #[arg(long)]
        prefix: bool,
        /// Forget also those whose plugin fails: what they stand for may live on.
        #[arg(long, requires = "prefix")]
        force: bool,
    },
}

impl Lease {
    pub(super) async fn run(self, shared: &Shared) -> Result<(), Failure> {
        let client = Client::new(shared)?;
        let request = match self {
            Self::List { prefix } => {
                let prefix = prefix.unwrap_or_default();
                let ask = Ask::new(Method::GET, format!("leases?prefix={}", encoded(&prefix)));
                return output::show_as(shared.output, &client.ask(ask).await?, names);
            }
            Self::Lookup { id } => Ask::new(Method::GET, one(&id)),
            Self::Renew { id, increment } => {
                let body = increment.map_or_else(|| json!({}), |increment| json!({ "increment": increment }));
                Ask::new(Method::POST, format!("{}/renew", one(&id))).json(body.to_string())
            }
            Self::Revoke { id, prefix: false, .. } => Ask::new(Method::DELETE, one(&id)),
            Self::Revoke { id, force, .. } => {
                let force = if force { "&force=true" } else { "" };
                Ask::new(Method::DELETE, format!("leases?prefix={}{force}", encoded(&id)))
            }
        };
        match client.ask(request).await? {
            Value::Null => output::done("revoked"),
            value => output::show(shared.output, &value)?,
        }
        Ok(())
    }
}

fn names(value: &Value) -> String {
    let keys = value["keys"].as_array().into_iter().flatten();
    keys.map(|name| format!("{}\n", output::plain(name))).collect()
}

fn one(id: &str) -> String {
    format!("leases/{}", encoded(id))
}
