//! `instance`: one exported call of the kv component, each in a fresh sandbox, on one thread.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use warder_core::{
    clock::SystemClock,
    identity::Peer,
    port::{
        backend::{Backend, Call, Caller, Invocation, MountScope, PluginAnswer, Target},
        storage::Storage,
    },
    request::Operation,
    sealed::{Form, SealedValue},
    secret::Secret,
    txn::{Transaction, TxnLimits},
};
use warder_runtime::{Runtime, RuntimeConfig};
use warder_store::{EngineConfig, SealConfig, StoreConfig};
use warder_testkit::{Failure, Result};

const CALLS: u32 = 2_000;
const ROUNDS: usize = 9;

struct Bench {
    kv: Arc<dyn Backend>,
    storage: Arc<dyn Storage>,
    mount: Arc<MountScope>,
}

/// Measures and prints.
pub(crate) async fn run() -> Result {
    let bench = Bench::new().await?;
    bench.store_one().await?;
    println!("Fresh instance + call of kv, one after another, median of {ROUNDS} rounds of {CALLS}\n");
    println!("| call | time |\n|---|---|");
    let exists = median(async || bench.exists().await).await?;
    println!("| `exists` of a stored secret (one read) | {exists:.2?} |");
    let read = median(async || bench.read().await).await?;
    println!("| `handle` read of a stored secret (sealed value out) | {read:.2?} |");
    Ok(())
}

async fn median(call: impl AsyncFn() -> Result) -> Result<Duration> {
    call().await?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..CALLS {
            call().await?;
        }
        rounds.push(start.elapsed() / CALLS);
    }
    rounds.sort_unstable();
    Ok(rounds.get(ROUNDS / 2).copied().unwrap_or_default())
}

impl Bench {
    async fn new() -> Result<Self> {
        let runtime = Runtime::new(RuntimeConfig::default(), Arc::new(SystemClock)).map_err(|why| why.to_string())?;
        let component = warder_bundle::PLUGINS.iter().find(|plugin| plugin.name == "kv").ok_or("kv is not bundled")?;
        let kv = runtime.load("kv", component.component).await.map_err(|why| why.to_string())?;
        let store = warder_store::open(&StoreConfig { engine: EngineConfig::Memory, seal: SealConfig::Dev });
        let store = store.map_err(|why| why.to_string())?;
        store.seal.initialize(1, 1).await.map_err(|why| why.chain())?;
        let mount = MountScope {
            path: "secret/".to_owned(),
            plugin: "kv".to_owned(),
            fingerprint_key: Secret::from([7_u8; 32].as_slice()),
        };
        Ok(Self { kv, storage: store.storage, mount: Arc::new(mount) })
    }

    async fn store_one(&self) -> Result {
        let value = SealedValue { bytes: Secret::from("{\"k\":\"v\"}"), form: Form::Document, known: false };
        let call = self.call(Operation::Update, "{\"data\":null}", vec![("/data".to_owned(), value)]);
        let ran = self.kv.handle(self.run().await?, call).await;
        ran.result.map_err(|why| why.chain())?;
        let txn = ran.txn.ok_or("no transaction came back")?;
        self.storage.commit(txn.finish()).await.map_err(|why| why.chain())?;
        Ok(())
    }

    async fn exists(&self) -> Result {
        match self.kv.exists(self.run().await?, target()).await.result {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure::from("the secret is not there")),
            Err(why) => Err(Failure::from(why.chain())),
        }
    }

    async fn read(&self) -> Result {
        let call = self.call(Operation::Read, "{}", Vec::new());
        let reply = self.kv.handle(self.run().await?, call).await.result.map_err(|why| why.chain())?;
        match reply.answer {
            PluginAnswer::Document { secrets, .. } if !secrets.is_empty() => Ok(()),
            other => Err(Failure::from(format!("not a secret: {other:?}"))),
        }
    }

    fn call(&self, operation: Operation, data: &str, secrets: Vec<(String, SealedValue)>) -> Call {
        let hour = Duration::from_secs(3600);
        let id = "bench".to_owned();
        Call { id, operation, target: target(), data: data.to_owned(), secrets, default_ttl: hour, max_ttl: hour }
    }

    async fn run(&self) -> Result<Invocation> {
        let snapshot = self.storage.snapshot().await.map_err(|why| why.chain())?;
        Ok(Invocation {
            mount: self.mount.clone(),
            txn: Transaction::begin(snapshot.into(), "mnt/bench/s/", TxnLimits::default()),
            caller: Caller { identity: None, peer: Peer::default() },
            deadline: Duration::from_secs(10),
        })
    }
}

fn target() -> Target {
    let captures = vec![("path".to_owned(), "a".to_owned())];
    Target { path: "data/a".to_owned(), route: "data/{path...}".to_owned(), captures }
}
