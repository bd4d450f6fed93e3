//! The life of a request. `handle` reads like the design: identify, resolve, authorize, spend,
//! record, answer from memory or from a fresh sandbox, commit, record, reply.
//!
//! Called by the doors only. Invariants: nothing has an effect before its open record was taken
//! and without a permit; what began is finished even when the caller hangs up.

mod admit;
mod calls;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod leases;
mod lifecycle;
mod load;
mod login;
mod perform;
mod plugin;
#[cfg(test)]
mod tests;
mod turns;
mod watching;

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Mutex, watch},
    task::JoinHandle,
    time::{Instant, timeout_at},
};

pub use lifecycle::Initialized;
pub use watching::{Told, Watch, WatchRequest};

use tracing::Instrument as _;

use crate::{
    audit::Audit,
    authn::{Counts, TokenConfig, Tokens},
    authz::Policies,
    cache::{Cache, CacheStats},
    clock::{Clock, Timestamp},
    error::{Error, ErrorKind, Result},
    feed::{Feed, FeedConfig},
    lease::{Leases, Limits},
    lockout::Lockouts,
    port::{
        backend::Plugins,
        keyring::Keyring,
        seal::{Quorum, Seal, SealStatus},
        snapshots::Snapshots,
        storage::Storage,
        usage::{Calls, Footprint},
    },
    quota::Quotas,
    request::{Reply, Request},
    route::{Bounds, Mounts, NewMount},
    sys::{Attempts, Sys},
    trace::{self, Value},
    txn::TxnLimits,
};
use admit::Admission;
use gate::Gates;
use leases::Hands;
use load::Load;
use plugin::Loaded;
use turns::Turns;

/// What the broker is told by configuration.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// Token lifetimes.
    pub token: TokenConfig,
    /// Bound of the answer cache, in bytes.
    pub cache_bytes: u64,
    /// Made when a store is initialized.
    pub mounts: Vec<NewMount>,
    /// Bounds of one plugin call's transaction.
    pub txn: TxnLimits,
    /// Bounds of those who watch.
    pub feed: FeedConfig,
    /// Requests at once; further ones are shed. 2,048 by default.
    pub requests: usize,
    /// Bounds of a mount that has none of its own.
    pub bounds: Bounds,
    /// Credentials from one address that may fail at once; 0 for any number. 1,000 by default.
    pub failures: u32,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            token: TokenConfig::default(),
            cache_bytes: 64 << 20,
            mounts: Vec::new(),
            txn: TxnLimits::default(),
            feed: FeedConfig::default(),
            requests: 2048,
            bounds: Bounds::default(),
            failures: 1000,
        }
    }
}

/// What a broker is made of.
pub struct Parts {
    /// Storage behind the barrier.
    pub storage: Arc<dyn Storage>,
    /// What opens it.
    pub seal: Arc<dyn Seal>,
    /// The keys that values are encrypted under.
    pub keyring: Arc<dyn Keyring>,
    /// Those who hold shares of the root key.
    pub quorum: Arc<dyn Quorum>,
    /// The whole store as a file.
    pub snapshots: Arc<dyn Snapshots>,
    /// Loaded plugins.
    pub plugins: Arc<dyn Plugins>,
    /// Where records go.
    pub audit: Arc<Audit>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Settings.
    pub config: BrokerConfig,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("config", &self.config).finish_non_exhaustive()
    }
}

/// The broker: everything behind the doors.
pub struct Broker {
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    config: BrokerConfig,
    cache: Arc<Cache>,
    feed: Arc<Feed>,
    /// Wakes watchers, once somebody has watched.
    fanning: std::sync::Mutex<Option<JoinHandle<()>>>,
    /// Watches whose end is not recorded yet.
    watching: watch::Sender<usize>,
    sys: Sys,
    loaded: Loaded,
    turns: Turns,
    gates: Gates,
    hands: Hands,
    load: Load,
    calls: OnceLock<Arc<dyn Calls>>,
    open: AtomicBool,
    /// Held while the store is initialized, opened or closed.
    turning: Mutex<()>,
    /// Counts how often the barrier was closed.
    closings: watch::Sender<u64>,
    /// Follows `open`, for those who wait for it.
    openness: watch::Sender<bool>,
}

impl Broker {
    /// Puts a broker together; it serves nothing before [`Broker::start`], [`Broker::initialize`]
    /// or [`Broker::unseal`] opened it.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts { storage, seal, keyring, quorum, snapshots, plugins, audit, clock, config } = parts;
        let cache = Cache::new(config.cache_bytes);
        storage.observe(cache.clone());
        let feed = Feed::new(config.feed.clone());
        storage.observe(feed.clone());
        let limits = Limits { default_ttl: config.token.default_ttl, max_ttl: config.token.max_ttl };
        let sys = Sys {
            leases: Arc::new(Leases::new(storage.clone(), clock.clone(), limits)),
            tokens: Tokens::new(storage.clone(), clock.clone(), config.token),
            policies: Policies::new(storage.clone(), clock.clone()),
            quotas: Arc::new(Quotas::new(storage.clone(), clock.clone())),
            mounts: Arc::new(Mounts::new(storage.clone(), clock.clone())),
            plugins: plugins.clone(),
            audit,
            seal,
            keyring,
            lockouts: Lockouts::new(config.failures),
            clock: clock.clone(),
            quorum,
            snapshots,
            attempts: Attempts::default(),
        };
        let (gates, load) = (Gates::new(config.bounds), Load::new(config.requests));
        Arc::new(Self {
            storage,
            clock,
            config,
            cache,
            feed,
            fanning: std::sync::Mutex::default(),
            watching: watch::Sender::new(0),
            sys,
            loaded: Loaded::new(plugins),
            turns: Turns::default(),
            gates,
            hands: Hands::default(),
            load,
            calls: OnceLock::new(),
            open: AtomicBool::new(false),
            turning: Mutex::default(),
            closings: watch::Sender::new(0),
            openness: watch::Sender::new(false),
        })
    }

    /// Serves one request.
    ///
    /// # Errors
    /// Every [`ErrorKind`]; the words are for the caller, the source is for the log.
    ///
    /// # Cancel safety
    /// Dropping the future hangs up: what has begun goes on to its end, recorded.
    pub async fn handle(self: &Arc<Self>, request: Request) -> Result<Reply> {
        let deadline = request.deadline;
        if deadline.is_zero() {
            // A timer looks at the work first: an answer that is at hand would still be given.
            return Err(late(deadline));
        }
        let under_way = self.load.enter(&request.address)?;
        let until = Instant::now() + deadline;
        let late = |_| late(deadline);
        let mut admission = timeout_at(until, self.admit(request, until)).await.map_err(late)??;
        // What was begun goes on without its caller, and counts as long.
        admission.under_way = Some(under_way);
        let mut stage = trace::stage("remember");
        let recalled = self.recall(&admission);
        stage.about("warder.cached", || Value::Flag(recalled.is_some()));
        stage.ended(None);
        let Some(hit) = recalled else {
            return Box::pin(timeout_at(until, self.performed(admission))).await.map_err(late)?;
        };
        let stage = trace::stage("audit.close");
        let recording = self.sys.audit.begin(hit.record(admission));
        // Outside of the timer, which is not set as long as what it bounds is at hand.
        recording.let_others_begin().await;
        let taken = timeout_at(until, recording.taken()).await.map_err(late)?;
        stage.end(&taken);
        taken.map(|()| hit.reply)
    }

    /// Where the barrier stands.
    #[must_use]
    pub fn seal_status(&self) -> SealStatus {
        self.sys.seal.status()
    }

    /// Whether requests are served: unsealed, and everything loaded.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Changes each time the barrier was closed: doors then end their connections, whose buffers
    /// hold what was last sent.
    #[must_use]
    pub fn closings(&self) -> watch::Receiver<u64> {
        self.closings.subscribe()
    }

    /// Whether requests are served, as it changes.
    #[must_use]
    pub fn openness(&self) -> watch::Receiver<bool> {
        self.openness.subscribe()
    }

    /// Refuses what would be shed, for doors that would have to read it first.
    ///
    /// # Errors
    /// `overloaded`.
    pub fn check_load(&self) -> Result<()> {
        self.load.check()
    }

    /// How much is under way, and what was refused for it.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        let [calls, waiting, refused] = self.gates.counts();
        let usage = self.sys.quotas.usage();
        Pressure {
            requests: self.load.under_way() as u64,
            shed: self.load.count(),
            calls,
            waiting,
            refused,
            limited: usage.refused,
            clients: usage.clients,
            throttled: self.sys.lockouts.addresses.refused(),
            lockouts: self.sys.lockouts.names.lockouts(),
            locked: self.sys.lockouts.names.list(self.clock.now()).len() as u64,
        }
    }

    /// The audit log.
    #[must_use]
    pub const fn audit(&self) -> &Arc<Audit> {
        &self.sys.audit
    }

    /// Counters of the answer cache.
    #[must_use]
    pub fn cache_stats(&self) -> CacheStats {
        self.cache.stats()
    }

    /// What happened to tokens since the start.
    #[must_use]
    pub fn token_counts(&self) -> Counts {
        self.sys.tokens.counts()
    }

    /// When the next token comes to its end, as of the last [`Broker::tick`].
    #[must_use]
    pub fn next_expiry(&self) -> Option<Timestamp> {
        self.sys.tokens.next_expiry()
    }

    /// Loaded plugins by name, each with what its calls use now.
    #[must_use]
    pub fn footprints(&self) -> Vec<(String, Footprint)> {
        let all = self.sys.plugins.list().into_keys();
        all.filter_map(|name| self.sys.plugins.find(&name).map(|plugin| (name, plugin.footprint()))).collect()
    }

    async fn performed(self: &Arc<Self>, admission: Admission) -> Result<Reply> {
        let this = self.clone();
        let trace = trace::current();
        let id = trace.as_ref().map(|trace| tracing::field::display(trace.id));
        let span = tracing::info_span!("request", request.id = &*admission.id, trace.id = id);
        let work = async move { this.perform(admission).await }.instrument(span);
        // Detached: a hang-up loses no lease and no record.
        tokio::spawn(trace::within(trace, work)).await.map_err(Error::internal)?
    }

    fn closed(&self) -> Error {
        if self.sys.seal.status().initialized {
            Error::sealed()
        } else {
            Error::new(ErrorKind::Uninitialized, "warder is not initialized: run `warder operator init`")
        }
    }
}

/// What is under way now, and what was refused since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Requests under way.
    pub requests: u64,
    /// Requests shed because too many were.
    pub shed: u64,
    /// Plugin calls under way.
    pub calls: u64,
    /// Requests that wait for a call of their mount.
    pub waiting: u64,
    /// Requests refused because their mount was full.
    pub refused: u64,
    /// Requests refused by rate limits.
    pub limited: u64,
    /// Clients whose rates are remembered.
    pub clients: u64,
    /// Requests refused because too many credentials from their address failed.
    pub throttled: u64,
    /// Names locked since the start.
    pub lockouts: u64,
    /// Names that are locked now.
    pub locked: u64,
}

fn late(deadline: Duration) -> Error {
    let words = format!("no answer within {} ms; what has begun is finished without you", deadline.as_millis());
    Error::new(ErrorKind::DeadlineExceeded, words)
}

impl Drop for Broker {
    fn drop(&mut self) {
        let fanning = self.fanning.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(fanning) = fanning.take() {
            fanning.abort();
        }
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").field("open", &self.is_open()).finish_non_exhaustive()
    }
}
