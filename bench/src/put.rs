//! `put`: durable writes at 1 and at 256 in flight through the real binary, against what they put
//! on the disk written by the bare engine, each on its own file of the same disk.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::task::JoinSet;
use warder_testkit::{Http, Result, temp_dir};

use crate::{
    bare,
    floor::{Floor, Shape, Written},
    load::{Figures, Lane, Load, write},
    rounds::{Side, alternate, shown},
    server,
    wire::Peer,
};

const IN_FLIGHT: [usize; 2] = [1, 256];
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(3);
/// Bytes of the secret's one value.
const VALUE: usize = 500;

/// Measures and prints.
pub(crate) async fn run() -> Result {
    let directory = temp_dir()?;
    let at = |name: &str| directory.path().join(name);
    let body = format!("{{\"value\":\"{}\"}}", "x".repeat(VALUE));
    let shape = Shape::learn(&at("learn"), &body).await?;
    let (warder, root) = server::serve(&at("warder"), "effects")?;
    let token = server::token(&root)?;
    let (process, address) = bare::start("writes", &[at("bare").as_os_str(), shape.text().as_ref()])?;
    let (stored, recorded) = shape.bytes();
    println!(
        "Durable PUT of a {VALUE}-byte value, median of {ROUNDS} alternating rounds of {} s. The floors write what \
         such a PUT leaves on the disk: one commit of {stored} bytes, synced, and for the second and third \
         {recorded} bytes of audit records in a file, one of the two synced before the commit. The aim is 0.8:",
        ROUND.as_secs()
    );
    for in_flight in IN_FLIGHT {
        let lanes = |prefix: &str| lanes(prefix, in_flight, &token, &body);
        let served = Load { peer: Peer::plain(warder.address()), lanes: lanes("/api/v1/secrets/bench") };
        let floored = Load { peer: Peer::plain(address), lanes: lanes("/bench") };
        let mut sides = [
            floor("the engine alone", &at(&format!("engine-{in_flight}")), shape, false, in_flight)?,
            floor("engine and synced record", &at(&format!("recorded-{in_flight}")), shape, true, in_flight)?,
            Side::server("the same behind bare axum", process.pid(), floored),
            Side::server("warder", warder.process().pid(), served),
        ];
        alternate(&mut sides, ROUNDS, ROUND).await?;
        let [.., ours] = &sides;
        verify(&root, in_flight, &body, ours.answered())?;
        report(in_flight, &sides);
    }
    Ok(())
}

/// One secret a connection.
fn lanes(prefix: &str, in_flight: usize, token: &str, body: &str) -> Vec<Lane> {
    let lane = |number| Lane::from([write(&format!("{prefix}/{in_flight}/{number}"), token, body)]);
    (0..in_flight).map(lane).collect()
}

/// Every acknowledged write made one version, and the last one can be read.
fn verify(root: &Http, in_flight: usize, body: &str, acknowledged: usize) -> Result {
    let wanted: serde_json::Value = serde_json::from_str(body)?;
    let mut versions = 0;
    for number in 0..in_flight {
        let read = root.get(&format!("/api/v1/secrets/bench/{in_flight}/{number}")).send()?.expect_status(200)?;
        let read = read.json()?;
        if read["data"] != wanted {
            return Err(format!("secret {number} is not what was written").into());
        }
        versions += read["version"].as_u64().unwrap_or_default();
    }
    match versions == acknowledged as u64 {
        true => Ok(()),
        false => Err(format!("{acknowledged} writes were acknowledged, {versions} versions are there").into()),
    }
}

fn report(in_flight: usize, sides: &[Side; 4]) {
    println!("\n| {in_flight} in flight | writes/s | of the engine | of engine and record | p50 | p99 | CPU a write |");
    println!("|---|---|---|---|---|---|---|");
    let [engine, recorded, ..] = sides.each_ref().map(|side| side.median().per_second);
    for side in sides {
        let Figures { per_second, p50, p99, .. } = side.median();
        println!(
            "| {} | {per_second:.0} | {:.2} | {:.2} | {} | {} | {:.0} us |",
            side.name,
            per_second / engine,
            per_second / recorded,
            shown(p50),
            shown(p99),
            side.cpu()
        );
    }
}

/// In this process: so many writers, each on a secret of its own.
fn floor(name: &str, directory: &Path, shape: Shape, recorded: bool, in_flight: usize) -> Result<Side> {
    let floor = Arc::new(Floor::open(directory, shape, recorded)?);
    let secrets = (0..in_flight).map(|number| Written::new(format!("bench/{in_flight}/{number}")));
    let secrets = Arc::new(Mutex::new(secrets.collect::<Vec<_>>()));
    Ok(Side::new(name, std::process::id(), move |lasting| writers(floor.clone(), secrets.clone(), lasting)))
}

async fn writers(floor: Arc<Floor>, secrets: Arc<Mutex<Vec<Written>>>, lasting: Duration) -> Result<Figures> {
    let start = Instant::now();
    let begun = std::mem::take(&mut *secrets.lock().unwrap_or_else(PoisonError::into_inner));
    let mut writers = JoinSet::new();
    for mut secret in begun {
        let floor = floor.clone();
        writers.spawn(async move {
            let mut took = Vec::new();
            while start.elapsed() < lasting {
                let begun = Instant::now();
                floor.write(&mut secret).await?;
                took.push(begun.elapsed());
            }
            Result::<_>::Ok((secret, took))
        });
    }
    let (mut took, mut ended) = (Vec::new(), Vec::new());
    while let Some(done) = writers.join_next().await {
        let (secret, times) = done.map_err(|why| why.to_string())??;
        took.extend(times);
        ended.push(secret);
    }
    *secrets.lock().unwrap_or_else(PoisonError::into_inner) = ended;
    Ok(Figures::of(took, start.elapsed()))
}
