//! `limit`: rate limits.

use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

use super::{
    Shared,
    client::{Ask, Client, encoded},
    failure::Failure,
    output,
};

/// Work with rate limits.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:\n  \
    warder limit put reads --rate 100 --path secret/\n  \
    warder limit put login --rate 10 --interval 1m --block-interval 5m --group-by ip\n  \
    warder limit list\n  \
    warder limit get reads\n  \
    warder limit delete reads")]
pub(crate) enum Limit {
    /// List names of limits.
    List,
    /// Show a limit.
    Get {
        /// Its name.
        name: String,
    },
    /// Set a limit, from the next request on.
    Put {
        /// Its name.
        name: String,
        /// Requests an interval.
        #[arg(long)]
        rate: f64,
        /// Canonical path, mount first: a prefix when it ends in / or *; all paths when left out.
        #[arg(long)]
        path: Option<String>,
        /// Such as 1s or 5m; 1s when left out.
        #[arg(long)]
        interval: Option<String>,
        /// How long nothing is let through once the limit was met.
        #[arg(long)]
        block_interval: Option<String>,
        /// Whose requests count together: ip, none or token_then_ip.
        #[arg(long)]
        group_by: Option<String>,
    },
    /// Lift a limit.
    Delete {
        /// Its name.
        name: String,
    },
}

impl Limit {
    pub(super) async fn run(self, shared: &Shared) -> Result<(), Failure> {
        let client = Client::new(shared)?;
        let (request, words) = match self {
            Self::List => {
                let value = client.ask(Ask::new(Method::GET, "limits")).await?;
                return output::show_as(shared.output, &value, names);
            }
            Self::Get { name } => {
                return output::show(shared.output, &client.ask(Ask::new(Method::GET, one(&name))).await?);
            }
            Self::Put { name, rate, path, interval, block_interval, group_by } => {
                let mut body = json!({ "rate": rate });
                let given = [
                    ("path", path),
                    ("interval", interval),
                    ("block_interval", block_interval),
                    ("group_by", group_by),
                ];
                for (name, text) in given.into_iter().filter_map(|(name, text)| Some((name, text?))) {
                    body[name] = text.into();
                }
                (Ask::new(Method::PUT, one(&name)).json(body.to_string()), "set")
            }
            Self::Delete { name } => (Ask::new(Method::DELETE, one(&name)), "lifted"),
        };
        client.ask(request).await?;
        output::done(words);
        Ok(())
    }
}

fn names(value: &Value) -> String {
    let keys = value["keys"].as_array().into_iter().flatten();
    keys.map(|name| format!("{}\n", output::plain(name))).collect()
}

fn one(name: &str) -> String {
    format!("limits/{}", encoded(name))
}
