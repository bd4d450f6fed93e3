//! `instance`: one exported call of the kv component, each in a fresh sandbox, on one thread.
//! Processor time of that thread, so that what else runs on the machine counts little.

use std::{sync::Arc, time::Duration};

use warder_core::{
    clock::SystemClock,
    error::ErrorKind,
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

use crate::machine;

const CALLS: u32 = 2_000;
const ROUNDS: usize = 9;

struct Bench {
    kv: Arc<dyn Backend>,
    storage: Arc<dyn Storage>,
    mount: Arc<MountScope>,
}

/// What the calls cost, each the median of its rounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Costs {
    /// Store, instance, call and end, without one host call: the guest refuses at once.
    pub(crate) floor: Duration,
    /// One read of storage.
    pub(crate) exists: Duration,
    /// Two reads, one of them a sealed value that goes out.
    pub(crate) read: Duration,
}

/// Measures and prints.
pub(crate) async fn run() -> Result {
    let costs = measure().await?;
    println!(
        "Fresh instance + call of kv, one after another, processor time, median of {ROUNDS} rounds of {CALLS}; \
         the budget is 20 us:\n"
    );
    println!("| call | CPU |\n|---|---|");
    println!("| refused by the guest (no host call: the floor) | {} |", shown(costs.floor));
    println!("| `exists` of a stored secret (one read) | {} |", shown(costs.exists));
    println!("| `handle` read of a stored secret (sealed value out) | {} |", shown(costs.read));
    Ok(())
}

/// To a tenth of a microsecond.
pub(crate) fn shown(cost: Duration) -> String {
    format!("{:.1} us", cost.as_secs_f64() * 1e6)
}

pub(crate) async fn measure() -> Result<Costs> {
    let bench = Bench::new().await?;
    bench.store_one().await?;
    Ok(Costs {
        floor: median(async || bench.refused().await).await?,
        exists: median(async || bench.exists().await).await?,
        read: median(async || bench.read().await).await?,
    })
}

async fn median(call: impl AsyncFn() -> Result) -> Result<Duration> {
    call().await?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let start = machine::thread_time()?;
        for _ in 0..CALLS {
            call().await?;
        }
        rounds.push((machine::thread_time()? - start) / CALLS);
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

    /// A route that does not tell create from update says so before it does anything.
    async fn refused(&self) -> Result {
        match self.kv.exists(self.run().await?, target("delete")).await.result {
            Err(why) if why.kind == ErrorKind::MethodNotAllowed => Ok(()),
            other => Err(Failure::from(format!("a route without exists answered {other:?}"))),
        }
    }

    async fn exists(&self) -> Result {
        match self.kv.exists(self.run().await?, target("data")).await.result {
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
        Call {
            id,
            operation,
            target: target("data"),
            data: data.to_owned(),
            secrets,
            lease_id: None,
            default_ttl: hour,
            max_ttl: hour,
        }
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

fn target(route: &str) -> Target {
    let captures = vec![("path".to_owned(), "a".to_owned())];
    Target { path: format!("{route}/a"), route: format!("{route}/{{path...}}"), captures }
}
