//! `get`: a cached read through the real binary (token, policy, file audit) against a bare axum
//! answer of the same bytes, in alternating rounds of one run.

use std::{path::Path, time::Duration};

use warder_testkit::{Process, Result, Warder, temp_dir};

use crate::{
    bare,
    load::{Exchange, Figures, Load, read},
    rounds::{Side, alternate, shown},
    server,
    wire::Peer,
};

const CONNECTIONS: usize = 64;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(3);
const TARGET: &str = "/api/v1/secrets/database/postgres";

/// Measures and prints.
pub(crate) async fn run() -> Result {
    let directory = temp_dir()?;
    let (written, exchange) = prepare(&directory.path().join("default"), "effects")?;
    let (synced, synced_exchange) = prepare(&directory.path().join("synced"), "always")?;
    let body = exchange.holds.clone();
    let (process, address) = bare::start("answer", &[bare::answer_file(directory.path(), &body)?.as_os_str()])?;
    let bare = Load::same(Peer::plain(address), CONNECTIONS, &exchange);
    let (recording, recorded) = recorded(directory.path(), &exchange)?;
    let default = Load::same(Peer::plain(written.address()), CONNECTIONS, &exchange);
    let always = Load::same(Peer::plain(synced.address()), CONNECTIONS, &synced_exchange);
    let mut sides = [
        Side::server("bare axum, the same bytes", process.pid(), bare.clone()),
        Side::server("bare axum, and a record hashed and written", recording.pid(), recorded),
        Side::server("warder, audit file (the default)", written.process().pid(), default.clone()),
        Side::server("warder, audit file, each record synced", synced.process().pid(), always),
    ];
    alternate(&mut sides, ROUNDS, ROUND).await?;
    println!(
        "Cached GET of {} bytes, {CONNECTIONS} connections, median of {ROUNDS} alternating rounds of {} s; \
         the aim is 0.7 of bare and p99 under 1 ms at half load:\n",
        body.len(),
        ROUND.as_secs()
    );
    report(&sides);
    let [bare_side, _, default_side, _] = &sides;
    for (side, load) in [(bare_side, &bare), (default_side, &default)] {
        let half = side.median().per_second / 2.0;
        half_row(&side.name, tokio::task::block_in_place(|| load.paced(ROUND, half))?);
    }
    Ok(())
}

/// The second floor: bare axum that appends the server's own last record before each answer.
fn recorded(directory: &Path, exchange: &Exchange) -> Result<(Process, Load)> {
    let records = std::fs::read_to_string(directory.join("default/audit.log"))?;
    let last = records.lines().last().ok_or("the audit log is empty")?;
    let (line, log) = (directory.join("line"), directory.join("recorded.log"));
    std::fs::write(&line, format!("{last}\n"))?;
    let answer = directory.join("answer");
    let (process, address) = bare::start("recorded", &[answer.as_os_str(), line.as_os_str(), log.as_os_str()])?;
    Ok((process, Load::same(Peer::plain(address), CONNECTIONS, exchange)))
}

/// A server with one secret and a token that may read it: the request for it and its answer.
pub(crate) fn prepare(directory: &Path, sync: &str) -> Result<(Warder, Exchange)> {
    let (warder, root) = server::serve(directory, sync)?;
    root.put(TARGET).json(&server::secret()).send()?.expect_status(201)?;
    let token = server::token(&root)?;
    let body = warder.stranger().with_token(&token).get(TARGET).send()?.expect_status(200)?.body;
    Ok((warder, read(TARGET, &token, &body)))
}

pub(crate) fn report(sides: &[Side]) {
    println!("| | requests/s | of bare | p50 | p99 | server CPU a request | bare's CPU of it |");
    println!("|---|---|---|---|---|---|---|");
    let Some(bare) = sides.first() else { return };
    for side in sides {
        let figures = side.median();
        println!(
            "| {} | {:.0} | {:.2} | {} | {} | {:.1} us | {:.2} |",
            side.name,
            figures.per_second,
            figures.per_second / bare.median().per_second,
            shown(figures.p50),
            shown(figures.p99),
            side.cpu(),
            bare.cpu() / side.cpu(),
        );
    }
}

pub(crate) fn half_row(name: &str, half: Figures) {
    println!("| {name}: at half its rate | {:.0} | | {} | {} | | |", half.per_second, shown(half.p50), shown(half.p99));
}
