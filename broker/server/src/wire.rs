//! The composition root: the one place that knows every part and puts them together.
//!
//! Invariant: parts are started bottom up and ended top down; nothing outlives [`Running`].

use std::{sync::Arc, time::Duration};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{sync::watch, task::JoinHandle};
use warder_core::{
    audit::{Audit, SinkConfig},
    broker::{Broker, BrokerConfig, Parts},
    clock::{Clock, SystemClock},
    error::Error,
    port::sink::Sink,
    route::NewMount,
    txn::TxnLimits,
};
use warder_runtime::Runtime;
use warder_store::{EngineConfig, SealConfig as StoreSeal, StoreConfig, sink};

use crate::{
    config::{self, Address, AuditConfig, Config, SealKind, StorageKind},
    edge::{
        Edge,
        crowd::Crowd,
        grpc::Streams,
        listener::{self, Listener, Listening},
        metrics::Metrics,
        tls,
    },
    plugins,
    telemetry::Exporter,
};

/// Period of the broker's housekeeping.
const TICK: Duration = Duration::from_secs(1);
/// How long the records of watches that were cut may take.
const RECORDED: Duration = Duration::from_secs(10);

/// Why Warder did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An audit sink cannot be opened.
    #[error("audit sink {name}: {reason}")]
    Audit {
        /// Its name in the configuration.
        name: String,
        /// Why.
        reason: String,
    },
    /// The address cannot be listened on.
    #[error("{listener}: cannot listen on {address}: {reason}")]
    Listen {
        /// The path of its section.
        listener: String,
        /// As configured.
        address: Address,
        /// Why.
        reason: String,
    },
    /// A plugin does not load.
    #[error("plugins do not load: {0}")]
    Plugins(String),
    /// A part of the broker refused to start.
    #[error("{}", .0.chain())]
    Part(#[from] Error),
    /// The store cannot be opened.
    #[error("storage: {0}")]
    Storage(String),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
}

/// A store, a broker and bound listeners that do not serve yet.
pub struct Wired {
    broker: Arc<Broker>,
    listeners: Vec<Listener>,
    edge: Arc<Edge>,
    ending: Ending,
}

/// Tells the parts that the process ends.
struct Ending {
    leaving: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    delay: Duration,
}

impl std::fmt::Debug for Wired {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wired").field("listeners", &self.listeners).finish_non_exhaustive()
    }
}

/// A serving Warder.
pub struct Running {
    listening: Vec<Listening>,
    tls: Vec<Arc<tls::Tls>>,
    broker: Arc<Broker>,
    ending: Ending,
    tasks: Vec<JoinHandle<()>>,
    exporting: Option<(Arc<Exporter>, JoinHandle<()>)>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("listening", &self.listening).finish_non_exhaustive()
    }
}

/// Wires everything, opens a store that opens by itself, and serves.
///
/// # Errors
/// [`StartError`] names the part that refused.
pub async fn start(config: &Config, exporter: Option<Arc<Exporter>>) -> Result<Running, StartError> {
    let wired = wire(config, exporter, false).await?;
    wired.broker.start().await?;
    Ok(wired.serve())
}

/// Wires everything without opening or serving it.
///
/// # Errors
/// [`StartError`] names the part that refused.
pub(crate) async fn wire(config: &Config, exporter: Option<Arc<Exporter>>, dev: bool) -> Result<Wired, StartError> {
    more_files();
    // First: a port that is taken must not leave a new store behind.
    let listeners = listen(config).await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let metrics = Arc::new(Metrics::new(exporter.as_ref().and_then(|exporter| exporter.readers()))?);
    metrics.watch_export(exporter.as_ref().map(|exporter| exporter.tally().clone()).unwrap_or_default());
    let broker = broker(config, clock.clone(), &metrics).await?;
    broker.tell_calls(metrics.clone());
    metrics.watch(&broker, clock.clone());
    let ((stop, stopped), (leaving, left)) = (watch::channel(false), watch::channel(false));
    let edge = Arc::new(Edge {
        broker: broker.clone(),
        clock,
        limits: config.limits,
        metrics,
        dev,
        storage: config.storage.kind.word(),
        ids: crate::edge::ids::Ids::new(),
        streams: Streams::new(stopped.clone()),
        stop: stopped,
        leaving: left,
        crowd: Crowd::new(config.limits.connections),
        exporter,
    });
    let ending = Ending { leaving, stop, delay: config.limits.drain_delay };
    Ok(Wired { broker, listeners, edge, ending })
}

/// As many open files as this process may have: what shells give by default is fewer than
/// `limits.connections`.
fn more_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(error.chain = %error, "the number of open files could not be raised");
    }
}

/// Takes every address, then reads every certificate.
async fn listen(config: &Config) -> Result<Vec<Listener>, StartError> {
    let mut bound = Vec::with_capacity(config.listeners.len());
    for (name, settings) in &config.listeners {
        let listener = Listener::bind(name, settings).await.map_err(|e| StartError::Listen {
            listener: config::section(name),
            address: settings.address.clone(),
            reason: e.to_string(),
        })?;
        bound.push(listener);
    }
    bound.into_iter().map(|listener| Ok(listener.secured()?)).collect()
}

async fn broker(config: &Config, clock: Arc<dyn Clock>, metrics: &Metrics) -> Result<Arc<Broker>, StartError> {
    let store = StoreConfig {
        engine: match config.storage.kind {
            StorageKind::Memory => EngineConfig::Memory,
            StorageKind::Redb => EngineConfig::Redb { path: config.storage.path.clone() },
        },
        seal: match config.seal.kind {
            SealKind::Dev => StoreSeal::Dev,
            SealKind::Shamir => StoreSeal::Shamir,
        },
    };
    let opened = tokio::task::spawn_blocking(move || warder_store::open(&store));
    let opened = opened.await.map_err(|e| StartError::Part(Error::internal(e)))?;
    let store = opened.map_err(|e| StartError::Storage(chain(&e)))?;
    metrics.watch_store(&store.barrier);
    let audit = Audit::start(sinks(config)?, clock.clone())?;
    let failed = |e: &dyn std::error::Error| StartError::Plugins(chain(e));
    let runtime = Runtime::new(config.runtime.clone(), clock.clone()).map_err(|e| failed(&e))?;
    let catalog = plugins::load(&runtime, config).await.map_err(|e| failed(&e))?;
    let mount = NewMount {
        path: "secret/".to_owned(),
        plugin: "kv".to_owned(),
        description: "key/value secrets with versions".to_owned(),
        options: [("version".to_owned(), "2".to_owned())].into(),
    };
    let settings = BrokerConfig {
        token: config.token,
        cache_bytes: config.cache_bytes,
        mounts: vec![mount],
        txn: txn(config.limits.body),
        feed: config.feed.clone(),
        requests: config.load.requests,
        failures: config.load.failures,
        bounds: config.load.mount,
    };
    Ok(Broker::new(Parts {
        storage: store.storage,
        seal: store.seal,
        keyring: store.keyring,
        quorum: store.quorum,
        snapshots: store.snapshots,
        plugins: Arc::new(catalog),
        audit,
        clock,
        config: settings,
    }))
}

/// What fits into a request fits into a transaction.
fn txn(body: usize) -> TxnLimits {
    let usual = TxnLimits::default();
    TxnLimits { value_bytes: usual.value_bytes.max(2 * body), write_bytes: usual.write_bytes.max(8 * body), ..usual }
}

type OpenedSink = (SinkConfig, Box<dyn Sink>);

fn sinks(config: &Config) -> Result<Vec<OpenedSink>, StartError> {
    let open = |(name, sink): (&String, &AuditConfig)| {
        let refused = |e: sink::SinkError| StartError::Audit { name: name.clone(), reason: chain(&e) };
        let kind = sink.kind.word();
        let opened = sink::open(kind, &sink.options()).map_err(refused)?;
        Ok((SinkConfig { name: name.clone(), kind, queue: sink.queue, deadline: sink.deadline }, opened))
    };
    config.audit.iter().map(open).collect()
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

impl Wired {
    /// Where it will serve.
    pub(crate) fn listening(&self) -> impl Iterator<Item = &Listening> {
        self.listeners.iter().map(Listener::listening)
    }

    /// The broker.
    pub(crate) const fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// Serves until told to stop.
    pub(crate) fn serve(self) -> Running {
        let Self { broker, listeners, edge, ending } = self;
        let stopped = edge.stop.clone();
        let mut tasks = vec![
            tokio::spawn(tick(broker.clone(), stopped.clone())),
            tokio::spawn(revoke(broker.clone(), stopped.clone())),
            tokio::spawn(rewrap(broker.clone(), stopped)),
        ];
        let exporter = edge.exporter.clone();
        let sending = exporter.as_ref().and_then(|exporter| exporter.start());
        let listening: Vec<_> = listeners.iter().map(|listener| listener.listening().clone()).collect();
        let tls = listeners.iter().filter_map(|listener| listener.tls().cloned()).collect();
        for listener in listeners {
            tracing::info!(listener = %listener.listening(), "serving");
            tasks.push(tokio::spawn(listener::run(listener, edge.clone())));
        }
        Running { listening, tls, broker, ending, tasks, exporting: exporter.zip(sending) }
    }
}

impl Running {
    /// Says on its health that it ends and goes on for the delay that load balancers need to see it;
    /// then stops accepting, lets open requests end within the drain time, and returns when all did.
    pub async fn shutdown(self) {
        let Ending { leaving, stop, delay } = self.ending;
        // Nobody listening any more means that it has ended already.
        let _ = leaving.send(true);
        if !delay.is_zero() {
            tracing::info!(seconds = delay.as_secs_f32(), "ending: requests are taken for this long");
            tokio::time::sleep(delay).await;
        }
        let _ = stop.send(true);
        // Streams that would go on for ever end first, so that their connections can.
        self.broker.stop_watches();
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(error.chain = %error, "a task of the server panicked");
            }
        }
        if tokio::time::timeout(RECORDED, self.broker.watches_ended()).await.is_err() {
            tracing::error!("the end of some watches was not recorded");
        }
        tracing::info!("stopped");
        if let Some((exporter, sending)) = self.exporting {
            exporter.stop(sending).await;
        }
        drop(self.broker);
    }

    /// Where it listens; with the real port when 0 was configured.
    #[must_use]
    pub fn listening(&self) -> &[Listening] {
        &self.listening
    }

    /// Reopens audit sinks (log rotation) and reads the files of certificates again.
    pub fn reload(&self) {
        self.broker.audit().reopen();
        for tls in &self.tls {
            match tls.reload() {
                Ok(()) => tracing::info!(listener = tls.listener(), "certificates reloaded"),
                Err(error) => tracing::error!(
                    listener = tls.listener(),
                    error.chain = %chain(&error),
                    "certificates not reloaded, the ones in use stay"
                ),
            }
        }
    }
}

async fn tick(broker: Arc<Broker>, mut stopped: watch::Receiver<bool>) {
    let mut period = tokio::time::interval(TICK);
    period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {

            // The watched value is a guard that must not live across an await.
            () = async { drop(stopped.wait_for(|stop| *stop).await) } => return,
            _ = period.tick() => broker.tick().await,
        }
    }
}

/// Revokes leases that are due, as soon as they are.
async fn revoke(broker: Arc<Broker>, mut stopped: watch::Receiver<bool>) {
    loop {
        let pause = broker.revoke_due().await;
        tokio::select! {
            // As above.
            () = async { drop(stopped.wait_for(|stop| *stop).await) } => return,
            () = broker.leases_woken() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Moves values to the newest term of the keyring, step by step; a step is finished.
async fn rewrap(broker: Arc<Broker>, mut stopped: watch::Receiver<bool>) {
    loop {
        let pause = broker.rewrap().await;
        tokio::select! {
            // As above.
            () = async { drop(stopped.wait_for(|stop| *stop).await) } => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
