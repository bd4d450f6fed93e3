//! A disk that freezes: whatever a power cut leaves of a recorded workload, at every sync and
//! between any two, opens to a state that a prefix of its commits explains, and the prefix holds
//! every commit that was acknowledged by then.
//!
//! What had been synced is there. Of what was written since, any part may be there: sectors are
//! written whole and in any order, and the length of the file may be old or new (this is what
//! redb's commits are made for).
//!
//! `WARDER_TEST_SEED=n` records another workload; `WARDER_TEST_LONG=1` records a hundred.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use tokio::task::JoinSet;
use warder_core::port::storage::{Check, Outcome, Revision};

use super::{
    super::{
        super::{Engine, RawBatch, RawWrite, Stored, View},
        file::examine,
    },
    disk::{Disk, Done},
};

/// What a disk writes whole.
const SECTOR: usize = 512;
/// Power cuts between two syncs.
const CUTS: usize = 5;

/// Steele, Lea and Flood's `SplitMix64`.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn batch(&mut self) -> RawBatch {
        let mut writes = BTreeMap::new();
        for _ in 0..=self.below(3) {
            let size = [20, 300, 3_000, 30_000][usize::try_from(self.below(9).min(3)).unwrap()];
            let byte = u8::try_from(self.below(256)).unwrap();
            let bytes = (self.below(4) > 0).then(|| vec![byte; usize::try_from(self.below(size)).unwrap()]);
            writes.insert(format!("k/{}", self.below(24)), bytes);
        }
        let check = |key: String| Check::Unchanged { key, revision: None };
        let checks = if self.below(6) == 0 { vec![check(format!("k/{}", self.below(24)))] } else { vec![] };
        RawBatch {
            checks,
            writes: writes.into_iter().map(|(key, bytes)| RawWrite { key, bytes }).collect(),
            ..RawBatch::default()
        }
    }
}

/// A commit that was acknowledged, and how many syncs there had been by then.
#[derive(Clone, Debug)]
struct Commit {
    writes: Vec<RawWrite>,
    handed_over: usize,
    acknowledged: usize,
}

/// A workload, what was done to its disk, and the state after each of its commits.
struct Recorded {
    formatted: Vec<u8>,
    log: Vec<Done>,
    /// By revision, from 1 on.
    commits: BTreeMap<Revision, Commit>,
    states: Vec<BTreeMap<String, Stored>>,
}

impl Recorded {
    /// Groups of one and of several batches, conflicts, deletes, small and large values, and the
    /// store closed and opened again.
    async fn of(random: &mut Random) -> Self {
        let disk = Disk::formatted();
        let formatted = disk.state().bytes.clone();
        disk.state().log.clear();
        disk.state().syncs = 0;
        let mut commits = BTreeMap::new();
        for _ in 0..3 {
            let engine = Arc::new(disk.engine());
            for _ in 0..12 {
                let mut answers = JoinSet::new();
                for _ in 0..=random.below(4) {
                    let (engine, disk, batch) = (engine.clone(), disk.clone(), random.batch());
                    answers.spawn(async move {
                        let (writes, handed_over) = (batch.writes.clone(), disk.state().syncs);
                        let outcome = engine.commit(batch).await.unwrap();
                        (outcome, Commit { writes, handed_over, acknowledged: disk.state().syncs })
                    });
                }
                while let Some(answer) = answers.join_next().await {
                    if let (Outcome::Committed(revision), commit) = answer.unwrap() {
                        assert!(commits.insert(revision, commit).is_none(), "two commits of revision {revision}");
                    }
                }
            }
        }
        let states = states(&commits);
        let log = disk.state().log.clone();
        Self { formatted, log, commits, states }
    }

    /// Opens the image as a file is opened, and holds it against the commits.
    async fn explains(&self, image: &[u8], syncs: usize, story: &str) {
        let disk = Disk::of(image.to_vec());
        examine(Path::new("disk"), disk.clone()).unwrap_or_else(|why| panic!("{story}: {why:?}"));
        assert!(disk.state().bytes == image, "{story}: looking at it changed it");
        let engine = disk.engine();
        let view = engine.view().await.unwrap();
        let found = self.explained(&*view, syncs, story).await;
        let write = RawWrite { key: "after".to_owned(), bytes: Some(b"it".to_vec()) };
        let outcome =
            engine.commit(RawBatch { checks: vec![], writes: vec![write], ..RawBatch::default() }).await.unwrap();
        assert_eq!(outcome, Outcome::Committed(found + 1), "{story}");
    }

    /// Recovers from the image, with a power cut between any two syncs of the recovery.
    async fn recovers(&self, mut image: Vec<u8>, syncs: usize, random: &mut Random) {
        let disk = Disk::of(image.clone());
        drop(disk.engine());
        let log = disk.state().log.clone();
        for part in log.split_inclusive(|done| matches!(done, Done::Synced)) {
            let mut torn = image.clone();
            part.iter().for_each(|done| tear(&mut torn, done, random));
            self.explains(&torn, syncs, &format!("{syncs} syncs, then a recovery")).await;
            part.iter().for_each(|done| apply(&mut image, done));
        }
        self.explains(&image, syncs, &format!("{syncs} syncs, then recovered")).await;
    }

    /// The prefix of commits that a view shows.
    async fn explained(&self, view: &dyn View, syncs: usize, story: &str) -> Revision {
        let found = view.revision();
        let owed = self.commits.iter().filter(|(_, commit)| commit.acknowledged <= syncs).map(|(at, _)| *at).max();
        let most = self.commits.iter().filter(|(_, commit)| commit.handed_over <= syncs).map(|(at, _)| *at).max();
        let (owed, most) = (owed.unwrap_or(0), most.unwrap_or(0));
        assert!((owed..=most).contains(&found), "{story}: revision {found}, {owed} acknowledged, {most} handed over");
        let seen: BTreeMap<_, _> = view.scan(None, usize::MAX).await.unwrap().into_iter().collect();
        assert!(seen == self.states[usize::try_from(found).unwrap()], "{story}: revision {found} is not whole");
        found
    }
}

/// The state after each prefix of the commits.
fn states(commits: &BTreeMap<Revision, Commit>) -> Vec<BTreeMap<String, Stored>> {
    let mut states = vec![BTreeMap::new()];
    for (at, (revision, commit)) in commits.iter().enumerate() {
        assert_eq!(*revision, at as u64 + 1, "a revision is missing");
        let mut state = states[at].clone();
        for RawWrite { key, bytes } in &commit.writes {
            match bytes.clone() {
                Some(bytes) => _ = state.insert(key.clone(), Stored { bytes, revision: *revision }),
                None => _ = state.remove(key),
            }
        }
        states.push(state);
    }
    states
}

/// All of it reaches the disk.
fn apply(image: &mut Vec<u8>, done: &Done) {
    match done {
        Done::Resized(len) => image.resize(*len, 0),
        Done::Synced => {}
        Done::Written { at, bytes } => image[*at..at + bytes.len()].copy_from_slice(bytes),
    }
}

/// A part of it reaches the disk: what lies beyond the end of the file does not.
fn tear(image: &mut Vec<u8>, done: &Done, random: &mut Random) {
    let whole = random.below(3);
    match done {
        Done::Resized(len) if whole > 0 => image.resize(*len, 0),
        Done::Written { at, bytes } if whole > 0 => {
            let mut from = 0;
            while from < bytes.len() {
                // Up to the next border between sectors of the disk.
                let to = bytes.len().min(from + SECTOR - (at + from) % SECTOR);
                let kept = whole == 1 || random.below(2) == 0;
                if let Some(place) = image.get_mut(at + from..at + to).filter(|_| kept) {
                    place.copy_from_slice(&bytes[from..to]);
                }
                from = to;
            }
        }
        _ => {}
    }
}

#[tokio::test]
async fn whatever_a_power_cut_leaves_is_explained_by_a_prefix_of_the_commits() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seed = number("WARDER_TEST_SEED").unwrap_or(7);
    let runs = if number("WARDER_TEST_LONG").unwrap_or(0) > 0 { 100 } else { 1 };
    for seed in seed..seed + runs {
        let mut random = Random(seed);
        let recorded = Recorded::of(&mut random).await;
        assert!(recorded.commits.len() > 50, "{} commits", recorded.commits.len());
        let mut durable = recorded.formatted.clone();
        let parts = recorded.log.split_inclusive(|done| matches!(done, Done::Synced));
        for (syncs, part) in parts.enumerate() {
            let story = |cut| format!("WARDER_TEST_SEED={seed}: {syncs} syncs, cut {cut}");
            recorded.explains(&durable, syncs, &story("at the sync".to_owned())).await;
            for cut in 0..CUTS {
                let mut image = durable.clone();
                // In order up to some point, as a killed process leaves it; or in any order.
                let ordered = if cut == 0 { random.below(part.len() as u64 + 1) } else { 0 };
                let (first, rest) = part.split_at(usize::try_from(ordered).unwrap());
                first.iter().for_each(|done| apply(&mut image, done));
                rest.iter()
                    .take(if cut == 0 { 1 } else { rest.len() })
                    .for_each(|done| tear(&mut image, done, &mut random));
                recorded.explains(&image, syncs, &story(cut.to_string())).await;
            }
            part.iter().for_each(|done| apply(&mut durable, done));
        }
        recorded.explains(&durable, usize::MAX, "at the end").await;
    }
}

/// The power may fail again while a store recovers from a power cut.
#[tokio::test]
async fn a_power_cut_while_recovering_from_one_loses_nothing() {
    let mut random = Random(7);
    let recorded = Recorded::of(&mut random).await;
    let mut durable = recorded.formatted.clone();
    let parts = recorded.log.split_inclusive(|done| matches!(done, Done::Synced));
    for (syncs, part) in parts.enumerate() {
        if syncs % 7 == 0 {
            let mut image = durable.clone();
            part.iter().for_each(|done| tear(&mut image, done, &mut random));
            recorded.recovers(image, syncs, &mut random).await;
        }
        part.iter().for_each(|done| apply(&mut durable, done));
    }
}
