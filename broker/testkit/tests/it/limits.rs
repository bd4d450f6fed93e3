//! Bounds of use from outside, at every door: who asks too much is told when to come again, who is one
//! too many is told so before any work, a mount's crowd is its own, and `/metrics` counts it all.

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use warder_client::{Client, Retry, Token};
use warder_testkit::{Failure, Http, Reply, Result, TempDir, Warder, temp_dir};

/// Longer than anything here takes; a hang ends the test.
const PATIENCE: Duration = Duration::from_secs(120);
/// Clients at each door, and doors.
const CLIENTS: usize = 4;
const DOORS: [Door; 3] = [Door::Rest, Door::Vault, Door::Grpc];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Grpc,
    Rest,
    Vault,
}

/// What a door said.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Done,
    /// A refusal: its word, the mount that it names, and whether it says when to come again.
    Refused(String, Option<String>, Option<u64>),
}

/// A server in memory with these lines of configuration.
struct House {
    warder: Warder,
    token: String,
    _folder: TempDir,
}

impl House {
    fn open(lines: &str) -> Result<Self> {
        let folder = temp_dir()?;
        let file = folder.path().join("warder.toml");
        let text = format!(
            "{lines}\n[listener]\naddress = \"127.0.0.1:0\"\ntls_disable = true\n[storage]\ntype = \"memory\"\n\
             [seal]\ntype = \"dev\"\n[audit.main]\ntype = \"file\"\npath = \"{}/audit.log\"\nsync = \"never\"\n",
            folder.path().display()
        );
        fs::write(&file, text)?;
        let warder = Warder::serve(&file).start()?;
        let one = json!({"shares": 1, "threshold": 1});
        let made = warder.stranger().post("/api/v1/sys/init").json(&one).send()?.expect_status(200)?.json()?;
        let token = made["root_token"].as_str().ok_or("no root token")?.to_owned();
        Ok(Self { warder, token, _folder: folder })
    }

    fn http(&self) -> Http {
        self.warder.stranger().with_token(&self.token)
    }

    /// Somebody at this door, who asks once and takes what he is told.
    fn client(&self, door: Door) -> Result<Asker> {
        let grpc = Client::builder(format!("http://{}", self.warder.address()))
            .token(Token::new(self.token.as_str()))
            .retry(Retry { attempts: 1, ..Retry::default() })
            .deadline(PATIENCE);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let grpc = grpc.build().map_err(|why| Failure::new("a client", why))?;
        Ok(Asker { door, http: self.http(), grpc, runtime })
    }

    fn metric(&self, name: &str) -> Result<u64> {
        let text = self.warder.stranger().get("/metrics").send()?.expect_status(200)?.text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let line = line.ok_or_else(|| Failure::from(format!("no {name} in:\n{text}")))?;
        line.parse().map_err(|why| Failure::new(name, why))
    }
}

struct Asker {
    door: Door,
    http: Http,
    grpc: Client,
    runtime: tokio::runtime::Runtime,
}

impl Asker {
    /// Writes a secret of the mount.
    fn put(&self, mount: &str) -> Result<Said> {
        match self.door {
            Door::Rest => said(&self.http.put(&format!("/api/v1/secrets/{mount}/a")).json(&json!({"b": 1})).send()?),
            Door::Vault => {
                said(&self.http.post(&format!("/v1/{mount}/data/a")).json(&json!({"data": {"b": 1}})).send()?)
            }
            Door::Grpc => match self.runtime.block_on(self.grpc.put(format!("{mount}/a"), r#"{"b":1}"#)) {
                Ok(_) => Ok(Said::Done),
                Err(error) => {
                    let wait = error.retry_after().map(|wait| wait.as_secs());
                    let code = (error.code(), error.grpc_code());
                    assert!(
                        matches!(
                            code,
                            ("overloaded", tonic::Code::Unavailable) | ("rate_limited", tonic::Code::ResourceExhausted)
                        ),
                        "{error:?}"
                    );
                    Ok(Said::Refused(error.code().to_owned(), error.metadata("mount").map(str::to_owned), wait))
                }
            },
        }
    }
}

fn said(reply: &Reply) -> Result<Said> {
    if reply.status < 300 {
        return Ok(Said::Done);
    }
    let wait = reply.header("retry-after").map(|text| text.parse()).transpose();
    let wait = wait.map_err(|why| Failure::new("Retry-After", why))?;
    let body = reply.json()?;
    // `/v1` has no word for it but its status.
    let code = match (body["code"].as_str(), reply.status) {
        (Some(code), 429 | 503) => code.to_owned(),
        (None, 429) => "rate_limited".to_owned(),
        (None, 503) if body["errors"].is_array() => "overloaded".to_owned(),
        _ => return Err(reply.text().into()),
    };
    Ok(Said::Refused(code, body["mount"].as_str().map(str::to_owned), wait))
}

#[test]
fn a_limit_of_each_kind_is_felt_at_every_door_and_counted() -> Result {
    for (limit, seconds) in [
        (json!({"rate": 3, "interval": "1h"}), 3600),
        (json!({"rate": 3, "interval": "1h", "path": "secret/"}), 3600),
        (json!({"rate": 3, "interval": "1h", "path": "secret/", "group_by": "token_then_ip"}), 3600),
        (json!({"rate": 3, "interval": "1h", "path": "secret/", "group_by": "none"}), 3600),
        (json!({"rate": 3, "interval": "1h", "path": "secret/data/a"}), 3600),
    ] {
        let house = House::open("")?;
        let clients = DOORS.map(|door| house.client(door));
        let clients: Vec<Asker> = clients.into_iter().collect::<Result<_>>()?;
        house.http().put("/api/v1/limits/one").json(&limit).send()?.expect_status(204)?;
        let (mut done, mut refused) = (0, 0);
        for client in clients.iter().chain(&clients) {
            match client.put("secret")? {
                Said::Done => done += 1,
                Said::Refused(code, _, wait) => {
                    assert_eq!(code, "rate_limited", "{limit} {:?}", client.door);
                    assert!(
                        wait.is_some_and(|wait| (1..=seconds).contains(&wait)),
                        "{limit} {:?}: {wait:?}",
                        client.door
                    );
                    refused += 1;
                }
            }
        }
        // A limit for everybody counts what set it as well.
        assert!((2..=3).contains(&done) && done + refused == 6, "{limit}: {done} done, {refused} refused");
        assert_eq!(house.metric("warder_limit_refusals_total")?, refused, "{limit}");
    }
    Ok(())
}

/// What a crowd was told at each door.
#[derive(Default)]
struct Tally {
    done: AtomicU64,
    refused: [AtomicU64; 3],
}

impl Tally {
    fn all_refused(&self) -> bool {
        self.refused.iter().all(|door| door.load(Ordering::Relaxed) > 0)
    }

    fn refusals(&self) -> u64 {
        self.refused.iter().map(|door| door.load(Ordering::Relaxed)).sum()
    }
}

/// Clients at every door write to this mount until each door has refused somebody; meanwhile somebody
/// else does `beside`, again and again.
fn crowd(house: &House, mount: &str, named: Option<&str>, beside: impl Fn() -> Result) -> Result<Tally> {
    let (tally, over, begun) = (Tally::default(), AtomicBool::new(false), Instant::now());
    thread::scope(|scope| {
        let mut clients = Vec::new();
        for (at, door) in DOORS.into_iter().cycle().take(DOORS.len() * CLIENTS).enumerate() {
            let (tally, over) = (&tally, &over);
            clients.push(scope.spawn(move || -> Result {
                let client = house.client(door)?;
                while !over.load(Ordering::Relaxed) {
                    match client.put(mount)? {
                        Said::Done => _ = tally.done.fetch_add(1, Ordering::Relaxed),
                        Said::Refused(code, of, wait) => {
                            assert_eq!(code, "overloaded", "{door:?}");
                            assert!(wait.is_some_and(|wait| wait >= 1), "{door:?} does not say when to come again");
                            // `/v1` has no place for it.
                            assert!(door == Door::Vault || of.as_deref() == named, "{door:?} names {of:?}");
                            tally.refused[at % DOORS.len()].fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
                Ok(())
            }));
        }
        let mut result = Ok(());
        while result.is_ok() && clients.iter().all(|client| !client.is_finished()) {
            result = beside();
            if tally.all_refused() && tally.done.load(Ordering::Relaxed) > 0 {
                break;
            }
            if begun.elapsed() > PATIENCE {
                result = Err(format!("{} were refused: not at every door", tally.refusals()).into());
            }
        }
        over.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().map_err(|_| "a client panicked")??;
        }
        result
    })?;
    Ok(tally)
}

#[test]
fn a_mount_that_is_full_refuses_at_every_door_and_its_neighbours_notice_nothing() -> Result {
    let house = House::open("")?;
    let options = json!({"version": "2", "max_calls": "1", "max_queue": "1"});
    let mount = json!({"plugin": "kv", "options": options});
    house.http().put("/api/v1/mounts/busy").json(&mount).send()?.expect_status(204)?;
    let neighbours = DOORS.map(|door| house.client(door)).into_iter().collect::<Result<Vec<_>>>()?;
    let tally = crowd(&house, "busy", Some("busy/"), || {
        for neighbour in &neighbours {
            assert_eq!(neighbour.put("secret")?, Said::Done, "{:?}", neighbour.door);
        }
        Ok(())
    })?;
    assert_eq!(house.metric("warder_mount_refusals_total")?, tally.refusals());
    assert_eq!((house.metric("warder_mount_calls_running")?, house.metric("warder_mount_calls_waiting")?), (0, 0));
    assert_eq!(house.metric("warder_load_shed_total")?, 0);
    Ok(())
}

#[test]
fn a_crowd_is_shed_at_every_door_and_operators_get_in() -> Result {
    let house = House::open("[limits]\nrequests = 1\n")?;
    let operator = house.http();
    let tally = crowd(&house, "secret", None, || {
        let told: Value = operator.get("/v1/sys/mounts").send()?.expect_status(200)?.json()?;
        assert!(told["data"]["secret/"].is_object(), "{told}");
        operator.get("/health").send()?.expect_status(200).map(drop)
    })?;
    assert_eq!(house.metric("warder_load_shed_total")?, tally.refusals());
    assert_eq!(house.metric("warder_load_requests")?, 0);
    assert_eq!(house.metric("warder_mount_refusals_total")?, 0);
    Ok(())
}
