//! Every target over its whole corpus and over seeded mutations of it: a little of what
//! `broker/fuzz/coverage` does for hours.

#![expect(clippy::expect_used, reason = "a corpus that cannot be read ends its test")]

use std::{collections::BTreeSet, fs, path::PathBuf};

use warder_fuzz::{TARGETS, mutate};
use warder_testkit::Suite;

/// Longest mutated input, bytes.
const LONGEST: usize = 8192;
/// All that may be checked in of one target's corpus, and of all of them.
const FILES: usize = 600;
const BYTES: usize = 1 << 20;

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            holds(stringify!($name));
        })*

        const TESTED: &[&str] = &[$(stringify!($name)),*];
    };
}

targets! { answer audit barrier component edge fields grpc http json manifest path policy records shamir snapshot }

fn holds(name: &'static str) {
    let suite = Suite::of("warder-fuzz", "corpus", name, 0x5eed);
    let run = warder_fuzz::target(name).expect("a target of this name");
    let corpus = corpus(name);
    assert!(!corpus.is_empty(), "corpus/{name} is empty");
    for input in &corpus {
        shown(input, run);
    }
    let mut random = suite.random();
    let mut next = |bound: usize| usize::try_from(random.below(bound as u64)).unwrap_or_default();
    for _ in 0..suite.pick(4_000, 1_000_000) {
        shown(&mutate::mutated(&corpus, LONGEST, &mut next), run);
    }
}

/// Runs it; when that panics, says with what.
fn shown(input: &[u8], run: warder_fuzz::Target) {
    struct Shown<'a>(&'a [u8]);
    impl Drop for Shown<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("the input: b\"{}\"", self.0.escape_ascii());
            }
        }
    }
    let _shown = Shown(input);
    run(input);
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus"))
}

/// The inputs of a target, in one order on every machine.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder().join(name)).expect("a corpus").map(|entry| entry.expect("a file").path()).collect();
    files.sort_unstable();
    files.iter().map(|file| fs::read(file).expect("an input")).collect()
}

#[test]
fn every_target_has_its_test_and_its_corpus() {
    let names: BTreeSet<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, TESTED.iter().copied().collect());
    let folders = fs::read_dir(folder()).expect("the corpora").map(|entry| entry.expect("a folder").file_name());
    let folders: BTreeSet<String> = folders.map(|name| name.to_string_lossy().into_owned()).collect();
    assert_eq!(folders, names.iter().map(|name| (*name).to_owned()).collect());
}

#[test]
fn corpora_stay_small() {
    let corpora: Vec<Vec<Vec<u8>>> = TARGETS.iter().map(|(name, _)| corpus(name)).collect();
    for ((name, _), corpus) in TARGETS.iter().zip(&corpora) {
        assert!(corpus.len() <= FILES, "corpus/{name} has {} files: minimize it", corpus.len());
    }
    let bytes: usize = corpora.iter().flatten().map(Vec::len).sum();
    assert!(bytes <= BYTES, "the corpora have {bytes} bytes: minimize them");
}
