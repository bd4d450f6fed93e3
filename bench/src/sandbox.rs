//! `sandbox`: a KV read that goes around the cache, each through a fresh sandbox, and what share of
//! its processor time the sandbox has.

use std::time::Duration;

use warder_testkit::{Http, Result, Warder, temp_dir};

use crate::{
    instance,
    load::{Lane, Load, Until, read},
    rounds::{Side, alternate, shown},
    server,
    wire::Peer,
};

const CONNECTIONS: usize = 64;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);

/// Measures and prints.
pub(crate) async fn run() -> Result {
    let directory = temp_dir()?;
    let (warder, root) = server::serve(&directory.path().join("data"), "effects")?;
    let token = server::token(&root)?;
    let [uncached, cached] = loads(&warder, &root, &token)?;
    around(&warder.stranger(), &uncached).await?;
    let side = |name: &str, load| Side::server(name, warder.process().pid(), load);
    let mut sides = [side("fresh sandbox (`?refresh=true`)", uncached), side("from the cache", cached)];
    alternate(&mut sides, ROUNDS, ROUND).await?;
    println!(
        "KV GET of {CONNECTIONS} secrets, {CONNECTIONS} connections, token, policy, audit file, median of {ROUNDS} \
         alternating rounds of {} s; the aim is 60 us:\n",
        ROUND.as_secs()
    );
    println!("| | requests/s | p50 | p99 | server CPU a request |\n|---|---|---|---|---|");
    for side in &sides {
        let figures = side.median();
        let (rate, p50, p99) = (figures.per_second, shown(figures.p50), shown(figures.p99));
        println!("| {} | {rate:.0} | {p50} | {p99} | {:.1} us |", side.name, side.cpu());
    }
    shares(sides[0].cpu()).await
}

/// The same secrets around the cache and out of it.
fn loads(warder: &Warder, root: &Http, token: &str) -> Result<[Load; 2]> {
    let (mut uncached, mut cached) = (Vec::new(), Vec::new());
    for number in 0..CONNECTIONS {
        let target = format!("/api/v1/secrets/bench/{number}");
        root.put(&target).json(&server::secret()).send()?.expect_status(201)?;
        let body = warder.stranger().with_token(token).get(&target).send()?.expect_status(200)?.body;
        uncached.push(Lane::from([read(&format!("{target}?refresh=true"), token, &body)]));
        cached.push(Lane::from([read(&target, token, &body)]));
    }
    Ok([uncached, cached].map(|lanes| Load { peer: Peer::plain(warder.address()), lanes }))
}

/// Makes sure that these requests do go around the cache.
async fn around(http: &Http, uncached: &Load) -> Result {
    let hits = || server::counted(http, "warder_cache_lookups_total", "\"hit\"");
    let before = hits()?;
    uncached.run(Until::Sent).await?;
    match hits()? - before {
        0.0 => Ok(()),
        more => Err(format!("{more} of {CONNECTIONS} reads were answered by the cache").into()),
    }
}

/// The parts of a request that `instance` knows, taken in this run.
async fn shares(request: f64) -> Result {
    let costs = instance::measure().await?;
    println!("\n| of such a request | CPU | share |\n|---|---|---|");
    let micros = |cost: Duration| cost.as_secs_f64() * 1e6;
    let (floor, read) = (micros(costs.floor), micros(costs.read));
    let parts = [
        ("fresh instance + call, no host call (the floor)", floor),
        ("what `handle` of a read does in it: decode, two reads, decrypt, encode", read - floor),
        ("everything else: HTTP, token, policy, two audit records, cache, answer", request - read),
    ];
    for (name, part) in parts {
        println!("| {name} | {part:.1} us | {:.0} % |", part / request * 100.0);
    }
    Ok(())
}
