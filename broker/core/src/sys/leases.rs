//! `sys/leases`: what can be told and written down without a plugin. What calls one is an
//! [`LeaseOrder`], which `broker` carries out.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Ask, Handler, Matched, Page, Served, Sys, most};
use crate::{
    duration,
    error::{Error, Result},
    lease::{self, Walk},
    request::{Answer, Operation},
};

/// Stuck leases that are listed at once.
const LISTED: usize = 10_000;

/// What is asked of leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leases {
    Count,
    Force,
    Lookup,
    Prefix,
    Renew,
    Revoke,
    Stuck,
}

/// What the broker has a plugin do about leases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseOrder {
    /// More time for one.
    Renew {
        /// Which.
        id: String,
        /// What is asked for; zero: as at issue.
        increment: Duration,
    },
    /// Ends one now.
    Revoke {
        /// Which.
        id: String,
    },
    /// Ends all below a path now.
    RevokeBelow {
        /// The path.
        prefix: String,
        /// Also those whose plugin fails.
        force: bool,
    },
}

#[derive(Deserialize)]
struct Named {
    lease_id: Option<String>,
    #[serde(default, deserialize_with = "duration::optional")]
    increment: Option<Duration>,
    sync: Option<Value>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

impl Named {
    /// Out of the path, or of the body.
    fn id(&self, ask: &Ask<'_>) -> Result<String> {
        let id = Some(ask.capture("lease_id")).filter(|id| !id.is_empty()).or(self.lease_id.as_deref());
        match id {
            None | Some("") => Err(Error::invalid("lease_id", "lease_id must be specified")),
            Some(id) => Ok(id.to_owned()),
        }
    }

    /// Whether the answer shall wait. Command lines send it as text.
    fn sync(&self) -> Result<bool> {
        match &self.sync {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) if matches!(&**text, "true" | "1") => Ok(true),
            Some(Value::String(text)) if matches!(&**text, "false" | "0" | "") => Ok(false),
            _ => Err(Error::invalid("sync", "expected true or false")),
        }
    }
}

impl Matched {
    /// What plugins must do for this request, if anything.
    ///
    /// # Errors
    /// `invalid_request` naming the field.
    pub fn lease_order(&self, ask: &Ask<'_>) -> Result<Option<LeaseOrder>> {
        let Handler::Leases(asked) = self.handler else { return Ok(None) };
        let named: Named = ask.fields.parse()?;
        let prefix = ask.capture("prefix").to_owned();
        Ok(match asked {
            Leases::Renew => {
                Some(LeaseOrder::Renew { id: named.id(ask)?, increment: named.increment.unwrap_or_default() })
            }
            Leases::Revoke if named.sync()? => Some(LeaseOrder::Revoke { id: named.id(ask)? }),
            Leases::Prefix if named.sync()? => Some(LeaseOrder::RevokeBelow { prefix, force: false }),
            Leases::Force => Some(LeaseOrder::RevokeBelow { prefix, force: true }),
            _ => None,
        })
    }
}

pub(super) async fn serve(sys: &Sys, ask: &Ask<'_>, asked: Leases) -> Result<Served> {
    let named: Named = ask.fields.parse()?;
    match asked {
        Leases::Count => count(sys, &named).await,
        Leases::Lookup if ask.operation == Operation::List => names(sys, ask).await,
        Leases::Lookup => sys.leases.lookup(&named.id(ask)?).await.map(Served::document),
        // One that is not there has ended.
        Leases::Revoke => sys.leases.doom(&named.id(ask)?).await.map(|_| Served::nothing()),
        Leases::Prefix => {
            let mut walk = Walk::below(ask.capture("prefix"));
            while let Some(ids) = sys.leases.walk(&mut walk).await? {
                sys.leases.doom_all(&ids).await?;
            }
            Ok(Served::nothing())
        }
        Leases::Stuck => stuck(sys, &named).await,
        Leases::Force | Leases::Renew => Err(Error::internal("an order for plugins reached sys")),
    }
}

async fn names(sys: &Sys, ask: &Ask<'_>) -> Result<Served> {
    let Page { after, limit } = ask.fields.parse()?;
    let limit = limit.as_ref().map(most).transpose()?.filter(|most| *most > 0);
    let limit = limit.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    let keys = sys.leases.names(ask.capture("prefix"), after.as_deref(), limit).await?;
    Ok(Served { answer: Answer::Names { keys }, ..Served::nothing() })
}

/// All of them, or those that are stuck, by mount.
async fn count(sys: &Sys, named: &Named) -> Result<Served> {
    match named.kind.as_deref() {
        None | Some("") => Served::json(&json!({ "lease_count": sys.leases.counts().leases })),
        Some("irrevocable") => {
            let mut counts = BTreeMap::<String, u64>::new();
            for record in sys.leases.stuck(LISTED).await? {
                *counts.entry(record.mount_path).or_default() += 1;
            }
            Served::json(&json!({ "lease_count": counts.values().sum::<u64>(), "counts": counts }))
        }
        Some(_) => Err(unknown_kind()),
    }
}

async fn stuck(sys: &Sys, named: &Named) -> Result<Served> {
    // Others are not listed so: there may be a million.
    if !matches!(named.kind.as_deref(), None | Some("" | "irrevocable")) {
        return Err(unknown_kind());
    }
    let one =
        |record: &lease::Record| json!({ "lease_id": record.id, "mount_id": record.mount_path, "error": record.error });
    let leases: Vec<_> = sys.leases.stuck(LISTED).await?.iter().map(one).collect();
    Served::json(&json!({ "lease_count": leases.len(), "leases": leases }))
}

fn unknown_kind() -> Error {
    Error::invalid("type", "expected irrevocable: leases whose revocation failed often")
}
