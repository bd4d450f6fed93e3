//! `openbao`: Warder and OpenBao side by side: the same requests, the same load, in turns. Both
//! keep what they hold on disk, write a file of audit records and check a token's policy.

use std::{net::SocketAddr, time::Duration};

use serde_json::json;
use warder_testkit::{Http, OpenBao, Result, temp_dir};

use crate::{
    load::{Exchange, Lane, Load, read, write},
    rounds::{Side, alternate, shown},
    server,
    wire::Peer,
};

const CONNECTIONS: usize = 64;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(3);

/// Measures and prints.
pub(crate) async fn run() -> Result {
    let directory = temp_dir()?;
    let (warder, root) = server::serve(&directory.path().join("warder"), "effects")?;
    let bao = OpenBao::serve(&directory.path().join("openbao"))?;
    let (ours, theirs) = (Keys::new(&root)?, Keys::new(&bao.http())?);
    let (pid, peer) = (warder.process().pid(), bao.process().pid());
    println!(
        "KV v2 of a two-value secret, {CONNECTIONS} secrets on {CONNECTIONS} connections, median of {ROUNDS} \
         alternating rounds of {} s. OpenBao 2.7.2 on raft with a file audit device, Warder on redb with an audit \
         file (records of writes synced; OpenBao's are not):",
        ROUND.as_secs()
    );
    for (what, aim, exchange) in [("read", 20, Keys::read as Ask), ("write", 8, Keys::write)] {
        let mut sides = [
            Side::server("openbao `/v1`", peer, theirs.load(Door::Vault, exchange)),
            Side::server("warder `/v1`", pid, ours.load(Door::Vault, exchange)),
            Side::server("warder `/api/v1`", pid, ours.load(Door::Native, exchange)),
        ];
        alternate(&mut sides, ROUNDS, ROUND).await?;
        report(&format!("{what} (aim {aim} x)"), &sides);
    }
    theirs.verify()?;
    ours.verify()
}

/// Which requests.
#[derive(Clone, Copy)]
enum Door {
    Native,
    Vault,
}

type Ask = fn(&Keys, Door, usize) -> Exchange;

/// A server and a token for it.
struct Keys {
    http: Http,
    address: SocketAddr,
    token: String,
}

impl Keys {
    /// Makes the token and the secrets.
    fn new(root: &Http) -> Result<Self> {
        let token = server::token(root)?;
        for number in 0..CONNECTIONS {
            let data = json!({"data": server::secret()});
            root.put(&format!("/v1/secret/data/bench/{number}")).json(&data).send()?.expect_status(200)?;
        }
        Ok(Self { http: root.with_token(&token), address: root.address(), token })
    }

    fn load(&self, door: Door, ask: Ask) -> Load {
        let lanes = (0..CONNECTIONS).map(|number| Lane::from([ask(self, door, number)])).collect();
        Load { peer: Peer::plain(self.address), lanes }
    }

    fn read(&self, door: Door, number: usize) -> Exchange {
        // Whatever the order of its members.
        read(&target(door, number), &self.token, b"\"password\":\"secure123\"")
    }

    fn write(&self, door: Door, number: usize) -> Exchange {
        let body = match door {
            Door::Native => server::secret(),
            Door::Vault => json!({"data": server::secret()}),
        };
        write(&target(door, number), &self.token, &body.to_string())
    }

    /// What was written can be read.
    fn verify(&self) -> Result {
        for number in 0..CONNECTIONS {
            let read = self.http.get(&target(Door::Vault, number)).send()?.expect_status(200)?.json()?;
            let version = read["data"]["metadata"]["version"].as_u64();
            if read["data"]["data"] != server::secret() || version.is_none_or(|version| version < 2) {
                return Err(format!("secret {number} was not written: {read}").into());
            }
        }
        Ok(())
    }
}

fn target(door: Door, number: usize) -> String {
    match door {
        Door::Native => format!("/api/v1/secrets/bench/{number}"),
        Door::Vault => format!("/v1/secret/data/bench/{number}"),
    }
}

fn report(what: &str, sides: &[Side; 3]) {
    println!("\n| {what} | requests/s | of openbao | p50 | p99 | server CPU a request | of openbao |");
    println!("|---|---|---|---|---|---|---|");
    let [peer, ..] = sides;
    for side in sides {
        let figures = side.median();
        println!(
            "| {} | {:.0} | {:.1} x | {} | {} | {:.1} us | 1/{:.0} |",
            side.name,
            figures.per_second,
            figures.per_second / peer.median().per_second,
            shown(figures.p50),
            shown(figures.p99),
            side.cpu(),
            peer.cpu() / side.cpu()
        );
    }
}
