//! `warder config`: what it says of good configurations and bad ones.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::running::BINARY;

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
    for words in ["listener.tls.cert_file cert.pem: holds no certificate", "plugin notes: notes.wasm has sha256"] {
        assert!(told.contains(words), "{words} in\n{told}");
    }
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
