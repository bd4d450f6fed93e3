//! What the load generator speaks over: TCP, or TLS over it.

use std::{
    fs,
    io::{self, Read, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned,
    pki_types::{CertificateDer, IpAddr, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use warder_testkit::{Failure, Result};

/// How to reach a server.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
}

/// A stream of a runtime.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A stream that never waits.
pub(crate) trait Polled: Read + Write {}

impl<T: Read + Write> Polled for T {}

impl Peer {
    /// Over plain TCP.
    pub(crate) const fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }

    /// Over TLS, trusting that certificate alone.
    pub(crate) fn tls(address: SocketAddr, trusted: &Certificate) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.chain()?).map_err(unfit)?;
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let config = config.with_protocol_versions(&[&rustls::version::TLS13]).map_err(unfit)?;
        let config = config.with_root_certificates(roots).with_no_client_auth();
        Ok(Self { address, tls: Some(Arc::new(config)) })
    }

    /// A connection, its handshake done.
    pub(crate) async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let Some(config) = &self.tls else { return Ok(Box::new(stream)) };
        Ok(Box::new(TlsConnector::from(config.clone()).connect(self.name(), stream).await?))
    }

    /// The same for one thread that looks after many.
    pub(crate) fn polled(&self) -> io::Result<Box<dyn Polled>> {
        let mut stream = std::net::TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        let Some(config) = &self.tls else {
            stream.set_nonblocking(true)?;
            return Ok(Box::new(stream));
        };
        let mut tls = ClientConnection::new(config.clone(), self.name()).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut stream)?;
        }
        stream.set_nonblocking(true)?;
        Ok(Box::new(StreamOwned::new(tls, stream)))
    }

    fn name(&self) -> ServerName<'static> {
        ServerName::IpAddress(IpAddr::from(self.address.ip()))
    }
}

/// A certificate that signs itself, and its key, in files.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    pub(crate) file: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificate {
    /// Makes one (P-256, as most are) for 127.0.0.1.
    pub(crate) fn make(folder: &Path) -> Result<Self> {
        let made = |why: rcgen::Error| Failure::new("make a certificate", why);
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).map_err(made)?;
        let pair = KeyPair::generate().map_err(made)?;
        let this = Self { file: folder.join("certificate.pem"), key: folder.join("key.pem") };
        fs::write(&this.file, params.self_signed(&pair).map_err(made)?.pem())?;
        fs::write(&this.key, pair.serialize_pem())?;
        Ok(this)
    }

    /// What a server with it says, as Warder would: TLS 1.3, ring.
    pub(crate) fn acceptor(&self) -> Result<TlsAcceptor> {
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let config = config.with_protocol_versions(&[&rustls::version::TLS13]).map_err(unfit)?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|why| Failure::new("read the key", why))?;
        let config = config.with_no_client_auth().with_single_cert(vec![self.chain()?], key).map_err(unfit)?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    fn chain(&self) -> Result<CertificateDer<'static>> {
        CertificateDer::from_pem_file(&self.file).map_err(|why| Failure::new("read the certificate", why))
    }
}

fn unfit(why: rustls::Error) -> Failure {
    Failure::new("set up TLS", why)
}
