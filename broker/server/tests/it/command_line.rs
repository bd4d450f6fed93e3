//! The command line against a real server: answers, exit codes, words.

use std::process::{Command, Output};

use crate::running::{BINARY, Running};

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn commands_answer_and_end_with_the_code_of_their_kind() {
    let folder = tempfile::tempdir().unwrap();
    let audit = folder.path().join("audit.log");
    let audit = audit.to_str().unwrap();
    let warder = Running::dev(&["--audit", audit]);
    let file = folder.path().join("user");
    std::fs::write(&file, "admin").unwrap();
    let user = format!("user=@{}", file.display());
    for (arguments, input, expected, out) in [
        (&["list"][..], "", 0, ""),
        (&["list", "--output", "json"], "", 0, "\"keys\": []"),
        (&["put", "app/db", &user, "password=-"], "hunter2", 0, "version"),
        (&["get", "app/db", "--field", "password"], "", 0, "hunter2"),
        (&["get", "app/db", "--output", "json"], "", 0, "\"user\": \"admin\""),
        (&["get", "app/db", "--output", "yaml"], "", 0, "user: \"admin\""),
        (&["put", "app/db", "-", "--cas", "7"], "{}", 6, ""),
        (&["put", "app/db", "-", "--create-only"], "{}", 6, ""),
        (&["patch", "app/db", "-"], "{\"user\":null}", 0, "version"),
        (&["list"], "", 0, "app/"),
        (&["list", "app"], "", 0, "db"),
        (&["versions", "app/db"], "", 0, "\nVERSION  CREATED"),
        (&["delete", "app/db"], "", 0, ""),
        (&["get", "app/db"], "", 5, ""),
        (&["undelete", "app/db", "--versions", "2"], "", 0, "versions"),
        (&["get", "a//b"], "", 8, ""),
        (&["rotate", "app/db"], "", 8, ""),
        (&["policy", "write", "reader", "-"], "path \"secret/data/*\" { capabilities = [\"read\"] }", 0, ""),
        (&["policy", "read", "reader"], "", 0, "capabilities"),
        (&["policy", "explain", "secret/data/a", "read", "--policy", "reader"], "", 0, "secret/data/*"),
        (&["policy", "write", "broken", "-"], "path {", 8, ""),
        (&["policy", "delete", "reader"], "", 0, ""),
        (&["token", "create", "--policy", "default", "--ttl", "1h"], "", 0, "ttl_seconds"),
        (&["token", "create", "--policy", "nobody-wrote-it"], "", 0, "does not exist"),
        (&["token", "lookup"], "", 0, "ttl_seconds"),
        (&["token", "lookup", "--accessor", "unknown"], "", 5, ""),
        (&["token", "revoke", "--accessor", "unknown"], "", 5, ""),
        (&["token", "revoke"], "", 2, ""),
        (&["token", "revoke", "--self", "--accessor", "a"], "", 2, ""),
        (&["audit", "list"], "", 0, "NAME"),
        (&["policy", "list"], "", 0, "default\n"),
        (&["limit", "put", "reads", "--rate", "900", "--path", "secret/", "--group-by", "none"], "", 0, ""),
        (&["limit", "put", "reads", "--rate", "0"], "", 8, ""),
        (&["limit", "list"], "", 0, "reads\n"),
        (&["limit", "get", "reads", "--output", "json"], "", 0, "\"interval_seconds\": 1"),
        (&["limit", "delete", "reads"], "", 0, ""),
        (&["limit", "get", "reads"], "", 5, ""),
        (&["mount", "enable", "kv", "--path", "team/kv"], "", 0, ""),
        (&["mount", "list"], "", 0, "PATH      PLUGIN  DESCRIPTION"),
        (&["mount", "list"], "", 0, "team/kv/  kv"),
        (&["mount", "disable", "team/kv"], "", 0, ""),
        (&["status"], "", 0, "initialized"),
        (&["audit", "verify", audit], "", 0, "records"),
        (&["operator", "seal"], "", 0, ""),
        (&["status"], "", 7, "sealed"),
        (&["get", "app/db"], "", 7, ""),
        (&["get"], "", 2, ""),
    ] {
        let output = warder.command(arguments, input);
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(code(&output), expected, "{arguments:?}: {text}{}", err(&output));
        assert!(text.contains(out), "{arguments:?}: {text}");
    }
}

/// What a secret may hold is the server's to say, and its words reach the caller.
#[test]
fn a_large_secret_is_taken_where_the_server_takes_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "[listener]\naddress = \"127.0.0.1:0\"\ntls_disable = true\n[storage]\ntype = \"memory\"\n\
         [limits]\nrequest_size = \"4MiB\"\n[audit.main]\ntype = \"file\"\npath = \"{}/audit.log\"\n",
        folder.path().display()
    );
    let file = folder.path().join("warder.toml");
    std::fs::write(&file, config).unwrap();
    let server = Running::configured(std::process::Stdio::inherit(), &file, &[]);
    let made = server.command(&["operator", "init", "--shares", "1", "--threshold", "1", "--output", "json"], "");
    let keys: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    let server = server.with_token(keys["root_token"].as_str().unwrap());
    let large = |mib: usize| "x".repeat(mib << 20);
    assert_eq!(code(&server.command(&["put", "large", "a=-"], &large(3))), 0);
    let read = server.command(&["get", "large", "--field", "a"], "");
    assert_eq!(read.stdout.len(), (3 << 20) + 1);
    let refused = server.command(&["put", "large", "a=-"], &large(5));
    assert_eq!(code(&refused), 8, "{}", err(&refused));
    assert!(err(&refused).contains("Too large (413)"), "{}", err(&refused));
    let refused = server.command(&["put", "large", "a=-"], &large(9));
    assert_eq!(code(&refused), 2);
    assert!(err(&refused).contains("standard input: larger than 8388608 bytes"), "{}", err(&refused));
}

#[test]
fn a_changed_audit_log_is_refused_with_its_first_bad_record() {
    let folder = tempfile::tempdir().unwrap();
    let audit = folder.path().join("audit.log");
    let name = audit.to_str().unwrap().to_owned();
    let warder = Running::dev(&["--audit", &name]);
    assert_eq!(code(&warder.command(&["put", "a", "-"], "{}")), 0);
    warder.stop();
    let text = std::fs::read_to_string(&audit).unwrap();
    std::fs::write(&audit, text.replacen("\"type\":\"close\"", "\"type\":\"closE\"", 1)).unwrap();
    let output = Command::new(BINARY).args(["audit", "verify", &name]).output().unwrap();
    assert_eq!(code(&output), 1);
    assert!(err(&output).contains("line 2, record 2: the record was changed"), "{}", err(&output));
}

#[test]
fn a_log_whose_end_was_cut_off_is_refused_by_a_record_that_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let audit = folder.path().join("audit.log");
    let name = audit.to_str().unwrap().to_owned();
    let warder = Running::dev(&["--audit", &name]);
    assert_eq!(code(&warder.command(&["put", "a", "-"], "{}")), 0);
    warder.stop();
    let verify = |more: &[&str]| {
        let arguments = ["audit", "verify", &name, "--output", "json"];
        Command::new(BINARY).args(arguments).args(more).output().unwrap()
    };
    let told: serde_json::Value = serde_json::from_slice(&verify(&[]).stdout).unwrap();
    let known = format!("{}:{}", told["last_seq"], told["last_hash"].as_str().unwrap());
    assert_eq!(code(&verify(&["--known", &known])), 0);
    assert_eq!(code(&verify(&["--known", "1:abc"])), 2);
    let text = std::fs::read_to_string(&audit).unwrap();
    let end = text.trim_end().rfind('\n').unwrap() + 1;
    std::fs::write(&audit, &text[..end]).unwrap();
    assert_eq!(code(&verify(&[])), 0, "the rest is whole");
    let output = verify(&["--known", &known]);
    assert_eq!(code(&output), 1);
    assert!(err(&output).contains("which is known: its beginning or its end was cut off"), "{}", err(&output));
}

#[test]
fn keys_are_made_once_shown_once_and_open_the_barrier_from_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::serve(folder.path(), "");
    assert_eq!(code(&server.command(&["status"], "")), 7);
    let made = server.command(&["operator", "init", "--shares", "3", "--threshold", "2"], "");
    let text = String::from_utf8(made.stdout).unwrap();
    let of = |label: &str| text.lines().find_map(|line| line.strip_prefix(label)).unwrap().trim().to_owned();
    assert!(text.contains("Key share 3: ") && text.contains("2 of 3 shares"), "{text}");
    assert_eq!(code(&server.command(&["operator", "init", "--output", "json"], "")), 6, "once");
    let server = server.with_token(&of("Root token:"));
    assert_eq!(code(&server.command(&["operator", "seal"], "")), 0);
    for (share, sealed) in [("Key share 1:", true), ("Key share 3:", false)] {
        let output = server.command(&["operator", "unseal", "--output", "json"], &format!("{}\n", of(share)));
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(status["sealed"], sealed, "{}", err(&output));
    }
    assert_eq!(code(&server.command(&["put", "a", "-"], "{}")), 0);
}

#[test]
fn a_secret_on_the_command_line_is_refused_and_not_repeated() {
    let output = Command::new(BINARY).args(["put", "a", "password=hunter2"]).output().unwrap();
    assert_eq!(code(&output), 2);
    assert!(err(&output).contains("name=@file") && err(&output).contains("name=-"));
    assert!(!err(&output).contains("hunter2"));
}

#[test]
fn nobody_listening_is_told_apart() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = Command::new(BINARY).args(["get", "a", "--address", &format!("http://{closed}")]).output().unwrap();
    assert_eq!(code(&output), 3, "{}", err(&output));
}

#[test]
fn dev_says_clearly_why_it_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (arguments, word) in [
        (["--listen", &*taken], "cannot listen on"),
        (["--data-dir", file.to_str().unwrap()], "--data-dir"),
        (["--listen", "nowhere"], "invalid value"),
    ] {
        let output = Command::new(BINARY).arg("dev").args(arguments).output().unwrap();
        assert_ne!(code(&output), 0);
        assert!(err(&output).contains(word), "{arguments:?}: {}", err(&output));
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_bad_configuration_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("warder.toml");
    std::fs::write(&file, "[listener]\naddress = \"127.0.0.1:0\"\nport = 1\n").unwrap();
    let output = Command::new(BINARY).args(["serve", "--config"]).arg(&file).output().unwrap();
    assert_eq!(code(&output), 2);
    assert!(err(&output).contains("warder.toml:3:1: unknown option listener.port"), "{}", err(&output));
}

#[test]
fn help_tells_examples_and_exit_codes() {
    let output = Command::new(BINARY).arg("--help").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for word in ["Exit codes:", "WARDER_ADDR", "warder dev", "operator"] {
        assert!(text.contains(word), "{word}");
    }
}
