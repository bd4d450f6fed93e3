//! `warder watch`: over every kind of listener, through a restart, and how it ends.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, channel},
};

use serde_json::Value;

use crate::{
    listeners::curl,
    openssl::until,
    place::{Doors, PATIENCE, Place},
    running::{BINARY, Running},
    tls::Authority,
};

/// `warder watch` with these arguments, asking by this address.
fn command(address: &str, token: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.arg("watch").args(arguments).env("WARDER_ADDR", address).env("WARDER_TOKEN", token);
    command
}

fn lines(of: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (saying, said) = channel();
    std::thread::spawn(move || BufReader::new(of).lines().map_while(Result::ok).try_for_each(|line| saying.send(line)));
    said
}

/// One that runs; ends with the value.
struct Watching {
    child: Child,
    said: Receiver<String>,
    told: Receiver<String>,
}

impl Watching {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (said, told) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
        Self { child, said, told }
    }

    /// The next line of its output.
    fn next(&self) -> String {
        self.said.recv_timeout(PATIENCE).expect("a line")
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address of a place as a command is told it.
fn address(place: &Place) -> String {
    match place {
        Place::Proxied(address) | Place::Tcp(address) => format!("http://{address}"),
        Place::Tls(address, _) => format!("https://{address}"),
        Place::Unix(path) => format!("unix://{}", path.display()),
    }
}

fn put(warder: &Running, path: &str) {
    let token = format!("X-Vault-Token: {}", warder.token);
    let url = format!("{{}}/api/v1/secrets/{path}");
    let (status, said) =
        warder.curl(&["-X", "PUT", "-H", &token, "-H", "Content-Type: application/json", "-d", r#"{"a":1}"#, &url]);
    assert!(status < 300, "{said}");
}

#[test]
fn a_watch_prints_each_change_over_every_kind_of_listener() {
    let doors = Doors::open("");
    let ca = doors.folder.path().join("ca.pem").display().to_string();
    let [tcp, _, unix, tls] = doors.places();
    for (n, place) in [tcp, unix, tls].iter().enumerate() {
        let arguments = ["app", "--cacert", &ca, "--output", if n == 0 { "table" } else { "json" }];
        let watching = Watching::start(command(&address(place), &doors.warder.token, &arguments));
        until("watched", || doors.metric("warder_feed_watchers", "") == 1);
        put(&doors.warder, "other");
        put(&doors.warder, "app/db");
        let line = watching.next();
        if n == 0 {
            assert!(line.ends_with("  created  app/db  v1"), "{line}");
        } else {
            let told: Value = serde_json::from_str(&line).unwrap();
            assert_eq!((&told["event"], &told["kind"]), (&"change".into(), &"updated".into()), "{line}");
            assert_eq!((&told["path"], &told["version"]), (&"app/db".into(), &(n + 1).into()), "{line}");
            assert!(told["revision"].is_u64() && told["at"].as_str().unwrap().ends_with('Z'), "{line}");
        }
        drop(watching);
        until("left", || doors.metric("warder_feed_watchers", "") == 0);
    }
}

#[test]
fn a_watch_goes_on_through_a_restart_and_says_what_it_may_have_missed() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display();
    let text = format!(
        "[listener]\naddress = \"127.0.0.1:0\"\ntls_disable = true\n[listener.local]\naddress = \"unix:{at}/w.sock\"\n\
         [storage]\ntype = \"redb\"\npath = \"{at}/store\"\n[seal]\ntype = \"dev\"\n[audit.main]\ntype = \"file\"\n\
         path = \"{at}/audit.log\"\n"
    );
    let file = folder.path().join("warder.toml");
    fs::write(&file, text).unwrap();
    let start = || Running::configured(Stdio::inherit(), &file, &[]);
    let watched = |warder: &Running| {
        let metrics = curl(&[&format!("http://{}/metrics", warder.address)]);
        metrics.lines().any(|line| line == "warder_feed_watchers 1")
    };
    let warder = start();
    let one = r#"{"shares":1,"threshold":1}"#;
    let (_, made) = warder.curl(&["-H", "Content-Type: application/json", "-d", one, "{}/api/v1/sys/init"]);
    let token = made["root_token"].as_str().unwrap().to_owned();
    let warder = warder.with_token(&token);
    let watching = Watching::start(command(&format!("unix://{at}/w.sock"), &token, &["app"]));
    until("watched", || watched(&warder));
    put(&warder, "app/a");
    assert!(watching.next().ends_with("  created  app/a  v1"));
    warder.stop();
    let told = || watching.told.recv_timeout(PATIENCE).expect("it says that it was cut");
    while !told().ends_with("; connecting again") {}
    let warder = start().with_token(&token);
    put(&warder, "app/a");
    until("watched again", || watched(&warder));
    put(&warder, "app/b");
    let (lagged, change) = (watching.next(), watching.next());
    assert!(lagged.ends_with("  lagged: changes were lost, read again"), "{lagged}");
    // Between the two writes it came back: the first may be told as well.
    let change = if change.contains("app/a") { watching.next() } else { change };
    assert!(change.ends_with("  created  app/b  v1"), "{change}");
}

fn ended(mut command: Command) -> (i32, String) {
    let Output { status, stderr, .. } = command.output().unwrap();
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_watch_that_cannot_begin_ends_with_the_code_of_its_kind() {
    let doors = Doors::open("");
    let [tcp, _, _, tls] = doors.places();
    let (http, https, token) = (address(&tcp), address(&tls), &*doors.warder.token);
    let foreign = Authority::new(doors.folder.path(), "foreign");
    let none = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = format!("http://{none}");
    let nowhere = format!("unix://{}", Path::new("/nowhere/w.sock").display());
    for (address, token, arguments, code, words) in [
        (&*http, "hvs.unknown", &["app"][..], 4, "Not authenticated (401)"),
        (&http, "", &["app"], 4, "Not authenticated (401)"),
        (&http, token, &["a//b"], 8, "field: prefix"),
        (&http, token, &["a//b"], 8, "Invalid request (400): "),
        (&http, token, &["a//b"], 8, "\n  request: "),
        (&nobody, token, &["app"], 3, "cannot connect to http://127.0.0.1:"),
        (&nowhere, token, &["app"], 3, "cannot connect to unix:"),
        (&https, token, &["app", "--cacert", foreign.file()], 3, "trust the CA that signed it with --cacert"),
        (&https, token, &["app", "--cacert", "/nowhere"], 2, "/nowhere"),
        (&https, token, &["app", "--client-cert", "/nowhere"], 2, "go together"),
        ("ftp://a", token, &["app"], 2, "bad address ftp://a"),
    ] {
        let (had, said) = ended(command(address, token, arguments));
        assert!(had == code && said.contains(words), "{address} {arguments:?}: {had} {said}");
    }
    let header = format!("X-Vault-Token: {token}");
    assert_eq!(doors.warder.curl(&["-X", "POST", "-H", &header, "{}/api/v1/sys/seal"]).0, 204);
    let (had, said) = ended(command(&http, token, &["app"]));
    assert!(had == 7 && said.contains("Sealed (503)"), "{had} {said}");
}
