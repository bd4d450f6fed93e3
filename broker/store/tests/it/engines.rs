//! Every engine keeps the same promises: one suite over the table of kinds.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use proptest::{prelude::*, sample::select};
use warder_core::port::storage::{Check, Observer, Outcome, WatchEnd};
use warder_store::{
    EngineConfig,
    engine::{self, Engine, EngineError, RawBatch, RawWrite, Stored},
};

use crate::support::redb;

/// One engine of each kind.
fn engines(folder: &tempfile::TempDir) -> Vec<Arc<dyn Engine>> {
    let configs = [EngineConfig::Memory, redb(folder.path().join("store.redb"))];
    let kinds: Vec<_> = configs.iter().map(EngineConfig::kind).collect();
    assert!(engine::KINDS.iter().all(|(kind, _)| kinds.contains(kind)), "a kind is not tested");
    configs.iter().map(|config| engine::open(config).unwrap()).collect()
}

fn write(key: &str, bytes: Option<&[u8]>) -> RawWrite {
    RawWrite { key: key.to_owned(), bytes: bytes.map(<[u8]>::to_vec) }
}

fn batch(checks: Vec<Check>, writes: Vec<RawWrite>) -> RawBatch {
    RawBatch { checks, writes, ..RawBatch::default() }
}

/// The naive model.
#[derive(Clone, Default)]
struct Model {
    records: BTreeMap<String, Stored>,
    revision: u64,
}

impl Model {
    fn commit(&mut self, batch: &RawBatch) -> Outcome {
        let holds = batch.checks.iter().all(|check| match check {
            Check::Unchanged { key, revision } => self.records.get(key).map(|stored| stored.revision) == *revision,
            Check::Children { prefix, after, limit, seen } => self.children(prefix, after.as_deref(), *limit) == *seen,
        });
        if !holds {
            return Outcome::Conflict;
        }
        self.revision += u64::from(!batch.writes.is_empty());
        for RawWrite { key, bytes } in &batch.writes {
            match bytes.clone() {
                Some(bytes) => _ = self.records.insert(key.clone(), Stored { bytes, revision: self.revision }),
                None => _ = self.records.remove(key),
            }
        }
        Outcome::Committed(self.revision)
    }

    fn children(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
        let mut names: Vec<String> = self
            .records
            .keys()
            .filter_map(|key| key.strip_prefix(prefix))
            .filter(|rest| !rest.is_empty())
            .map(|rest| rest.find('/').map_or(rest, |at| &rest[..=at]).to_owned())
            .filter(|name| after.is_none_or(|after| name.as_str() > after))
            .collect();
        names.sort();
        names.dedup();
        names.truncate(limit);
        names
    }
}

const KEYS: [&str; 12] =
    ["a", "a!", "a/", "a/b", "a/b/c", "a/b-", "a/\u{fc}/x", "a0", "b/a", "b/a/", "\u{1f512}", "\u{1f512}/k"];
const PREFIXES: [&str; 7] = ["", "a/", "a/b/", "b/", "b/a/", "\u{1f512}/", "none/"];

#[derive(Clone, Debug)]
enum Step {
    /// Checks hold as far as the model knows, except when `stale`.
    Commit {
        reads: Vec<&'static str>,
        lists: Vec<&'static str>,
        writes: BTreeMap<&'static str, Option<Vec<u8>>>,
        stale: bool,
    },
    Look {
        prefix: &'static str,
        after: Option<&'static str>,
        limit: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bytes = prop::option::weighted(0.7, prop::collection::vec(any::<u8>(), 0..9));
    let commit = (
        prop::collection::vec(select(&KEYS[..]), 0..3),
        prop::collection::vec(select(&PREFIXES[..]), 0..2),
        prop::collection::btree_map(select(&KEYS[..]), bytes, 0..4),
        prop::bool::weighted(0.2),
    );
    let commit = commit.prop_map(|(reads, lists, writes, stale)| Step::Commit { reads, lists, writes, stale });
    let look = (select(&PREFIXES[..]), prop::option::of(select(&["a", "a/", "b", "b/", "c", "a/b"][..])), 0..5usize);
    let look = look.prop_map(|(prefix, after, limit)| Step::Look { prefix, after, limit });
    prop::collection::vec(prop_oneof![3 => commit, 2 => look], 1..40)
}

async fn follows_the_model(engine: &dyn Engine, steps: &[Step]) {
    let mut model = Model::default();
    let mut past = vec![(engine.view().await.unwrap(), model.clone())];
    for step in steps {
        match step {
            Step::Commit { reads, lists, writes, stale } => {
                let known = |key: &&str| Check::Unchanged {
                    key: (*key).to_owned(),
                    revision: model.records.get(*key).map(|stored| stored.revision + u64::from(*stale)),
                };
                let listed = |prefix: &&str| Check::Children {
                    prefix: (*prefix).to_owned(),
                    after: None,
                    limit: 3,
                    seen: model.children(prefix, None, 3 - usize::from(*stale)),
                };
                let checks = reads.iter().map(known).chain(lists.iter().map(listed)).collect();
                let writes = writes.iter().map(|(key, bytes)| write(key, bytes.as_deref())).collect();
                let batch = batch(checks, writes);
                assert_eq!(engine.commit(batch.clone()).await.unwrap(), model.commit(&batch), "{batch:?}");
                past.push((engine.view().await.unwrap(), model.clone()));
            }
            Step::Look { prefix, after, limit } => {
                let view = engine.view().await.unwrap();
                let found = view.children(prefix, *after, *limit).await.unwrap();
                assert_eq!(found, model.children(prefix, *after, *limit), "{step:?}");
            }
        }
    }
    // Old views show what they showed.
    for (view, model) in past {
        let all: Vec<_> = model.records.into_iter().collect();
        assert_eq!(view.revision(), model.revision);
        assert_eq!(view.scan(None, usize::MAX).await.unwrap(), all);
        for key in KEYS {
            let expected = all.iter().find(|(found, _)| found == key).map(|(_, stored)| stored.clone());
            assert_eq!(view.get(key).await.unwrap(), expected);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_engine_does_what_the_model_does(steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for engine in engines(&folder) {
            runtime.block_on(follows_the_model(&*engine, &steps));
        }
    }
}

/// Holds the committer at its first group, so that what comes meanwhile has to wait.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    changed: std::sync::Condvar,
    waiting: AtomicUsize,
}

impl Observer for Gate {
    fn before(&self, _keys: &[&str]) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let open = self.open.lock().unwrap();
        drop(self.changed.wait_while(open, |open| !*open).unwrap());
    }
    fn after(&self, _keys: &[&str], _committed: bool) {}
    fn forget(&self) {}
}

#[tokio::test]
async fn batches_that_wait_share_one_sync_and_are_judged_in_order() {
    let folder = tempfile::tempdir().unwrap();
    for engine in engines(&folder) {
        let gate = Arc::new(Gate::default());
        engine.observe(gate.clone());
        let mut answers = Vec::new();
        for n in 0..101 {
            let engine = Arc::clone(&engine);
            // From the second on: only the first to write `x` may.
            let check = Check::Unchanged { key: "x".to_owned(), revision: None };
            let checks = if n % 50 == 1 { vec![check] } else { vec![] };
            let key = if n % 50 == 1 { "x".to_owned() } else { format!("k/{n}") };
            let batch = batch(checks, vec![write(&key, Some(b"v"))]);
            let commit = async move { engine.commit(batch).await.unwrap() };
            let mut answer = Box::pin(tokio::task::unconstrained(commit));
            // There is room in the queue: one poll hands it over, unless the task's budget is spent.
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(answer.as_mut().poll(&mut context).is_pending());
            answers.push(answer);
            while n == 0 && gate.waiting.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
        }
        *gate.open.lock().unwrap() = true;
        gate.changed.notify_all();
        let mut outcomes = Vec::new();
        for answer in answers {
            outcomes.push(answer.await);
        }
        let conflicts = outcomes.iter().filter(|outcome| **outcome == Outcome::Conflict).count();
        assert_eq!((outcomes[1], outcomes[51], conflicts), (Outcome::Committed(2), Outcome::Conflict, 1));
        assert_eq!(engine.view().await.unwrap().revision(), 100);
        let tally = engine.tally();
        assert_eq!((tally.commits, tally.groups, tally.conflicts), (100, 2, 1), "{}", engine.kind());
    }
}

#[tokio::test]
async fn a_batch_of_checks_alone_answers_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for engine in engines(&folder) {
        engine.commit(batch(vec![], vec![write("k", Some(b"v"))])).await.unwrap();
        let check = |revision| Check::Unchanged { key: "k".to_owned(), revision };
        assert_eq!(engine.commit(batch(vec![check(Some(1))], vec![])).await.unwrap(), Outcome::Committed(1));
        assert_eq!(engine.commit(batch(vec![check(None)], vec![])).await.unwrap(), Outcome::Conflict);
        assert_eq!((engine.tally().groups, engine.view().await.unwrap().revision()), (1, 1));
    }
}

#[tokio::test]
async fn a_batch_over_a_bound_or_malformed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for engine in engines(&folder) {
        let refused = |writes| engine.commit(batch(vec![], writes));
        let long = "k".repeat(engine::MAX_KEY_BYTES + 1);
        let large = vec![0; engine::MAX_VALUE_BYTES + 1];
        let over = |result, name| matches!(result, Err(EngineError::OverBound { what, .. }) if what == name);
        assert!(over(refused(vec![write(&long, None)]).await, "key"));
        assert!(over(refused(vec![write("k", Some(&large))]).await, "value"));
        let most = &large[1..];
        assert!(over(refused(["a", "b", "c"].map(|key| write(key, Some(most))).to_vec()).await, "batch"));
        let twice = refused(vec![write("k", None), write("k", Some(b"v"))]).await;
        assert!(matches!(twice, Err(EngineError::Malformed("two writes of one key"))));
        assert!(matches!(refused(vec![write("", None)]).await, Err(EngineError::Malformed("an empty key"))));
        assert_eq!(engine.view().await.unwrap().revision(), 0);
    }
}

/// Looks at the engine from within the calls.
struct Witness {
    engine: std::sync::Weak<dyn Engine>,
    runtime: tokio::runtime::Handle,
    saw: Mutex<Vec<(String, u64)>>,
}

impl Witness {
    fn note(&self, what: &str, keys: &[&str]) {
        let revision = self.runtime.block_on(self.engine.upgrade().unwrap().view()).unwrap().revision();
        self.saw.lock().unwrap().push((format!("{what} {}", keys.join(",")), revision));
    }
}

impl Observer for Witness {
    fn before(&self, keys: &[&str]) {
        self.note("before", keys);
    }
    fn after(&self, keys: &[&str], committed: bool) {
        self.note(if committed { "after" } else { "lost" }, keys);
    }
    fn forget(&self) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn observers_hear_before_a_commit_is_visible_and_after_it_is() {
    let folder = tempfile::tempdir().unwrap();
    for engine in engines(&folder) {
        let runtime = tokio::runtime::Handle::current();
        let saw = Mutex::default();
        let witness = Arc::new(Witness { engine: Arc::downgrade(&engine), runtime, saw });
        engine.observe(witness.clone());
        engine.commit(batch(vec![], vec![write("a", Some(b"1")), write("b", None)])).await.unwrap();
        let check = Check::Unchanged { key: "a".to_owned(), revision: None };
        engine.commit(batch(vec![check], vec![write("a", None)])).await.unwrap();
        let saw = witness.saw.lock().unwrap().clone();
        assert_eq!(saw, [("before a,b".to_owned(), 0), ("after a,b".to_owned(), 1)]);
    }
}

#[tokio::test]
async fn a_reopened_file_has_everything_and_its_old_changes_are_compacted() {
    let folder = tempfile::tempdir().unwrap();
    let config = redb(folder.path().join("store.redb"));
    let engine = engine::open(&config).unwrap();
    for n in 1..=5u8 {
        engine.commit(batch(vec![], vec![write(&format!("k/{n}"), Some(&[n]))])).await.unwrap();
    }
    let all = engine.view().await.unwrap().scan(None, 99).await.unwrap();
    drop(engine);
    let engine = engine::open(&config).unwrap();
    let view = engine.view().await.unwrap();
    assert_eq!((view.revision(), view.scan(None, 99).await.unwrap()), (5, all));
    assert_eq!(view.scan(Some("k/2"), 2).await.unwrap().len(), 2);
    assert_eq!(engine.watch(4).await.err(), Some(WatchEnd::Compacted(5)));
    let mut watch = engine.watch(5).await.unwrap();
    engine.commit(batch(vec![], vec![write("k/1", None)])).await.unwrap();
    let change = watch.next().await.unwrap();
    assert!(change.revision == 6 && change.deleted && change.key == "k/1");
    drop((engine, view));
    assert_eq!(watch.next().await, Err(WatchEnd::Closed));
}

#[tokio::test]
async fn a_batch_that_was_handed_over_is_applied_though_nobody_waits() {
    let folder = tempfile::tempdir().unwrap();
    let config = redb(folder.path().join("store.redb"));
    let engine = engine::open(&config).unwrap();
    {
        let mut commit = engine.commit(batch(vec![], vec![write("k", Some(b"v"))]));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(commit.as_mut().poll(&mut context).is_pending());
    }
    drop(engine);
    let view = engine::open(&config).unwrap().view().await.unwrap();
    assert_eq!(view.revision(), 1);
}
