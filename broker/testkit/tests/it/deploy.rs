//! What lies in `deploy/` works: the example configuration starts the server, and systemd takes
//! the unit.

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
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["127.0.0.1".to_owned()]).map_err(|why| why.to_string())?;
    fs::write(here("tls/cert.pem"), cert.pem())?;
    fs::write(here("tls/key.pem"), signing_key.serialize_pem())?;
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
