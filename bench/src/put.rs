//! `put`: durable writes at 1 and at 256 in flight, through the real binary and straight into
//! the storage engine, each on its own file of the same disk.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;
use warder_core::port::storage::Outcome;
use warder_store::{
    EngineConfig,
    engine::{self, Engine, RawBatch, RawWrite},
};
use warder_testkit::{Failure, Result, temp_dir};

use crate::load::{Figures, Load, request};

const IN_FLIGHT: [usize; 2] = [1, 256];
const ROUND: Duration = Duration::from_secs(5);
/// As large as a small secret's record behind the barrier.
const RECORD: usize = 500;

/// Measures and prints.
pub(crate) async fn run() -> Result {
    let directory = temp_dir()?;
    let warder = crate::warder(&directory.path().join("data"))?;
    println!("Durable PUT of a {RECORD}-byte secret, {} s each\n", ROUND.as_secs());
    println!("| | in flight | writes/s | p50 | p99 | syncs/s |\n|---|---|---|---|---|---|");
    for in_flight in IN_FLIGHT {
        let (writes, syncs) = engine_writes(&directory.path().join(format!("{in_flight}.redb")), in_flight).await?;
        row("bare engine, one 500-byte key a batch", in_flight, writes, &format!("{syncs:.0}"));
    }
    let body = format!("{{\"value\":\"{}\"}}", "x".repeat(RECORD));
    for in_flight in IN_FLIGHT {
        let targets = (0..in_flight).map(|number| format!("/api/v1/secrets/bench/{in_flight}/{number}"));
        let requests = targets.map(|target| request("PUT", &target, "root", &body)).collect();
        let load = Load { address: warder.address(), requests, lasting: ROUND, pace: None };
        row("warder, whole request", in_flight, load.run().await?, "");
    }
    Ok(())
}

fn row(name: &str, in_flight: usize, writes: Figures, syncs: &str) {
    println!("| {name} | {in_flight} | {:.0} | {:.2?} | {:.2?} | {syncs} |", writes.per_second, writes.p50, writes.p99);
}

/// Writes of one key each, every writer on a key of its own; and groups synced a second.
async fn engine_writes(file: &Path, in_flight: usize) -> Result<(Figures, f64)> {
    let engine = engine::open(&EngineConfig::Redb { path: file.to_owned() }).map_err(|why| why.to_string())?;
    let start = Instant::now();
    let mut writers = JoinSet::new();
    for writer in 0..in_flight {
        writers.spawn(write(Arc::clone(&engine), format!("bench/{writer}"), start));
    }
    let mut took = Vec::new();
    while let Some(done) = writers.join_next().await {
        took.extend(done.map_err(|why| why.to_string())??);
    }
    let elapsed = start.elapsed();
    Ok((Figures::of(took, elapsed), engine.tally().groups as f64 / elapsed.as_secs_f64()))
}

async fn write(engine: Arc<dyn Engine>, key: String, start: Instant) -> Result<Vec<Duration>> {
    let mut took = Vec::new();
    while start.elapsed() < ROUND {
        let write = RawWrite { key: key.clone(), bytes: Some(vec![7; RECORD]) };
        let begun = Instant::now();
        let done = engine.commit(RawBatch { checks: Vec::new(), writes: vec![write] }).await;
        match done.map_err(|why| why.to_string())? {
            Outcome::Committed(_) => took.push(begun.elapsed()),
            Outcome::Conflict => return Err(Failure::from("a batch without checks met a conflict")),
        }
    }
    Ok(took)
}
