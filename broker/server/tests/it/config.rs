//! `warder config`: what it says of good configurations and bad ones.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::running::{BINARY, Running};

fn config(arguments: &[&str], folder: &Path, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(BINARY);
    command.arg("config").args(arguments).current_dir(folder).envs(variables.iter().copied());
    command.output().unwrap()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_file_full_of_mistakes_is_answered_with_all_of_them() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/config");
    let arguments = ["check", "--config", "mistakes.toml", "--set", "cache.size=64", "--set", "cash.size=64MiB"];
    let variables = [
        ("WARDER_LIMITS_HEADER_SIZE", "64KB"),
        ("WARDER_LISTNER_ADDRESS", "127.0.0.1:8200"),
        ("WARDER_AUDIT_MAIN_SYNC", "sometimes"),
    ];
    let output = config(&arguments, &folder, &variables);
    let expected = std::fs::read_to_string(folder.join("mistakes.txt")).unwrap();
    let told = text(output.stderr);
    assert_eq!(told, expected, "if it is better now, make it tests/config/mistakes.txt:\n{told}");
    assert_eq!((output.status.code(), text(output.stdout)), (Some(2), String::new()));
}

#[test]
fn the_smallest_file_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    let smallest = "[listener]\naddress = \"0.0.0.0:8200\"\ntls_disable = true\n[storage]\npath = \"store\"\n\
                    [audit.main]\ntype = \"file\"\npath = \"/var/log/warder/audit.log\"\n";
    std::fs::write(folder.path().join("w.toml"), smallest).unwrap();
    let output = config(&["check", "--config", "w.toml"], folder.path(), &[("WARDER_CACHE_SIZE", "1MiB")]);
    let told = text(output.stdout);
    assert!(output.status.success(), "{}", text(output.stderr));
    for line in [
        ["listener.address", "0.0.0.0:8200", "w.toml:2:1"],
        ["storage.type", "redb", "default"],
        ["audit.main.sync", "effects", "default"],
        ["cache.size", "1MiB", "WARDER_CACHE_SIZE"],
    ] {
        assert!(told.lines().any(|told| told.split_whitespace().eq(line)), "{line:?} in\n{told}");
    }
}

#[test]
fn files_that_will_not_do_are_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("cert.pem"), "no certificate").unwrap();
    std::fs::write(folder.path().join("notes.wasm"), "abd").unwrap();
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let whole = format!(
        "listener.tls = {{ cert_file = \"cert.pem\", key_file = \"key.pem\" }}\nstorage.type = \"memory\"\n\
         audit.a.type = \"stdout\"\nplugins.notes = {{ file = \"notes.wasm\", sha256 = \"{digest}\" }}\n"
    );
    std::fs::write(folder.path().join("w.toml"), whole).unwrap();
    let output = config(&["check", "--config", "w.toml"], folder.path(), &[]);
    let told = text(output.stderr);
    assert_eq!(output.status.code(), Some(2));
    for words in [
        "listener.tls.cert_file cert.pem: holds no certificate",
        "listener.tls.key_file key.pem: ",
        "plugin notes: notes.wasm has sha256",
    ] {
        assert!(told.contains(words), "{words} in\n{told}");
    }
}

#[test]
fn limits_are_what_the_configuration_says() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.toml");
    let whole = format!(
        "listener = {{ address = \"127.0.0.1:0\", tls_disable = true }}\nstorage.type = \"memory\"\n\
         seal.type = \"dev\"\naudit.main = {{ type = \"file\", path = \"{}/audit.log\" }}\n\
         limits.request_size = \"1KiB\"\ncache.size = \"0B\"\n",
        folder.path().display()
    );
    std::fs::write(&file, whole).unwrap();
    let variables =
        [("WARDER_LIMITS_REQUEST_SIZE", "4MiB"), ("WARDER_TOKENS_MAX_TTL", "1h"), ("WARDER_TOKENS_DEFAULT_TTL", "1h")];
    let warder = Running::configured(Stdio::inherit(), &file, &variables);
    let json = ["-H", "Content-Type: application/json"];
    let one = r#"{"shares":1,"threshold":1}"#;
    let (status, made) = warder.curl(&[&json[..], &["-d", one, "{}/api/v1/sys/init"]].concat());
    assert_eq!(status, 200, "{made}");
    let token = format!("Authorization: Bearer {}", made["root_token"].as_str().unwrap());
    let largest = (4 << 20) - r#"{"a":""}"#.len();
    let body = folder.path().join("body");
    let data = format!("@{}", body.display());
    for (length, status) in [(largest, 201), (largest + 1, 413)] {
        std::fs::write(&body, format!("{{\"a\":\"{}\"}}", "x".repeat(length))).unwrap();
        let put = [&json[..], &["-X", "PUT", "-H", &token, "--data-binary", &data, "{}/api/v1/secrets/large"]].concat();
        assert_eq!(warder.curl(&put).0, status, "{length}");
    }
    for _ in 0..2 {
        let (status, got) = warder.curl(&["-H", &token, "{}/api/v1/secrets/large"]);
        assert_eq!((status, got["data"]["a"].as_str().map(str::len)), (200, Some(largest)));
    }
    let metrics = Command::new("curl").args(["-s", &format!("http://{}/metrics", warder.address)]).output().unwrap();
    let metrics = text(metrics.stdout);
    let hits = metrics.lines().find(|line| line.starts_with("warder_cache_lookups_total") && line.contains("\"hit\""));
    assert!(hits.is_some_and(|line| line.ends_with(" 0")), "nothing is kept: {hits:?}");
    let ask = [&json[..], &["-H", &token, "-d", r#"{"policies":["default"]}"#, "{}/v1/auth/token/create"]].concat();
    let (status, issued) = warder.curl(&ask);
    assert_eq!((status, issued["auth"]["lease_duration"].as_u64()), (200, Some(3600)), "{issued}");
}

#[test]
fn the_example_is_a_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let example = config(&["generate"], folder.path(), &[]);
    std::fs::write(folder.path().join("w.toml"), &example.stdout).unwrap();
    let output = config(&["check", "--config", "w.toml"], folder.path(), &[("WARDER_LISTENER_ADDRESS", "nowhere")]);
    let told = text(output.stderr);
    assert_eq!(told.lines().count(), 2, "one mistake, and it is the variable's: {told}");
    assert!(told.contains("WARDER_LISTENER_ADDRESS: listener.address: expected an address and a port"), "{told}");
}
