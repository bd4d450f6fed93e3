//! Clients that are not ours: one that Python makes of the protobufs alone, and buf, which has
//! none and asks by reflection.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};
use warder_testkit::{Failure, Parts, Result, Warder, temp_dir};

/// What `Warder::dev` starts with.
const ROOT: &str = "root";

fn proto() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto")
}

fn run(command: &mut Command) -> Result<Output> {
    let output = command.output().map_err(|why| Failure::new(format!("{command:?}"), why))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = [output.stdout, output.stderr].concat();
    Err(Failure::new(format!("{command:?}"), String::from_utf8_lossy(&said)))
}

#[test]
fn a_python_client_made_of_the_protobufs_alone_does_the_quick_start() -> Result {
    let python = Parts::find().grpc("python")?;
    let folder = temp_dir()?;
    let mut files = Vec::new();
    for entry in fs::read_dir(proto().join("warder/v1"))? {
        files.push(entry?.path());
    }
    let out = |kind: &str| format!("--{kind}={}", folder.path().display());
    let made = &mut Command::new(&python);
    made.args(["-m", "grpc_tools.protoc", &out("python_out"), &out("grpc_python_out"), "-I"]).arg(proto()).args(&files);
    run(made)?;
    let warder = Warder::dev().start()?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/grpc/client.py");
    let asked = &mut Command::new(&python);
    asked.arg(script).env("PYTHONPATH", folder.path()).env("WARDER_ADDRESS", warder.address().to_string());
    let said = run(asked.env("WARDER_TOKEN", ROOT))?;
    assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), "done");
    Ok(())
}

#[test]
fn buf_finds_nothing_to_say_about_the_protobufs() -> Result {
    run(Command::new(Parts::find().grpc("buf")?).arg("lint").current_dir(proto()))?;
    Ok(())
}

#[test]
fn buf_curl_calls_by_reflection() -> Result {
    let warder = Warder::dev().start()?;
    let (buf, folder) = (Parts::find().grpc("buf")?, temp_dir()?);
    let header = folder.path().join("header");
    fs::write(&header, format!("authorization: Bearer {ROOT}\n"))?;
    let call = |method: &str, message: Value| -> Result<Value> {
        let output = run(Command::new(&buf)
            // An empty folder: it finds no protobufs but those of the server.
            .current_dir(folder.path())
            .args(["curl", "--protocol", "grpc", "--http2-prior-knowledge", "--reflect-header", "*"])
            .args(["-H", &format!("@{}", header.display()), "-d", &message.to_string()])
            .arg(format!("http://{}/{method}", warder.address())))?;
        Ok(serde_json::from_slice(&output.stdout)?)
    };
    let put = json!({"path": "database/postgres", "json": "eyJ1c2VyIjoiYWRtaW4ifQ=="});
    assert_eq!(call("warder.v1.SecretsService/Put", put)?["version"], "1");
    let read = call("warder.v1.SecretsService/Get", json!({"path": "database/postgres"}))?;
    assert_eq!(read["json"], "eyJ1c2VyIjoiYWRtaW4ifQ==");
    assert_eq!(call("grpc.health.v1.Health/Check", json!({}))?["status"], "SERVING");
    assert_eq!(call("warder.v1.SysService/Status", json!({}))?["status"]["initialized"], true);
    Ok(())
}
