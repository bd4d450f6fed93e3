//! What lies in `deploy/` works: the example configuration starts the server, systemd takes the
//! unit, and those who know Dockerfiles, manifests and alerts have nothing to say.

mod alerts;
mod container;
mod kubernetes;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::Value;
use warder_testkit::{Failure, Result, Warder, temp_dir};

#[test]
fn the_example_configuration_serves_tls_and_can_be_initialized() -> Result {
    let directory = temp_dir()?;
    let here = |name: &str| directory.path().join(name);
    for folder in ["lib", "log", "tls"] {
        fs::create_dir(here(folder))?;
    }
    let [certificate, key] = certificate("127.0.0.1")?;
    fs::write(here("tls/cert.pem"), certificate)?;
    fs::write(here("tls/key.pem"), key)?;
    let text = fs::read_to_string(deploy("warder.toml"))?;
    let config = [
        ("0.0.0.0:8200", "127.0.0.1:0".into()),
        ("/etc/warder/tls", here("tls")),
        ("/var/lib/warder", here("lib")),
        ("/var/log/warder", here("log")),
    ]
    .into_iter()
    .try_fold(text, |text, (from, to)| {
        let found = text.contains(from);
        found.then(|| text.replace(from, &to.display().to_string())).ok_or_else(|| format!("warder.toml has no {from}"))
    })?;
    fs::write(here("warder.toml"), config)?;

    let warder = Warder::serve(&here("warder.toml")).start()?;
    let url = |path: &str| format!("https://{}{path}", warder.address());
    let ca = here("tls/cert.pem");
    assert_eq!(curl(&ca, &[&url("/health")])?.0, 501, "a new store is not initialized");
    let body = r#"{"shares":3,"threshold":2}"#;
    let (status, made) = curl(&ca, &["-H", "Content-Type: application/json", "-d", body, &url("/api/v1/sys/init")])?;
    assert_eq!((status, made["keys"].as_array().map(Vec::len)), (200, Some(3)));
    assert_eq!(curl(&ca, &[&url("/health")])?.0, 200);
    assert!(fs::read_to_string(here("log/audit.log"))?.lines().count() > 0, "init was not recorded");
    Ok(())
}

#[test]
fn systemd_takes_the_unit() -> Result {
    let directory = temp_dir()?;
    let unit = fs::read_to_string(deploy("warder.service"))?;
    let installed = "/usr/local/bin/warder";
    assert!(unit.contains(installed));
    let file = directory.path().join("warder.service");
    fs::write(&file, unit.replace(installed, &Warder::program()?.canonicalize()?.display().to_string()))?;
    let verified = Command::new("systemd-analyze")
        .arg("verify")
        .arg(&file)
        .output()
        .map_err(|why| Failure::new("systemd-analyze is missing (Debian: apt-get install systemd)", why))?;
    let words = String::from_utf8_lossy(&verified.stderr);
    let about_it: Vec<&str> = words.lines().filter(|line| line.contains("warder.service")).collect();
    assert!(verified.status.success() && about_it.is_empty(), "{words}");
    Ok(())
}

#[test]
fn the_unit_leaves_the_server_little_to_do_harm_with() -> Result {
    // 0 is a unit that may do nothing, 100 one without any restriction. What is left: the network,
    // and machine code that is made at run time.
    let rated = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=20"])
        .arg(deploy("warder.service"))
        .output()
        .map_err(|why| Failure::new("systemd-analyze is missing (Debian: apt-get install systemd)", why))?;
    let words = String::from_utf8_lossy(&rated.stdout);
    assert!(rated.status.success() && words.contains("Overall exposure level"), "{words}");
    Ok(())
}

/// Runs a checker; what it said when it is content.
fn content(command: &mut Command, advice: &str) -> Result<String> {
    let output = command.output().map_err(|why| Failure::new(format_args!("{command:?} ({advice})"), why))?;
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{command:?}\n{}\n{}", said[0], said[1]);
    let [out, _] = said;
    Ok(out)
}

/// A certificate for `name` with its key: two PEM texts.
fn certificate(name: &str) -> Result<[String; 2]> {
    let made = generate_simple_self_signed([name.to_owned()]).map_err(|why| why.to_string())?;
    let CertifiedKey { cert, signing_key } = made;
    Ok([cert.pem(), signing_key.serialize_pem()])
}

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(name)
}

/// Status and JSON body.
fn curl(ca: &Path, arguments: &[&str]) -> Result<(u16, Value)> {
    let output = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--max-time",
            "20",
            "--write-out",
            "\n%{http_code}",
            "--cacert",
        ])
        .arg(ca)
        .args(arguments)
        .output()
        .map_err(|why| Failure::new("run curl", why))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let (body, status) = text.rsplit_once('\n').unwrap_or_default();
    let status = status.parse().map_err(|why| Failure::new(String::from_utf8_lossy(&output.stderr), why))?;
    Ok((status, serde_json::from_str(body).unwrap_or_default()))
}
