//! The feed by itself: no tokens, no storage, commits announced by hand.

use proptest::prelude::*;

use super::*;
use crate::news::Kind;

fn config() -> FeedConfig {
    FeedConfig { watchers: 4, token_watchers: 3, history: 100, ..FeedConfig::default() }
}

fn feed(config: FeedConfig) -> Arc<Feed> {
    let feed = Feed::new(config);
    feed.begin(0);
    feed
}

/// A secret of the default mount.
fn secret(name: &str) -> Arc<News> {
    Arc::new(News {
        kind: Kind::Updated,
        path: format!("secret/{name}"),
        short: Some(name.to_owned()),
        versions: vec![1],
        at: Timestamp::default(),
        read: Some(format!("secret/data/{name}")),
        privileged: false,
        list: None,
    })
}

fn join(feed: &Arc<Feed>, prefix: &str, from: Option<Revision>) -> (Place, bool) {
    let current = feed.newest();
    feed.join(&Joining { holder: "t", stored: true, prefix, from, current }).unwrap()
}

fn revisions(next: Next) -> Option<Vec<Revision>> {
    match next {
        Next::Items(items) => Some(items.iter().map(|(item, _)| item.revision).collect()),
        Next::Nothing => Some(Vec::new()),
        Next::Lost => None,
    }
}

fn paths(next: Next) -> Vec<String> {
    let Next::Items(items) = next else { return Vec::new() };
    items.iter().map(|(item, spelling)| item.path(*spelling).to_owned()).collect()
}

#[test]
fn a_secret_is_spelled_as_the_prefix_is() {
    let feed = feed(config());
    let mut places: Vec<Place> =
        ["", "app", "secret/app"].map(|prefix| join(&feed, prefix, None).0).into_iter().collect();
    feed.announced(1, &secret("app/db"));
    feed.announced(2, &secret("apple"));
    let told: Vec<Vec<String>> = places.iter_mut().map(|place| paths(place.next(9))).collect();
    assert_eq!(told, [vec!["app/db", "apple"], vec!["app/db"], vec!["secret/app/db"]]);
}

#[test]
fn a_watcher_loses_nothing_to_changes_that_do_not_concern_it() {
    let feed = feed(FeedConfig { history: 5, ..config() });
    let (mut quiet, _) = join(&feed, "quiet", None);
    let (mut loud, _) = join(&feed, "loud", None);
    for revision in 1..=50 {
        feed.announced(revision, &secret("loud/x"));
    }
    feed.announced(51, &secret("quiet/x"));
    assert_eq!(revisions(quiet.next(99)), Some(vec![51]));
    drop(quiet);
    assert_eq!(revisions(loud.next(99)), None, "it has lost some");
    let (mut resumed, known) = join(&feed, "loud", Some(47));
    assert!(known);
    assert_eq!(revisions(resumed.next(99)), Some(vec![48, 49, 50]));
    assert!(!join(&feed, "loud", Some(45)).1, "what came then is forgotten");
}

/// Once a prefix that had a history when it was first watched woke nobody before the heartbeat.
#[tokio::test]
async fn a_change_wakes_those_who_watch_it_whenever_they_came() {
    let feed = feed(config());
    let fanning = tokio::spawn({
        let feed = feed.clone();
        async move { feed.fan_out().await }
    });
    feed.announced(1, &secret("a/x"));
    for revision in 2..5 {
        let (place, _) = join(&feed, "a", None);
        feed.announced(revision, &secret("a/y"));
        let woken = tokio::time::timeout(std::time::Duration::from_secs(60), place.slot.woken());
        assert!(woken.await.is_ok());
    }
    fanning.abort();
}

#[test]
fn what_the_process_does_not_know_is_not_resumed() {
    let feed = Feed::new(config());
    feed.begin(7);
    for (from, known) in [(6, false), (7, true), (8, false)] {
        let (place, said) = join(&feed, "", Some(from));
        assert_eq!((said, place.seen), (known, 7), "{from}");
    }
}

#[test]
fn what_is_forgotten_all_at_once_is_lost_for_everybody() {
    let feed = feed(config());
    let (mut place, _) = join(&feed, "", None);
    feed.announced(1, &secret("a"));
    feed.forget();
    feed.announced(3, &secret("a"));
    assert_eq!(revisions(place.next(9)), None);
    let epoch = place.epoch();
    place.go_on(2, epoch);
    assert_eq!(revisions(place.next(9)), Some(vec![3]));
}

#[test]
fn a_mount_that_went_concerns_those_above_and_below_it() {
    let feed = feed(config());
    let told = |prefix: &str, mount: &str, default: bool, revision| {
        let (mut place, _) = join(&feed, prefix, None);
        feed.announced(revision, &Arc::new(News::unmounted(mount, default, Timestamp::default())));
        paths(place.next(9))
    };
    assert_eq!(told("", "kv/", false, 1), ["kv/"]);
    assert_eq!(told("kv", "kv/", false, 2), ["kv/"]);
    assert_eq!(told("kv/a", "kv/", false, 3), ["kv/"]);
    assert!(told("kvs", "kv/", false, 4).is_empty());
    assert_eq!(told("any/name", "secret/", true, 5), ["secret/"]);
}

#[test]
fn watchers_are_bounded_in_all_and_by_token() {
    let feed = feed(config());
    let ask = |holder| feed.join(&Joining { holder, stored: true, prefix: "a", from: None, current: 0 });
    let mut places: Vec<Place> = (0..3).map(|_| ask("t").unwrap().0).collect();
    assert!(ask("t").unwrap_err().detail.contains("3 watchers have come with this token already"));
    places.push(ask("u").unwrap().0);
    assert!(ask("v").unwrap_err().detail.contains("4 watchers are connected already"));
    places.clear();
    assert_eq!(feed.watchers(), 0);
    assert!(feed.state().topics.is_empty() && feed.state().holders.is_empty());
    assert!(ask("t").is_ok());
}

#[test]
fn a_stopped_feed_takes_nobody_until_it_begins_again() {
    let feed = feed(config());
    let (place, _) = join(&feed, "", None);
    feed.stop(Stop::Sealed);
    assert_eq!(place.slot.stopped(), Some(Stop::Sealed));
    let again = feed.join(&Joining { holder: "t", stored: true, prefix: "", from: None, current: 0 });
    assert_eq!(again.unwrap_err().kind, ErrorKind::Sealed);
    feed.begin(0);
    assert!(join(&feed, "", None).1);
}

#[test]
fn only_the_token_of_a_watcher_and_policies_make_it_look_again() {
    let feed = feed(config());
    let _place = join(&feed, "", None);
    let moved = |keys: &[&str]| {
        let before = feed.changes();
        feed.before(keys);
        feed.after(keys, true);
        feed.changes() != before
    };
    assert!(moved(&["core/token/id/t"]) && moved(&["x", "core/policy/p"]));
    assert!(!moved(&["core/token/id/u"]) && !moved(&["mnt/1/s/meta/a"]));
    let _batch = feed.join(&Joining { holder: "b", stored: false, prefix: "", from: None, current: 0 });
    assert!(moved(&["core/token/id/u"]), "it may be the parent of a token that is not stored");
}

#[test]
fn heartbeats_come_once_a_period_to_each() {
    let feed = feed(FeedConfig { heartbeat: std::time::Duration::from_secs(3), ..config() });
    let places = [join(&feed, "", None).0, join(&feed, "a", None).0];
    let beats = |place: &Place| usize::from(place.slot.take_beat());
    let mut counted = [0, 0];
    for _ in 0..9 {
        feed.tick(Timestamp(0));
        for (count, place) in counted.iter_mut().zip(&places) {
            *count += beats(place);
        }
    }
    assert_eq!(counted, [3, 3]);
}

/// What happens to a feed.
#[derive(Clone, Debug)]
enum Step {
    Announce(usize),
    Read(usize),
    Resume(usize),
}

const NAMES: [&str; 6] = ["a", "a/b", "a/b/c", "ab", "b/c", "secret/x"];
const PREFIXES: [&str; 5] = ["", "a", "a/b", "b", "secret/a"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..NAMES.len()).prop_map(Step::Announce),
        2 => (0..PREFIXES.len()).prop_map(Step::Read),
        1 => (0..PREFIXES.len()).prop_map(Step::Resume),
    ];
    proptest::collection::vec(step, 1..200)
}

/// Says whether a watcher of this prefix is to be told of this name, written without the feed's own rules.
fn concerns(prefix: &str, name: &str) -> bool {
    let below = |whole: &str| {
        let whole: Vec<&str> = whole.split('/').collect();
        let prefix: Vec<&str> = prefix.split('/').filter(|part| !part.is_empty()).collect();
        whole.starts_with(&prefix)
    };
    below(name) || below(&format!("secret/{name}"))
}

proptest! {
    /// Each watcher is told exactly what happened below its prefix since it was told something last,
    /// in order, or that it lost some; and it has lost some only when the history went by.
    #[test]
    fn watchers_are_told_each_change_once_or_that_they_lost_some(steps in steps(), history in 1_usize..20) {
        let feed = feed(FeedConfig { history, watchers: 99, token_watchers: 99, ..FeedConfig::default() });
        let mut places: Vec<Place> = PREFIXES.iter().map(|prefix| join(&feed, prefix, None).0).collect();
        let mut happened: Vec<(Revision, &str)> = Vec::new();
        for step in steps {
            match step {
                Step::Announce(name) => {
                    // Revisions of other commits lie between.
                    let revision = 2 * (happened.len() as u64 + 1);
                    feed.announced(revision, &secret(NAMES[name]));
                    happened.push((revision, NAMES[name]));
                }
                Step::Read(watcher) => {
                    let place = &mut places[watcher];
                    let since = happened.iter().filter(|(revision, name)| *revision > place.seen && concerns(PREFIXES[watcher], name));
                    let expected: Vec<Revision> = since.map(|(revision, _)| *revision).collect();
                    match revisions(place.next(7)) {
                        Some(told) => {
                            prop_assert_eq!(&told[..], &expected[..expected.len().min(7)]);
                            place.seen = told.last().copied().unwrap_or(place.seen);
                        }
                        None => {
                            prop_assert!(happened.len() > history && expected.first() <= Some(&happened[happened.len() - history - 1].0));
                            let epoch = place.epoch();
                            place.go_on(feed.newest(), epoch);
                        }
                    }
                }
                Step::Resume(watcher) => {
                    let from = places[watcher].seen;
                    let (place, known) = join(&feed, PREFIXES[watcher], Some(from));
                    let forgotten = happened.len().saturating_sub(history);
                    let floor = happened[..forgotten].last().map_or(0, |(revision, _)| *revision);
                    prop_assert_eq!(known, from >= floor);
                    prop_assert_eq!(place.seen, if known { from } else { feed.newest() });
                    places[watcher] = place;
                }
            }
        }
        prop_assert!(feed.state().history.len() <= history);
        let kept: usize = feed.state().history.iter().map(|item| item.weight()).sum();
        prop_assert_eq!(kept, feed.state().bytes);
    }
}
