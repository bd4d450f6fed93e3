//! Leases against a plugin whose accounts are outside: what it does there is done, whatever becomes
//! of its transaction.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::port::backend::{LeaseGrant, Leased};

/// Makes accounts named by their lease, in a world that no transaction covers.
struct Issuer {
    accounts: StdMutex<BTreeSet<String>>,
    /// Revocations that are still to fail.
    broken: AtomicUsize,
    revoked: AtomicUsize,
    ttl: AtomicU64,
    /// Breaks down when it has made the account.
    dies: AtomicBool,
    slow: AtomicBool,
    release: tokio::sync::Notify,
}

static ISSUER: std::sync::LazyLock<Description> = std::sync::LazyLock::new(|| {
    let read = |pattern: &str, issues_lease| Route { verbs: vec![Operation::Read], issues_lease, ..route(pattern) };
    Description {
        name: "issuer".into(),
        version: "0".into(),
        kind: MountKind::Secrets,
        doc: String::new(),
        routes: vec![read("creds/{role}", true), read("forgotten", true), read("unasked", false), read("absent", true)],
        secret_routes: Vec::new(),
        tasks: Vec::new(),
    }
});

const OUTSIDE: Observed = Observed { caller: false, unrepeatable: false, until: None, outside: true };

fn ran<T>(result: Result<T>, run: Invocation, observed: Observed) -> Ran<T> {
    Ran { result, txn: Some(run.txn), observed, usage: Usage::default() }
}

#[async_trait]
impl Backend for Issuer {
    fn description(&self) -> &Description {
        &ISSUER
    }

    async fn exists(&self, run: Invocation, _: Target) -> Ran<bool> {
        ran(Ok(false), run, Observed::default())
    }

    async fn handle(&self, mut run: Invocation, call: Call) -> Ran<PluginReply> {
        if call.target.path == "absent" {
            return ran(Err(Error::new(ErrorKind::NotFound, "no such role")), run, Observed::default());
        }
        let id = call.lease_id.unwrap_or_else(|| "none".to_owned());
        self.accounts.lock().unwrap().insert(id.clone());
        if self.slow.load(Ordering::SeqCst) {
            self.release.notified().await;
        }
        if self.dies.load(Ordering::SeqCst) {
            return Ran { txn: None, ..ran(Err(Error::new(ErrorKind::Unavailable, "broke down")), run, OUTSIDE) };
        }
        run.txn.put("s/last", Secret::from(id.as_str())).unwrap();
        let ttl = Duration::from_secs(self.ttl.load(Ordering::SeqCst));
        let grant = LeaseGrant { ttl, max_ttl: Duration::from_secs(1000), renewable: true };
        let reply = PluginReply {
            answer: PluginAnswer::Document { data: r#"{"password":"hunter2"}"#.into(), secrets: Vec::new() },
            grant: (call.target.path != "forgotten").then_some(grant),
            fresh: None,
            version: None,
            warnings: Vec::new(),
        };
        ran(Ok(reply), run, OUTSIDE)
    }

    async fn renew(&self, run: Invocation, lease: Leased) -> Ran<Duration> {
        assert_eq!(lease.path, "creds/app");
        ran(Ok(lease.increment.max(Duration::from_secs(10))), run, OUTSIDE)
    }

    async fn revoke(&self, run: Invocation, lease: Leased) -> Ran<()> {
        let fails = |left: usize| left.checked_sub(1);
        if self.broken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fails).is_ok() {
            return ran(Err(Error::new(ErrorKind::Unavailable, "the upstream is down")), run, OUTSIDE);
        }
        self.accounts.lock().unwrap().remove(&lease.id);
        self.revoked.fetch_add(1, Ordering::SeqCst);
        ran(Ok(()), run, OUTSIDE)
    }
}

struct One(Arc<Issuer>);

impl Plugins for One {
    fn find(&self, name: &str) -> Option<Arc<dyn Backend>> {
        (name == "issuer").then(|| self.0.clone() as Arc<dyn Backend>)
    }
    fn list(&self) -> BTreeMap<String, String> {
        [("issuer".to_owned(), "0".to_owned())].into()
    }
}

struct Leasing {
    broker: Arc<Broker>,
    issuer: Arc<Issuer>,
    storage: Arc<MemoryStorage>,
    clock: Arc<ManualClock>,
    sink: SinkDouble,
    root: Secret,
}

impl Leasing {
    async fn new() -> Self {
        let issuer = Arc::new(Issuer {
            accounts: StdMutex::default(),
            broken: AtomicUsize::new(0),
            revoked: AtomicUsize::new(0),
            ttl: AtomicU64::new(60),
            dies: AtomicBool::new(false),
            slow: AtomicBool::new(false),
            release: tokio::sync::Notify::new(),
        });
        let (storage, sink) = (MemoryStorage::new(), SinkDouble::default());
        let clock = Arc::new(ManualClock::new(Timestamp(1_800_000_000_000)));
        let mount = NewMount { path: "db/".into(), plugin: "issuer".into(), ..NewMount::default() };
        let config = BrokerConfig { mounts: vec![mount], ..BrokerConfig::default() };
        let broker = broker(&storage, &issuer, &clock, &sink, config);
        let root = broker.initialize("init", Peer::default(), 1, 1, None).await.unwrap().root_token;
        Self { broker, issuer, storage, clock, sink, root }
    }

    /// The process that comes after this one, over what it stored.
    async fn restarted(&mut self) {
        self.storage.fail_after(None);
        self.broker = broker(&self.storage, &self.issuer, &self.clock, &self.sink, BrokerConfig::default());
        self.broker.unseal("unseal", Peer::default(), Secret::from("share")).await.unwrap();
    }

    async fn ask(&self, token: &Secret, operation: Operation, path: &str, body: &str) -> Result<Reply> {
        self.broker.handle(request(Some(token), operation, path, body)).await
    }

    async fn root(&self, operation: Operation, path: &str, body: &str) -> Result<Reply> {
        self.ask(&self.root, operation, path, body).await
    }

    async fn issue(&self) -> String {
        self.root(Operation::Read, "db/creds/app", "").await.unwrap().lease.unwrap().id
    }

    async fn token(&self, body: &str) -> Secret {
        let policy = r#"{"policy":"path \"db/*\" { capabilities = [\"read\"] }"}"#;
        self.root(Operation::Update, "sys/policies/acl/p", policy).await.unwrap();
        self.root(Operation::Update, "auth/token/create", body).await.unwrap().auth.unwrap().token
    }

    async fn order(&self, path: &str, id: &str) -> Result<Reply> {
        self.root(Operation::Update, path, &format!(r#"{{"lease_id":"{id}","sync":true}}"#)).await
    }

    async fn lookup(&self, id: &str) -> Result<serde_json::Value> {
        self.order("sys/leases/lookup", id).await.map(|reply| serde_json::from_str(&text(&reply)).unwrap())
    }

    fn accounts(&self) -> Vec<String> {
        self.issuer.accounts.lock().unwrap().iter().cloned().collect()
    }

    fn stored(&self) -> u64 {
        self.broker.lease_counts().leases
    }

    /// Lets housekeeping run until there is as much in the world outside as is wanted.
    async fn settled(&self, accounts: usize) {
        for _ in 0..1000 {
            self.broker.revoke_due().await;
            tokio::time::sleep(Duration::from_millis(1)).await;
            if self.accounts().len() == accounts && self.stored() == accounts as u64 {
                return;
            }
        }
        panic!("{:?} and {} leases are left, expected {accounts}", self.accounts(), self.stored());
    }

    fn keys(&self) -> Vec<String> {
        self.storage.keys().into_iter().filter(|key| key.starts_with("core/lease/")).collect()
    }
}

fn broker(
    storage: &Arc<MemoryStorage>,
    issuer: &Arc<Issuer>,
    clock: &Arc<ManualClock>,
    sink: &SinkDouble,
    config: BrokerConfig,
) -> Arc<Broker> {
    let sinks: Vec<(SinkConfig, Box<dyn Sink>)> = vec![(SinkConfig::new("double", "double"), Box::new(sink.clone()))];
    let seal = SealDouble::default();
    // A store that is there was initialized.
    seal.0.store(!storage.keys().is_empty(), Ordering::SeqCst);
    Broker::new(Parts {
        storage: storage.clone(),
        seal: Arc::new(seal),
        keyring: Arc::new(crate::testing::Terms::default()),
        quorum: Arc::new(crate::testing::Nobody),
        snapshots: Arc::new(crate::testing::Nobody),
        plugins: Arc::new(One(issuer.clone())),
        audit: Audit::start(sinks, clock.clone()).unwrap(),
        clock: clock.clone(),
        config,
    })
}

#[tokio::test]
async fn what_is_issued_has_a_lease_that_is_never_cached_and_holds_no_secret() {
    let world = Leasing::new().await;
    let (one, other) = (world.issue().await, world.issue().await);
    assert!(one.starts_with("db/creds/app/") && one != other, "{one} {other}");
    assert_eq!((world.accounts().len(), world.stored()), (2, 2));
    let known = world.lookup(&one).await.unwrap();
    assert_eq!((&known["state"], &known["ttl"], &known["renewable"]), (&"confirmed".into(), &60.into(), &true.into()));
    let bytes = String::from_utf8_lossy(&world.storage.bytes()).into_owned();
    assert!(!bytes.contains("hunter2") && !bytes.contains(world.root.expose_str().unwrap()));
    let told = world.sink.text();
    assert!(told.contains(r#""lease":{"id":"hmac-sha256:"#) && !told.contains(&one), "{told}");
}

#[tokio::test]
async fn a_lease_ends_by_itself_when_its_time_is_up_and_not_before() {
    let world = Leasing::new().await;
    world.issue().await;
    world.clock.advance(Duration::from_secs(59));
    world.broker.revoke_due().await;
    assert_eq!(world.accounts().len(), 1);
    world.clock.advance(Duration::from_secs(1));
    world.settled(0).await;
    assert_eq!(world.broker.lease_counts().expired, 1);
    assert!(world.keys().is_empty(), "{:?}", world.keys());
    assert!(world.sink.text().contains(r#""operation":"expire""#));
}

#[tokio::test]
async fn a_renewal_moves_the_end_up_to_the_longest_life() {
    let world = Leasing::new().await;
    let id = world.issue().await;
    let renew = |seconds: u64| {
        let body = format!(r#"{{"lease_id":"{id}","increment":{seconds}}}"#);
        let world = &world;
        async move {
            world
                .root(Operation::Update, "sys/leases/renew", &body)
                .await
                .map(|reply| reply.lease.unwrap().ttl.as_secs())
        }
    };
    assert_eq!(renew(500).await.unwrap(), 500);
    world.clock.advance(Duration::from_secs(400));
    world.broker.revoke_due().await;
    assert_eq!(renew(5000).await.unwrap(), 600, "1000 seconds in all");
    world.clock.advance(Duration::from_secs(601));
    let late = renew(1).await.unwrap_err();
    assert_eq!((late.kind, &*late.detail), (ErrorKind::InvalidRequest, "lease expired"));
    world.settled(0).await;
    let unknown = renew(1).await.unwrap_err();
    assert_eq!((&*unknown.detail, unknown.field.as_deref()), ("lease not found", Some("lease")));
}

#[tokio::test]
async fn a_revocation_that_waits_is_done_when_it_is_answered_and_a_second_one_is_none() {
    let world = Leasing::new().await;
    let id = world.issue().await;
    for _ in 0..2 {
        world.order("sys/leases/revoke", &id).await.unwrap();
        assert!(world.accounts().is_empty() && world.keys().is_empty());
    }
    assert_eq!(
        (world.issuer.revoked.load(Ordering::SeqCst), &*world.lookup(&id).await.unwrap_err().detail),
        (1, "invalid lease")
    );
}

#[tokio::test]
async fn the_end_of_a_token_is_the_end_of_its_leases() {
    for how in ["revoke", "expire", "parent"] {
        let world = Leasing::new().await;
        let token = world.token(r#"{"policies":["p"],"ttl":"30s"}"#).await;
        world.ask(&token, Operation::Read, "db/creds/app", "").await.unwrap();
        world.issue().await;
        let body = format!(r#"{{"token":"{}"}}"#, token.expose_str().unwrap());
        match how {
            "revoke" => drop(world.root(Operation::Update, "auth/token/revoke", &body).await.unwrap()),
            "expire" => {
                world.clock.advance(Duration::from_secs(31));
                world.broker.tick().await;
            }
            _ => {
                let body = format!(r#"{{"token":"{}"}}"#, world.root.expose_str().unwrap());
                world.root(Operation::Update, "auth/token/revoke", &body).await.unwrap();
            }
        }
        world.settled(usize::from(how != "parent")).await;
    }
}

#[tokio::test]
async fn a_batch_tokens_lease_ends_with_it_or_with_its_parent() {
    let world = Leasing::new().await;
    let parent = world.token(r#"{"policies":["p","root"],"ttl":"10m"}"#).await;
    let body = r#"{"type":"batch","policies":["p"],"ttl":"20s"}"#;
    let batch = world.ask(&parent, Operation::Update, "auth/token/create", body).await.unwrap().auth.unwrap().token;
    let lease = world.ask(&batch, Operation::Read, "db/creds/app", "").await.unwrap().lease.unwrap();
    assert_eq!(lease.ttl, Duration::from_secs(20));
    let body = format!(r#"{{"token":"{}"}}"#, parent.expose_str().unwrap());
    world.root(Operation::Update, "auth/token/revoke", &body).await.unwrap();
    world.settled(0).await;
}

#[tokio::test]
async fn the_last_use_of_a_token_issues_nothing() {
    let world = Leasing::new().await;
    let token = world.token(r#"{"policies":["p"],"num_uses":2}"#).await;
    world.ask(&token, Operation::Read, "db/creds/app", "").await.unwrap();
    let refused = world.ask(&token, Operation::Read, "db/creds/app", "").await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Unauthenticated);
    assert_eq!(world.accounts().len(), 1);
}

#[tokio::test]
async fn a_token_that_ends_while_something_is_issued_to_it_gets_nothing() {
    let world = Leasing::new().await;
    let token = world.token(r#"{"policies":["p"],"ttl":"30s"}"#).await;
    world.issuer.slow.store(true, Ordering::SeqCst);
    let (broker, asked) = (world.broker.clone(), request(Some(&token), Operation::Read, "db/creds/app", ""));
    let asking = tokio::spawn(async move { broker.handle(asked).await });
    while world.accounts().is_empty() {
        tokio::task::yield_now().await;
    }
    let body = format!(r#"{{"token":"{}"}}"#, token.expose_str().unwrap());
    world.root(Operation::Update, "auth/token/revoke", &body).await.unwrap();
    world.settled(0).await;
    world.issuer.slow.store(false, Ordering::SeqCst);
    world.issuer.release.notify_waiters();
    assert_eq!(asking.await.unwrap().unwrap_err().kind, ErrorKind::Conflict);
    assert!(world.keys().is_empty(), "{:?}", world.keys());
}

#[tokio::test]
async fn a_revocation_that_fails_is_tried_again_and_shown_until_it_is_forced() {
    let world = Leasing::new().await;
    let id = world.issue().await;
    world.issuer.broken.store(usize::MAX, Ordering::SeqCst);
    let failed = world.order("sys/leases/revoke", &id).await.unwrap_err();
    assert_eq!((failed.kind, &*failed.detail), (ErrorKind::Unavailable, "the upstream is down"));
    for _ in 0..8 {
        world.clock.advance(Duration::from_secs(800));
        world.broker.revoke_due().await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let known = world.lookup(&id).await.unwrap();
    assert_eq!(
        (&known["state"], &known["revoke_error"]),
        (&"revoking".into(), &"unavailable: the upstream is down".into())
    );
    assert!(known["revoke_attempts"].as_u64().unwrap() >= 6, "{known}");
    assert_eq!(world.broker.lease_counts().stuck, 1);
    let stuck = text(&world.root(Operation::Read, "sys/leases", r#"{"type":"irrevocable"}"#).await.unwrap());
    assert!(stuck.contains(&id) && stuck.contains("the upstream is down"), "{stuck}");
    let refused = world.root(Operation::Delete, "sys/mounts/db", "").await.unwrap_err();
    assert!(refused.detail.contains("revoke-force"), "{}", refused.detail);
    world.root(Operation::Update, "sys/leases/revoke-force/db/creds", "").await.unwrap();
    assert!(world.keys().is_empty(), "{:?}", world.keys());
    assert_eq!((world.broker.lease_counts().stuck, world.accounts().len()), (0, 1), "what it stood for lives on");
    world.root(Operation::Delete, "sys/mounts/db", "").await.unwrap();
}

#[tokio::test]
async fn a_revocation_that_failed_a_few_times_succeeds_at_last() {
    let world = Leasing::new().await;
    let id = world.issue().await;
    world.issuer.broken.store(3, Ordering::SeqCst);
    world.root(Operation::Update, "sys/leases/revoke", &format!(r#"{{"lease_id":"{id}"}}"#)).await.unwrap();
    for _ in 0..5000 {
        world.clock.advance(Duration::from_secs(1));
        world.broker.revoke_due().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        if world.stored() == 0 {
            break;
        }
    }
    world.settled(0).await;
    assert_eq!(world.broker.lease_counts().failed, 3);
}

#[tokio::test]
async fn a_mount_that_goes_takes_its_leases_back_first() {
    let world = Leasing::new().await;
    for _ in 0..20 {
        world.issue().await;
    }
    assert_eq!(world.root(Operation::Delete, "sys/mounts/db/creds", "").await.unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(world.accounts().len(), 20);
    world.root(Operation::Delete, "sys/mounts/db", "").await.unwrap();
    assert!(world.accounts().is_empty() && world.keys().is_empty());
}

#[tokio::test]
async fn what_does_not_keep_to_its_description_is_refused_and_taken_back() {
    let world = Leasing::new().await;
    for (path, words) in [("db/forgotten", "answered without a lease"), ("db/unasked", "granted a lease where")] {
        let refused = world.root(Operation::Read, path, "").await.unwrap_err();
        assert!(refused.kind == ErrorKind::Internal && refused.detail.contains(words), "{}", refused.detail);
        assert_eq!(refused.plugin.as_deref(), Some("issuer"));
    }
    assert!(!world.storage.keys().iter().any(|key| key.ends_with("s/last")), "nothing of it was committed");
    // What it did outside under a lease is undone; what it did without one nobody can undo.
    world.settled_to(&["none"]).await;
}

#[tokio::test]
async fn a_refusal_leaves_no_lease_and_a_breakdown_is_revoked() {
    let world = Leasing::new().await;
    assert_eq!(world.root(Operation::Read, "db/absent", "").await.unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!((world.stored(), world.issuer.revoked.load(Ordering::SeqCst)), (0, 0));
    world.issuer.dies.store(true, Ordering::SeqCst);
    world.root(Operation::Read, "db/creds/app", "").await.unwrap_err();
    assert_eq!(world.accounts().len(), 1);
    world.settled(0).await;
}

#[tokio::test]
async fn an_answer_that_cannot_be_recorded_has_no_lease() {
    let world = Leasing::new().await;
    world.issuer.slow.store(true, Ordering::SeqCst);
    let (broker, asked) = (world.broker.clone(), request(Some(&world.root), Operation::Read, "db/creds/app", ""));
    let asking = tokio::spawn(async move { broker.handle(asked).await });
    while world.accounts().is_empty() {
        tokio::task::yield_now().await;
    }
    world.sink.refuses.store(true, Ordering::SeqCst);
    world.issuer.slow.store(false, Ordering::SeqCst);
    world.issuer.release.notify_waiters();
    assert_eq!(asking.await.unwrap().unwrap_err().kind, ErrorKind::AuditUnavailable);
    world.sink.refuses.store(false, Ordering::SeqCst);
    world.settled(0).await;
}

/// Storage stops after each number of commits in turn; the next process must find all that the world
/// outside has, under a lease that somebody was told of or that goes.
#[tokio::test]
async fn a_crash_at_any_commit_leaves_nothing_outside_without_a_lease() {
    for commits in 0..8 {
        let mut world = Leasing::new().await;
        let kept = world.issue().await;
        world.storage.fail_after(Some(commits));
        let told = world.root(Operation::Read, "db/creds/app", "").await.ok().and_then(|reply| reply.lease);
        let revoked = world.order("sys/leases/revoke", &kept).await.is_ok();
        world.restarted().await;
        let mut expected: BTreeSet<String> = told.map(|lease| lease.id).into_iter().collect();
        let doomed = !world.accounts().contains(&kept) || world.lookup(&kept).await.unwrap()["state"] == "revoking";
        if !doomed {
            assert!(!revoked, "{commits}");
            expected.insert(kept);
        }
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        world.settled_to(&expected).await;
        assert_eq!(world.stored(), expected.len() as u64, "{commits}");
    }
}

#[tokio::test]
async fn a_lease_that_was_pending_when_the_process_ended_is_revoked_by_the_next() {
    let mut world = Leasing::new().await;
    world.issuer.slow.store(true, Ordering::SeqCst);
    let (broker, asked) = (world.broker.clone(), request(Some(&world.root), Operation::Read, "db/creds/app", ""));
    let asking = tokio::spawn(async move { broker.handle(asked).await });
    while world.accounts().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.lookup(&world.accounts()[0]).await.unwrap()["state"], "pending");
    world.restarted().await;
    world.settled(0).await;
    world.issuer.release.notify_waiters();
    assert!(asking.await.unwrap().is_err(), "the old process cannot confirm it any more");
    assert!(world.keys().is_empty(), "{:?}", world.keys());
}

#[tokio::test]
async fn leases_are_listed_by_folder_in_pages_and_revoked_by_prefix() {
    let world = Leasing::new().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(world.issue().await);
    }
    ids.sort();
    let keys = |reply: Reply| match reply.answer {
        Answer::Names { keys } => keys,
        other => panic!("{other:?}"),
    };
    assert_eq!(keys(world.root(Operation::List, "sys/leases/lookup", "").await.unwrap()), ["db/"]);
    let page = world.root(Operation::List, "sys/leases/lookup/db/creds/app", r#"{"limit":2}"#).await.unwrap();
    let names: Vec<&str> = ids.iter().map(|id| id.rsplit('/').next().unwrap()).collect();
    assert_eq!(keys(page), names[..2]);
    world.root(Operation::Update, "sys/leases/revoke-prefix/db/creds", r#"{"sync":true}"#).await.unwrap();
    assert!(world.accounts().is_empty() && world.keys().is_empty());
}

impl Leasing {
    /// Lets housekeeping run until the world outside has these and nothing else.
    async fn settled_to(&self, accounts: &[&str]) {
        for _ in 0..1000 {
            self.broker.revoke_due().await;
            tokio::time::sleep(Duration::from_millis(1)).await;
            if self.accounts() == accounts && self.stored() <= accounts.len() as u64 {
                return;
            }
        }
        panic!("{:?} are left, expected {accounts:?}", self.accounts());
    }
}
