use super::*;
use crate::{port::storage::Revision, secret::Secret, txn::Listing};

fn key(question: &str) -> Key {
    let path = Path::parse(question).unwrap();
    Key { mount: "m".into(), operation: Operation::Read, path, parameters: None, caller: None }
}

fn entry(keys: &[&str], prefixes: &[&str], until: Option<Timestamp>) -> Entry {
    let keys = keys.iter().map(|key| ((*key).to_owned(), Some(1 as Revision))).collect();
    let listings = prefixes
        .iter()
        .map(|prefix| Listing { prefix: (*prefix).to_owned(), after: None, limit: 1, seen: Vec::new() })
        .collect();
    Entry::new(Some(Answer::Document(Secret::from("{}"))), Vec::new(), Timestamp(0), until, ReadSet { keys, listings })
}

fn commit(cache: &Cache, keys: &[&str]) {
    cache.before(keys);
    cache.after(keys, true);
}

#[test]
fn an_entry_falls_when_a_key_that_it_read_changes_and_only_then() {
    let cache = Cache::new(1 << 20);
    cache.keep(cache.ticket(), &key("a"), None, entry(&["m/a"], &[], None));
    cache.keep(cache.ticket(), &key("b"), None, entry(&["m/b"], &[], None));
    commit(&cache, &["m/a"]);
    assert!(cache.find(&key("a"), "", Timestamp(0)).is_none());
    assert!(cache.find(&key("b"), "", Timestamp(0)).is_some());
}

#[test]
fn a_listing_falls_when_anything_below_its_prefix_changes() {
    let cache = Cache::new(1 << 20);
    cache.keep(cache.ticket(), &key("l"), None, entry(&[], &["m/x/"], None));
    commit(&cache, &["m/y/1"]);
    assert!(cache.find(&key("l"), "", Timestamp(0)).is_some());
    commit(&cache, &["m/x/deep/1"]);
    assert!(cache.find(&key("l"), "", Timestamp(0)).is_none());
}

#[test]
fn an_answer_read_before_a_commit_is_not_kept_after_it() {
    let cache = Cache::new(1 << 20);
    let ticket = cache.ticket();
    commit(&cache, &["m/a"]);
    cache.keep(ticket, &key("a"), None, entry(&["m/a"], &[], None));
    assert!(cache.find(&key("a"), "", Timestamp(0)).is_none());
    cache.keep(ticket, &key("b"), None, entry(&["m/b"], &[], None));
    assert!(cache.find(&key("b"), "", Timestamp(0)).is_some());
}

#[test]
fn nothing_is_kept_while_a_commit_of_its_key_is_under_way() {
    let cache = Cache::new(1 << 20);
    cache.before(&["m/a"]);
    cache.keep(cache.ticket(), &key("a"), None, entry(&["m/a"], &[], None));
    assert!(cache.find(&key("a"), "", Timestamp(0)).is_none());
    cache.after(&["m/a"], false);
    cache.keep(cache.ticket(), &key("a"), None, entry(&["m/a"], &[], None));
    assert!(cache.find(&key("a"), "", Timestamp(0)).is_some());
}

#[test]
fn an_entry_is_not_served_once_its_moment_came() {
    let cache = Cache::new(1 << 20);
    cache.keep(cache.ticket(), &key("a"), None, entry(&["m/a"], &[], Some(Timestamp(10))));
    assert!(cache.find(&key("a"), "", Timestamp(9)).is_some());
    assert!(cache.find(&key("a"), "", Timestamp(10)).is_none());
}

#[test]
fn an_answer_that_observed_its_caller_is_for_that_caller_alone() {
    let cache = Cache::new(1 << 20);
    cache.keep(cache.ticket(), &key("a"), Some("alice"), entry(&["m/a"], &[], None));
    assert!(cache.find(&key("a"), "bob", Timestamp(0)).is_none());
    assert!(cache.find(&key("a"), "alice", Timestamp(0)).is_some());
}

#[test]
fn forgetting_empties_the_cache_and_voids_tickets() {
    let cache = Cache::new(1 << 20);
    cache.keep(cache.ticket(), &key("a"), None, entry(&["m/a"], &[], None));
    let ticket = cache.ticket();
    cache.forget();
    cache.keep(ticket, &key("b"), None, entry(&["m/b"], &[], None));
    assert!(cache.find(&key("a"), "", Timestamp(0)).is_none() && cache.find(&key("b"), "", Timestamp(0)).is_none());
}

#[tokio::test]
async fn one_of_many_leads_and_the_rest_look_again() {
    let flights = Arc::new(Flights::default());
    let Flight::Lead(lead) = flights.join(&key("a")).await else { panic!("first must lead") };
    let waiters: Vec<_> = (0..8)
        .map(|_| {
            let flights = flights.clone();
            tokio::spawn(async move { matches!(flights.join(&key("a")).await, Flight::Landed) })
        })
        .collect();
    tokio::task::yield_now().await;
    lead.kept();
    drop(lead);
    for waiter in waiters {
        assert!(waiter.await.unwrap());
    }
    assert!(matches!(flights.join(&key("a")).await, Flight::Lead(_)));
}
