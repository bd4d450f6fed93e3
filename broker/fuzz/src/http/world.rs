//! A broker in memory behind the real edge: everything but disks, sockets and sandboxes.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, LazyLock},
    time::Duration,
};

use async_trait::async_trait;
use tokio::runtime::Runtime;
use warder::edge::fuzzing::Server;
use warder_core::{
    audit::{Audit, SinkConfig},
    broker::{Broker, BrokerConfig, Parts},
    clock::{ManualClock, Timestamp},
    error::{Error, ErrorKind, Result},
    port::{
        backend::{
            Backend, Call, Description, Field, FieldKind, Invocation, MountKind, Observed, PluginAnswer, PluginReply,
            Plugins, Ran, Route, Target,
        },
        seal::{Seal, SealStatus},
        sink::Sink,
        usage::Usage,
    },
    request::{Operation, SecretRoute, SecretView},
    route::NewMount,
    secret::Secret,
    testing::{MemoryStorage, Nobody, Terms},
};

/// A server and what drives it.
pub(super) struct World {
    runtime: Runtime,
    server: Server,
}

impl World {
    /// An open broker whose root token is `root`, with a plugin at `secret/`.
    pub(super) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let clock = Arc::new(ManualClock::new(Timestamp(1_700_000_000_000)));
        let sink = SinkConfig { deadline: Duration::from_mins(10), ..SinkConfig::new("main", "nowhere") };
        let audit = Audit::start(vec![(sink, Box::new(Nowhere))], clock.clone()).expect("an audit log");
        let mount = NewMount { path: "secret/".to_owned(), plugin: "plain".to_owned(), ..NewMount::default() };
        let broker = Broker::new(Parts {
            storage: MemoryStorage::new(),
            seal: Arc::new(Open),
            keyring: Arc::new(Terms::default()),
            quorum: Arc::new(Nobody),
            snapshots: Arc::new(Nobody),
            plugins: Arc::new(OnePlugin),
            audit,
            clock: clock.clone(),
            config: BrokerConfig { mounts: vec![mount], ..BrokerConfig::default() },
        });
        runtime.block_on(async {
            broker.start().await.expect("a broker");
            broker.ensure_root(Secret::from("root")).await.expect("a root token");
        });
        let server = Server::new(broker, clock).expect("metrics");
        Self { runtime, server }
    }

    /// What a connection answers when it is sent these bytes and then nothing.
    pub(super) fn connection(&self, bytes: &[u8]) -> Vec<u8> {
        self.runtime.block_on(self.server.connection(bytes))
    }

    /// The status code of a gRPC call.
    pub(super) fn grpc<'a>(
        &self,
        method: usize,
        headers: impl Iterator<Item = (&'a str, &'a str)>,
        message: &[u8],
    ) -> i32 {
        self.runtime.block_on(self.server.grpc(method, headers, message))
    }
}

/// Takes every record.
struct Nowhere;

impl Sink for Nowhere {
    fn append(&mut self, _: &[u8], _: bool) -> io::Result<()> {
        Ok(())
    }
    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn last_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }
}

/// A seal that is open and stays so.
struct Open;

#[async_trait]
impl Seal for Open {
    fn status(&self) -> SealStatus {
        let nonce = String::new();
        SealStatus { kind: "dev", initialized: true, sealed: false, threshold: 1, shares: 1, progress: 0, nonce }
    }
    async fn initialize(&self, _: u8, _: u8) -> Result<Vec<Secret>> {
        Err(Error::new(ErrorKind::Conflict, "warder is already initialized"))
    }
    async fn unseal(&self, _: Secret) -> Result<SealStatus> {
        Ok(self.status())
    }
    fn reset(&self) -> SealStatus {
        self.status()
    }
    async fn seal(&self) -> Result<SealStatus> {
        Err(Error::new(ErrorKind::Conflict, "it stays open"))
    }
}

struct OnePlugin;

impl Plugins for OnePlugin {
    fn find(&self, name: &str) -> Option<Arc<dyn Backend>> {
        (name == "plain").then(|| Arc::new(Plain) as Arc<dyn Backend>)
    }
    fn list(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("plain".to_owned(), "1.0.0".to_owned())])
    }
}

/// Keeps the last value of each path, in the shapes that the native door expects.
struct Plain;

static DESCRIPTION: LazyLock<Description> = LazyLock::new(|| Description {
    name: "plain".to_owned(),
    version: "1.0.0".to_owned(),
    kind: MountKind::Secrets,
    doc: String::new(),
    routes: vec![
        route(
            "data/{path...}",
            &[Operation::Read, Operation::Create, Operation::Update, Operation::Patch, Operation::Delete],
        ),
        route("names/{path...}", &[Operation::List, Operation::Read, Operation::Update]),
    ],
    secret_routes: vec![
        secret_route(SecretView::Value, "data/{path...}"),
        secret_route(SecretView::Listing, "names/{path...}"),
        secret_route(SecretView::Versions, "names/{path...}"),
        secret_route(SecretView::Remove, "names/{path...}"),
        secret_route(SecretView::Undelete, "names/{path...}"),
        secret_route(SecretView::Destroy, "names/{path...}"),
    ],
    tasks: Vec::new(),
});

fn route(pattern: &str, verbs: &[Operation]) -> Route {
    let field = |(name, kind, sensitive): (&str, FieldKind, bool)| Field {
        name: name.to_owned(),
        kind,
        required: false,
        default: None,
        sensitive,
        endpoint: false,
        doc: String::new(),
    };
    let fields = [
        ("data", FieldKind::Document, true),
        ("options", FieldKind::Document, false),
        ("version", FieldKind::Integer, false),
        ("versions", FieldKind::TextList, false),
        ("after", FieldKind::Text, false),
        ("limit", FieldKind::Integer, false),
    ];
    Route {
        pattern: pattern.to_owned(),
        verbs: verbs.to_vec(),
        fields: fields.into_iter().map(field).collect(),
        doc: String::new(),
        public: false,
        privileged: false,
        issues_lease: false,
    }
}

fn secret_route(view: SecretView, route: &str) -> Arc<SecretRoute> {
    Arc::new(SecretRoute {
        view,
        pattern: "{path...}".to_owned(),
        route: route.to_owned(),
        value_at: "/data".to_owned(),
        about_at: Some("/metadata".to_owned()),
        check_at: Some("/options/cas".to_owned()),
    })
}

#[async_trait]
impl Backend for Plain {
    fn description(&self) -> &Description {
        &DESCRIPTION
    }

    async fn exists(&self, mut run: Invocation, target: Target) -> Ran<bool> {
        let found = run.txn.get(&target.path).await;
        Ran {
            result: found.map(|found| found.is_some()),
            txn: Some(run.txn),
            observed: Observed::default(),
            usage: Usage::default(),
        }
    }

    async fn handle(&self, mut run: Invocation, call: Call) -> Ran<PluginReply> {
        let result = answer(&mut run, call).await.map(|answer| PluginReply {
            answer,
            grant: None,
            fresh: None,
            version: None,
            warnings: Vec::new(),
        });
        Ran { result, txn: Some(run.txn), observed: Observed::default(), usage: Usage::default() }
    }
}

const ABOUT: &str = r#"{"version":1,"created_time":"2026-11-22T03:36:50.5Z","deletion_time":"","destroyed":false}"#;

async fn answer(run: &mut Invocation, call: Call) -> Result<PluginAnswer> {
    let plain = |data: String| PluginAnswer::Document { data, secrets: Vec::new() };
    let path = &call.target.path;
    Ok(match call.operation {
        Operation::List => PluginAnswer::Names(vec!["a".to_owned(), "b/".to_owned()]),
        Operation::Read if path.starts_with("names/") => {
            plain(format!(r#"{{"current_version":1,"versions":{{"1":{ABOUT}}}}}"#))
        }
        Operation::Read => match run.txn.get(path).await? {
            None => PluginAnswer::Nothing,
            Some(bytes) => {
                let value =
                    warder_core::sealed::SealedValue { bytes, form: warder_core::sealed::Form::Document, known: false };
                let data = format!(r#"{{"data":null,"metadata":{ABOUT}}}"#);
                PluginAnswer::Document { data, secrets: vec![("/data".to_owned(), value)] }
            }
        },
        Operation::Delete => {
            run.txn.delete(path)?;
            PluginAnswer::Nothing
        }
        _ => {
            if let Some((_, value)) = call.secrets.into_iter().next() {
                run.txn.put(path, value.bytes)?;
            }
            plain(ABOUT.to_owned())
        }
    })
}
