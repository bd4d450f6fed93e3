//! Several listeners at once, and unix sockets.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
    path::Path,
    process::{Command, Output, Stdio},
};

use rcgen::ExtendedKeyUsagePurpose as Usage;
use serde_json::Value;

use crate::{
    openssl::until,
    running::{BINARY, Running},
    tls::Authority,
};

/// A configuration with these listeners, over a store in memory that opens by itself.
pub(crate) fn configured(folder: &Path, listeners: &str) -> std::path::PathBuf {
    let file = folder.join("warder.toml");
    let rest = format!(
        "[storage]\ntype = \"memory\"\n[seal]\ntype = \"dev\"\n[audit.main]\ntype = \"file\"\npath = \"{}/audit.log\"\n",
        folder.display()
    );
    fs::write(&file, format!("{listeners}{rest}")).unwrap();
    file
}

/// What curl prints, which is nothing where it fails.
pub(crate) fn curl(arguments: &[&str]) -> String {
    let output = Command::new("curl").args(["-s", "--max-time", "30"]).args(arguments).output();
    String::from_utf8(output.expect("curl is installed: apt-get install curl").stdout).unwrap()
}

fn live(arguments: &[&str]) -> bool {
    curl(arguments) == r#"{"status":"live"}"#
}

#[test]
fn every_listener_has_its_own_address_and_its_own_tls() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let [one, two, clients] = ["one", "two", "clients"].map(|name| Authority::new(folder.path(), name));
    let [first, second] = [one.sign("a", Usage::ServerAuth), two.sign("b", Usage::ServerAuth)];
    let known = clients.sign("known", Usage::ClientAuth);
    let file = configured(
        folder.path(),
        &format!(
            "[listener]\naddress = \"127.0.0.1:0\"\ntls = {{ cert_file = \"{}\", key_file = \"{}\" }}\n\
             [listener.inside]\naddress = \"127.0.0.1:0\"\ntls_disable = true\n\
             [listener.mutual]\naddress = \"127.0.0.1:0\"\n[listener.mutual.tls]\ncert_file = \"{}\"\nkey_file = \"{}\"\n\
             client_ca_file = \"{}\"\n[listener.socket]\naddress = \"unix:{}\"\nsocket_mode = \"0640\"\n",
            first[0],
            first[1],
            second[0],
            second[1],
            clients.file(),
            at("w.sock"),
        ),
    );
    let log = folder.path().join("log");
    let warder = Running::configured(fs::File::create(&log).unwrap().into(), &file, &[]);
    let [inside, mutual, socket] = &warder.beside[..] else { panic!("{:?}", warder.beside) };
    let inside = inside.strip_prefix("inside: listening on http://").unwrap();
    let mutual = mutual.strip_prefix("mutual: listening on https://").unwrap();
    assert_eq!(*socket, format!("socket: listening on unix://{}", at("w.sock")));

    let first = format!("https://{}/livez", warder.address);
    let (plain, mutual) = (format!("http://{inside}/livez"), format!("https://{mutual}/livez"));
    let shown = ["--cert", &*known[0], "--key", &*known[1]];
    assert!(live(&["--cacert", one.file(), &first]) && live(&[&plain]));
    assert!(live(&["--unix-socket", &at("w.sock"), "http://localhost/livez"]));
    assert!(live(&["--http2-prior-knowledge", "--unix-socket", &at("w.sock"), "http://localhost/livez"]));
    assert!(live(&[&shown[..], &["--cacert", two.file(), &mutual]].concat()));
    assert!(!live(&["--cacert", two.file(), &mutual]), "without a certificate");
    assert!(!live(&["--cacert", two.file(), &first]), "signed by the other");
    assert_eq!(fs::metadata(at("w.sock")).unwrap().permissions().mode() & 0o777, 0o640);

    // One whose files will not do keeps what it has, the other takes the new ones.
    let [certificate, key] = two.sign("c", Usage::ServerAuth);
    fs::rename(certificate, at("a.crt")).unwrap();
    fs::rename(key, at("a.key")).unwrap();
    fs::write(at("b.crt"), "no certificate").unwrap();
    warder.hang_up();
    until("reloaded", || live(&["--cacert", two.file(), &first]));
    until("told", || fs::read_to_string(&log).unwrap().contains("listener=\"listener.mutual\""));
    assert!(fs::read_to_string(&log).unwrap().contains("certificates not reloaded, the ones in use stay"));
    assert!(live(&[&shown[..], &["--cacert", two.file(), &mutual]].concat()));
    warder.stop();
    assert!(!folder.path().join("w.sock").exists());
}

/// `warder` with these arguments, asking by this address.
fn command(address: &str, token: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(arguments).env("WARDER_ADDR", address).env("WARDER_TOKEN", token).output().unwrap()
}

#[test]
fn a_unix_socket_alone_serves_the_command_line_and_its_callers_have_no_address() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("w.sock").display().to_string();
    let file = configured(folder.path(), &format!("[listener]\naddress = \"unix:{socket}\"\n"));
    // Somebody who ended without cleaning up.
    drop(UnixListener::bind(&socket).unwrap());
    let _warder = Running::configured(Stdio::inherit(), &file, &[]);
    let made = curl(&[
        "--unix-socket",
        &socket,
        "-d",
        r#"{"shares":1,"threshold":1}"#,
        "http://w/api/v1/sys/init",
        "-H",
        "Content-Type: application/json",
    ]);
    let made: Value = serde_json::from_str(&made).unwrap();
    let token = made["root_token"].as_str().unwrap();
    let body = folder.path().join("body.json");
    fs::write(&body, r#"{"b":"c"}"#).unwrap();
    for address in [format!("unix://{socket}"), format!("unix:{socket}")] {
        let output = command(&address, token, &["put", "a", &format!("@{}", body.display())]);
        assert!(output.status.success(), "{output:?}");
        let output = command(&address, token, &["get", "a", "--field", "b"]);
        assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "c");
    }
    let records = fs::read_to_string(folder.path().join("audit.log")).unwrap();
    assert!(records.contains("secret/data/a") && !records.contains("remote_address"), "{records}");
    let output = command("unix:///nowhere/w.sock", token, &["get", "a"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
}

#[test]
fn an_address_that_cannot_be_had_fails_the_start_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap();
    let socket = folder.path().join("w.sock").display().to_string();
    let listening = UnixListener::bind(&socket).unwrap();
    let note = folder.path().join("note").display().to_string();
    fs::write(&note, "kept").unwrap();
    for (address, words) in [
        (port.to_string(), format!("listener.more: cannot listen on {port}: Address already in use")),
        (format!("unix:{socket}"), "another process listens there".to_owned()),
        (format!("unix:{note}"), "there is a file, and it is no socket".to_owned()),
        ("unix:/nowhere/w.sock".to_owned(), "/nowhere: No such file or directory".to_owned()),
    ] {
        let listeners = format!(
            "[listener]\naddress = \"127.0.0.1:0\"\ntls_disable = true\n\
             [listener.more]\naddress = \"{address}\"\ntls_disable = true\n"
        );
        let file = configured(folder.path(), &listeners);
        let output = Command::new(BINARY).args(["serve", "--config"]).arg(file).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && told.contains(&words), "{address}: {told}");
        assert!(output.stdout.is_empty(), "nothing is said to listen");
    }
    assert_eq!(fs::read_to_string(&note).unwrap(), "kept");
    drop(listening);
}
