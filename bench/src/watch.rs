//! `watch`: from the acknowledged write to the last byte of its event at each of 10,000 watchers,
//! each over a connection of its own.

use std::{
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::{JoinSet, block_in_place},
    time::timeout,
};
use warder_testkit::{Failure, Result, temp_dir};

use crate::{machine, rounds::shown, server};

const WATCHERS: [usize; 3] = [100, 1_000, 10_000];
const WRITES: usize = 20;
/// Between two writes, so that one is told before the next.
const PAUSE: Duration = Duration::from_millis(500);
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Files that this process and the server may open each.
const FILES: usize = 12_000;
/// Ends the last chunk of an event.
const END: &[u8] = b"}\n\n\r\n";

/// Measures and prints.
pub(crate) async fn run() -> Result {
    raise()?;
    println!(
        "From the acknowledged PUT to the last byte of the event, at every watcher of the secret (Server-Sent \
         Events, a connection each, one token), {WRITES} writes; the aim is p99 under 50 ms at 10,000:\n"
    );
    println!("| watchers | opened in | p50 | p99 | slowest | server CPU an event | server's memory |");
    println!("|---|---|---|---|---|---|---|");
    for count in WATCHERS {
        measured(count).await?;
    }
    Ok(())
}

/// Every watcher needs a file here and one in the server, which inherits the limit.
fn raise() -> Result {
    let (own, files) = (std::process::id().to_string(), format!("--nofile={FILES}:{FILES}"));
    let done = Command::new("prlimit").args(["--pid", &own, &files]).output();
    let done = done.map_err(|why| Failure::new("prlimit (of util-linux)", why))?;
    if done.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&done.stderr).into_owned();
    Err(format!("{FILES} files are needed: raise the hard limit (ulimit -Hn) first: {why}").into())
}

async fn measured(count: usize) -> Result {
    let directory = temp_dir()?;
    let (warder, root) =
        block_in_place(|| server::serve_with(directory.path(), "effects", &["limits.connections=12000"]))?;
    let token = block_in_place(|| server::token(&root))?;
    let request: Arc<str> =
        format!("GET /api/v1/watch?prefix=bench HTTP/1.1\r\nHost: w\r\nAuthorization: Bearer {token}\r\n\r\n").into();
    let (seen, mut arrivals) = unbounded_channel();
    let (ready, mut begun) = unbounded_channel();
    let opened = Instant::now();
    let mut watchers = JoinSet::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(warder.address()).await?;
        stream.write_all(request.as_bytes()).await?;
        watchers.spawn(watcher(stream, ready.clone(), seen.clone()));
    }
    collect(&mut begun, count).await?;
    let opened = opened.elapsed();
    let before = machine::cpu_time(warder.process().pid())?;
    let mut latencies = Vec::with_capacity(count * WRITES);
    for _ in 0..WRITES {
        let put = root.put("/api/v1/secrets/bench/watched").json(&server::secret());
        let status = block_in_place(|| put.send())?.status;
        let acknowledged = Instant::now();
        if status >= 300 {
            return Err(format!("a write was answered with {status}").into());
        }
        let seen = collect(&mut arrivals, count).await?;
        latencies.extend(seen.into_iter().map(|at| at.saturating_duration_since(acknowledged)));
        tokio::time::sleep(PAUSE).await;
    }
    let used = machine::cpu_time(warder.process().pid())?.saturating_sub(before);
    latencies.sort_unstable();
    let at =
        |percent: usize| latencies.get(latencies.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default();
    let memory = std::fs::read_to_string(format!("/proc/{}/status", warder.process().pid()))?;
    let memory = memory.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default().trim().to_owned();
    println!(
        "| {count} | {} | {} | {} | {} | {:.1} us | {memory} |",
        shown(opened),
        shown(at(50)),
        shown(at(99)),
        shown(at(100)),
        used.as_secs_f64() * 1e6 / latencies.len() as f64,
    );
    watchers.abort_all();
    Ok(())
}

/// One moment of each watcher.
async fn collect(moments: &mut UnboundedReceiver<Instant>, count: usize) -> Result<Vec<Instant>> {
    let all = async {
        let mut seen = Vec::with_capacity(count);
        while seen.len() < count {
            seen.push(moments.recv().await.ok_or("a watcher has ended")?);
        }
        Ok(seen)
    };
    timeout(PATIENCE, all).await.map_err(|_| "not every watcher was told in time")?
}

/// Says when it is ready, and when each change has come.
async fn watcher(mut stream: TcpStream, ready: UnboundedSender<Instant>, seen: UnboundedSender<Instant>) {
    let (mut text, mut told) = (Vec::with_capacity(512), &ready);
    while let Ok(1..) = stream.read_buf(&mut text).await {
        while let Some(at) = text.windows(END.len()).position(|bytes| bytes == END) {
            // Heartbeats have no data, so that what ends thus is `ready` or a change.
            if told.send(Instant::now()).is_err() {
                return;
            }
            told = &seen;
            text.drain(..at + END.len());
        }
    }
}
