//! A plugin, a mount and a storage of its own for each test.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use warder_core::{
    clock::{ManualClock, Timestamp},
    error::{Error, ErrorKind, Result},
    identity::Peer,
    port::{
        backend::{Backend, Call, Caller, Invocation, MountScope, PluginAnswer, PluginReply, Ran, Target},
        storage::{Entry, Revision, Snapshot, Write},
    },
    request::Operation,
    sealed::{Form, SealedValue},
    secret::Secret,
    txn::{Transaction, TxnLimits},
};
use warder_runtime::{Runtime, RuntimeConfig};

use crate::guests;

/// The moment at which every test's clock stands.
pub(crate) const NOW: u64 = 1_800_000_000_000;
/// The sealed document that the tests hand in.
pub(crate) const DOC: &str = r#"{"password":"hunter2-AAAA","pin":"1","empty":"","flag":true}"#;

/// Small bounds, so that tests of them are quick.
pub(crate) fn config() -> RuntimeConfig {
    RuntimeConfig {
        memory_bytes: 16 << 20,
        cpu: Duration::from_millis(500),
        wall: Duration::from_secs(60),
        max_concurrent: 8,
        ..RuntimeConfig::default()
    }
}

/// The misbehaving plugin on a mount `bad/`.
pub(crate) struct Sandbox {
    runtime: Arc<Runtime>,
    pub(crate) plugin: Arc<dyn Backend>,
    pub(crate) storage: Arc<Storage>,
    pub(crate) deadline: Duration,
}

impl Sandbox {
    pub(crate) async fn start() -> Self {
        Self::with(config()).await
    }

    pub(crate) async fn with(config: RuntimeConfig) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp(NOW)));
        let runtime = Runtime::new(config, clock).expect("a runtime");
        Self::on(runtime).await
    }

    /// Another one in the same runtime.
    pub(crate) async fn beside(&self) -> Self {
        Self::on(self.runtime.clone()).await
    }

    async fn on(runtime: Arc<Runtime>) -> Self {
        let plugin = runtime.load("misbehave", &guests::misbehave()).await.expect("the plugin loads");
        Self { runtime, plugin, storage: Arc::default(), deadline: Duration::from_secs(60) }
    }

    /// Runs a deed; commits like the broker does: only what went well.
    pub(crate) async fn run(&self, path: &str) -> Ran<PluginReply> {
        let mut ran = self.plugin.handle(self.invocation(), call(path)).await;
        if ran.result.is_ok() {
            self.storage.commit(ran.txn.take().expect("a call that went well keeps its transaction"));
        }
        ran
    }

    /// The names that a deed answers with.
    pub(crate) async fn told(&self, path: &str) -> Vec<String> {
        let ran = self.run(path).await;
        match ran.result.unwrap_or_else(|e| panic!("{path}: {}", e.chain())).answer {
            PluginAnswer::Names(names) => names,
            other => panic!("{path} answered {other:?}"),
        }
    }

    /// The error that a deed ends in. Nothing is stored, and the next call works.
    pub(crate) async fn refused(&self, path: &str) -> Error {
        let before = self.storage.keys();
        let error = self.run(path).await.result.err().unwrap_or_else(|| panic!("{path} went well"));
        assert_eq!(self.storage.keys(), before, "{path} stored something");
        assert_eq!((error.plugin.as_deref(), error.mount.as_deref()), (Some("misbehave"), Some("bad/")));
        assert_eq!(self.told("do/behave").await, ["well"], "the call after {path}");
        error
    }

    pub(crate) fn invocation(&self) -> Invocation {
        let mount = MountScope {
            path: "bad/".into(),
            plugin: "misbehave".into(),
            fingerprint_key: Secret::from([3u8; 32].as_slice()),
        };
        Invocation {
            mount: Arc::new(mount),
            txn: Transaction::begin(self.storage.clone(), "mnt/1/", TxnLimits::default()),
            caller: Caller { identity: None, peer: Peer { address: Some(LOCAL), ..Peer::default() } },
            deadline: self.deadline,
        }
    }
}

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// `do/{what}` or `do/{what}/{arg}` with the sealed document at `/doc`.
pub(crate) fn call(path: &str) -> Call {
    let mut parts = path.splitn(3, '/').skip(1);
    let mut captures = vec![("what".to_owned(), parts.next().unwrap_or_default().to_owned())];
    let mut route = "do/{what}";
    if let Some(arg) = parts.next() {
        captures.push(("arg".to_owned(), arg.to_owned()));
        route = "do/{what}/{arg}";
    }
    let document = SealedValue { bytes: Secret::from(DOC), form: Form::Document, known: false };
    Call {
        id: "test".into(),
        operation: Operation::Read,
        target: Target { path: path.into(), route: route.into(), captures },
        data: "{}".into(),
        secrets: vec![("/doc".into(), document)],
        lease_id: None,
        default_ttl: Duration::from_secs(1),
        max_ttl: Duration::from_secs(2),
    }
}

/// A map that commits whole batches; `broken` makes every read fail.
#[derive(Default)]
pub(crate) struct Storage {
    entries: Mutex<BTreeMap<String, Secret>>,
    pub(crate) broken: AtomicBool,
    pub(crate) slow: AtomicBool,
}

impl Storage {
    pub(crate) fn keys(&self) -> Vec<String> {
        self.entries.lock().unwrap().keys().cloned().collect()
    }

    fn commit(&self, txn: Transaction) {
        let mut entries = self.entries.lock().unwrap();
        for write in txn.finish().writes {
            match write {
                Write::Put { key, value } => entries.insert(key, value),
                Write::Delete { key } => entries.remove(&key),
            };
        }
    }
}

#[async_trait]
impl Snapshot for Storage {
    fn revision(&self) -> Revision {
        1
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "storage is gone"));
        }
        if self.slow.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_secs(600)).await;
        }
        let value = self.entries.lock().unwrap().get(key).cloned();
        Ok(value.map(|value| Entry { value, revision: 1 }))
    }

    async fn children(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<String>> {
        let entries = self.entries.lock().unwrap();
        let child = |rest: &str| rest.find('/').map_or_else(|| rest.to_owned(), |at| rest[..=at].to_owned());
        let mut names: Vec<String> = entries.keys().filter_map(|key| key.strip_prefix(prefix)).map(child).collect();
        names.dedup();
        Ok(names.into_iter().filter(|name| after.is_none_or(|after| name.as_str() > after)).take(limit).collect())
    }
}
