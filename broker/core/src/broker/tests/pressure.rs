//! Bounds of a mount and of the process, and what failed credentials bring about.

use std::net::IpAddr;

use super::*;

impl World {
    /// With these options of its mount.
    async fn tuned(options: &str) -> Self {
        let world = Self::new().await;
        let body = format!(r#"{{"options":{options}}}"#);
        world.root(Operation::Update, "sys/mounts/kv/tune", &body).await.unwrap();
        world
    }

    async fn login(&self, name: &str, value: &str, from: [u8; 4]) -> ErrorKind {
        let body = format!(r#"{{"value":"{value}"}}"#);
        let mut asked = request(None, Operation::Update, &format!("kv/login/{name}"), &body);
        asked.peer.address = Some(IpAddr::from(from));
        match self.broker.handle(asked).await {
            Ok(_) => ErrorKind::Conflict, // Stands for none: nothing here conflicts.
            Err(error) => error.kind,
        }
    }

    async fn comes_with(&self, token: &Secret, from: [u8; 4]) -> Result<Reply> {
        let mut asked = request(Some(token), Operation::Read, "auth/token/lookup-self", "");
        asked.peer.address = Some(IpAddr::from(from));
        self.broker.handle(asked).await
    }
}

const GOOD: ErrorKind = ErrorKind::Conflict;
const BAD: ErrorKind = ErrorKind::PermissionDenied;
const HERE: [u8; 4] = [10, 0, 0, 1];
const THERE: [u8; 4] = [10, 0, 0, 2];

#[tokio::test]
async fn a_full_mount_refuses_and_its_neighbour_serves() {
    let world = World::tuned(r#"{"max_calls":"2","max_queue":"1"}"#).await;
    world.root(Operation::Update, "sys/mounts/other", r#"{"plugin":"double"}"#).await.unwrap();
    world.backend.slow.store(true, Ordering::SeqCst);
    let mut slow = Vec::new();
    for path in ["kv/a", "kv/b", "kv/c"] {
        let (broker, asked) = (world.broker.clone(), request(Some(&world.root), Operation::Read, path, ""));
        slow.push(tokio::spawn(async move { broker.handle(asked).await }));
    }
    while world.broker.pressure().waiting < 1 {
        tokio::task::yield_now().await;
    }
    let before = world.sink.types().len();
    for operation in [Operation::Read, Operation::Update] {
        let refused = world.root(operation, "kv/d", r#"{"value":1}"#).await.unwrap_err();
        assert_eq!((refused.kind, refused.retry_seconds()), (ErrorKind::Overloaded, Some(1)));
        assert_eq!(refused.mount.as_deref(), Some("kv/"));
    }
    assert_eq!(world.sink.types().len(), before + 2, "refusals are recorded");
    let pressure = world.broker.pressure();
    assert_eq!((pressure.calls, pressure.waiting, pressure.refused), (2, 1, 2));
    world.backend.slow.store(false, Ordering::SeqCst);
    world.root(Operation::Update, "other/a", r#"{"value":1}"#).await.unwrap();
    for _ in 0..3 {
        world.backend.release.notify_one();
        tokio::task::yield_now().await;
    }
    for one in slow {
        one.await.unwrap().unwrap();
    }
    world.root(Operation::Update, "kv/d", r#"{"value":1}"#).await.unwrap();
    assert_eq!(world.broker.pressure().calls, 0);
}

#[tokio::test]
async fn options_that_the_broker_reads_are_checked_and_can_be_taken_back() {
    let world = World::tuned(r#"{"max_calls":"2","note":"x"}"#).await;
    for body in [
        r#"{"options":{"max_calls":"0"}}"#,
        r#"{"user_lockout_config":{"lockout_threshold":0}}"#,
        r#"{"default_lease_ttl":"1h","max_lease_ttl":""}"#,
    ] {
        let refused = world.root(Operation::Update, "sys/mounts/kv/tune", body).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::InvalidRequest, "{body}");
    }
    // As a command line of Vault sends what nobody gave.
    let empty = r#"{"default_lease_ttl":"","max_lease_ttl":""}"#;
    world.root(Operation::Update, "sys/mounts/kv/tune", empty).await.unwrap();
    let body =
        r#"{"description":"d","options":{"max_calls":"","note":null},"user_lockout_config":{"lockout_threshold":"3"}}"#;
    world.root(Operation::Update, "sys/mounts/kv/tune", body).await.unwrap();
    let shown = text(&world.root(Operation::Read, "sys/mounts/kv/tune", "").await.unwrap());
    assert!(
        shown.contains(r#""options":{"lockout_threshold":"3"}"#) && shown.contains(r#""description":"d""#),
        "{shown}"
    );
    let absent = world.root(Operation::Update, "sys/mounts/none/tune", "{}").await.unwrap_err();
    assert_eq!(absent.kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn five_bad_logins_lock_a_name_and_no_other_until_it_is_unlocked() {
    let world = World::new().await;
    assert_eq!(world.login("alice", "right", HERE).await, GOOD);
    for _ in 0..5 {
        assert_eq!(world.login("alice", "wrong", HERE).await, BAD);
    }
    assert_eq!(world.login("alice", "right", HERE).await, BAD, "in the words of any bad login");
    assert_eq!(world.login("ALICE", "right", THERE).await, BAD, "from anywhere");
    assert_eq!(world.login("bob", "right", HERE).await, GOOD);
    let shown = text(&world.root(Operation::Read, "sys/locked-users", "").await.unwrap());
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let mount = &shown["by_namespace"][0]["mount_accessors"][0];
    assert_eq!((&shown["total"], &mount["alias_identifiers"]), (&1.into(), &serde_json::json!(["alice"])));
    let path = format!("sys/locked-users/{}/unlock/alice", mount["mount_accessor"].as_str().unwrap());
    world.root(Operation::Update, &path, "").await.unwrap();
    assert_eq!(world.login("alice", "right", HERE).await, GOOD);
    for _ in 0..5 {
        world.login("alice", "wrong", HERE).await;
    }
    world.clock.advance(Duration::from_mins(15));
    assert_eq!(world.login("alice", "right", HERE).await, GOOD, "after a quarter of an hour");
    assert_eq!(world.broker.pressure().lockouts, 2);
}

#[tokio::test]
async fn a_good_login_forgets_the_bad_ones_before_it() {
    let world = World::tuned(r#"{"lockout_threshold":"2"}"#).await;
    for _ in 0..5 {
        assert_eq!(world.login("alice", "wrong", HERE).await, BAD);
        assert_eq!(world.login("alice", "right", HERE).await, GOOD);
    }
}

#[tokio::test]
async fn bad_tokens_pause_their_address_and_nobody_else() {
    let world = World::with(BrokerConfig { failures: 20, ..BrokerConfig::default() }).await;
    let stranger = Secret::from("hvs.unknown");
    let unused = world.token(r#"path "kv/*" { capabilities = ["read"] }"#).await;
    world.comes_with(&world.root, HERE).await.unwrap();
    for _ in 0..21 {
        assert_eq!(world.comes_with(&stranger, HERE).await.unwrap_err().kind, ErrorKind::Unauthenticated);
    }
    let paused = world.comes_with(&stranger, HERE).await.unwrap_err();
    assert_eq!((paused.kind, paused.retry_seconds()), (ErrorKind::RateLimited, Some(1)));
    assert_eq!(world.login("alice", "right", HERE).await, ErrorKind::RateLimited);
    world.comes_with(&world.root, HERE).await.unwrap();
    world.comes_with(&unused, THERE).await.unwrap();
    assert_eq!(world.login("alice", "right", THERE).await, GOOD);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.comes_with(&stranger, HERE).await.unwrap_err().kind, ErrorKind::Unauthenticated);
    assert_eq!(world.broker.pressure().throttled, 2);
}

#[tokio::test]
async fn what_is_over_the_bound_of_the_process_is_shed_and_operators_get_in() {
    let world = World::with(BrokerConfig { requests: 1, ..BrokerConfig::default() }).await;
    world.backend.slow.store(true, Ordering::SeqCst);
    let (broker, asked) = (world.broker.clone(), request(Some(&world.root), Operation::Read, "kv/a", ""));
    let first = tokio::spawn(async move { broker.handle(asked).await });
    while world.broker.pressure().calls < 1 {
        tokio::task::yield_now().await;
    }
    let before = world.sink.types().len();
    let shed = world.root(Operation::Read, "kv/b", "").await.unwrap_err();
    assert_eq!((shed.kind, world.sink.types().len()), (ErrorKind::Overloaded, before));
    world.root(Operation::Read, "sys/mounts", "").await.unwrap();
    // Whoever hangs up does not make room: what was begun goes on.
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    assert_eq!(world.root(Operation::Read, "kv/b", "").await.unwrap_err().kind, ErrorKind::Overloaded);
    world.backend.slow.store(false, Ordering::SeqCst);
    world.backend.release.notify_one();
    while world.broker.pressure().requests > 0 {
        tokio::task::yield_now().await;
    }
    world.root(Operation::Read, "kv/b", "").await.unwrap();
    assert_eq!(world.broker.pressure().shed, 2);
}
