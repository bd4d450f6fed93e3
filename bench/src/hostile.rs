//! `hostile`: what `kv`'s clients notice of a plugin that misbehaves beside it: p99 of cached and
//! uncached reads at a fixed rate, alone and beside each kind, in alternating rounds of one run.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use warder_testkit::{Guest, Result, Warder, temp_dir};

use crate::{
    load::{Figures, Load, read, request},
    rounds::shown,
    server,
    wire::Peer,
};

const CONNECTIONS: usize = 16;
/// Reads a second: far below what the server can do, so that waiting is not of their own making.
const PACE: f64 = 500.0;
const ROUND: Duration = Duration::from_secs(3);
/// Connections that misbehave, one deed after the other.
const OFFENDERS: usize = 8;
/// The root token of the testkit's `warder dev`.
const TOKEN: &str = "root";
const TARGET: &str = "/api/v1/secrets/database/postgres";
/// Cached and uncached.
const QUERIES: [&str; 2] = ["", "?refresh=true"];
const KINDS: [&str; 14] = [
    "loop",
    "call-flood",
    "store-flood",
    "log-loop",
    "slow",
    "memory",
    "double",
    "recurse",
    "big-answer",
    "big-writes",
    "write-flood",
    "handles",
    "panic",
    "exists-loop",
];

/// Measures and prints.
pub(crate) fn run() -> Result {
    let directory = temp_dir()?;
    let warder = Warder::dev()
        .data_dir(&directory.path().join("data"))
        .argument("--plugin")
        .argument(Guest::Misbehave.path()?)
        // Its failures are told at `warn`, and this program would read them on the same cores.
        .argument("--log")
        .argument("error")
        .start()?;
    let http = warder.http();
    http.put("/api/v1/mounts/bad").json(&json!({"plugin": "misbehave"})).send()?.expect_status(204)?;
    http.put(TARGET).json(&server::secret()).send()?.expect_status(201)?;
    println!(
        "p99 of reads at {PACE:.0} a second on {CONNECTIONS} connections, alone and beside {OFFENDERS} connections \
         that misbehave without pause, rounds of {} s\n",
        ROUND.as_secs()
    );
    println!("| beside | cached alone | beside | ratio | uncached alone | beside | ratio | deeds/s |");
    println!("|---|---|---|---|---|---|---|---|");
    for kind in KINDS {
        println!("{}", row(warder.address(), kind)?);
    }
    Ok(())
}

fn row(address: SocketAddr, kind: &str) -> Result<String> {
    let (mut line, mut deeds) = (format!("| {kind} |"), 0);
    for query in QUERIES {
        let alone = reads(address, query)?;
        let (beside, done) = beside(address, kind, query)?;
        let ratio = beside.p99.as_secs_f64() / alone.p99.as_secs_f64();
        line += &format!(" {} | {} | {ratio:.1} |", shown(alone.p99), shown(beside.p99));
        deeds += done;
    }
    Ok(format!("{line} {:.0} |", deeds as f64 / (ROUND.as_secs_f64() * QUERIES.len() as f64)))
}

fn reads(address: SocketAddr, query: &str) -> Result<Figures> {
    let exchange = read(&format!("{TARGET}{query}"), TOKEN, b"secure123");
    Ok(Load::same(Peer::plain(address), CONNECTIONS, &exchange).paced(ROUND, PACE)?)
}

/// The reads' figures while the deed is done over and over, and how often it was.
fn beside(address: SocketAddr, kind: &str, query: &str) -> Result<(Figures, usize)> {
    let deed = request("POST", &format!("/v1/bad/do/{kind}"), TOKEN, r#"{"doc":{"password":"hunter2-AAAA"}}"#);
    let until = Instant::now() + ROUND;
    let offenders: Vec<_> = (0..OFFENDERS)
        .map(|_| {
            let deed = deed.clone();
            thread::spawn(move || misbehave(address, &deed, until))
        })
        .collect();
    let figures = reads(address, query)?;
    let mut done = 0;
    for offender in offenders {
        done += offender.join().map_err(|_| "an offender's thread panicked")??;
    }
    Ok((figures, done))
}

/// One connection each: whatever the answer is, the next deed waits for its end.
fn misbehave(address: SocketAddr, deed: &Arc<[u8]>, until: Instant) -> std::io::Result<usize> {
    let mut done = 0;
    let mut buffer = Vec::new();
    while Instant::now() < until {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(&closing(deed))?;
        buffer.clear();
        stream.read_to_end(&mut buffer)?;
        done += 1;
    }
    Ok(done)
}

/// The request as the last one of its connection.
fn closing(request: &[u8]) -> Vec<u8> {
    let at = request.windows(2).position(|two| two == b"\r\n").unwrap_or_default() + 2;
    [&request[..at], b"Connection: close\r\n", &request[at..]].concat()
}
