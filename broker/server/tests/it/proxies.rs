//! Who the client is behind a proxy, as the audit log has it: believed of configured networks alone.

use std::{
    fs,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Stdio,
};

use rcgen::ExtendedKeyUsagePurpose as Usage;
use serde_json::Value;
use tonic::{Code, Request, transport::Channel};
use warder_proto::health::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    listeners::{configured, curl},
    raw,
    running::Running,
    tls::Authority,
};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Version 2: what, family, and all that follows.
fn header(what: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    [SIGNATURE, &[what, family], &u16::try_from(rest.len()).unwrap().to_be_bytes(), rest].concat()
}

fn from(client: [u8; 4]) -> Vec<u8> {
    header(0x21, 0x11, &[&client[..], &[127, 0, 0, 1, 4, 0, 1, 187]].concat())
}

/// One server with a listener of each kind.
struct Doors {
    folder: tempfile::TempDir,
    authority: Authority,
    warder: Running,
}

impl Doors {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(folder.path(), "ca");
        let [certificate, key] = authority.sign("server", Usage::ServerAuth);
        let plain = "address = \"127.0.0.1:0\"\ntls_disable = true\n";
        let file = configured(
            folder.path(),
            &format!(
                "[listener]\n{plain}\
                 [listener.believing]\n{plain}forwarded.trusted = [\"127.0.0.0/8\", \"10.0.0.0/8\"]\n\
                 [listener.both]\n{plain}proxy_protocol.trusted = [\"127.0.0.0/8\"]\nforwarded.trusted = [\"10.0.0.0/8\"]\n\
                 [listener.closed]\n{plain}proxy_protocol.trusted = [\"192.0.2.0/24\", \"unix\"]\n\
                 [listener.front]\n{plain}proxy_protocol.trusted = [\"127.0.0.0/8\"]\n\
                 [listener.rfc]\n{plain}forwarded = {{ trusted = [\"127.0.0.1\"], header = \"forwarded\" }}\n\
                 [listener.secure]\naddress = \"127.0.0.1:0\"\nproxy_protocol.trusted = [\"127.0.0.0/8\"]\n\
                 tls = {{ cert_file = \"{certificate}\", key_file = \"{key}\" }}\n"
            ),
        );
        let warder = Running::configured(Stdio::inherit(), &file, &[]);
        Self { folder, authority, warder }
    }

    fn at(&self, name: &str) -> SocketAddr {
        let line = self.warder.beside.iter().find(|line| line.starts_with(name)).unwrap();
        line.rsplit("//").next().unwrap().parse().unwrap()
    }

    /// Sends these bytes before a request with these headers; its status.
    fn ask(&self, at: SocketAddr, before: &[u8], id: &str, headers: &str) -> u16 {
        let asked = format!(
            "GET /api/v1/secrets/a HTTP/1.1\r\nHost: w\r\nConnection: close\r\nX-Request-Id: {id}\r\n{headers}\r\n"
        );
        raw::send(at, &[before, asked.as_bytes()].concat()).status
    }

    /// The addresses of the client and of its proxy in the record of this request.
    fn recorded(&self, id: &str) -> (Value, Value) {
        recorded(self.folder.path(), id).unwrap_or_else(|| panic!("no record of {id}"))
    }
}

fn recorded(folder: &Path, id: &str) -> Option<(Value, Value)> {
    let log = fs::read_to_string(folder.join("audit.log")).unwrap();
    let mut lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let line = lines.find(|line| line["id"] == id)?;
    Some((line["remote_address"].clone(), line["proxy_address"].clone()))
}

#[test]
fn a_proxys_header_names_the_client_and_without_one_nobody_is_served() {
    let doors = Doors::open();
    let front = doors.at("front");
    let six = [&std::net::Ipv6Addr::from(7).octets()[..], &[0; 20]].concat();
    for (id, before, client, proxy) in [
        ("four", from([198, 51, 100, 7]), "198.51.100.7".into(), "127.0.0.1".into()),
        ("six", header(0x21, 0x21, &six), "::7".into(), "127.0.0.1".into()),
        ("one", b"PROXY TCP4 198.51.100.8 127.0.0.1 1 2\r\n".to_vec(), "198.51.100.8".into(), "127.0.0.1".into()),
        ("socket", header(0x21, 0x31, &[0; 216]), Value::Null, "127.0.0.1".into()),
        ("local", header(0x20, 0, &[]), "127.0.0.1".into(), Value::Null),
        ("values", header(0x20, 0, &[4, 0, 1, 0]), "127.0.0.1".into(), Value::Null),
    ] {
        assert_eq!(doors.ask(front, &before, id, ""), 503, "{id}: it is sealed, and answers");
        assert_eq!(doors.recorded(id), (client, proxy), "{id}");
    }
    let wrong_sum =
        header(0x21, 0x11, &[&[198, 51, 100, 7, 127, 0, 0, 1, 4, 0, 1, 187, 3, 0, 4][..], &[0; 4]].concat());
    let long = [SIGNATURE, &[0x21, 0x11, 0xff, 0xff], &[0; 0xffff]].concat();
    for (id, before) in [("none", vec![]), ("sum", wrong_sum), ("long", long), ("cut", header(0x21, 0x11, &[1, 2, 3]))]
    {
        assert_eq!(doors.ask(front, &before, id, ""), 0, "{id}: closed without an answer");
        assert_eq!(recorded(doors.folder.path(), id), None, "{id}");
    }
    // Not from a network that may speak it: closed, with a header and without.
    for before in [vec![], from([192, 0, 2, 1])] {
        assert_eq!(doors.ask(doors.at("closed"), &before, "outside", ""), 0);
    }
    // Where it is not spoken its bytes are no request.
    assert_eq!(doors.ask(doors.warder.address, &from([198, 51, 100, 7]), "plain", ""), 400);
    assert_eq!(doors.ask(front, &from([198, 51, 100, 7]), "after", "X-Forwarded-For: 6.6.6.6\r\n"), 503);
    assert_eq!(doors.recorded("after").0, "198.51.100.7", "one kind of trust is not the other");
}

#[test]
fn a_proxys_header_goes_before_tls() {
    let doors = Doors::open();
    let url = format!("https://{}/livez", doors.at("secure"));
    let trusting = ["--cacert", doors.authority.file(), &url];
    assert_eq!(curl(&[&["--haproxy-protocol"][..], &trusting].concat()), r#"{"status":"live"}"#);
    assert_eq!(
        curl(&["--http2", "--haproxy-protocol", "--cacert", doors.authority.file(), &url]),
        r#"{"status":"live"}"#
    );
    assert_eq!(curl(&trusting), "");
}

#[test]
fn a_slow_header_is_given_up_and_neighbours_are_served() {
    let doors = Doors::open();
    let mut slow = raw::connect(doors.at("front"));
    slow.write_all(&from([198, 51, 100, 7])[..9]).unwrap();
    assert_eq!(doors.ask(doors.at("front"), &from([198, 51, 100, 7]), "beside", ""), 503);
    assert_eq!(raw::rest(&mut slow), b"", "closed before long");
}

#[test]
fn a_forwarded_client_is_believed_of_trusted_proxies_alone() {
    let doors = Doors::open();
    let proxy = Value::from("127.0.0.1");
    for (id, at, headers, client, via) in [
        ("spoofed", doors.warder.address, "X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n", "127.0.0.1", false),
        ("one", doors.at("believing"), "X-Forwarded-For: 198.51.100.7\r\n", "198.51.100.7", true),
        ("own", doors.at("believing"), "X-Forwarded-For: 6.6.6.6, 198.51.100.7, 10.1.1.1\r\n", "198.51.100.7", true),
        (
            "lines",
            doors.at("believing"),
            "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 198.51.100.7\r\n",
            "198.51.100.7",
            true,
        ),
        ("other", doors.at("believing"), "Forwarded: for=6.6.6.6\r\n", "127.0.0.1", false),
        (
            "rfc",
            doors.at("rfc"),
            "Forwarded: for=\"[2001:db8::7]:1\"\r\nX-Forwarded-For: 6.6.6.6\r\n",
            "2001:db8::7",
            true,
        ),
    ] {
        assert_eq!(doors.ask(at, b"", id, headers), 503, "{id}");
        let via = if via { proxy.clone() } else { Value::Null };
        assert_eq!(doors.recorded(id), (client.into(), via), "{id}");
    }
    // Behind both: the proxy's header says who sent the request's.
    let both = doors.at("both");
    assert_eq!(doors.ask(both, &from([10, 0, 0, 9]), "both", "X-Forwarded-For: 198.51.100.7\r\n"), 503);
    assert_eq!(doors.recorded("both"), ("198.51.100.7".into(), proxy));
    assert_eq!(doors.ask(both, &from([11, 0, 0, 9]), "stranger", "X-Forwarded-For: 198.51.100.7\r\n"), 503);
    assert_eq!(doors.recorded("stranger").0, "11.0.0.9");
    assert_eq!(doors.ask(doors.at("believing"), b"", "bad", "X-Forwarded-For: nonsense\r\n"), 400);
    assert_eq!(recorded(doors.folder.path(), "bad"), None);
    let many = format!("X-Forwarded-For: {}\r\n", vec!["10.0.0.1"; 33].join(", "));
    assert_eq!(doors.ask(doors.at("believing"), b"", "many", &many), 400);
    assert_eq!(Ipv4Addr::LOCALHOST, doors.warder.address.ip());
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_refuses_a_garbled_client_as_rest_does() {
    let doors = Doors::open();
    let channel = Channel::from_shared(format!("http://{}", doors.at("believing"))).unwrap().connect().await.unwrap();
    for (client, code) in [("198.51.100.7", None), ("nonsense", Some(Code::InvalidArgument))] {
        let mut asked = Request::new(HealthCheckRequest::default());
        asked.metadata_mut().insert("x-forwarded-for", client.parse().unwrap());
        let told = HealthClient::new(channel.clone()).check(asked).await;
        assert_eq!(told.err().map(|status| status.code()), code, "{client}");
    }
}
