//! `tls`: a cached read over TLS 1.3 through the real binary (token, policy, file audit) against a
//! bare axum answer of the same bytes over the same TLS, in alternating rounds of one run.

use std::{path::Path, time::Duration};

use warder_testkit::{Result, Warder, temp_dir};

use crate::{
    bare,
    get::{half_row, report},
    load::{Exchange, Load},
    rounds::{Side, alternate},
    server,
    wire::{Certificate, Peer},
};

const CONNECTIONS: usize = 64;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(3);

/// Measures and prints.
pub(crate) async fn run() -> Result {
    let directory = temp_dir()?;
    let certificate = Certificate::make(directory.path())?;
    let (warder, exchange) = prepare(&directory.path().join("warder"), &certificate)?;
    let answer = bare::answer_file(directory.path(), &exchange.holds)?;
    let served = [answer.as_os_str(), certificate.file.as_os_str(), certificate.key.as_os_str()];
    let (process, address) = bare::start("tls-answer", &served)?;
    let bare = Load::same(Peer::tls(address, &certificate)?, CONNECTIONS, &exchange);
    let ours = Load::same(Peer::tls(warder.address(), &certificate)?, CONNECTIONS, &exchange);
    let mut sides = [
        Side::server("bare axum over TLS, the same bytes", process.pid(), bare.clone()),
        Side::server("warder over TLS, audit file (the default)", warder.process().pid(), ours.clone()),
    ];
    alternate(&mut sides, ROUNDS, ROUND).await?;
    println!(
        "Cached GET of {} bytes over TLS 1.3, {CONNECTIONS} connections kept alive, median of {ROUNDS} alternating \
         rounds of {} s; the aim is 0.7 of bare:\n",
        exchange.holds.len(),
        ROUND.as_secs()
    );
    report(&sides);
    for (side, load) in sides.iter().zip([&bare, &ours]) {
        let half = side.median().per_second / 2.0;
        half_row(&side.name, tokio::task::block_in_place(|| load.paced(ROUND, half))?);
    }
    Ok(())
}

/// A server that speaks TLS, with a secret that was written before it did.
fn prepare(directory: &Path, certificate: &Certificate) -> Result<(Warder, Exchange)> {
    let (warder, exchange) = crate::get::prepare(directory, "effects")?;
    warder.stop()?;
    let (file, key) = (certificate.file.display(), certificate.key.display());
    let options = [
        "listener.tls_disable=false".to_owned(),
        format!("listener.tls.cert_file={file}"),
        format!("listener.tls.key_file={key}"),
    ];
    let warder = server::again(directory, &options.each_ref().map(String::as_str))?;
    Ok((warder, exchange))
}
