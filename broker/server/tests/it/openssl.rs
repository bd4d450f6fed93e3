//! TLS as `openssl s_client` sees it: versions, client certificates, and what a reload changes.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use rcgen::ExtendedKeyUsagePurpose as Usage;

use crate::{
    running::Running,
    tls::{Authority, serve},
};

const REQUEST: &str = "GET /livez HTTP/1.1\r\nHost: warder\r\n";
/// Longest that a reload may take before it counts as forgotten.
const PATIENCE: Duration = Duration::from_secs(60);

/// `openssl s_client`, which believes only what `authority` signed, talking to the server.
fn client(warder: &Running, authority: &Authority, arguments: &[&str]) -> Child {
    Command::new("openssl")
        .args(["s_client", "-quiet", "-verify_return_error", "-connect", &warder.address.to_string()])
        .args(["-CAfile", authority.file()])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is installed: apt-get install openssl")
}

/// The status line of one request on a connection of its own; what openssl says when there is none.
fn asked(warder: &Running, authority: &Authority, arguments: &[&str]) -> Result<String, String> {
    let mut client = client(warder, authority, arguments);
    // A client that was refused may be gone already.
    let _ = client.stdin.as_mut().unwrap().write_all(format!("{REQUEST}Connection: close\r\n\r\n").as_bytes());
    let mut answer = String::new();
    // After an alert there may be no end of the stream, only an error.
    let _ = client.stdout.as_mut().unwrap().read_to_string(&mut answer);
    let mut words = String::new();
    client.stderr.as_mut().unwrap().read_to_string(&mut words).unwrap();
    client.wait().unwrap();
    let status = answer.lines().next().map(str::to_owned);
    status.ok_or(words)
}

fn served(answer: &Result<String, String>) -> bool {
    answer.as_deref() == Ok("HTTP/1.1 200 OK")
}

fn refused(answer: &Result<String, String>, alert: &str) -> bool {
    answer.as_ref().is_err_and(|words| words.contains(alert))
}

#[test]
fn tls_1_2_is_refused_unless_it_is_configured() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "ca");
    let warder = serve(folder.path(), &authority, "");
    let answer = asked(&warder, &authority, &["-tls1_2"]);
    assert!(refused(&answer, "alert protocol version"), "{answer:?}");
    let answer = asked(&warder, &authority, &["-tls1_3"]);
    assert!(served(&answer), "{answer:?}");
    drop(warder);

    let warder = serve(folder.path(), &authority, "tls.min_version = \"1.2\"");
    for version in ["-tls1_2", "-tls1_3"] {
        let answer = asked(&warder, &authority, &[version]);
        assert!(served(&answer), "{version}: {answer:?}");
    }
}

#[test]
fn clients_without_a_certificate_are_refused_where_it_is_required_and_bad_ones_always() {
    let folder = tempfile::tempdir().unwrap();
    let [authority, clients, foreign] = ["ca", "clients", "foreign"].map(|name| Authority::new(folder.path(), name));
    let good = clients.sign("good", Usage::ClientAuth);
    let bad = foreign.sign("bad", Usage::ClientAuth);
    for (auth, without) in [("", None), ("required", None), ("optional", Some("HTTP/1.1 200 OK"))] {
        let auth = if auth.is_empty() { String::new() } else { format!("tls.client_auth = \"{auth}\"\n") };
        let warder = serve(folder.path(), &authority, &format!("tls.client_ca_file = \"{}\"\n{auth}", clients.file()));
        let shown = |[certificate, key]: &[String; 2]| asked(&warder, &authority, &["-cert", certificate, "-key", key]);
        let answer = shown(&good);
        assert!(served(&answer), "{auth}: {answer:?}");
        let answer = shown(&bad);
        assert!(refused(&answer, "alert unknown ca") || refused(&answer, "alert decrypt error"), "{auth}: {answer:?}");
        let answer = asked(&warder, &authority, &[]);
        assert_eq!(answer.as_deref().ok(), without, "{auth}: {answer:?}");
        assert!(without.is_some() || refused(&answer, "alert certificate required"), "{auth}: {answer:?}");
    }
}

/// A connection that is kept.
struct Kept {
    client: Child,
    answers: BufReader<ChildStdout>,
}

impl Kept {
    fn open(warder: &Running, authority: &Authority) -> Self {
        let mut client = client(warder, authority, &[]);
        let answers = BufReader::new(client.stdout.take().unwrap());
        Self { client, answers }
    }

    /// Asks once more and reads the whole answer, which has a body of known length.
    fn ask(&mut self) -> String {
        self.client.stdin.as_mut().unwrap().write_all(format!("{REQUEST}\r\n").as_bytes()).unwrap();
        let (mut status, mut length) = (String::new(), 0);
        self.answers.read_line(&mut status).unwrap();
        loop {
            let mut line = String::new();
            self.answers.read_line(&mut line).unwrap();
            match line.trim().to_ascii_lowercase().strip_prefix("content-length: ") {
                Some(bytes) => length = bytes.parse().unwrap(),
                None if line.trim().is_empty() => break,
                None => {}
            }
        }
        self.answers.read_exact(&mut vec![0; length]).unwrap();
        status.trim().to_owned()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // Gone already when the server closed.
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

/// Puts a new certificate where the server's is, signed by `authority`.
fn replace(folder: &Path, authority: &Authority) {
    let [certificate, key] = authority.sign("fresh", Usage::ServerAuth);
    fs::rename(certificate, folder.join("server.crt")).unwrap();
    fs::rename(key, folder.join("server.key")).unwrap();
}

pub(crate) fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let start = Instant::now();
    while !reached() {
        assert!(start.elapsed() < PATIENCE, "never {what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_reload_is_seen_by_new_connections_while_an_open_one_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let [old, new, clients] = ["old", "new", "clients"].map(|name| Authority::new(folder.path(), name));
    let log = folder.path().join("log");
    let optional = format!("tls.client_ca_file = \"{}\"\ntls.client_auth = \"optional\"\n", clients.file());
    let [certificate, key] = old.sign("server", Usage::ServerAuth);
    let tls = format!("tls.cert_file = \"{certificate}\"\ntls.key_file = \"{key}\"\n{optional}");
    let warder = Running::serve_telling(fs::File::create(&log).unwrap().into(), folder.path(), &tls);
    let mut kept = Kept::open(&warder, &old);
    assert_eq!(kept.ask(), "HTTP/1.1 200 OK");
    assert!(asked(&warder, &new, &[]).is_err());

    // What cannot be read changes nothing.
    fs::write(folder.path().join("server.crt"), "no certificate").unwrap();
    warder.hang_up();
    until("told", || fs::read_to_string(&log).unwrap().contains("certificates not reloaded"));
    assert!(served(&asked(&warder, &old, &[])));

    // A new certificate, and other clients' CA.
    replace(folder.path(), &new);
    let known = clients.sign("known", Usage::ClientAuth);
    let shown = ["-cert", &*known[0], "-key", &*known[1]];
    assert!(served(&asked(&warder, &old, &shown)));
    fs::copy(new.file(), clients.file()).unwrap();
    warder.hang_up();
    until("reloaded", || served(&asked(&warder, &new, &[])));
    assert!(asked(&warder, &old, &[]).is_err());
    assert!(asked(&warder, &new, &shown).is_err());
    assert_eq!(kept.ask(), "HTTP/1.1 200 OK", "the open connection goes on");
}
