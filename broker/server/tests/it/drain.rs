//! The end of a server: it is announced, what was begun is answered, and a second signal cuts it short.
//! Restarts under load are in `restarts`.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Stdio,
    time::Duration,
};

use tonic::{Code, transport::Channel};
use warder_proto::health::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::{listeners::curl, openssl::until, raw, running::Running};

/// A hang ends the test.
const PATIENCE: Duration = Duration::from_secs(120);

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
