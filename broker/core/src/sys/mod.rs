//! What the broker serves itself: tokens, policies, mounts, audit and seal, under the canonical
//! paths of the Vault-compatible API (`auth/token/...`, `sys/...`), whatever door asked.
//!
//! Called by `broker` with a permit in hand. To add a path: a line in `ROUTES` and its handler.
//! Invariant: nothing here is reached without the permit that the path and operation need.

mod keys;
mod leases;
mod lockouts;
mod mounts;
mod policies;
mod quorum;
mod quotas;
mod snapshots;
mod specs;
mod status;
mod tokens;

use std::sync::Arc;

pub use leases::LeaseOrder;
pub use quorum::{Attempts, hex, share};

use leases::Leases;
use tokens::Whose;

use crate::{
    audit::Audit,
    authn::Tokens,
    authz::{Acl, Permit, Policies},
    clock::Clock,
    error::{Error, ErrorKind, Result},
    lease,
    lockout::Lockouts,
    path::Path,
    port::{
        backend::Plugins,
        keyring::Keyring,
        seal::{Quorum, Seal},
        snapshots::{Snapshots, Transfer},
    },
    quota::Quotas,
    request::{Answer, Auth, Fields, Operation, Operations},
    route::{Mounts, Pattern},
    secret::Secret,
};

/// What a handler may touch.
pub struct Sys {
    /// Leases.
    pub leases: Arc<lease::Leases>,
    /// Tokens.
    pub tokens: Arc<Tokens>,
    /// Policies.
    pub policies: Arc<Policies>,
    /// Mounts.
    pub mounts: Arc<Mounts>,
    /// Rate limits.
    pub quotas: Arc<Quotas>,
    /// Loaded plugins.
    pub plugins: Arc<dyn Plugins>,
    /// Audit.
    pub audit: Arc<Audit>,
    /// Seal.
    pub seal: Arc<dyn Seal>,
    /// The keys behind it.
    pub keyring: Arc<dyn Keyring>,
    /// Names and addresses whose credentials failed.
    pub lockouts: Lockouts,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Those who hold shares.
    pub quorum: Arc<dyn Quorum>,
    /// The whole store as a file.
    pub snapshots: Arc<dyn Snapshots>,
    /// What those who hold shares are doing.
    pub attempts: Attempts,
}

impl std::fmt::Debug for Sys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sys").finish_non_exhaustive()
    }
}

/// One request, allowed.
pub struct Ask<'a> {
    /// Proof.
    pub permit: &'a Permit,
    /// The caller's rules.
    pub acl: &'a Acl,
    /// The caller's token.
    pub credential: &'a Secret,
    /// What is asked.
    pub operation: Operation,
    /// Captures of the path.
    pub captures: &'a [(String, String)],
    /// Parameters.
    pub fields: &'a Fields,
}

impl Ask<'_> {
    fn capture(&self, name: &str) -> &str {
        self.captures.iter().find(|(had, _)| had == name).map_or("", |(_, value)| value)
    }

    /// Whether the caller holds `sudo` on the path it asked for.
    fn sudo(&self) -> bool {
        let path = self.permit.path().as_str();
        self.acl.capabilities(path).iter().any(|word| matches!(*word, "root" | "sudo"))
    }
}

/// What a handler answers.
#[derive(Debug)]
pub struct Served {
    /// The answer.
    pub answer: Answer,
    /// A token issued.
    pub auth: Option<Auth>,
    /// For people.
    pub warnings: Vec<String>,
    /// A file that belongs to the answer.
    pub transfer: Option<Transfer>,
}

impl Served {
    const fn nothing() -> Self {
        Self { answer: Answer::Nothing, auth: None, warnings: Vec::new(), transfer: None }
    }

    const fn document(text: Secret) -> Self {
        Self { answer: Answer::Document(text), auth: None, warnings: Vec::new(), transfer: None }
    }

    /// The page that was asked for of all names.
    fn names(mut keys: Vec<String>, ask: &Ask<'_>) -> Result<Self> {
        let Page { after, limit } = ask.fields.parse()?;
        keys.sort_unstable();
        if let Some(after) = after {
            keys.drain(..keys.partition_point(|name| *name <= after));
        }
        if let Some(most @ 1..) = limit.as_ref().map(most).transpose()? {
            keys.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        }
        Ok(Self { answer: Answer::Names { keys }, auth: None, warnings: Vec::new(), transfer: None })
    }

    fn json<T: serde::Serialize>(value: &T) -> Result<Self> {
        crate::request::document(value).map(Self::document)
    }
}

/// Which part of a listing.
#[derive(serde::Deserialize)]
struct Page {
    after: Option<String>,
    limit: Option<serde_json::Value>,
}

/// A limit, as a number or, from a query, as text; none above zero: no limit.
fn most(limit: &serde_json::Value) -> Result<i64> {
    let number = limit.as_i64().or_else(|| limit.as_str()?.parse().ok());
    number.ok_or_else(|| Error::invalid("limit", "expected a whole number"))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handler {
    Audit,
    Capabilities(Whose),
    Create { orphan: bool },
    Explain,
    Accessors,
    KeyStatus,
    Leases(Leases),
    Locked,
    Lookup(Whose),
    Mount,
    MountOf,
    Mounts,
    Plugins,
    Policies,
    Policy,
    Quota,
    Quotas,
    Rekey,
    RekeyShare,
    RekeyVerify,
    Renew(Whose),
    Revoke(Whose),
    RevokeOrphan,
    Root,
    RootShare,
    Rotate,
    Seal,
    Specs,
    Unlock,
    Snapshot,
}

/// One line of the table.
struct Line {
    pattern: &'static str,
    operations: &'static [Operation],
    handler: Handler,
}

const fn line(pattern: &'static str, operations: &'static [Operation], handler: Handler) -> Line {
    Line { pattern, operations, handler }
}

/// Looked at, begun and given up.
const ATTEMPT: &[Operation] = &[Operation::Read, Operation::Update, Operation::Delete];

/// Every path that the broker serves itself.
static ROUTES: &[Line] = &[
    line("auth/token/accessors", &[Operation::List], Handler::Accessors),
    line("auth/token/create", &[Operation::Update], Handler::Create { orphan: false }),
    line("auth/token/create-orphan", &[Operation::Update], Handler::Create { orphan: true }),
    line("auth/token/lookup", &[Operation::Update], Handler::Lookup(Whose::Token)),
    line("auth/token/lookup-accessor", &[Operation::Update], Handler::Lookup(Whose::Accessor)),
    line("auth/token/lookup-self", &[Operation::Read, Operation::Update], Handler::Lookup(Whose::Own)),
    line("auth/token/renew", &[Operation::Update], Handler::Renew(Whose::Token)),
    line("auth/token/renew-accessor", &[Operation::Update], Handler::Renew(Whose::Accessor)),
    line("auth/token/renew-self", &[Operation::Update], Handler::Renew(Whose::Own)),
    line("auth/token/revoke", &[Operation::Update], Handler::Revoke(Whose::Token)),
    line("auth/token/revoke-accessor", &[Operation::Update], Handler::Revoke(Whose::Accessor)),
    line("auth/token/revoke-orphan", &[Operation::Update], Handler::RevokeOrphan),
    line("auth/token/revoke-self", &[Operation::Update], Handler::Revoke(Whose::Own)),
    line("sys/audit", &[Operation::Read], Handler::Audit),
    line("sys/capabilities", &[Operation::Update], Handler::Capabilities(Whose::Token)),
    line("sys/capabilities-accessor", &[Operation::Update], Handler::Capabilities(Whose::Accessor)),
    line("sys/capabilities-self", &[Operation::Update], Handler::Capabilities(Whose::Own)),
    line("sys/internal/specs/openapi", &[Operation::Read], Handler::Specs),
    line("sys/generate-root/attempt", ATTEMPT, Handler::Root),
    line("sys/generate-root/update", &[Operation::Update], Handler::RootShare),
    line("sys/generate-root-token/attempt", ATTEMPT, Handler::Root),
    line("sys/generate-root-token/update", &[Operation::Update], Handler::RootShare),
    line("sys/internal/ui/mounts/{path...}", &[Operation::Read], Handler::MountOf),
    line("sys/key-status", &[Operation::Read], Handler::KeyStatus),
    line("sys/leases", &[Operation::Read], Handler::Leases(Leases::Stuck)),
    line("sys/leases/count", &[Operation::Read], Handler::Leases(Leases::Count)),
    line("sys/leases/lookup", &[Operation::List, Operation::Update], Handler::Leases(Leases::Lookup)),
    line("sys/leases/lookup/{prefix...}", &[Operation::List], Handler::Leases(Leases::Lookup)),
    line("sys/leases/renew", &[Operation::Update], Handler::Leases(Leases::Renew)),
    line("sys/leases/renew/{lease_id...}", &[Operation::Update], Handler::Leases(Leases::Renew)),
    line("sys/leases/revoke", &[Operation::Update], Handler::Leases(Leases::Revoke)),
    line("sys/leases/revoke/{lease_id...}", &[Operation::Update], Handler::Leases(Leases::Revoke)),
    line("sys/leases/revoke-force/{prefix...}", &[Operation::Update], Handler::Leases(Leases::Force)),
    line("sys/leases/revoke-prefix/{prefix...}", &[Operation::Update], Handler::Leases(Leases::Prefix)),
    line("sys/locked-users", &[Operation::Read], Handler::Locked),
    line("sys/locked-users/{mount_accessor}/unlock/{name...}", &[Operation::Update], Handler::Unlock),
    line("sys/mounts", &[Operation::Read], Handler::Mounts),
    line("sys/mounts/{path...}", &[Operation::Read, Operation::Update, Operation::Delete], Handler::Mount),
    line("sys/plugins", &[Operation::Read], Handler::Plugins),
    line("sys/policies/acl", &[Operation::List], Handler::Policies),
    line("sys/policies/acl/{name...}", &[Operation::Read, Operation::Update, Operation::Delete], Handler::Policy),
    line("sys/policies/explain", &[Operation::Update], Handler::Explain),
    line("sys/quotas/rate-limit", &[Operation::List], Handler::Quotas),
    line("sys/quotas/rate-limit/{name}", &[Operation::Read, Operation::Update, Operation::Delete], Handler::Quota),
    line("sys/rekey/init", ATTEMPT, Handler::Rekey),
    line("sys/rekey/update", &[Operation::Update], Handler::RekeyShare),
    line("sys/rekey/verify", ATTEMPT, Handler::RekeyVerify),
    line("sys/rotate", &[Operation::Update], Handler::Rotate),
    line("sys/rotate/keyring", &[Operation::Update], Handler::Rotate),
    line("sys/rotate/root/init", ATTEMPT, Handler::Rekey),
    line("sys/rotate/root/update", &[Operation::Update], Handler::RekeyShare),
    line("sys/rotate/root/verify", ATTEMPT, Handler::RekeyVerify),
    line("sys/seal", &[Operation::Update], Handler::Seal),
    line("sys/storage/raft/snapshot", &[Operation::Read, Operation::Update], Handler::Snapshot),
    line("sys/storage/raft/snapshot-force", &[Operation::Update], Handler::Snapshot),
];

/// A path of the table, matched.
#[derive(Clone, Debug)]
pub struct Matched {
    handler: Handler,
    operations: &'static [Operation],
    /// Captures of the path.
    pub captures: Vec<(String, String)>,
}

impl Matched {
    /// Whether the path takes this operation.
    #[must_use]
    pub fn takes(&self, operation: Operation) -> bool {
        self.operations.contains(&operation)
    }

    /// All that the path takes.
    #[must_use]
    pub fn operations(&self) -> Operations {
        Operations::of(self.operations)
    }

    /// Whether the path answers every token that is valid, whatever its policies: it checks by
    /// itself what may be shown.
    #[must_use]
    pub const fn open_to_all(&self) -> bool {
        matches!(self.handler, Handler::MountOf | Handler::Specs)
    }

    /// Whether the answer has what exists nowhere else: it is shown even if it cannot be recorded.
    #[must_use]
    pub const fn irreplaceable(&self) -> bool {
        matches!(self.handler, Handler::RekeyShare)
    }

    /// The mount that this removes, if it does.
    #[must_use]
    pub fn unmounts(&self, operation: Operation) -> Option<Path> {
        let (Handler::Mount, Operation::Delete) = (self.handler, operation) else { return None };
        let (_, path) = self.captures.first()?;
        Path::parse(path).ok().filter(|path| !path.as_str().ends_with("/tune"))
    }

    /// Whether the answer closes the barrier.
    #[must_use]
    pub const fn seals(&self) -> bool {
        matches!(self.handler, Handler::Seal)
    }
}

/// Whether the broker itself answers below this first segment.
#[must_use]
pub fn owns(path: &str) -> bool {
    path.starts_with("sys/") || path.starts_with("auth/token/")
}

/// Finds a path in the table.
#[must_use]
pub fn find(path: &str) -> Option<Matched> {
    ROUTES.iter().find_map(|line| {
        // The table is ours: every pattern parses (tested below).
        let captures = Pattern::parse(line.pattern).ok()?.captures(path)?;
        Some(Matched { handler: line.handler, operations: line.operations, captures })
    })
}

/// Every canonical path and operation of the table, for the every-door test.
pub fn table() -> impl Iterator<Item = (&'static str, &'static [Operation])> {
    ROUTES.iter().map(|line| (line.pattern, line.operations))
}

impl Sys {
    /// Serves an allowed request.
    ///
    /// # Errors
    /// What the handler says.
    pub async fn serve(&self, matched: &Matched, ask: &Ask<'_>) -> Result<Served> {
        match matched.handler {
            Handler::Accessors => tokens::accessors(self, ask).await,
            Handler::Audit => Served::json(&serde_json::json!({ "sinks": self.audit.sinks() })),
            Handler::Capabilities(whose) => tokens::capabilities(self, ask, whose).await,
            Handler::Create { orphan } => tokens::create(self, ask, orphan).await,
            Handler::Explain => policies::explain(self, ask).await,
            Handler::KeyStatus => keys::status(self),
            Handler::Leases(asked) => leases::serve(self, ask, asked).await,
            Handler::Locked => lockouts::all(self).await,
            Handler::Lookup(whose) => tokens::lookup(self, ask, whose).await,
            Handler::Mount => mounts::one(self, ask).await,
            Handler::MountOf => mounts::of_path(self, ask).await,
            Handler::Mounts => mounts::all(self).await,
            Handler::Plugins => Served::json(&serde_json::json!({ "plugins": self.plugins.list() })),
            Handler::Policies => policies::names(self, ask).await,
            Handler::Policy => policies::one(self, ask).await,
            Handler::Quota => quotas::one(self, ask).await,
            Handler::Quotas => quotas::names(self, ask).await,
            Handler::Rekey => quorum::rekey(self, ask).await,
            Handler::RekeyShare => quorum::rekey_share(self, ask).await,
            Handler::RekeyVerify => quorum::rekey_verify(self, ask).await,
            Handler::Renew(whose) => tokens::renew(self, ask, whose).await,
            Handler::Revoke(whose) => tokens::revoke(self, ask, whose).await,
            Handler::RevokeOrphan => tokens::revoke_orphan(self, ask).await,
            Handler::Root => quorum::root(self, ask).await,
            Handler::RootShare => quorum::root_share(self, ask).await,
            Handler::Rotate => keys::rotate(self).await,
            Handler::Snapshot => snapshots::snapshot(self, ask).await,
            Handler::Seal => status::seal(self).await,
            Handler::Specs => specs::mounts(self, ask).await,
            Handler::Unlock => lockouts::unlock(self, ask),
        }
    }
}

fn required<T>(value: Option<T>, field: &'static str) -> Result<T> {
    value.ok_or_else(|| Error::invalid(field, format!("missing field: {field}")))
}

fn not_found(what: &'static str) -> Error {
    Error::new(ErrorKind::NotFound, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_of_the_table_parses_and_finds_itself() {
        for line in ROUTES {
            let path = line.pattern.replace("{path...}", "x/y").replace("{name...}", "x");
            let path = path.replace("{name}", "x").replace("{mount_accessor}", "x");
            let path = path.replace("{prefix...}", "x/y").replace("{lease_id...}", "x/y");
            let found = find(&path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!(found.handler, line.handler, "{path}");
            assert!(owns(&path));
        }
    }
}
