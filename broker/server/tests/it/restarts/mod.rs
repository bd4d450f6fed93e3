//! Restarts in the middle of load: clients of every habit, protocol and kind of listener, a process
//! that ends and another one in its place. Each request is answered once and rightly, or it is refused
//! before anything was done; nothing that was sent is lost.

mod habits;
mod http1;
mod http2;

use std::{
    collections::BTreeSet,
    fs,
    net::{SocketAddr, TcpListener},
    process::Stdio,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use rcgen::ExtendedKeyUsagePurpose as Usage;
use warder_client::{Client, Token};

use crate::{
    openssl::until,
    place::{PATIENCE, Place},
    running::Running,
    tls::Authority,
};

const RESTARTS: usize = 3;

/// Ports that no connection is given by itself: one that is tried again and again while nobody listens
/// could otherwise connect to itself.
fn kept_ports() -> [SocketAddr; 2] {
    let first = 12_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let mut pairs = (0..1000).step_by(2).map(|n| [at(first + n), at(first + n + 1)]);
    pairs.find(|pair| pair.iter().all(|address| TcpListener::bind(address).is_ok())).unwrap()
}

/// A server of three listeners over the store in `folder`, which opens by itself. A disk that stands still
/// for a while makes it slow and nothing else.
struct House {
    folder: tempfile::TempDir,
    authority: Authority,
    ports: [SocketAddr; 2],
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(folder.path(), "ca");
        let [certificate, key] = authority.sign("server", Usage::ServerAuth);
        let (at, ports) = (folder.path().display(), kept_ports());
        let text = format!(
            "[listener]\naddress = \"{}\"\ntls_disable = true\n[listener.secure]\naddress = \"{}\"\n\
             tls = {{ cert_file = \"{certificate}\", key_file = \"{key}\" }}\n[listener.local]\n\
             address = \"unix:{at}/w.sock\"\n[storage]\ntype = \"redb\"\npath = \"{at}/store\"\n[seal]\ntype = \"dev\"\n\
             [audit.main]\ntype = \"file\"\npath = \"{at}/audit.log\"\ndeadline = \"1m\"\n[limits]\ndrain_delay = \"300ms\"\n",
            ports[0], ports[1]
        );
        fs::write(folder.path().join("warder.toml"), text).unwrap();
        Self { folder, authority, ports }
    }

    fn start(&self) -> Running {
        Running::configured(Stdio::inherit(), &self.folder.path().join("warder.toml"), &[])
    }

    fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("w.sock")
    }

    /// Each listener as clients connect to it.
    fn places(&self) -> [Place; 3] {
        [Place::Tcp(self.ports[0]), Place::tls(self.ports[1], &self.authority), Place::Unix(self.socket())]
    }

    /// The crate's client, of each listener.
    fn callers(&self, token: &str) -> [Client; 3] {
        let addresses = [
            format!("http://{}", self.ports[0]),
            format!("https://{}", self.ports[1]),
            format!("unix:{}", self.socket().display()),
        ];
        addresses.map(|address| {
            let builder = Client::builder(address).token(Token::new(token)).deadline(PATIENCE);
            builder.ca_file(self.authority.file()).build().unwrap()
        })
    }
}

/// What all clients share.
struct Load {
    token: String,
    ended: AtomicBool,
    /// Names of acknowledged writes.
    written: Mutex<BTreeSet<String>>,
    /// Names of writes that were refused, or lay in a connection that was closed before they came.
    refused: Mutex<BTreeSet<String>>,
    /// Connections that could not be made, and were tried again.
    turned_away: AtomicUsize,
}

impl Load {
    fn goes_on(&self) -> bool {
        !self.ended.load(Ordering::Relaxed)
    }

    fn acknowledged(&self, habit: &str) -> usize {
        self.written.lock().unwrap().iter().filter(|name| name.starts_with(habit)).count()
    }

    fn done(&self, name: String) {
        assert!(self.written.lock().unwrap().insert(name));
    }

    fn undone(&self, name: String) {
        assert!(self.refused.lock().unwrap().insert(name));
    }
}

/// What every write of this name stores.
fn value(name: &str) -> String {
    format!("{{\"name\":\"{name}\"}}")
}

#[test]
fn restarts_under_load_lose_no_request_and_do_none_twice() {
    let house = House::new();
    let mut warder = house.start();
    let one = r#"{"shares":1,"threshold":1}"#;
    let (status, made) = warder.curl(&["-H", "Content-Type: application/json", "-d", one, "{}/api/v1/sys/init"]);
    assert_eq!(status, 200, "{made}");
    let load: &'static Load = Box::leak(Box::new(Load {
        token: made["root_token"].as_str().unwrap().to_owned(),
        ended: AtomicBool::new(false),
        written: Mutex::default(),
        refused: Mutex::default(),
        turned_away: AtomicUsize::new(0),
    }));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let clients = habits::all(load, house.places(), house.callers(&load.token));
    let clients: Vec<_> = clients.into_iter().map(|(name, client)| (name, runtime.spawn(client))).collect();
    let alive = || clients.iter().all(|(_, client)| !client.is_finished());
    // Each of them had answers before the end, and has answers again behind it.
    let all_go_on = |what: &str| {
        let before: Vec<_> = clients.iter().map(|(name, _)| (name, load.acknowledged(name))).collect();
        until(what, || {
            std::thread::park_timeout(Duration::from_millis(20));
            !alive() || before.iter().all(|(name, before)| load.acknowledged(name) > before + 3)
        });
    };
    for _ in 0..RESTARTS {
        all_go_on("written");
        warder.ask_to_end();
        assert!(warder.ended().success());
        warder = house.start();
    }
    all_go_on("written after the last");
    load.ended.store(true, Ordering::Relaxed);
    for (name, client) in clients {
        runtime.block_on(client).unwrap_or_else(|why| panic!("{name}: {why}"));
    }
    assert!(load.turned_away.load(Ordering::Relaxed) > 0, "nobody met the end");
    runtime.block_on(kept(load, &house.places()[0]));
    warder.stop();
}

/// What was acknowledged is there once and as it was sent; what was refused is not there.
async fn kept(load: &Load, place: &Place) {
    let mut reading = http1::Connection::open(place).await.unwrap();
    for (names, status) in [(&load.written, 200), (&load.refused, 404)] {
        let names = names.lock().unwrap().clone();
        for name in names {
            let answer = reading.ask("GET", &name, &load.token, "").await.unwrap();
            assert_eq!(answer.status, status, "{name}: {}", answer.head);
            if status == 200 {
                assert!(answer.head.contains("etag: \"1\""), "{name} was done twice: {}", answer.head);
                assert!(answer.body.contains(&value(&name)), "{name}: {}", answer.body);
            }
        }
    }
}
