//! Misbehaving again and again, more often than there are sandboxes, uses nothing up: slots,
//! memory, the log.

use std::{thread, time::Instant};

use serde_json::json;
use warder_testkit::{Result, Suite};

use crate::{
    deed::{DEEDS, Deed},
    stage::{Door, Stage, check},
};

/// More than the pool has slots in all (512).
const CALLS: usize = 640;
const CLIENTS: usize = 16;
/// What the process may grow by over all repeats; one leaked sandbox per call would be 640 times
/// a megabyte and more.
const GROWTH: u64 = 256 << 20;
/// What one plugin may write to the log: at once, for each second, and in one call.
const BURST: usize = 1_000;
const PER_SECOND: usize = 100;
const LINES_OF_A_CALL: usize = 64;

fn named(path: &str) -> Deed {
    *DEEDS.iter().find(|deed| deed.path == path).expect("a deed of this name")
}

#[test]
fn slots_and_memory_come_back() -> Result {
    let suite = Suite::new("hostile", "repeated::slots_and_memory_come_back", 1);
    let stage = Stage::set()?;
    let quick = ["panic-midway", "forge-gone", "recurse", "bad-pointer", "exists-panic", "handles", "memory"];
    // Once around before measuring: code and pools are warm then.
    repeat(&stage, &quick, CLIENTS * quick.len())?;
    let before = stage.resident()?;
    repeat(&stage, &quick, suite.pick(CALLS, 20_000))?;
    let after = stage.resident()?;
    assert!(after < before + GROWTH, "resident memory went from {before} to {after} bytes");
    stage.serves()
}

#[test]
fn a_flood_of_the_log_is_bounded() -> Result {
    let suite = Suite::new("hostile", "repeated::a_flood_of_the_log_is_bounded", 1);
    let stage = Stage::set()?;
    let calls = suite.pick(400, 4_000);
    let started = Instant::now();
    for n in 0..calls {
        let flood = ["log-flood", "stderr-flood"][n % 2];
        // A write: what a read answers is remembered, and not asked again.
        let reply = stage.http.post(&format!("/v1/bad/do/{flood}")).json(&json!({})).send()?;
        assert!(matches!(reply.status, 200 | 504), "{} {}", reply.status, reply.text());
    }
    let share = BURST + PER_SECOND * (started.elapsed().as_secs() as usize + 1);
    stage.serves()?;
    let log = stage.warder.process().stderr();
    let lines = log.lines().filter(|line| line.contains("plugin log") || line.contains("plugin stderr")).count();
    assert!((LINES_OF_A_CALL..=share).contains(&lines), "{lines} lines of the plugin in the log, its share is {share}");
    if calls * LINES_OF_A_CALL > 2 * share {
        assert!(log.contains("more to the log than its share"), "nothing tells what was dropped");
    }
    assert!(log.lines().all(|line| line.len() < 4096), "a line is longer than its bound");
    Ok(())
}

/// `calls` deeds by many clients at once.
fn repeat(stage: &Stage, paths: &[&str], calls: usize) -> Result {
    let deeds: Vec<Deed> = paths.iter().map(|path| named(path)).collect();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (http, deeds) = (stage.warder.http(), deeds.clone());
            thread::spawn(move || {
                (client..calls).step_by(CLIENTS).try_for_each(|n| {
                    let deed = &deeds[n % deeds.len()];
                    let door = if n % 2 == 0 { Door::Native } else { Door::Vault };
                    door.ask(&http, deed).and_then(|reply| check(door, deed, &reply))
                })
            })
        })
        .collect();
    clients.into_iter().try_for_each(|client| client.join().expect("a deed was not contained"))
}
