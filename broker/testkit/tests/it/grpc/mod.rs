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

/// The protobufs that clients were made of: `make released` takes today's, on purpose.
const RELEASED: &str = "released.binpb";

/// What buf says of a folder of protobufs that a client of the released ones would break at.
fn breaking(folder: &Path) -> Result<Output> {
    let mut buf = Command::new(Parts::find().grpc("buf")?);
    buf.args(["breaking", "--against"]).arg(proto().canonicalize()?.join(RELEASED)).current_dir(folder);
    buf.output().map_err(|why| Failure::new("buf breaking", why))
}

#[test]
fn clients_of_the_released_protobufs_go_on_working() -> Result {
    let said = breaking(&proto())?;
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
    Ok(())
}

#[test]
fn a_change_that_would_break_clients_is_found() -> Result {
    for (file, before, after, words) in [
        ("secrets", "bool refresh = 3;", "string note = 3;", "Field \"3\" with name \"note\" on message"),
        ("secrets", "bool refresh = 3;", "bool refresh = 9;", "Previously present field \"3\" with name \"refresh\""),
        ("secrets", "rpc Undelete(", "rpc Restore(", "Previously present RPC \"Undelete\""),
        ("policies", "OPERATION_ROTATE = 6;", "OPERATION_TURN = 6;", "Enum value \"6\" on enum \"Operation\""),
        ("tokens", "service TokenService {", "service Tokens {", "Previously present service \"TokenService\""),
    ] {
        let folder = temp_dir()?;
        run(Command::new("cp")
            .arg("-r")
            .arg(proto().join("buf.yaml"))
            .args(["grpc", "warder"].map(|name| proto().join(name)))
            .arg(folder.path()))?;
        let file = folder.path().join("warder/v1").join(file).with_extension("proto");
        let text = fs::read_to_string(&file)?;
        assert!(text.contains(before), "{before} is not in {}", file.display());
        fs::write(&file, text.replacen(before, after, 1))?;
        let said = breaking(folder.path())?;
        let told = String::from_utf8_lossy(&said.stdout);
        assert!(!said.status.success() && told.contains(words), "{before} -> {after}: {told}");
    }
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
