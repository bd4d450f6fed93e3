//! `start` and `rss`: the binary as a process.

use std::time::{Duration, Instant};

use serde_json::json;
use warder_testkit::{Result, Warder, temp_dir};

use crate::machine;

const STARTS: usize = 15;

/// From `exec` to the first 200 of `/health`.
pub(crate) fn start() -> Result {
    println!("Start to ready (`/health` answers 200), {STARTS} starts each\n");
    println!("| | median | slowest |\n|---|---|---|");
    let directory = temp_dir()?;
    let data = directory.path().join("data");
    crate::warder(&data)?.stop()?;
    row("warder dev, in memory", || ready(None))?;
    row("warder dev, existing data directory", || ready(Some(&data)))
}

fn row(name: &str, start: impl Fn() -> Result<Duration>) -> Result {
    let mut took = (0..STARTS).map(|_| start()).collect::<Result<Vec<_>>>()?;
    took.sort_unstable();
    let at = |index: usize| took.get(index).copied().unwrap_or_default();
    println!("| {name} | {:.0?} | {:.0?} |", at(STARTS / 2), at(STARTS - 1));
    Ok(())
}

fn ready(data: Option<&std::path::Path>) -> Result<Duration> {
    let begun = Instant::now();
    let dev = Warder::dev();
    let warder = data.map_or_else(|| dev.clone(), |data| dev.clone().data_dir(data)).start()?;
    warder.stranger().get("/health").send()?.expect_status(200)?;
    Ok(begun.elapsed())
}

/// Resident memory after the start, and after some work.
pub(crate) fn resident() -> Result {
    let directory = temp_dir()?;
    let warder = crate::warder(&directory.path().join("data"))?;
    let http = warder.http();
    http.get("/health").send()?.expect_status(200)?;
    let idle = machine::resident(warder.process().pid())?;
    for number in 0..1_000 {
        let target = format!("/api/v1/secrets/rss/{number}");
        http.put(&target).json(&json!({"username": "admin", "password": "secure123"})).send()?.expect_status(201)?;
        http.get(&target).send()?.expect_status(200)?;
    }
    let worked = machine::resident(warder.process().pid())?;
    println!("Resident memory (VmRSS) of `warder dev --data-dir`\n");
    println!("| after start | after 1,000 writes and reads |\n|---|---|");
    println!("| {:.1} MiB | {:.1} MiB |", idle as f64 / 1024.0, worked as f64 / 1024.0);
    Ok(())
}
