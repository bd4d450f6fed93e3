//! Port: a plugin that serves a mount. Mirrors the WIT world `backend-plugin` in plain types,
//! so that core's rules are tested without wasm.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{
    clock::Timestamp,
    error::{Error, ErrorKind, Result},
    identity::{Identity, Peer},
    port::usage::{Footprint, Usage},
    request::{Operation, SecretRoute},
    sealed::SealedValue,
    secret::Secret,
    txn::Transaction,
};

/// What a field may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// `true`, `false`, or those words as text.
    Boolean,
    /// One of these texts.
    Choice(Vec<String>),
    /// Any JSON.
    Document,
    /// Seconds as a number or text, or `1h30m`; the plugin gets whole seconds.
    Duration,
    /// A whole number, or its decimal text.
    Integer,
    /// A string; numbers and booleans are taken as their text.
    Text,
    /// Strings; a comma-separated text is split.
    TextList,
    /// String to string.
    TextMap,
}

/// One parameter of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Member name in the body, or query parameter.
    pub name: String,
    /// What it holds.
    pub kind: FieldKind,
    /// Must be there.
    pub required: bool,
    /// JSON text used when it is not.
    pub default: Option<String>,
    /// Lifted out of the request and handed over sealed.
    pub sensitive: bool,
    /// Storing it grants the mount this endpoint.
    pub endpoint: bool,
    /// For people.
    pub doc: String,
}

/// One route of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Mount-relative: `creds/{role}`, `data/{path...}`.
    pub pattern: String,
    /// Operations it takes; `Create` means that `exists` is asked before a write.
    pub verbs: Vec<Operation>,
    /// Parameters.
    pub fields: Vec<Field>,
    /// For people.
    pub doc: String,
    /// Served without a token.
    pub public: bool,
    /// Needs the `sudo` capability.
    pub privileged: bool,
    /// The host mints the lease before `handle` runs.
    pub issues_lease: bool,
}

/// Secrets engine or auth method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountKind {
    /// Logs people and machines in.
    Auth,
    /// Serves secrets.
    Secrets,
}

/// What a plugin says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Plugin name, e.g. `kv`.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// What it serves.
    pub kind: MountKind,
    /// For people.
    pub doc: String,
    /// All routes, in order of preference.
    pub routes: Vec<Route>,
    /// How the native API reaches them.
    pub secret_routes: Vec<Arc<SecretRoute>>,
    /// Background tasks and their periods.
    pub tasks: Vec<(String, Duration)>,
}

/// A path inside a mount, matched to a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Mount-relative path.
    pub path: String,
    /// Pattern of the route that matched.
    pub route: String,
    /// Captures by name.
    pub captures: Vec<(String, String)>,
}

/// A request as the plugin sees it.
pub struct Call {
    /// Request id.
    pub id: String,
    /// What is asked.
    pub operation: Operation,
    /// Of what.
    pub target: Target,
    /// Fields after validation, without the sensitive ones (JSON text).
    pub data: String,
    /// Pointer to sealed value.
    pub secrets: Vec<(String, SealedValue)>,
    /// Of the lease that was minted, on a route that issues one.
    pub lease_id: Option<String>,
    /// Default time to live of the mount.
    pub default_ttl: Duration,
    /// Longest time to live of the mount.
    pub max_ttl: Duration,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, operation, target, secrets, .. } = self;
        let mut shown = f.debug_struct("Call");
        shown.field("id", id).field("operation", operation).field("target", target).field("secrets", secrets);
        shown.finish_non_exhaustive()
    }
}

/// Who asks, as far as a plugin may learn it.
#[derive(Clone, Debug)]
pub struct Caller {
    /// None on public routes.
    pub identity: Option<Arc<Identity>>,
    /// The other end.
    pub peer: Peer,
}

/// What the host saw an answer depend on, storage apart (that is in the transaction).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Asked who is calling.
    pub caller: bool,
    /// Read the clock, made randomness, or otherwise cannot be repeated.
    pub unrepeatable: bool,
    /// Compared the clock with moments still ahead: the answer may change at this one.
    pub until: Option<Timestamp>,
    /// Reached outside.
    pub outside: bool,
}

/// A plugin's answer.
pub enum PluginAnswer {
    /// JSON text with nulls where the sealed values go.
    Document {
        /// JSON text.
        data: String,
        /// Pointer to sealed value.
        secrets: Vec<(String, SealedValue)>,
    },
    /// Existed, and was deleted or destroyed: what is still known.
    Gone {
        /// JSON text.
        data: String,
        /// Pointer to sealed value.
        secrets: Vec<(String, SealedValue)>,
    },
    /// Names under a folder.
    Names(Vec<String>),
    /// Absent, or nothing to say.
    Nothing,
    /// Bytes as they are.
    Raw {
        /// HTTP status.
        status: u16,
        /// Media type.
        content_type: String,
        /// Body.
        body: Vec<u8>,
    },
}

impl fmt::Debug for PluginAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Document { .. } => "Document(..)",
            Self::Gone { .. } => "Gone(..)",
            Self::Names(_) => "Names(..)",
            Self::Nothing => "Nothing",
            Self::Raw { .. } => "Raw(..)",
        })
    }
}

/// A lease on what a plugin issued. Zero stands for what the mount says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaseGrant {
    /// Until it must be renewed.
    pub ttl: Duration,
    /// Until it ends for good.
    pub max_ttl: Duration,
    /// Whether it may be renewed.
    pub renewable: bool,
}

/// A lease as its plugin gets it, to renew or to revoke what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leased {
    /// Its id.
    pub id: String,
    /// The path that issued it, below the mount.
    pub path: String,
    /// When it was minted.
    pub issued: Timestamp,
    /// Of a renewal: what is asked for; zero: as at issue.
    pub increment: Duration,
}

/// What a plugin returned.
#[derive(Debug)]
pub struct PluginReply {
    /// The answer.
    pub answer: PluginAnswer,
    /// A lease on what it issued.
    pub grant: Option<LeaseGrant>,
    /// How long an answer from outside may be cached.
    pub fresh: Option<Duration>,
    /// Version of the secret, if it has one.
    pub version: Option<String>,
    /// For people.
    pub warnings: Vec<String>,
}

/// The mount that a call runs for.
#[derive(Clone, Debug)]
pub struct MountScope {
    /// Path with a trailing slash.
    pub path: String,
    /// Plugin name.
    pub plugin: String,
    /// Keys the mount's fingerprints (32 bytes).
    pub fingerprint_key: Secret,
}

/// Everything one exported call runs in.
#[derive(Debug)]
pub struct Invocation {
    /// The mount.
    pub mount: Arc<MountScope>,
    /// Its storage, as one transaction.
    pub txn: Transaction,
    /// Who asks.
    pub caller: Caller,
    /// Wall time left.
    pub deadline: Duration,
}

/// What one exported call left behind, whether it went well or not.
#[derive(Debug)]
pub struct Ran<T> {
    /// The plugin's answer, or why there is none (the error names plugin and mount).
    pub result: Result<T, Error>,
    /// The transaction, not committed. Gone when the call was torn down by force.
    pub txn: Option<Transaction>,
    /// What the host saw.
    pub observed: Observed,
    /// What it cost.
    pub usage: Usage,
}

/// A plugin bound to nothing yet: each call brings its mount.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Checked when the plugin was loaded.
    fn description(&self) -> &Description;

    /// Whether something is at `target`: decides between create and update.
    async fn exists(&self, run: Invocation, target: Target) -> Ran<bool>;

    /// Serves a request in a fresh sandbox.
    ///
    /// # Cancel safety
    /// Dropping the future tears the sandbox down; nothing was stored.
    async fn handle(&self, run: Invocation, call: Call) -> Ran<PluginReply>;

    /// How much time a lease gets from now on.
    ///
    /// # Cancel safety
    /// As [`Backend::handle`].
    async fn renew(&self, run: Invocation, _: Leased) -> Ran<Duration> {
        no_leases(run)
    }

    /// Ends what a lease stands for; ok when it is gone already.
    ///
    /// # Cancel safety
    /// As [`Backend::handle`].
    async fn revoke(&self, run: Invocation, _: Leased) -> Ran<()> {
        no_leases(run)
    }

    /// What all its calls use now.
    fn footprint(&self) -> Footprint {
        Footprint::default()
    }
}

fn no_leases<T>(run: Invocation) -> Ran<T> {
    let result = Err(Error::new(ErrorKind::MethodNotAllowed, "this plugin issues no leases"));
    Ran { result, txn: Some(run.txn), observed: Observed::default(), usage: Usage::default() }
}

/// Finds plugins by name.
pub trait Plugins: Send + Sync + 'static {
    /// The plugin, loaded; none when the name is unknown.
    fn find(&self, name: &str) -> Option<Arc<dyn Backend>>;
    /// Names and versions, sorted.
    fn list(&self) -> BTreeMap<String, String>;
}
