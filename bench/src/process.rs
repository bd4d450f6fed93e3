//! `start` and `rss`: the binary as a process.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use warder_testkit::{Result, Warder, temp_dir};

use crate::{
    load::{Exchange, Lane, Load, Until, read, write},
    machine, server,
    wire::Peer,
};

const STARTS: usize = 15;
const SECRETS: usize = 100_000;
const CONNECTIONS: usize = 256;

/// From `exec` to the first 200 of `/health`.
pub(crate) fn start() -> Result {
    println!("Start to ready (`/health` answers 200), {STARTS} starts each; the aim is 300 ms:\n");
    println!("| | median | slowest |\n|---|---|---|");
    let directory = temp_dir()?;
    let data = directory.path().join("data");
    server::dev(&data)?.stop()?;
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

fn ready(data: Option<&Path>) -> Result<Duration> {
    let begun = Instant::now();
    let dev = Warder::dev();
    let warder = data.map_or_else(|| dev.clone(), |data| dev.clone().data_dir(data)).start()?;
    warder.stranger().get("/health").send()?.expect_status(200)?;
    Ok(begun.elapsed())
}

/// Resident memory: idle, and with many secrets.
pub(crate) async fn resident() -> Result {
    let directory = temp_dir()?;
    let data = directory.path().join("data");
    let warder = server::dev(&data)?;
    warder.stranger().get("/health").send()?.expect_status(200)?;
    println!("Resident memory (VmRSS) of `warder dev --data-dir`; idle the aim is 60 MiB:\n");
    println!("| | resident | took |\n|---|---|---|");
    memory("idle after the start", &warder, None)?;
    let body = server::secret().to_string();
    let took = every(&warder, |target| write(target, "root", &body)).await?;
    memory(&format!("after {SECRETS} secrets were written, {CONNECTIONS} at a time"), &warder, Some(took))?;
    let took = every(&warder, |target| read(target, "root", b"secure123")).await?;
    memory("after each was read once (the cache is full)", &warder, Some(took))?;
    warder.stop()?;
    let begun = Instant::now();
    let warder = server::dev(&data)?;
    memory("idle after a restart with them", &warder, Some(begun.elapsed()))
}

/// Sends one request for every secret.
async fn every(warder: &Warder, exchange: impl Fn(&str) -> Exchange) -> Result<Duration> {
    let one = |number| exchange(&format!("/api/v1/secrets/rss/{}/{number}", number % 1000));
    let lane = |first| (first..SECRETS).step_by(CONNECTIONS).map(one).collect::<Lane>();
    let load = Load { peer: Peer::plain(warder.address()), lanes: (0..CONNECTIONS).map(lane).collect() };
    let begun = Instant::now();
    let figures = load.run(Until::Sent).await?;
    if figures.requests == SECRETS { Ok(begun.elapsed()) } else { Err("not every secret was asked for".into()) }
}

fn memory(name: &str, warder: &Warder, took: Option<Duration>) -> Result {
    let took = took.map_or_else(String::new, |took| format!("{:.1} s", took.as_secs_f64()));
    println!("| {name} | {:.1} MiB | {took} |", machine::resident(warder.process().pid())?);
    Ok(())
}
