use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::*;
use crate::{
    authz::{Decision, Question},
    clock::ManualClock,
    error::ErrorKind,
    request::{Fields, Operation},
    testing::MemoryStorage,
};

/// The storage in memory answers at once, so a future of it is ready when polled.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the storage of this test never waits"),
    }
}

struct Bench {
    memory: Arc<MemoryStorage>,
    clock: Arc<ManualClock>,
    policies: Arc<Policies>,
}

fn bench() -> Bench {
    let memory = MemoryStorage::new();
    let clock = Arc::new(ManualClock::new(Timestamp(1000)));
    let policies = Policies::new(Arc::clone(&memory) as Arc<dyn Storage>, Arc::clone(&clock) as Arc<dyn Clock>);
    Bench { memory, clock, policies }
}

impl Bench {
    fn acl(&self, names: &[&str]) -> Result<Arc<Acl>> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        ready(self.policies.acl_for(&names))
    }

    fn may_read(&self, names: &[&str], path: &str) -> bool {
        let fields = Fields::default();
        let question =
            Question { operation: Operation::Read, path, fields: &fields, privileged: false, wrap_ttl: None };
        self.acl(names).unwrap().decide(&question) == Decision::Allowed
    }
}

const READ_A: &str = "path \"a\" { capabilities = [\"read\"] }";

#[test]
fn a_policy_is_read_back_as_it_was_written() {
    let bench = bench();
    bench.clock.advance(Duration::from_secs(1));
    ready(bench.policies.put("Team/One", READ_A)).unwrap();
    let record = ready(bench.policies.get("team/one")).unwrap().unwrap();
    let expected = PolicyRecord { name: "team/one".into(), text: READ_A.into(), updated_at: Timestamp(2000) };
    assert_eq!(record, expected);
    assert_eq!(ready(bench.policies.get("other")).unwrap(), None);
    ready(bench.policies.delete("TEAM/one")).unwrap();
    ready(bench.policies.delete("team/one")).unwrap();
    assert_eq!(ready(bench.policies.get("team/one")).unwrap(), None);
}

#[test]
fn a_changed_policy_takes_effect_on_the_next_request() {
    let bench = bench();
    assert!(!bench.may_read(&["p"], "a"));
    ready(bench.policies.put("p", READ_A)).unwrap();
    assert!(bench.may_read(&["p"], "a") && !bench.may_read(&["p"], "b"));
    ready(bench.policies.put("p", "path \"b\" { capabilities = [\"read\"] }")).unwrap();
    assert!(!bench.may_read(&["p"], "a") && bench.may_read(&["p"], "b"));
    ready(bench.policies.delete("p")).unwrap();
    assert!(!bench.may_read(&["p"], "b"));
}

#[test]
fn the_same_names_share_compiled_rules_until_a_policy_changes() {
    let bench = bench();
    let first = bench.acl(&["default", "p"]).unwrap();
    assert!(Arc::ptr_eq(&first, &bench.acl(&["default", "p"]).unwrap()));
    assert!(!Arc::ptr_eq(&first, &bench.acl(&["default"]).unwrap()));
    ready(bench.policies.put("unrelated", READ_A)).unwrap();
    assert!(!Arc::ptr_eq(&first, &bench.acl(&["default", "p"]).unwrap()));
}

#[test]
fn unknown_and_impossible_names_grant_nothing_and_root_everything() {
    let bench = bench();
    assert_eq!(bench.acl(&["nobody", "no such name!", ""]).unwrap().capabilities("a"), ["deny"]);
    assert_eq!(bench.acl(&["default", "root"]).unwrap().capabilities("a"), ["root"]);
    assert_eq!(bench.acl(&[]).unwrap().capabilities("a"), ["deny"]);
}

#[test]
fn the_default_policy_is_there_until_it_is_written_over() {
    let bench = bench();
    assert!(ready(bench.policies.get("default")).unwrap().unwrap().text.contains("auth/token/lookup-self"));
    let acl = bench.acl(&["default"]).unwrap();
    for (path, expected) in [
        ("auth/token/lookup-self", &["read"][..]),
        ("auth/token/renew-self", &["update"]),
        ("auth/token/revoke-self", &["update"]),
        ("sys/capabilities-self", &["update"]),
        ("sys/leases/lookup", &["update"]),
        ("sys/leases/renew", &["update"]),
        ("cubbyhole/a/b", &["create", "delete", "list", "read", "update"]),
        ("sys/wrapping/unwrap", &["update"]),
        ("secret/data/a", &["deny"]),
        ("sys/mounts", &["deny"]),
    ] {
        assert_eq!(acl.capabilities(path), expected, "{path}");
    }
    ready(bench.policies.put("default", READ_A)).unwrap();
    assert!(bench.may_read(&["default"], "a") && !bench.may_read(&["default"], "auth/token/lookup-self"));
}

#[test]
fn all_names_are_listed_also_those_in_folders() {
    let bench = bench();
    for name in ["zeta", "team/one", "team/deep/two", "team"] {
        ready(bench.policies.put(name, READ_A)).unwrap();
    }
    let expected = ["default", "root", "team", "team/deep/two", "team/one", "zeta"];
    assert_eq!(ready(bench.policies.list()).unwrap(), expected);
}

#[test]
fn bad_names_texts_and_built_in_policies_are_refused_in_words() {
    let bench = bench();
    let long = "a".repeat(MAX_NAME_BYTES + 1);
    for name in ["", "a b", "a/../b", "/a", "a/", "a//b", ".", "\u{e9}", "a*", &long] {
        for error in [
            ready(bench.policies.get(name)).unwrap_err(),
            ready(bench.policies.put(name, READ_A)).unwrap_err(),
            ready(bench.policies.delete(name)).unwrap_err(),
        ] {
            assert_eq!((error.kind, error.field.as_deref()), (ErrorKind::InvalidRequest, Some("name")), "{name:?}");
            assert!(error.detail.starts_with("a policy name is 1 to 128 of "), "{name:?}");
        }
    }
    for result in [ready(bench.policies.put("Root", READ_A)), ready(bench.policies.delete("root"))] {
        assert!(result.unwrap_err().detail.starts_with("the policy \"root\" is built in"));
    }
    assert!(ready(bench.policies.get("root")).unwrap_err().detail.contains("has no text"));
    assert!(ready(bench.policies.delete("default")).unwrap_err().detail.contains("cannot be deleted"));
    assert_eq!(&*ready(bench.policies.put("p", " \n")).unwrap_err().detail, "the policy text is empty");
    let error = ready(bench.policies.put("p", "path \"a\" {\n  policy = \"x\"\n}")).unwrap_err();
    assert_eq!(error.field.as_deref(), Some("policy"));
    assert_eq!(&*error.detail, "line 2 column 12: unknown policy \"x\"; expected one of deny, read, sudo, write");
}

#[test]
fn a_stored_policy_that_does_not_parse_refuses_rather_than_loses_a_deny() {
    let bench = bench();
    let record = PolicyRecord { name: "p".into(), text: "path".into(), updated_at: Timestamp(0) };
    let value = Secret::from(serde_json::to_string(&record).unwrap());
    ready(storage::put(&*bench.memory, "core/policy/p", value)).unwrap();
    assert_eq!(bench.acl(&["p"]).unwrap_err().kind, ErrorKind::Internal);
}
