//! What becomes of an effect whose caller no longer waits: it is finished, and recorded. And a
//! connection that only pings.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use warder_client::proto::SecretsServiceRotateRequest as Rotate;
use warder_testkit::{Failure, Guest, Result, TempDir, Warder, temp_dir};

use crate::{PATIENCE, root, told, url};

const SECRET: &str = "/api/v1/secrets/rotor/slow";
/// What no machine goes round in the second of processor time that a plugin's call has.
const TOO_SLOW: u64 = 1 << 36;

/// A plugin that takes its time, and an audit log.
struct Stage {
    warder: Warder,
    folder: TempDir,
}

impl Stage {
    fn set() -> Result<Self> {
        let folder = temp_dir()?;
        let warder = Warder::dev().argument("--plugin").argument(Guest::Rotor.path()?);
        let warder = warder.argument("--audit").argument(folder.path().join("audit.log")).start()?;
        warder.http().put("/api/v1/mounts/rotor").json(&json!({"plugin": "rotor"})).send()?.expect_status(204)?;
        Ok(Self { warder, folder })
    }

    /// How many rotations were begun and how many were closed, by the audit log.
    fn recorded(&self) -> Result<(usize, usize)> {
        let text = fs::read_to_string(self.folder.path().join("audit.log"))?;
        let records = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let records: Vec<Value> =
            records.map(serde_json::from_str).collect::<Result<_, _>>().map_err(|why| Failure::new("a record", why))?;
        let count = |kind: &str| records.iter().filter(|it| it["operation"] == "rotate" && it["type"] == kind).count();
        Ok((count("open"), count("close")))
    }

    async fn until(&self, what: &str, done: impl Fn(&Self) -> Result<bool>) -> Result {
        let waited = timeout(PATIENCE, async {
            while !done(self)? {
                sleep(Duration::from_millis(2)).await;
            }
            Ok(())
        });
        waited.await.map_err(|_| Failure::from(format!("not in time: {what}")))?
    }

    /// The current version, 0 before the first.
    fn version(&self) -> Result<u64> {
        let answer = self.warder.http().get(SECRET).send()?;
        Ok(if answer.status == 404 { 0 } else { answer.json()?["version"].as_u64().ok_or("no version")? })
    }

    /// What came of a rotation with this deadline.
    async fn rotated(&self, rounds: u64, deadline: &str) -> Result<Outcome> {
        let (opened, version) = (self.recorded()?.0, self.version()?);
        let message = self.folder.path().join("message");
        fs::write(&message, framed(&rotation(rounds)))?;
        let head = curl(&self.warder, &message, deadline)?;
        // An answer has its status in trailers, which curl leaves out; a refusal has it in its head.
        let late = head.lines().any(|line| line.trim() == "grpc-status: 4");
        assert!(late || head.starts_with("HTTP/2 200") && !head.contains("grpc-status"), "{head}");
        // A call that is late may be just about to begin.
        let began = |stage: &Self| Ok(stage.recorded()?.0 > opened);
        let began = timeout(AFTERWARDS, self.until("it has begun", began)).await.is_ok();
        // The sandbox has the same deadline: it was in time, or nothing happened. Either is recorded.
        self.until("all is recorded", |stage| stage.recorded().map(|(opened, closed)| opened == closed)).await?;
        let done = self.version()? - version;
        assert!(if late { done <= 1 } else { done == 1 }, "{done} versions more: {head}");
        Ok(match (late, began) {
            (false, _) => Outcome::Answered,
            (true, true) => Outcome::LateInTheMiddle,
            (true, false) => Outcome::LateBefore,
        })
    }
}

/// How long a call that was answered with its deadline is waited for to begin.
const AFTERWARDS: Duration = Duration::from_secs(2);

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Answered,
    /// Its deadline passed before anything began.
    LateBefore,
    LateInTheMiddle,
}

fn rotation(rounds: u64) -> Rotate {
    Rotate { path: "rotor/slow".to_owned(), params_json: json!({ "rounds": rounds }).to_string().into() }
}

/// A message as gRPC sends it.
fn framed(asked: &Rotate) -> Vec<u8> {
    let asked = prost::Message::encode_to_vec(asked);
    let length = u32::try_from(asked.len()).unwrap_or_default().to_be_bytes();
    [&[0], &length[..], &asked].concat()
}

/// Rotations that take longer and longer, until one is cancelled before it is answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_cancelled_after_its_effect_began_is_done_and_recorded() -> Result {
    let stage = Stage::set()?;
    let client = root(&url(&stage.warder))?;
    let mut rounds = 1 << 20;
    for made in 1.. {
        assert!(rounds < TOO_SLOW, "every rotation was answered before it could be cancelled");
        let asked = rotation(rounds);
        let asking = client.clone();
        let call = tokio::spawn(async move { asking.secrets().rotate(asked).await });
        stage.until("it has begun", |stage| Ok(stage.recorded()?.0 == made)).await?;
        // Dropping the call resets its stream.
        call.abort();
        let cancelled = call.await.is_err_and(|why| why.is_cancelled());
        let done = |stage: &Stage| Ok(stage.version()? == made as u64 && stage.recorded()? == (made, made));
        stage.until("it is done and recorded", done).await?;
        if cancelled {
            return Ok(());
        }
        rounds *= 2;
    }
    Ok(())
}

/// curl, because a client that honours its own deadline hides the server's answer. Rotations take longer
/// and longer, until one is not done in time on this machine.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_in_the_middle_is_answered_in_time_and_what_began_is_done() -> Result {
    let stage = Stage::set()?;
    let (mut rounds, mut early) = (1 << 20, 0);
    loop {
        assert!(
            rounds < TOO_SLOW && early < 100,
            "no deadline passed in the middle: {rounds} rounds, {early} too early"
        );
        match stage.rotated(rounds, "60m").await? {
            Outcome::Answered => rounds *= 2,
            Outcome::LateBefore => early += 1,
            Outcome::LateInTheMiddle => break,
        }
    }
    assert_eq!(stage.rotated(rounds, "20S").await?, Outcome::Answered);
    Ok(())
}

/// The head of the answer to a rotation with this deadline.
fn curl(warder: &Warder, message: &Path, deadline: &str) -> Result<String> {
    let output = Command::new("curl")
        .args(["-s", "-D", "-", "-o", "/dev/null", "--http2-prior-knowledge", "--data-binary", "@-"])
        .args(["-H", "Content-Type: application/grpc", "-H", "TE: trailers", "-H", "Authorization: Bearer root"])
        .args(["-H", &format!("grpc-timeout: {deadline}")])
        .arg(format!("http://{}/warder.v1.SecretsService/Rotate", warder.address()))
        .stdin(Stdio::from(fs::File::open(message)?))
        .output()
        .map_err(|why| Failure::new("curl (apt-get install curl)", why))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A peer that pings and takes no answer is not read any more; nobody else notices.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_pings_is_held_up_and_harms_nobody() -> Result {
    let warder = Warder::dev().start()?;
    let client = root(&url(&warder))?;
    told("put", client.put("a", "{}").await)?;
    let resident = || -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", warder.process().pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line
            .trim()
            .split(' ')
            .next()
            .unwrap_or_default()
            .parse::<u64>()
            .map_err(|why| Failure::new("VmRSS", why))?
            / 1024)
    };
    let before = resident()?;
    let mut stream = TcpStream::connect(warder.address())?;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")?;
    let ping: &[u8] = b"\0\0\x08\x06\0\0\0\0\0pingping";
    let pings = ping.repeat(4096);
    stream.set_write_timeout(Some(Duration::from_secs(2)))?;
    let (mut sent, begun) = (0_usize, Instant::now());
    // Until it takes no more: what both kernels hold is some megabytes.
    while sent < 512 << 20 && begun.elapsed() < PATIENCE {
        match stream.write(&pings) {
            Ok(written) => sent += written,
            Err(_) => break,
        }
    }
    assert!(sent < 512 << 20, "{sent} bytes of pings were taken whose answers nobody reads");
    told("get", client.get("a").await)?;
    assert!(resident()? < before + 64, "{} MiB after {sent} bytes of pings, {before} before", resident()?);
    // Whoever reads the answers is served again.
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut answers = vec![0; 1 << 16];
    assert!(stream.read(&mut answers)? > 0);
    Ok(())
}
