//! While a plugin misbehaves, sixty-four clients of `kv` read and write; every request of theirs
//! succeeds, and none is answered later than a bound that only a hang would reach.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::json;
use warder_testkit::{Http, Result, Suite};

use crate::{
    deed::DEEDS,
    stage::{Door, Stage, check},
};

const NEIGHBOURS: u64 = 64;
/// Of these at once, so that more calls misbehave than the machine has processors.
const OFFENDERS: usize = 8;
/// Far above what a busy machine takes for one request.
const HANG: Duration = Duration::from_secs(30);

#[test]
fn neighbours_are_served_while_every_deed_is_done() -> Result {
    let suite = Suite::new("hostile", "neighbours::neighbours_are_served_while_every_deed_is_done", 1);
    let stage = Stage::set()?;
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let neighbours: Vec<_> = (0..NEIGHBOURS).map(|n| neighbour(stage.warder.http(), n, &stop, &served)).collect();
    for _ in 0..suite.pick(1, 20) {
        for (n, deeds) in DEEDS.chunks(OFFENDERS).enumerate() {
            let before = served.load(Ordering::SeqCst);
            misbehave(&stage, n, deeds)?;
            assert!(served.load(Ordering::SeqCst) > before, "nobody was served beside {deeds:?}");
        }
    }
    stop.store(true, Ordering::SeqCst);
    for neighbour in neighbours {
        let slowest = neighbour.join().expect("a neighbour was refused")?;
        assert!(slowest < HANG, "a neighbour waited {slowest:?}");
    }
    stage.serves()
}

/// All of them at once.
fn misbehave(stage: &Stage, n: usize, deeds: &[crate::deed::Deed]) -> Result {
    let door = if n.is_multiple_of(2) { Door::Native } else { Door::Vault };
    let calls: Vec<_> = deeds
        .iter()
        .map(|deed| {
            let (http, deed) = (stage.warder.http(), *deed);
            thread::spawn(move || door.ask(&http, &deed).and_then(|reply| check(door, &deed, &reply)))
        })
        .collect();
    calls.into_iter().try_for_each(|call| call.join().expect("a deed was not contained"))
}

/// Writes a secret and reads it back until told to stop; the longest wait.
fn neighbour(http: Http, n: u64, stop: &Arc<AtomicBool>, served: &Arc<AtomicU64>) -> JoinHandle<Result<Duration>> {
    let (stop, served) = (stop.clone(), served.clone());
    thread::spawn(move || {
        let target = format!("/api/v1/secrets/next/door/{n}");
        let mut slowest = Duration::ZERO;
        let mut round = 0u64;
        while !stop.load(Ordering::SeqCst) {
            let started = Instant::now();
            let body = json!({"n": n, "round": round});
            let written = http.put(&target).json(&body).send()?;
            assert!(matches!(written.status, 200 | 201), "{} {}", written.status, written.text());
            let read = http.get(&target).send()?.expect_status(200)?;
            assert_eq!(read.json()?["data"], body);
            slowest = slowest.max(started.elapsed() / 2);
            served.fetch_add(1, Ordering::SeqCst);
            round += 1;
        }
        Ok(slowest)
    })
}
