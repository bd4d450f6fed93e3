//! Listeners of every kind, and clients' connections to them.

use std::{io, net::SocketAddr, path::PathBuf, process::Stdio, sync::Arc};

use rcgen::ExtendedKeyUsagePurpose as Usage;
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_rustls::{TlsConnector, rustls};

use crate::{listeners::configured, raw::Answer, running::Running, tls::Authority};

/// A hang ends the test; longer than any bound of a server on anything.
pub(crate) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);
/// What a proxy says first: version 2, on behalf of 198.51.100.7.
pub(crate) const PROXIED: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc6\x33\x64\x07\x7f\0\0\x01\x04\0\x01\xbb";

/// Bytes to and from a server.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Where to connect.
#[derive(Clone)]
pub(crate) enum Place {
    /// Behind the PROXY protocol.
    Proxied(SocketAddr),
    Tcp(SocketAddr),
    Tls(SocketAddr, Arc<rustls::ClientConfig>),
    Unix(PathBuf),
}

impl Place {
    /// TLS that believes this CA.
    pub(crate) fn tls(address: SocketAddr, authority: &Authority) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority.file()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        Self::Tls(address, Arc::new(builder.unwrap().with_root_certificates(roots).with_no_client_auth()))
    }

    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Proxied(_) => "proxied",
            Self::Tcp(_) => "tcp",
            Self::Tls(..) => "tls",
            Self::Unix(_) => "unix",
        }
    }

    /// A connection on which nothing was said.
    ///
    /// # Errors
    /// Nobody listens.
    pub(crate) async fn bare(&self) -> io::Result<Box<dyn Stream>> {
        let address = match self {
            Self::Unix(path) => return Ok(Box::new(UnixStream::connect(path).await?)),
            Self::Proxied(address) | Self::Tcp(address) | Self::Tls(address, _) => *address,
        };
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }

    /// A connection that is ready for a request in this protocol, `http/1.1` or `h2`.
    ///
    /// # Errors
    /// Nobody listens.
    pub(crate) async fn connect(&self, protocol: &str) -> io::Result<Box<dyn Stream>> {
        let mut stream = self.bare().await?;
        match self {
            Self::Tcp(_) | Self::Unix(_) => Ok(stream),
            Self::Proxied(_) => stream.write_all(PROXIED).await.map(|()| stream),
            Self::Tls(address, config) => {
                let mut config = rustls::ClientConfig::clone(config);
                config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
                let name = ServerName::from(address.ip());
                let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
                // Who was accepted is served: a handshake that is cut is a request lost.
                Ok(Box::new(stream.unwrap_or_else(|why| panic!("a handshake was cut: {why}"))))
            }
        }
    }

    /// Sends bytes of HTTP/1.1 and reads until the server closes.
    pub(crate) async fn send(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect("http/1.1").await.unwrap();
        // The server may refuse, and close, before it has read it all.
        let _ = stream.write_all(request).await;
        Answer::parse(&rest(&mut stream).await)
    }

    /// Whether a neighbour is served.
    pub(crate) async fn is_served(&self) -> bool {
        self.send(b"GET /livez HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n").await.status == 200
    }
}

/// All that comes until the server closes, or resets.
pub(crate) async fn rest(stream: &mut Box<dyn Stream>) -> Vec<u8> {
    let mut all = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut all)).await;
    assert!(read.is_ok(), "no end after {PATIENCE:?}: {}", String::from_utf8_lossy(&all));
    all
}

/// Whether an error of connecting says that nobody listens.
pub(crate) fn nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
}

/// One server with a listener of each kind.
pub(crate) struct Doors {
    pub(crate) warder: Running,
    pub(crate) folder: tempfile::TempDir,
    authority: Authority,
}

impl Doors {
    /// With these lines of configuration, initialized, in memory.
    pub(crate) fn open(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(folder.path(), "ca");
        let [certificate, key] = authority.sign("server", Usage::ServerAuth);
        let plain = "address = \"127.0.0.1:0\"\ntls_disable = true\n";
        let listeners = format!(
            "{more}\n[listener]\n{plain}[listener.front]\n{plain}proxy_protocol.trusted = [\"127.0.0.0/8\"]\n\
             [listener.local]\naddress = \"unix:{}/w.sock\"\n[listener.secure]\naddress = \"127.0.0.1:0\"\n\
             tls = {{ cert_file = \"{certificate}\", key_file = \"{key}\" }}\n",
            folder.path().display()
        );
        let warder = Running::configured(Stdio::inherit(), &configured(folder.path(), &listeners), &[]);
        let one = r#"{"shares":1,"threshold":1}"#;
        let (_, made) = warder.curl(&["-H", "Content-Type: application/json", "-d", one, "{}/api/v1/sys/init"]);
        let token = made["root_token"].as_str().expect("initialized").to_owned();
        Self { warder: warder.with_token(&token), folder, authority }
    }

    /// Each of its listeners.
    pub(crate) fn places(&self) -> [Place; 4] {
        let at = |name: &str| {
            let line = self.warder.beside.iter().find(|line| line.starts_with(name)).unwrap();
            line.rsplit("//").next().unwrap().parse().unwrap()
        };
        [
            Place::Tcp(self.warder.address),
            Place::Proxied(at("front")),
            Place::Unix(self.folder.path().join("w.sock")),
            Place::tls(at("secure"), &self.authority),
        ]
    }

    /// The sum of a metric's series that have these words.
    pub(crate) fn metric(&self, name: &str, words: &str) -> u64 {
        let (_, text) = self.text("/metrics");
        let series = text.lines().filter(|line| line.starts_with(name) && line.contains(words));
        series.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64).sum()
    }

    /// What is there as text, with its status.
    pub(crate) fn text(&self, path: &str) -> (u16, String) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n");
        let answer = crate::raw::send(self.warder.address, request.as_bytes());
        (answer.status, String::from_utf8(answer.body).unwrap())
    }
}
