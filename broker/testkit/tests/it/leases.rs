//! Leases from outside: issued by a real plugin through every door, renewed, revoked and expired,
//! driven by the command lines of others and by ours, and after a kill.

use std::{
    collections::BTreeSet,
    path::Path,
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tonic::{Request, transport::Channel};
use warder_proto::v1::{self, lease_service_client::LeaseServiceClient, secrets_service_client::SecretsServiceClient};
use warder_testkit::{Failure, Guest, Http, Parts, Result, Warder, temp_dir};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

struct House {
    warder: Warder,
    http: Http,
}

impl House {
    /// Warder over this folder, with the plugin `lessor` mounted and the role `app`.
    fn open(folder: &Path, role: &Value) -> Result<Self> {
        let house = Self::again(folder)?;
        let mounted = house.http.get("/api/v1/mounts/lessor").send()?;
        if mounted.status == 404 {
            house.http.put("/api/v1/mounts/lessor").json(&json!({"plugin": "lessor"})).send()?.expect_status(204)?;
        }
        house.role(role)?;
        Ok(house)
    }

    fn again(folder: &Path) -> Result<Self> {
        let warder = Warder::dev().data_dir(&folder.join("data")).argument("--plugin").argument(Guest::Lessor.path()?);
        let warder = warder.argument("--audit").argument(folder.join("audit.log")).start()?;
        let http = warder.http();
        Ok(Self { warder, http })
    }

    fn role(&self, role: &Value) -> Result {
        self.http.post("/v1/lessor/roles/app").json(role).send()?.expect_status(204).map(drop)
    }

    /// A lease by its id, issued by Vault's door.
    fn issue(&self, http: &Http) -> Result<String> {
        let answer = http.get("/v1/lessor/creds/app").send()?.expect_status(200)?.json()?;
        assert!(answer["data"]["password"].as_str().is_some_and(|text| text.len() == 24), "{}", answer["lease_id"]);
        Ok(answer["lease_id"].as_str().unwrap_or_default().to_owned())
    }

    /// Names of what exists outside: each the last segment of its lease's id.
    fn accounts(&self) -> Result<BTreeSet<String>> {
        let reply = self.http.get("/v1/lessor/accounts/?list=true").send()?;
        if reply.status == 404 {
            return Ok(BTreeSet::new());
        }
        let answer = reply.expect_status(200)?.json()?;
        let keys = answer["data"]["keys"].as_array().cloned().unwrap_or_default();
        Ok(keys.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    }

    fn lookup(&self, id: &str) -> Result<Option<Value>> {
        let reply = self.http.get(&format!("/api/v1/leases/{id}")).send()?;
        if reply.status == 404 { Ok(None) } else { reply.expect_status(200)?.json().map(Some) }
    }

    fn count(&self) -> Result<u64> {
        let answer = self.http.get("/v1/sys/leases/count").send()?.expect_status(200)?.json()?;
        answer["data"]["lease_count"].as_u64().ok_or_else(|| "no count".into())
    }

    /// Waits until so many accounts exist, and as many leases.
    fn settled(&self, accounts: usize) -> Result {
        let begun = Instant::now();
        loop {
            let (there, leases) = (self.accounts()?.len(), self.count()?);
            if there == accounts && leases == accounts as u64 {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("{there} accounts and {leases} leases are left, expected {accounts}").into());
            }
            thread::park_timeout(Duration::from_millis(50));
        }
    }

    fn token(&self, ttl: &str) -> Result<Http> {
        let policy = json!({"policy": r#"path "lessor/*" { capabilities = ["read", "list"] }"#});
        self.http.put("/api/v1/policies/lessor").json(&policy).send()?.expect_status(204)?;
        let wanted = json!({"policies": ["lessor"], "ttl": ttl});
        let made = self.http.post("/api/v1/auth/tokens").json(&wanted).send()?.expect_status(201)?.json()?;
        Ok(self.warder.stranger().with_token(made["token"].as_str().unwrap_or_default()))
    }

    fn run(&self, program: &Path, home: &Path, arguments: &[&str]) -> Result<Output> {
        let address = format!("http://{}", self.warder.address());
        let mut command = Command::new(program);
        command.args(arguments).env("HOME", home).env("BAO_ADDR", &address).env("BAO_TOKEN", "root");
        command.env("WARDER_ADDR", &address).env("WARDER_TOKEN", "root");
        command.output().map_err(|why| Failure::new(program.display(), why))
    }

    fn says(&self, program: &Path, home: &Path, arguments: &[&str]) -> Result<String> {
        let output = self.run(program, home, arguments)?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            return Err(format!("{arguments:?}: {out}{err}").into());
        }
        Ok(out.into_owned())
    }
}

fn an_hour() -> Value {
    json!({"ttl": "1h", "max_ttl": "2h"})
}

#[test]
fn every_door_issues_shows_renews_and_revokes() -> Result {
    let folder = temp_dir()?;
    let house = House::open(folder.path(), &an_hour())?;
    // Vault's.
    let id = house.issue(&house.http)?;
    assert!(id.starts_with("lessor/creds/app/"), "{id}");
    let looked = house.http.post("/v1/sys/leases/lookup").json(&json!({"lease_id": id})).send()?;
    let looked = looked.expect_status(200)?.json()?;
    let unknown = json!({"lease_id": "lessor/creds/app/none"});
    let refused = house.http.post("/v1/sys/leases/lookup").json(&unknown).send()?.expect_status(400)?.json()?;
    assert_eq!(refused, json!({"errors": ["invalid lease"]}), "in the words of Vault");
    assert_eq!((&looked["data"]["id"], &looked["data"]["renewable"]), (&json!(id), &json!(true)));
    let renewed = house.http.put("/v1/sys/leases/renew").json(&json!({"lease_id": id, "increment": 5400})).send()?;
    let renewed = renewed.expect_status(200)?.json()?;
    assert_eq!((&renewed["lease_id"], &renewed["lease_duration"]), (&json!(id), &json!(5400)));
    house.http.put("/v1/sys/leases/revoke").json(&json!({"lease_id": id, "sync": true})).send()?.expect_status(204)?;
    assert!(house.accounts()?.is_empty());
    // REST.
    let made = house.http.get("/api/v1/secrets/lessor/app").send()?.expect_status(200)?.json()?;
    let id = made["lease"]["id"].as_str().unwrap_or_default().to_owned();
    assert_eq!((&made["lease"]["ttl_seconds"], &made["lease"]["renewable"]), (&json!(3600), &json!(true)));
    let other = house.http.get("/api/v1/secrets/lessor/app").send()?.expect_status(200)?.json()?;
    assert_ne!(made["data"], other["data"], "nothing of it is cached");
    let listed = house.http.get("/api/v1/leases?prefix=lessor/creds/app&limit=1").send()?.expect_status(200)?.json()?;
    assert_eq!(listed["keys"].as_array().map(Vec::len), Some(1), "{listed}");
    let shown = house.lookup(&id)?.ok_or("no lease")?;
    assert_eq!((&shown["state"], &shown["path"]), (&json!("confirmed"), &json!("lessor/creds/app")));
    let renew = format!("/api/v1/leases/{id}/renew");
    let renewed = house.http.post(&renew).json(&json!({"increment": "90m"})).send()?.expect_status(200)?.json()?;
    assert_eq!(renewed["ttl_seconds"], 5400);
    for _ in 0..2 {
        house.http.delete(&format!("/api/v1/leases/{id}")).send()?.expect_status(204)?;
        assert_eq!((house.accounts()?.len(), house.lookup(&id)?), (1, None));
    }
    house.http.post(&renew).json(&json!({})).send()?.expect_status(404)?;
    house.http.delete("/api/v1/leases?prefix=lessor").send()?.expect_status(204)?;
    house.settled(0)?;
    over_grpc(&house)?;
    let metrics = house.warder.stranger().get("/metrics").send()?.text();
    for line in ["vault_expire_num_leases 0", "warder_lease_events_total{event=\"issued\"} 4", "warder_lease_stuck 0"] {
        assert!(metrics.lines().any(|had| had == line), "{line} is not in {metrics}");
    }
    let log = std::fs::read_to_string(folder.path().join("audit.log"))?;
    assert!(!log.contains(&id) && log.contains(r#""operation":"revoke""#), "an id stands in the audit log");
    let password = made["data"]["password"].as_str().unwrap_or("?");
    assert!(!log.contains(password), "a password stands in the audit log");
    Ok(())
}

fn over_grpc(house: &House) -> Result {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let channel = Channel::from_shared(format!("http://{}", house.warder.address())).map_err(|e| e.to_string())?;
        let channel = channel.connect().await.map_err(|why| Failure::new("connect", why))?;
        let failed = |status: tonic::Status| Failure::new("gRPC", status);
        let get = v1::SecretsServiceGetRequest { path: "lessor/app".into(), ..Default::default() };
        let got = SecretsServiceClient::new(channel.clone()).get(bearing(get)).await.map_err(failed)?.into_inner();
        let lease = got.lease.ok_or("no lease")?;
        assert_eq!((lease.ttl_seconds, lease.renewable), (3600, true));
        let id = || lease.lease_id.clone();
        let mut client = LeaseServiceClient::new(channel);
        let list = v1::LeaseServiceListRequest { prefix: "lessor/creds/app".into(), ..Default::default() };
        let listed = client.list(bearing(list)).await.map_err(failed)?.into_inner();
        assert_eq!(listed.keys.len(), 1);
        let renew = v1::LeaseServiceRenewRequest { lease_id: id(), increment_seconds: Some(4000) };
        let renewed = client.renew(bearing(renew)).await.map_err(failed)?.into_inner();
        assert_eq!(renewed.lease.map(|lease| lease.ttl_seconds), Some(4000));
        let lookup = || v1::LeaseServiceLookupRequest { lease_id: id() };
        let shown = client.lookup(bearing(lookup())).await.map_err(failed)?.into_inner().lease.ok_or("no lease")?;
        assert_eq!((shown.state(), shown.path.as_str()), (v1::LeaseState::Confirmed, "lessor/creds/app"));
        assert!(shown.renewed_at.is_some() && shown.expires_at != shown.max_expires_at, "{shown:?}");
        client.revoke(bearing(v1::LeaseServiceRevokeRequest { lease_id: id() })).await.map_err(failed)?;
        let gone = client.lookup(bearing(lookup())).await.map_err(|status| status.code());
        assert_eq!(gone.err(), Some(tonic::Code::NotFound));
        let prefix = v1::LeaseServiceRevokePrefixRequest { prefix: "lessor".into(), force: false };
        client.revoke_prefix(bearing(prefix)).await.map_err(failed)?;
        Ok(())
    })
}

fn bearing<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", tonic::metadata::MetadataValue::from_static("Bearer root"));
    request
}

#[test]
fn the_command_lines_work_with_leases() -> Result {
    let folder = temp_dir()?;
    let house = House::open(folder.path(), &an_hour())?;
    let bao = Parts::find().openbao()?;
    let home = folder.path();
    let says = |arguments: &[&str]| house.says(&bao, home, arguments);
    let id = house.issue(&house.http)?;
    assert!(says(&["lease", "lookup", &id])?.contains("expire_time"));
    assert!(says(&["lease", "renew", "-increment=90m", &id])?.contains("1h30m"));
    says(&["lease", "revoke", "-sync", &id])?;
    assert!(house.accounts()?.is_empty());
    let id = house.issue(&house.http)?;
    says(&["lease", "revoke", &id])?;
    house.settled(0)?;
    house.issue(&house.http)?;
    says(&["lease", "revoke", "-prefix", "lessor/creds"])?;
    house.settled(0)?;
    house.issue(&house.http)?;
    house.role(&json!({"ttl": "1h", "broken": true}))?;
    says(&["lease", "revoke", "-force", "-prefix", "lessor"])?;
    assert_eq!((house.count()?, house.accounts()?.len()), (0, 1), "forced: what it stood for lives on");

    house.role(&an_hour())?;
    let warder = Warder::program()?;
    let says = |arguments: &[&str]| house.says(&warder, home, arguments);
    let id = house.issue(&house.http)?;
    let name = id.rsplit('/').next().unwrap_or_default();
    assert_eq!(says(&["lease", "list", "lessor/creds/app"])?.trim(), name);
    assert!(says(&["lease", "lookup", &id, "--output", "json"])?.contains("\"confirmed\""));
    assert!(says(&["lease", "renew", &id, "--increment", "2h", "--output", "json"])?.contains("ttl_seconds"));
    says(&["lease", "revoke", &id])?;
    assert_eq!(house.run(&warder, home, &["lease", "lookup", &id])?.status.code(), Some(5));
    house.issue(&house.http)?;
    says(&["lease", "revoke", "--prefix", "lessor"])?;
    assert_eq!(house.count()?, 0);
    Ok(())
}

#[test]
fn leases_end_by_themselves_and_with_their_tokens() -> Result {
    let folder = temp_dir()?;
    let house = House::open(folder.path(), &json!({"ttl": "1s"}))?;
    house.issue(&house.http)?;
    house.settled(0)?;
    house.role(&an_hour())?;
    let (dying, revoked) = (house.token("2s")?, house.token("1h")?);
    house.issue(&dying)?;
    house.issue(&revoked)?;
    let kept = house.issue(&house.http)?;
    revoked.post("/v1/auth/token/revoke-self").send()?.expect_status(204)?;
    house.settled(1)?;
    assert_eq!(house.accounts()?.into_iter().next().as_deref(), kept.rsplit('/').next());
    Ok(())
}

#[test]
fn a_revocation_that_fails_is_shown_and_goes_on_until_it_succeeds() -> Result {
    let folder = temp_dir()?;
    let house = House::open(folder.path(), &json!({"ttl": "1h", "broken": true}))?;
    let id = house.issue(&house.http)?;
    let refused = house.http.delete(&format!("/api/v1/leases/{id}")).send()?.expect_status(503)?.json()?;
    assert_eq!((&refused["code"], &refused["plugin"]), (&json!("unavailable"), &json!("lessor")));
    let shown = house.lookup(&id)?.ok_or("it is gone")?;
    assert_eq!(shown["state"], "revoking");
    assert!(shown["revoke_error"].as_str().is_some_and(|words| words.contains("does not answer")), "{shown}");
    house.http.delete("/api/v1/mounts/lessor").send()?.expect_status(503)?;
    house.role(&an_hour())?;
    house.settled(0)?;
    house.http.delete("/api/v1/mounts/lessor").send()?.expect_status(204)?;
    Ok(())
}

#[test]
fn an_answer_that_breaks_its_word_about_leases_is_refused_and_nothing_of_it_stays() -> Result {
    let folder = temp_dir()?;
    let house = House::open(folder.path(), &an_hour())?;
    for path in ["/v1/lessor/forgotten/a", "/v1/lessor/unasked/a"] {
        house.http.get(path).send()?.expect_status(500)?;
    }
    house.settled(0)?;
    Ok(())
}

/// Killed while some are being issued and others revoked, again and again: every account that is
/// there has a lease, and every lease that was told of has its account.
#[test]
fn a_kill_leaves_no_account_without_a_lease() -> Result {
    let folder = temp_dir()?;
    let mut told = BTreeSet::new();
    for round in 0..4_u64 {
        let house = House::open(folder.path(), &an_hour())?;
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let http = house.http.clone();
                thread::spawn(move || {
                    let mut told = Vec::new();
                    // Until the process is gone.
                    while let Ok(reply) = http.get("/v1/lessor/creds/app?rounds=200000").send() {
                        let Ok(answer) = reply.json() else { break };
                        told.extend(answer["lease_id"].as_str().map(str::to_owned));
                    }
                    told
                })
            })
            .collect();
        thread::park_timeout(Duration::from_millis(300 + 170 * round));
        house.warder.kill()?;
        for worker in workers {
            told.extend(worker.join().map_err(|_| "a thread panicked")?);
        }
    }
    let house = House::again(folder.path())?;
    assert!(!told.is_empty(), "nothing was issued");
    // What was pending is revoked; what was told of stays. One that was confirmed and not told of stays, too.
    let begun = Instant::now();
    loop {
        let accounts = house.accounts()?;
        let leases = house.count()?;
        if leases == accounts.len() as u64 {
            for name in &accounts {
                assert!(house.lookup(&format!("lessor/creds/app/{name}"))?.is_some(), "{name} has no lease");
            }
            for id in &told {
                assert!(accounts.contains(id.rsplit('/').next().unwrap_or_default()), "{id} has no account");
            }
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{} accounts, {leases} leases", accounts.len());
        thread::park_timeout(Duration::from_millis(50));
    }
    house.http.delete("/api/v1/leases?prefix=lessor").send()?.expect_status(204)?;
    house.settled(0)
}
