//! The end of a server, and a restart under load: what was accepted is answered, what was
//! acknowledged is there, and nothing is done twice.

use std::{
    collections::BTreeSet,
    fs,
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tonic::{
    Code,
    transport::{Channel, Endpoint},
};
use warder_proto::{
    health::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient},
    v1::{SecretsServicePutRequest, secrets_service_client::SecretsServiceClient},
};

use crate::{listeners::curl, openssl::until, raw, running::Running};

/// A hang ends the test.
const PATIENCE: Duration = Duration::from_secs(120);
const CLIENTS: usize = 4;

/// Starts a server over the store in `folder`, which opens by itself.
fn serve(folder: &Path, address: SocketAddr, more: &str) -> Running {
    let file = folder.join("warder.toml");
    let at = folder.display();
    let text = format!(
        "[listener]\naddress = \"{address}\"\ntls_disable = true\n[storage]\ntype = \"redb\"\npath = \"{at}/store\"\n\
         [seal]\ntype = \"dev\"\n[audit.main]\ntype = \"file\"\npath = \"{at}/audit.log\"\n{more}"
    );
    fs::write(&file, text).unwrap();
    Running::configured(Stdio::inherit(), &file, &[])
}

fn initialized(warder: &Running) -> String {
    let one = r#"{"shares":1,"threshold":1}"#;
    let (status, made) = warder.curl(&["-H", "Content-Type: application/json", "-d", one, "{}/api/v1/sys/init"]);
    assert_eq!(status, 200, "{made}");
    made["root_token"].as_str().unwrap().to_owned()
}

fn free() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// A port that no connection is given by itself: one that is tried again and again while nobody listens
/// could otherwise connect to itself.
fn kept_port() -> SocketAddr {
    let first = 12_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    let ports = (0..1000).map(|n| first + n);
    let mut free = ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    free.find(|address| TcpListener::bind(address).is_ok()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_says_so_first_and_a_second_signal_ends_it_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let warder = serve(folder.path(), free(), "[limits]\ndrain_delay = \"10m\"\ndrain_time = \"10m\"\n");
    initialized(&warder);
    let health =
        |path: &str| curl(&["-o", "/dev/null", "-w", "%{http_code}", &format!("http://{}{path}", warder.address)]);
    assert_eq!((health("/health"), health("/v1/sys/health")), ("200".to_owned(), "200".to_owned()));
    let channel = Channel::from_shared(format!("http://{}", warder.address)).unwrap().connect().await.unwrap();
    let mut watch = HealthClient::new(channel).watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    warder.ask_to_end();
    until("draining", || health("/health") == "503");
    assert_eq!((health("/v1/sys/health"), health("/livez")), ("503".to_owned(), "200".to_owned()));
    let told = tokio::time::timeout(PATIENCE, watch.message()).await.expect("the watch says so").unwrap().unwrap();
    assert_eq!(told.status(), ServingStatus::NotServing);
    // A request that never ends would be waited for.
    let mut open = raw::connect(warder.address);
    open.write_all(b"PUT /api/v1/secrets/a HTTP/1.1\r\nHost: w\r\nContent-Length: 9\r\n\r\n").unwrap();
    warder.ask_to_end();
    assert_eq!(tokio::task::spawn_blocking(move || warder.ended()).await.unwrap().code(), Some(1));
}

#[test]
fn a_request_that_has_begun_is_answered_and_its_connection_closed() {
    let folder = tempfile::tempdir().unwrap();
    let warder = serve(folder.path(), free(), "");
    let token = initialized(&warder);
    let mut begun = raw::connect(warder.address);
    let head = format!(
        "PUT /api/v1/secrets/a HTTP/1.1\r\nHost: w\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{{\"b\":"
    );
    begun.write_all(head.as_bytes()).unwrap();
    let mut idle = raw::connect(warder.address);
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: w\r\n\r\n").unwrap();
    assert!(answer(&mut idle).unwrap().0.starts_with("HTTP/1.1 200"));
    let address = warder.address;
    warder.ask_to_end();
    // Nobody is accepted any more: refused, or not even heard.
    until("closed", || TcpStream::connect_timeout(&address, Duration::from_millis(100)).is_err());
    begun.write_all(b"\"c\"}").unwrap();
    let answered = String::from_utf8(raw::rest(&mut begun)).unwrap();
    assert!(answered.starts_with("HTTP/1.1 201") && answered.contains("connection: close"), "{answered}");
    assert_eq!(raw::rest(&mut idle), b"", "a silent one is closed");
    assert!(warder.ended().success());
}

/// What all clients share.
struct Load {
    address: SocketAddr,
    token: String,
    ended: AtomicBool,
    /// Names of acknowledged writes.
    written: Mutex<BTreeSet<String>>,
    /// Connections that were refused, and made again.
    refused: AtomicUsize,
}

impl Load {
    fn goes_on(&self) -> bool {
        !self.ended.load(Ordering::Relaxed)
    }

    fn acknowledged(&self) -> usize {
        self.written.lock().unwrap().len()
    }

    fn done(&self, name: String) {
        assert!(self.written.lock().unwrap().insert(name));
    }

    /// Again and again where nobody listens.
    fn connect(&self) -> TcpStream {
        let start = Instant::now();
        loop {
            match TcpStream::connect(self.address) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    return stream;
                }
                Err(error) if error.kind() == ErrorKind::ConnectionRefused && start.elapsed() < PATIENCE => {
                    self.refused.fetch_add(1, Ordering::Relaxed);
                    thread::yield_now();
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Writes one secret after the other on a connection that is kept as long as the server keeps it.
    fn rest(&self, client: usize) {
        let mut kept = None;
        for n in 0.. {
            if !self.goes_on() {
                return;
            }
            let name = format!("rest-{client}-{n}");
            let mut stream = kept.take().unwrap_or_else(|| self.connect());
            let request = format!(
                "PUT /api/v1/secrets/load/{name} HTTP/1.1\r\nHost: w\r\nAuthorization: Bearer {}\r\n\
                 Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{{\"a\":1}}",
                self.token
            );
            stream.write_all(request.as_bytes()).unwrap_or_else(|e| panic!("{name} was not sent: {e}"));
            let (head, _) = answer(&mut stream).unwrap_or_else(|e| panic!("{name} was not answered: {e}"));
            assert!(head.starts_with("HTTP/1.1 201"), "{name}: {head}");
            self.done(name);
            if !head.to_ascii_lowercase().contains("connection: close") {
                kept = Some(stream);
            }
        }
    }

    /// The same over one channel, which connects again by itself.
    async fn grpc(self: Arc<Self>, client: usize) {
        let channel = Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect_lazy();
        let mut secrets = SecretsServiceClient::new(channel);
        for n in 0.. {
            let (name, start) = (format!("grpc-{client}-{n}"), Instant::now());
            while self.goes_on() {
                let mut asked = tonic::Request::new(SecretsServicePutRequest {
                    path: format!("load/{name}"),
                    json: br#"{"a":1}"#.to_vec().into(),
                    ..SecretsServicePutRequest::default()
                });
                asked.metadata_mut().insert("authorization", format!("Bearer {}", self.token).parse().unwrap());
                match secrets.put(asked).await {
                    Ok(_) => {
                        self.done(name);
                        break;
                    }
                    Err(status) if never_sent(&status) && start.elapsed() < PATIENCE => {
                        self.refused.fetch_add(1, Ordering::Relaxed);
                        tokio::task::yield_now().await;
                    }
                    Err(status) => panic!("{name}: {status:?}"),
                }
            }
            if !self.goes_on() {
                return;
            }
        }
    }
}

/// Whether the request never left the client: nobody listened, or the connection ended before its turn.
fn never_sent(status: &tonic::Status) -> bool {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        let refused = error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == ErrorKind::ConnectionRefused);
        if refused || error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// An answer's head, and its body of known length.
fn answer(stream: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body)?;
    Ok((head, body))
}

#[test]
fn restarts_under_load_lose_no_request_and_do_none_twice() {
    let folder = tempfile::tempdir().unwrap();
    let address = kept_port();
    let mut warder = serve(folder.path(), address, "");
    let load = Arc::new(Load {
        address,
        token: initialized(&warder),
        ended: AtomicBool::new(false),
        written: Mutex::default(),
        refused: AtomicUsize::new(0),
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let calls: Vec<_> = (0..CLIENTS).map(|client| runtime.spawn(load.clone().grpc(client))).collect();
    let kept: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let load = load.clone();
            thread::spawn(move || load.rest(client))
        })
        .collect();
    for _ in 0..3 {
        let before = load.acknowledged();
        let alive =
            || kept.iter().all(|client| !client.is_finished()) && calls.iter().all(|client| !client.is_finished());
        until("written", || !alive() || load.acknowledged() > before + 100);
        warder.ask_to_end();
        assert!(warder.ended().success());
        warder = serve(folder.path(), address, "");
    }
    let before = load.acknowledged();
    until("written after the last", || load.acknowledged() > before + 100);
    load.ended.store(true, Ordering::Relaxed);
    kept.into_iter().for_each(|client| client.join().unwrap());
    calls.into_iter().for_each(|client| runtime.block_on(client).unwrap());

    let mut reading = load.connect();
    for name in load.written.lock().unwrap().iter() {
        let asked = format!(
            "GET /api/v1/secrets/load/{name} HTTP/1.1\r\nHost: w\r\nAuthorization: Bearer {}\r\n\r\n",
            load.token
        );
        reading.write_all(asked.as_bytes()).unwrap();
        let (head, body) = answer(&mut reading).unwrap();
        let fits = head.starts_with("HTTP/1.1 200") && head.contains("etag: \"1\"");
        assert!(fits, "{name} is not there once: {head}{}", String::from_utf8_lossy(&body));
    }
    drop(reading);
    warder.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_after_the_end_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let warder = serve(folder.path(), free(), "");
    let channel = Channel::from_shared(format!("http://{}", warder.address)).unwrap().connect().await.unwrap();
    HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await.unwrap();
    tokio::task::spawn_blocking(move || warder.stop()).await.unwrap();
    let told = HealthClient::new(channel).check(HealthCheckRequest::default()).await.unwrap_err();
    assert_eq!(told.code(), Code::Unavailable, "{told:?}");
}
