//! `get`: a cached read through the real binary (token, policy, file audit) against a bare axum
//! answer of the same bytes, in alternating rounds of one run.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use serde_json::json;
use warder_testkit::{Http, Process, Result, Warder, temp_dir};

use crate::{
    bare,
    load::{Figures, Load, request},
    machine,
};

const CONNECTIONS: usize = 64;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(4);
const TARGET: &str = "/api/v1/secrets/database/postgres";

struct Side<'a> {
    name: &'static str,
    process: &'a Process,
    address: SocketAddr,
    request: Arc<[u8]>,
    rounds: Vec<(Figures, Duration)>,
}

/// Measures and prints.
pub(crate) async fn run() -> Result {
    let directory = temp_dir()?;
    let (written, written_request, body) = prepare(&directory.path().join("default"), "effects")?;
    let (synced, synced_request, _) = prepare(&directory.path().join("synced"), "always")?;
    let (process, address) = bare::start(&bare::answer_file(directory.path(), &body)?)?;
    let mut sides = [
        Side { name: "bare axum", process: &process, address, request: written_request.clone(), rounds: Vec::new() },
        Side::of("warder, audit file (the default)", &written, written_request),
        Side::of("warder, audit file, each record synced", &synced, synced_request),
    ];
    for side in &sides {
        side.load(Duration::from_secs(1), None).run().await?;
    }
    for _ in 0..ROUNDS {
        for side in &mut sides {
            let before = machine::cpu_time(side.process.pid())?;
            let figures = side.load(ROUND, None).run().await?;
            let used = machine::cpu_time(side.process.pid())?.saturating_sub(before);
            side.rounds.push((figures, used));
        }
    }
    let [_, default, _] = &sides;
    let half = default.load(ROUND, Some(default.median().per_second / 2.0)).run().await?;
    report(&body, &sides, half);
    Ok(())
}

/// A server with one secret and a token that may read it: the request for it and its answer.
fn prepare(directory: &Path, sync: &str) -> Result<(Warder, Arc<[u8]>, Vec<u8>)> {
    let (warder, root) = crate::served(directory, sync)?;
    root.put(TARGET).json(&json!({"username": "admin", "password": "secure123"})).send()?.expect_status(201)?;
    let token = reader(&root)?;
    let body = warder.stranger().with_token(&token).get(TARGET).send()?.expect_status(200)?.body;
    Ok((warder, request("GET", TARGET, &token, ""), body))
}

fn report(body: &[u8], sides: &[Side<'_>; 3], half: Figures) {
    println!(
        "Cached GET of {} bytes, {CONNECTIONS} connections, median of {ROUNDS} alternating rounds of {} s\n",
        body.len(),
        ROUND.as_secs()
    );
    println!("| | requests/s | of bare | p50 | p99 | server CPU a request |\n|---|---|---|---|---|---|");
    let bare = sides[0].median().per_second;
    for side in sides {
        let figures = side.median();
        println!(
            "| {} | {:.0} | {:.2} | {:.2?} | {:.2?} | {:.1} us |",
            side.name,
            figures.per_second,
            figures.per_second / bare,
            figures.p50,
            figures.p99,
            side.cpu_micros()
        );
    }
    println!("| the default, at half its rate | {:.0} | | {:.2?} | {:.2?} | |", half.per_second, half.p50, half.p99);
}

/// A token that may read and nothing else.
fn reader(root: &Http) -> Result<String> {
    let policy = "path \"secret/data/database/*\" { capabilities = [\"read\"] }";
    root.put("/api/v1/policies/reader").json(&json!({"policy": policy})).send()?.expect_status(204)?;
    let made = root.post("/api/v1/auth/tokens").json(&json!({"policies": ["reader"]})).send()?.expect_status(201)?;
    Ok(made.json()?["token"].as_str().unwrap_or_default().to_owned())
}

impl<'a> Side<'a> {
    fn of(name: &'static str, warder: &'a Warder, request: Arc<[u8]>) -> Self {
        Self { name, process: warder.process(), address: warder.address(), request, rounds: Vec::new() }
    }

    fn load(&self, lasting: Duration, pace: Option<f64>) -> Load {
        Load { address: self.address, requests: vec![self.request.clone(); CONNECTIONS], lasting, pace }
    }

    fn median(&self) -> Figures {
        let mut rounds: Vec<Figures> = self.rounds.iter().map(|(figures, _)| *figures).collect();
        rounds.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
        rounds.get(rounds.len() / 2).copied().unwrap_or_default()
    }

    fn cpu_micros(&self) -> f64 {
        let used: Duration = self.rounds.iter().map(|(_, used)| *used).sum();
        let requests: usize = self.rounds.iter().map(|(figures, _)| figures.requests).sum();
        used.as_secs_f64() * 1e6 / requests as f64
    }
}
