//! `token`: create, look up, renew, revoke, list.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use super::{
    Shared,
    client::{Ask, Client, encoded},
    failure::Failure,
    output,
};

/// Work with tokens.
#[derive(Debug, Subcommand)]
#[command(after_help = "A token is named by its accessor; its text is never an argument.\n\nExamples:\n  \
    warder token create --policy reader --ttl 1h\n  \
    warder token lookup\n  \
    warder token renew --increment 1h\n  \
    warder token revoke --accessor ACCESSOR\n  \
    warder token list")]
pub(crate) enum Token {
    /// Create a child of your token, or an orphan.
    Create(Box<Create>),
    /// Show what a token is: yours, or the one with this accessor.
    Lookup {
        #[command(flatten)]
        named: Named,
    },
    /// Renew a token: yours, or the one with this accessor.
    Renew {
        #[command(flatten)]
        named: Named,
        /// Wanted time to live, such as 1h.
        #[arg(long)]
        increment: Option<String>,
    },
    /// Revoke a token and all its children.
    #[command(group = clap::ArgGroup::new("which").args(["accessor", "by_accessor", "own"]).required(true))]
    Revoke {
        #[command(flatten)]
        named: Named,
        /// Revoke your own token.
        #[arg(long = "self")]
        own: bool,
    },
    /// List the accessors of all tokens.
    List,
}

/// Which token is meant.
#[derive(Args, Debug)]
pub(crate) struct Named {
    /// Accessor of the token.
    #[arg(conflicts_with = "by_accessor")]
    accessor: Option<String>,
    /// The same, said by name.
    #[arg(long = "accessor", value_name = "ACCESSOR")]
    by_accessor: Option<String>,
}

impl Named {
    fn accessor(self) -> Option<String> {
        self.accessor.or(self.by_accessor)
    }
}

/// Create a child of your token, or an orphan.
#[derive(Args, Debug)]
pub(crate) struct Create {
    /// A policy that it gets; may be repeated. Default: your own.
    #[arg(long = "policy", value_name = "NAME")]
    policies: Vec<String>,
    /// Time to live, such as 1h.
    #[arg(long)]
    ttl: Option<String>,
    /// Longest time to live over all renewals.
    #[arg(long)]
    explicit_max_ttl: Option<String>,
    /// Renewable for ever, each time for this long.
    #[arg(long)]
    period: Option<String>,
    /// Name for people.
    #[arg(long)]
    display_name: Option<String>,
    /// So many uses, then it ends.
    #[arg(long)]
    num_uses: Option<u32>,
    /// Cannot be renewed.
    #[arg(long)]
    no_renew: bool,
    /// Without the policy `default`.
    #[arg(long)]
    no_default_policy: bool,
    /// Lives on when its parent is revoked.
    #[arg(long)]
    orphan: bool,
    /// A batch token: self-contained, not stored.
    #[arg(long)]
    batch: bool,
}

impl Create {
    fn body(self) -> Value {
        let mut body = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            body.extend(value.map(|value| (name.to_owned(), value)));
        };
        set("policies", (!self.policies.is_empty()).then(|| json!(self.policies)));
        set("ttl", self.ttl.map(Value::from));
        set("explicit_max_ttl", self.explicit_max_ttl.map(Value::from));
        set("period", self.period.map(Value::from));
        set("display_name", self.display_name.map(Value::from));
        set("num_uses", self.num_uses.map(Value::from));
        set("renewable", self.no_renew.then_some(Value::Bool(false)));
        set("no_default_policy", self.no_default_policy.then_some(Value::Bool(true)));
        set("orphan", self.orphan.then_some(Value::Bool(true)));
        set("type", self.batch.then(|| json!("batch")));
        Value::Object(body)
    }
}

impl Token {
    pub(super) async fn run(self, shared: &Shared) -> Result<(), Failure> {
        let request = match self {
            Self::Create(create) => Ask::new(Method::POST, "auth/tokens").json(create.body().to_string()),
            Self::Lookup { named } => {
                Ask::new(Method::GET, named.accessor().map_or_else(|| "auth/self".to_owned(), |a| one(&a)))
            }
            Self::Renew { named, increment } => {
                let path = named.accessor().map_or_else(|| "auth/renew".to_owned(), |a| format!("{}/renew", one(&a)));
                let body = increment.map_or_else(|| json!({}), |increment| json!({ "increment": increment }));
                Ask::new(Method::POST, path).json(body.to_string())
            }
            Self::Revoke { named, .. } => match named.accessor() {
                Some(accessor) => Ask::new(Method::DELETE, one(&accessor)),
                None => Ask::new(Method::POST, "auth/revoke"),
            },
            Self::List => Ask::new(Method::GET, "auth/tokens?list=true"),
        };
        match Client::new(shared)?.ask(request).await? {
            Value::Null => output::done("revoked"),
            value => output::show(shared.output, &value)?,
        }
        Ok(())
    }
}

fn one(accessor: &str) -> String {
    format!("auth/tokens/{}", encoded(accessor))
}
