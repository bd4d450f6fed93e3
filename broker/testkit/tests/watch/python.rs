//! Watches of clients that are not ours: one that Python makes of the protobufs alone, and `bao` that
//! writes what is told.

use std::{
    fs,
    io::{BufRead as _, BufReader, Lines, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio},
};

use serde_json::Value;
use warder_testkit::{Failure, Parts, Result, TempDir, Warder, temp_dir};

use crate::{
    events::{Events, put},
    slow::{PATIENT, followed, path},
    stage::Stage,
};

/// `client.py` over what `protoc` made; ends with the value.
struct Python {
    child: Child,
    asking: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    _made: TempDir,
}

impl Python {
    fn start(address: &str, token: &str) -> Result<Self> {
        let (python, made) = (Parts::find().grpc("python")?, temp_dir()?);
        let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
        let out = |kind: &str| format!("--{kind}={}", made.path().display());
        let mut protoc = Command::new(&python);
        protoc.args(["-m", "grpc_tools.protoc", &out("python_out"), &out("grpc_python_out"), "-I"]).arg(&proto);
        for entry in fs::read_dir(proto.join("warder/v1"))? {
            protoc.arg(entry?.path());
        }
        succeeded(&protoc.output().map_err(|why| Failure::new("protoc", why))?)?;
        let mut child = Command::new(&python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/watch/client.py"))
            .env("PYTHONPATH", made.path())
            .env("WARDER_ADDRESS", address)
            .env("WARDER_TOKEN", token)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|why| Failure::new("python", why))?;
        let asking = child.stdin.take().ok_or("an input")?;
        let lines = BufReader::new(child.stdout.take().ok_or("an output")?).lines();
        Ok(Self { child, asking, lines, _made: made })
    }

    /// Has it do something; what it says.
    fn ask(&mut self, what: &str) -> Result<Value> {
        writeln!(self.asking, "{what}")?;
        let said = self.lines.next().ok_or("python ended")??;
        serde_json::from_str(&said).map_err(|why| Failure::new(said, why))
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn succeeded(output: &Output) -> Result<String> {
    let said = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
    if output.status.success() { Ok(said) } else { Err(said.into()) }
}

/// `bao` as a client of this server.
fn bao(warder: &Warder, home: &TempDir, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(Parts::find().openbao()?);
    command.args(arguments).env("BAO_ADDR", format!("http://{}", warder.address()));
    command.env("BAO_TOKEN", "root").env("HOME", home.path());
    succeeded(&command.output().map_err(|why| Failure::new("bao", why))?)
}

#[test]
fn what_bao_writes_is_told_over_both_doors_and_resumed_by_a_python_client() -> Result {
    let warder = Warder::dev().start()?;
    let (curl, _) = Events::open(&warder.http(), "?prefix=app", "root", &[])?;
    let mut python = Python::start(&warder.address().to_string(), "root")?;
    let ready = python.ask("watch app")?;
    assert_eq!(ready["event"], "ready", "{ready}");
    let home = temp_dir()?;
    let bao = |arguments: &[&str]| bao(&warder, &home, arguments);
    bao(&["kv", "put", "-mount=secret", "app/db", "user=admin"])?;
    bao(&["kv", "put", "-mount=secret", "other", "user=admin"])?;
    bao(&["kv", "patch", "-mount=secret", "app/db", "password=x"])?;
    bao(&["kv", "delete", "-mount=secret", "app/db"])?;
    bao(&["kv", "undelete", "-mount=secret", "-versions=2", "app/db"])?;
    bao(&["kv", "metadata", "delete", "-mount=secret", "app/db"])?;
    let expected = ["created [1]", "updated [2]", "deleted [2]", "undeleted [2]", "destroyed []"];
    let mut told = Vec::new();
    for (rest, expected) in curl.changes(5)?.iter().zip(expected) {
        let grpc = python.ask("next")?;
        assert_eq!(format!("{} {}", rest.text("kind"), rest.data["versions"]), expected);
        assert_eq!(format!("{} {}", grpc["kind"].as_str().unwrap_or_default(), grpc["versions"]), expected, "{grpc}");
        assert_eq!((&grpc["path"], grpc["revision"].as_u64()), (&"app/db".into(), rest.id));
        told.push(grpc);
    }
    // From the second on, on a new stream: the same, once.
    let from = told[1]["revision"].clone();
    assert_eq!(python.ask(&format!("watch app {from}"))?["event"], "ready");
    for again in &told[2..] {
        assert_eq!(&python.ask("next")?, again);
    }
    // Its own deadline ends it, and bad questions are refused.
    assert_eq!(python.ask("deadline app")?["code"], "DEADLINE_EXCEEDED");
    assert_eq!(python.ask("refused a//b")?["code"], "INVALID_ARGUMENT");
    assert_eq!(python.ask("stranger app")?["code"], "UNAUTHENTICATED");
    assert_eq!(python.ask("watch app 999999999")?["event"], "lagged");
    Ok(())
}

/// gRPC's own bound: the window of a stream that nobody reads.
#[test]
fn a_python_client_that_does_not_read_is_told_that_it_lagged() -> Result {
    let stage = Stage::set(PATIENT)?;
    let http = stage.http();
    let mut python = Python::start(&stage.warder.address().to_string(), &stage.token)?;
    assert_eq!(python.ask("watch slow")?["event"], "ready");
    let last = 2_000;
    for _ in 0..last {
        put(&http, &path())?;
    }
    let lost = followed(last, || {
        let told = python.ask("next")?;
        Ok((told["event"].as_str().unwrap_or_default().to_owned(), told["version"].as_u64()))
    })?;
    assert!(lost, "{last} changes fitted into the window of a client that reads nothing");
    put(&http, &path())?;
    assert_eq!(python.ask("next")?["version"], last + 1);
    Ok(())
}

#[test]
fn more_watchers_than_there_may_be_are_refused_in_grpc_as_in_rest() -> Result {
    let stage = Stage::set("[watch]\nwatchers = 1\n")?;
    let _watch = Events::open(&stage.http(), "", &stage.token, &[])?;
    let mut python = Python::start(&stage.warder.address().to_string(), &stage.token)?;
    let refused = python.ask("refused app")?;
    assert_eq!((&refused["code"], &refused["reason"]), (&"RESOURCE_EXHAUSTED".into(), &"rate_limited".into()));
    Ok(())
}
