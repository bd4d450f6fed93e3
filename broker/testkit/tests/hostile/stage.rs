//! The real binary with the plugin mounted at `bad/`, and what can be seen of it from outside.

use std::{fs, time::Instant};

use serde_json::{Value, json};
use warder_testkit::{Failure, Guest, Http, Reply, Result, Volume, Warder};

use crate::deed::Deed;

/// For the audit log.
const DISK_BYTES: u64 = 256 << 20;

pub(crate) struct Stage {
    pub(crate) warder: Warder,
    /// Dropped after the server.
    _disk: Volume,
    pub(crate) http: Http,
}

/// One of the two HTTP doors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Native,
    Vault,
}

/// What the plugin gets to hold, sealed.
pub(crate) fn document() -> Value {
    json!({"password": "hunter2-AAAA", "pin": "1", "empty": "", "flag": true})
}

impl Stage {
    pub(crate) fn set() -> Result<Self> {
        // A disk that others keep busy may take longer to sync a record than an audit sink is
        // given. That would say nothing of plugins, so this one is in memory.
        let disk = Volume::new(DISK_BYTES)?;
        let log = disk.path().join("audit.log");
        let warder = Warder::dev().on(&disk).argument("--audit").argument(log);
        let warder = warder.argument("--plugin").argument(Guest::Misbehave.path()?).start()?;
        let http = warder.http();
        http.put("/api/v1/mounts/bad").json(&json!({"plugin": "misbehave"})).send()?.expect_status(204)?;
        http.put("/api/v1/secrets/neighbour").json(&json!({"k": "v"})).send()?.expect_status(201)?;
        Ok(Self { warder, _disk: disk, http })
    }

    /// What the mount holds, and what `kv` holds.
    pub(crate) fn stored(&self) -> Result<(Value, Value)> {
        let own = self.http.get("/v1/bad/do/list").send()?;
        let others = self.http.get("/api/v1/secrets/?list=true").send()?;
        Ok((own.json()?["data"]["keys"].clone(), others.json()?["keys"].clone()))
    }

    /// The same mount serves the next request, and so does its neighbour.
    pub(crate) fn serves(&self) -> Result {
        let well = self.http.post("/v1/bad/do/behave").json(&json!({})).send()?.expect_status(200)?;
        assert_eq!(well.json()?["data"]["keys"], json!(["well"]));
        let read = self.http.get("/api/v1/secrets/neighbour").send()?.expect_status(200)?;
        assert_eq!(read.json()?["data"], json!({"k": "v"}));
        Ok(())
    }

    /// Resident memory, bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        let file = format!("/proc/{}/status", self.warder.process().pid());
        let text = fs::read_to_string(&file).map_err(|why| Failure::new(&file, why))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().map_err(|why| Failure::new(&file, why))?;
        Ok(kib * 1024)
    }
}

impl Door {
    /// Does the deed. No answer within the client's minute is an error.
    pub(crate) fn ask(self, http: &Http, deed: &Deed) -> Result<Reply> {
        let started = Instant::now();
        let reply = match self {
            Self::Native => http.put(&format!("/api/v1/secrets/bad/do/{}", deed.path)).json(&document()).send(),
            Self::Vault => http.post(&format!("/v1/bad/do/{}", deed.path)).json(&json!({"doc": document()})).send(),
        };
        reply.map_err(|why| Failure::new(format_args!("{self:?} {} after {:?}", deed.path, started.elapsed()), why))
    }
}

/// Its own end, or, on a machine that is slow or busy, that of its time; told with who did it where.
pub(crate) fn check(door: Door, deed: &Deed, reply: &Reply) -> Result {
    let told = format!("{door:?} {}: {} {}", deed.path, reply.status, reply.text());
    let late = reply.status == 504;
    assert!(late || reply.status == deed.status(), "{told}");
    let answer = reply.json()?;
    let text = match door {
        Door::Vault => answer["errors"][0].as_str().unwrap_or_default(),
        Door::Native => {
            assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{told}");
            assert_eq!(answer["code"], if late { "deadline_exceeded" } else { deed.code }, "{told}");
            if late || deed.names_its_plugin() {
                assert_eq!((&answer["plugin"], &answer["mount"]), (&json!("misbehave"), &json!("bad/")), "{told}");
            }
            answer["detail"].as_str().unwrap_or_default()
        }
    };
    let in_time = !late && text.contains(deed.words);
    assert!(in_time || OUT_OF_TIME.contains(&text), "{told}\nhas no {:?}", deed.words);
    assert!(!reply.text().contains("hunter2") && !reply.text().contains(".rs:"), "{told}");
    Ok(())
}

/// Both bounds on time.
const OUT_OF_TIME: [&str; 2] = [
    "plugin misbehave in mount bad/ used more than its 1 s of processor time",
    "plugin misbehave in mount bad/ ran longer than its 10 s",
];
