//! The pipeline against doubles of its ports: the order of its steps is what is proved here;
//! real storage, real wasm and real doors are proved in the crates above.

use std::{
    io,
    sync::{
        Mutex as StdMutex,
        atomic::{AtomicU64, AtomicUsize},
    },
};

use async_trait::async_trait;

use super::*;
use crate::{
    audit::SinkConfig,
    clock::{ManualClock, Timestamp},
    identity::Peer,
    path::Path,
    port::{
        backend::{
            Backend, Call, Description, Field, FieldKind, Invocation, MountKind, Observed, PluginAnswer, PluginReply,
            Ran, Route, Target,
        },
        sink::Sink,
        usage::Usage,
    },
    request::{Address, Answer, Door, Fields, Operation},
    sealed::{Content, Form, SealedValue},
    secret::Secret,
    testing::MemoryStorage,
};

mod leases;
mod pressure;

/// A seal that is open after init.
#[derive(Default)]
struct SealDouble(AtomicBool, AtomicBool);

#[async_trait]
impl Seal for SealDouble {
    fn status(&self) -> SealStatus {
        let (initialized, open) = (self.0.load(Ordering::SeqCst), self.1.load(Ordering::SeqCst));
        let nonce = String::new();
        SealStatus { kind: "double", initialized, sealed: !open, threshold: 1, shares: 1, progress: 0, nonce }
    }
    async fn initialize(&self, _: u8, _: u8) -> Result<Vec<Secret>> {
        self.0.store(true, Ordering::SeqCst);
        self.1.store(true, Ordering::SeqCst);
        Ok(vec![Secret::from("share")])
    }
    async fn unseal(&self, _: Secret) -> Result<SealStatus> {
        self.1.store(true, Ordering::SeqCst);
        Ok(self.status())
    }
    fn reset(&self) -> SealStatus {
        self.status()
    }
    async fn seal(&self) -> Result<SealStatus> {
        self.1.store(false, Ordering::SeqCst);
        Ok(self.status())
    }
}

/// A sink that keeps lines, and refuses while told to.
#[derive(Clone, Default)]
struct SinkDouble {
    lines: Arc<StdMutex<Vec<u8>>>,
    refuses: Arc<AtomicBool>,
}

impl SinkDouble {
    fn text(&self) -> String {
        String::from_utf8(self.lines.lock().unwrap().clone()).unwrap()
    }

    fn types(&self) -> Vec<(String, String)> {
        let member = |line: &serde_json::Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
        self.text()
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .map(|line| (member(&line, "type"), member(&line, "path")))
            .collect()
    }
}

impl Sink for SinkDouble {
    fn append(&mut self, lines: &[u8], _: bool) -> io::Result<()> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err(io::Error::other("told to refuse"));
        }
        self.lines.lock().unwrap().extend_from_slice(lines);
        Ok(())
    }
    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn last_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }
}

/// A key-value plugin in plain Rust that counts its calls and misbehaves on order.
#[derive(Default)]
struct BackendDouble {
    calls: Arc<AtomicUsize>,
    asks_caller: AtomicBool,
    until: AtomicU64,
    slow: AtomicBool,
    release: tokio::sync::Notify,
}

static DESCRIPTION: std::sync::LazyLock<Description> = std::sync::LazyLock::new(|| Description {
    name: "double".into(),
    version: "0".into(),
    kind: MountKind::Secrets,
    doc: String::new(),
    routes: vec![Route { public: true, verbs: vec![Operation::Update], ..route("login/{name}") }, route("{path...}")],
    secret_routes: Vec::new(),
    tasks: Vec::new(),
});

fn route(pattern: &str) -> Route {
    Route {
        pattern: pattern.into(),
        verbs: vec![Operation::Read, Operation::Create, Operation::Update, Operation::Delete],
        fields: vec![Field {
            name: "value".into(),
            kind: FieldKind::Document,
            required: false,
            default: None,
            sensitive: true,
            endpoint: false,
            doc: String::new(),
        }],
        doc: String::new(),
        public: false,
        privileged: false,
        issues_lease: false,
    }
}

#[async_trait]
impl Backend for BackendDouble {
    fn description(&self) -> &Description {
        &DESCRIPTION
    }

    async fn exists(&self, mut run: Invocation, target: Target) -> Ran<bool> {
        let result = run.txn.get(&target.path).await.map(|found| found.is_some());
        Ran { result, txn: Some(run.txn), observed: Observed::default(), usage: Usage::default() }
    }

    async fn handle(&self, mut run: Invocation, call: Call) -> Ran<PluginReply> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.slow.load(Ordering::SeqCst) {
            self.release.notified().await;
        }
        let result = serve(&mut run, &call).await.map(|answer| PluginReply {
            answer,
            grant: None,
            fresh: None,
            version: None,
            warnings: Vec::new(),
        });
        let until = Some(Timestamp(self.until.load(Ordering::SeqCst))).filter(|until| until.0 > 0);
        let caller = self.asks_caller.load(Ordering::SeqCst);
        let observed = Observed { caller, until, ..Observed::default() };
        Ran { result, txn: Some(run.txn), observed, usage: Usage::default() }
    }
}

async fn serve(run: &mut Invocation, call: &Call) -> Result<PluginAnswer> {
    let path = &call.target.path;
    if path.starts_with("login/") {
        let right = call.secrets[0].1.bytes.ct_eq(br#""right""#);
        return if right { Ok(PluginAnswer::Nothing) } else { Err(Error::new(ErrorKind::PermissionDenied, "no")) };
    }
    match call.operation {
        Operation::Read => Ok(match run.txn.get(path).await? {
            None => PluginAnswer::Nothing,
            Some(record) => {
                let Ok(Content::Sealed(value)) = Content::decode(record.expose()) else { panic!("not sealed") };
                PluginAnswer::Document { data: r#"{"value":null}"#.into(), secrets: vec![("/value".into(), value)] }
            }
        }),
        Operation::Delete => run.txn.delete(path).map(|()| PluginAnswer::Nothing),
        _ => {
            let (_, value) = call.secrets[0].clone();
            run.txn.get(path).await?;
            run.txn.put(path, Content::Sealed(value).encode())?;
            Ok(PluginAnswer::Nothing)
        }
    }
}

struct PluginsDouble(Arc<BackendDouble>);

impl Plugins for PluginsDouble {
    fn find(&self, name: &str) -> Option<Arc<dyn Backend>> {
        (name == "double").then(|| self.0.clone() as Arc<dyn Backend>)
    }
    fn list(&self) -> std::collections::BTreeMap<String, String> {
        [("double".to_owned(), "0".to_owned())].into()
    }
}

struct World {
    broker: Arc<Broker>,
    backend: Arc<BackendDouble>,
    sink: SinkDouble,
    clock: Arc<ManualClock>,
    storage: Arc<MemoryStorage>,
    root: Secret,
}

impl World {
    async fn new() -> Self {
        Self::with(BrokerConfig::default()).await
    }

    async fn with(config: BrokerConfig) -> Self {
        let (storage, sink, backend) = (MemoryStorage::new(), SinkDouble::default(), Arc::<BackendDouble>::default());
        let clock = Arc::new(ManualClock::new(Timestamp(1_000_000)));
        let sinks: Vec<(SinkConfig, Box<dyn Sink>)> =
            vec![(SinkConfig::new("double", "double"), Box::new(sink.clone()))];
        let mount = NewMount { path: "kv/".into(), plugin: "double".into(), ..NewMount::default() };
        let broker = Broker::new(Parts {
            storage: storage.clone(),
            seal: Arc::new(SealDouble::default()),
            keyring: Arc::new(crate::testing::Terms::default()),
            quorum: Arc::new(crate::testing::Nobody),
            snapshots: Arc::new(crate::testing::Nobody),
            plugins: Arc::new(PluginsDouble(backend.clone())),
            audit: Audit::start(sinks, clock.clone()).unwrap(),
            clock: clock.clone(),
            config: BrokerConfig { mounts: vec![mount], ..config },
        });
        let root = broker.initialize("init", Peer::default(), 1, 1, None).await.unwrap().root_token;
        Self { broker, backend, sink, clock, storage, root }
    }

    async fn ask(&self, token: Option<&Secret>, operation: Operation, path: &str, body: &str) -> Result<Reply> {
        self.broker.handle(request(token, operation, path, body)).await
    }

    async fn root(&self, operation: Operation, path: &str, body: &str) -> Result<Reply> {
        self.ask(Some(&self.root), operation, path, body).await
    }

    async fn token(&self, policy: &str) -> Secret {
        let body = serde_json::json!({ "policy": policy }).to_string();
        self.root(Operation::Update, "sys/policies/acl/p", &body).await.unwrap();
        let made = self.root(Operation::Update, "auth/token/create", r#"{"policies":["p"]}"#).await.unwrap();
        made.auth.unwrap().token
    }

    fn calls(&self) -> usize {
        self.backend.calls.load(Ordering::SeqCst)
    }
}

fn request(token: Option<&Secret>, operation: Operation, path: &str, body: &str) -> Request {
    Request {
        id: "r".into(),
        door: Door::Native,
        credential: token.cloned(),
        peer: Peer::default(),
        operation,
        address: Address::Canonical(Path::parse(path).unwrap()),
        fields: if body.is_empty() { Fields::default() } else { Fields::from_json(body.as_bytes()).unwrap() },
        refresh: false,
        deadline: Duration::from_secs(5),
    }
}

fn text(reply: &Reply) -> String {
    match &reply.answer {
        Answer::Document(text) => text.expose_str().unwrap().to_owned(),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn a_secret_is_written_read_and_told_apart_as_create_and_update() {
    let world = World::new().await;
    let first = world.root(Operation::Update, "kv/a", r#"{"value":{"k":"v"}}"#).await.unwrap();
    let second = world.root(Operation::Update, "kv/a", r#"{"value":{"k":"w"}}"#).await.unwrap();
    assert_eq!((first.operation, second.operation), (Operation::Create, Operation::Update));
    assert_eq!(text(&world.root(Operation::Read, "kv/a", "").await.unwrap()), r#"{"value":{"k":"w"}}"#);
}

#[tokio::test]
async fn a_hit_asks_no_plugin_and_a_write_makes_the_next_read_a_miss() {
    let world = World::new().await;
    world.root(Operation::Update, "kv/a", r#"{"value":1}"#).await.unwrap();
    world.root(Operation::Read, "kv/a", "").await.unwrap();
    let before = world.calls();
    let hit = world.root(Operation::Read, "kv/a", "").await.unwrap();
    assert!(hit.cached && world.calls() == before);
    world.root(Operation::Update, "kv/a", r#"{"value":2}"#).await.unwrap();
    let fresh = world.root(Operation::Read, "kv/a", "").await.unwrap();
    assert!(!fresh.cached);
    assert_eq!(text(&fresh), r#"{"value":2}"#);
}

#[tokio::test]
async fn no_time_left_is_told_even_of_an_answer_that_is_at_hand() {
    let world = World::new().await;
    world.root(Operation::Update, "kv/a", r#"{"value":1}"#).await.unwrap();
    world.root(Operation::Read, "kv/a", "").await.unwrap();
    let mut late = request(Some(&world.root), Operation::Read, "kv/a", "");
    late.deadline = Duration::ZERO;
    assert_eq!(world.broker.handle(late).await.unwrap_err().kind, ErrorKind::DeadlineExceeded);
}

#[tokio::test]
async fn an_absent_path_is_cached_until_it_is_written() {
    let world = World::new().await;
    assert!(matches!(world.root(Operation::Read, "kv/a", "").await.unwrap().answer, Answer::Nothing));
    assert!(world.root(Operation::Read, "kv/a", "").await.unwrap().cached);
    world.root(Operation::Update, "kv/a", r#"{"value":2}"#).await.unwrap();
    assert_eq!(text(&world.root(Operation::Read, "kv/a", "").await.unwrap()), r#"{"value":2}"#);
}

#[tokio::test]
async fn an_answer_that_compared_the_clock_falls_at_that_moment() {
    let world = World::new().await;
    world.backend.until.store(1_000_500, Ordering::SeqCst);
    world.root(Operation::Read, "kv/a", "").await.unwrap();
    assert!(world.root(Operation::Read, "kv/a", "").await.unwrap().cached);
    world.clock.advance(Duration::from_millis(500));
    assert!(!world.root(Operation::Read, "kv/a", "").await.unwrap().cached);
}

#[tokio::test]
async fn an_answer_that_asked_for_the_caller_is_never_shared() {
    let world = World::new().await;
    world.backend.asks_caller.store(true, Ordering::SeqCst);
    let token = world.token(r#"path "kv/*" { capabilities = ["read"] }"#).await;
    world.root(Operation::Read, "kv/a", "").await.unwrap();
    assert!(world.root(Operation::Read, "kv/a", "").await.unwrap().cached);
    assert!(!world.ask(Some(&token), Operation::Read, "kv/a", "").await.unwrap().cached);
    assert!(world.ask(Some(&token), Operation::Read, "kv/a", "").await.unwrap().cached);
}

#[tokio::test]
async fn a_cached_answer_is_refused_on_the_request_after_the_policy_changed() {
    let world = World::new().await;
    let token = world.token(r#"path "kv/*" { capabilities = ["read"] }"#).await;
    world.ask(Some(&token), Operation::Read, "kv/a", "").await.unwrap();
    assert!(world.ask(Some(&token), Operation::Read, "kv/a", "").await.unwrap().cached);
    let narrower = r#"{"policy":"path \"kv/b\" { capabilities = [\"read\"] }"}"#;
    world.root(Operation::Update, "sys/policies/acl/p", narrower).await.unwrap();
    let refused = world.ask(Some(&token), Operation::Read, "kv/a", "").await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn a_revoked_token_is_refused_at_once() {
    let world = World::new().await;
    let token = world.token(r#"path "kv/*" { capabilities = ["read"] }"#).await;
    world.ask(Some(&token), Operation::Read, "kv/a", "").await.unwrap();
    world.ask(Some(&token), Operation::Update, "auth/token/revoke-self", "").await.unwrap();
    let refused = world.ask(Some(&token), Operation::Read, "kv/a", "").await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Unauthenticated);
}

#[tokio::test]
async fn nobody_learns_what_exists_without_being_allowed() {
    let world = World::new().await;
    let token = world.token(r#"path "kv/b" { capabilities = ["read"] }"#).await;
    for path in ["kv/a", "nowhere/a", "sys/nothing"] {
        assert_eq!(world.ask(None, Operation::Read, path, "").await.unwrap_err().kind, ErrorKind::Unauthenticated);
        let denied = world.ask(Some(&token), Operation::Read, path, "").await.unwrap_err();
        assert_eq!(denied.kind, ErrorKind::PermissionDenied, "{path}");
    }
    assert_eq!(world.root(Operation::Read, "nowhere/a", "").await.unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(world.root(Operation::List, "kv/a", "").await.unwrap_err().kind, ErrorKind::MethodNotAllowed);
}

#[tokio::test]
async fn without_a_record_nothing_happens_and_nothing_is_shown() {
    let world = World::new().await;
    world.root(Operation::Update, "kv/a", r#"{"value":1}"#).await.unwrap();
    world.root(Operation::Read, "kv/a", "").await.unwrap();
    world.sink.refuses.store(true, Ordering::SeqCst);
    let before = world.calls();
    let keys = world.storage.keys();
    for (operation, body) in [(Operation::Update, r#"{"value":2}"#), (Operation::Read, "")] {
        let refused = world.root(operation, "kv/a", body).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::AuditUnavailable, "{operation:?}");
    }
    assert_eq!((world.calls(), world.storage.keys()), (before, keys));
}

#[tokio::test]
async fn what_was_done_without_its_closing_record_says_that_it_was() {
    let world = World::new().await;
    world.backend.slow.store(true, Ordering::SeqCst);
    let (broker, root) = (world.broker.clone(), world.root.clone());
    let before = world.calls();
    let asked = request(Some(&root), Operation::Update, "kv/a", r#"{"value":7}"#);
    let writer = tokio::spawn(async move { broker.handle(asked).await });
    while world.calls() == before {
        tokio::task::yield_now().await;
    }
    world.sink.refuses.store(true, Ordering::SeqCst);
    world.backend.slow.store(false, Ordering::SeqCst);
    world.backend.release.notify_waiters();
    let told = writer.await.unwrap().unwrap_err();
    assert_eq!((told.kind, told.done, told.retry_after), (ErrorKind::AuditUnavailable, true, None));
    let refused = world.root(Operation::Update, "kv/a", r#"{"value":8}"#).await.unwrap_err();
    assert!(!refused.done && refused.retry_after.is_some(), "nothing was done: it may be repeated");
    world.sink.refuses.store(false, Ordering::SeqCst);
    // The sink is asked again after a while only.
    loop {
        match world.root(Operation::Read, "kv/a", "").await {
            Ok(reply) => return assert_eq!(text(&reply), r#"{"value":7}"#),
            Err(error) => assert_eq!(error.kind, ErrorKind::AuditUnavailable),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_brokers_own_listings_come_in_pages() {
    let world = World::new().await;
    for name in ["a", "b", "c"] {
        let body = r#"{"policy":"path \"a\" { capabilities = [\"read\"] }"}"#;
        world.root(Operation::Update, &format!("sys/policies/acl/{name}"), body).await.unwrap();
    }
    for (page, expected) in [
        ("", Ok("a b c default root")),
        (r#"{"limit":2}"#, Ok("a b")),
        (r#"{"limit":"2","after":"b"}"#, Ok("c default")),
        (r#"{"after":"bb"}"#, Ok("c default root")),
        (r#"{"after":"root"}"#, Ok("")),
        (r#"{"limit":-1}"#, Ok("a b c default root")),
        (r#"{"limit":"many"}"#, Err("limit")),
    ] {
        let told = world.root(Operation::List, "sys/policies/acl/", page).await;
        let told = told.map(|reply| match reply.answer {
            Answer::Names { keys } => keys.join(" "),
            other => panic!("{other:?}"),
        });
        assert_eq!(told.map_err(|e| e.field.unwrap()), expected.map(str::to_owned).map_err(str::to_owned), "{page}");
    }
}

#[tokio::test]
async fn requests_leave_the_records_that_the_design_says() {
    let world = World::new().await;
    world.root(Operation::Read, "kv/a", "").await.unwrap();
    world.root(Operation::Read, "kv/a", "").await.unwrap();
    world.ask(None, Operation::Read, "kv/a", "").await.unwrap_err();
    let types = world.sink.types();
    let tail: Vec<&str> = types.iter().rev().take(4).rev().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(tail, ["open", "close", "hit", "hit"]);
    assert!(types.iter().any(|(kind, path)| kind == "open" && path == "sys/init"));
}

#[tokio::test]
async fn a_secret_reaches_neither_audit_nor_debug() {
    let world = World::new().await;
    let marked = "CANARY-77131";
    let body = format!(r#"{{"value":{{"k":"{marked}"}}}}"#);
    let asked = request(Some(&world.root), Operation::Update, "kv/a", &body);
    assert!(!format!("{asked:?}").contains(marked));
    world.broker.handle(asked).await.unwrap();
    let reply = world.root(Operation::Read, "kv/a", "").await.unwrap();
    assert!(text(&reply).contains(marked) && !format!("{reply:?}").contains(marked));
    let _hit = world.root(Operation::Read, "kv/a", "").await.unwrap();
    let token = world.root.expose_str().unwrap();
    assert!(!world.sink.text().contains(marked) && !world.sink.text().contains(token));
}

#[tokio::test]
async fn of_many_readers_that_miss_together_one_asks_the_plugin() {
    let world = World::new().await;
    world.root(Operation::Update, "kv/a", r#"{"value":1}"#).await.unwrap();
    world.backend.slow.store(true, Ordering::SeqCst);
    let before = world.calls();
    let readers: Vec<_> = (0..16)
        .map(|_| {
            let (broker, root) = (world.broker.clone(), world.root.clone());
            tokio::spawn(async move { broker.handle(request(Some(&root), Operation::Read, "kv/a", "")).await })
        })
        .collect();
    while world.calls() == before {
        tokio::task::yield_now().await;
    }
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    world.backend.slow.store(false, Ordering::SeqCst);
    world.backend.release.notify_waiters();
    for reader in readers {
        assert_eq!(text(&reader.await.unwrap().unwrap()), r#"{"value":1}"#);
    }
    assert_eq!(world.calls(), before + 1);
}

#[tokio::test]
async fn a_caller_that_hangs_up_leaves_a_finished_write() {
    let world = World::new().await;
    world.backend.slow.store(true, Ordering::SeqCst);
    let (broker, root) = (world.broker.clone(), world.root.clone());
    let before = world.calls();
    let writer =
        tokio::spawn(
            async move { broker.handle(request(Some(&root), Operation::Update, "kv/a", r#"{"value":7}"#)).await },
        );
    while world.calls() == before {
        tokio::task::yield_now().await;
    }
    writer.abort();
    assert!(writer.await.unwrap_err().is_cancelled());
    world.backend.slow.store(false, Ordering::SeqCst);
    world.backend.release.notify_waiters();
    // The same path's next writer waits for its turn behind the abandoned one.
    world.root(Operation::Delete, "kv/b", "").await.unwrap();
    let mut read = text(&world.root(Operation::Read, "kv/a", "").await.unwrap());
    while read == "Nothing" {
        tokio::task::yield_now().await;
        read = text(&world.root(Operation::Read, "kv/a", "").await.unwrap());
    }
    assert_eq!(read, r#"{"value":7}"#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_one_path_all_get_through() {
    let world = World::new().await;
    let writers: Vec<_> = (0..64)
        .map(|i| {
            let (broker, root) = (world.broker.clone(), world.root.clone());
            let body = format!(r#"{{"value":{i}}}"#);
            tokio::spawn(async move { broker.handle(request(Some(&root), Operation::Update, "kv/a", &body)).await })
        })
        .collect();
    let mut created = 0;
    for writer in writers {
        created += usize::from(writer.await.unwrap().unwrap().operation == Operation::Create);
    }
    assert_eq!(created, 1);
}

#[tokio::test]
async fn sealing_closes_every_door_until_unsealed() {
    let world = World::new().await;
    world.root(Operation::Read, "kv/a", "").await.unwrap();
    world.root(Operation::Update, "sys/seal", "").await.unwrap();
    let refused = world.root(Operation::Read, "kv/a", "").await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Sealed);
    world.broker.unseal("u", Peer::default(), Secret::from("share")).await.unwrap();
    world.root(Operation::Read, "kv/a", "").await.unwrap();
}

#[tokio::test]
async fn values_leave_in_their_form() {
    use super::plugin::reveal;
    let value = |bytes: &str, form| SealedValue { bytes: Secret::from(bytes), form, known: false };
    let answer = reveal(PluginAnswer::Document {
        data: r#"{"t":null,"d":null,"b":null}"#.into(),
        secrets: vec![
            ("/t".into(), value("a\"b", Form::Text)),
            ("/d".into(), value("[1]", Form::Document)),
            ("/b".into(), value("\u{1}", Form::Bytes)),
        ],
    });
    let Ok(Answer::Document(text)) = answer else { panic!("no document") };
    assert_eq!(text.expose_str(), Some(r#"{"t":"a\"b","d":[1],"b":"AQ=="}"#));
    let broken = reveal(PluginAnswer::Document { data: "{".into(), secrets: Vec::new() });
    assert_eq!(broken.unwrap_err().kind, ErrorKind::UpstreamProtocol);
}
