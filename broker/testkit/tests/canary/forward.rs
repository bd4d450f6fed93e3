//! TLS for clients that speak none: a listener whose connections go on to a server over TLS 1.3.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
};
use tokio_rustls::TlsConnector;
use warder_testkit::{Failure, Result};

/// A running forwarder; ends with the value.
pub(crate) struct Forward {
    behind: SocketAddr,
    address: SocketAddr,
    _runtime: Runtime,
}

impl Forward {
    /// Forwards to `behind`, whose certificate must be this one.
    pub(crate) fn start(behind: SocketAddr, certificate: &Path) -> Result<Self> {
        let connector = connector(certificate).map_err(|why| Failure::new("set up TLS", why))?;
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, behind, connector.clone()));
            }
        });
        Ok(Self { behind, address, _runtime: runtime })
    }

    /// Where clients without TLS connect.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where clients with TLS connect.
    pub(crate) const fn behind(&self) -> SocketAddr {
        self.behind
    }
}

fn connector(certificate: &Path) -> Result<TlsConnector, Box<dyn std::error::Error>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate)?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13])?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()).into())
}

/// A connection that breaks is the client's to notice.
async fn forward(mut client: TcpStream, to: SocketAddr, tls: TlsConnector) {
    let Ok(server) = TcpStream::connect(to).await else { return };
    _ = (client.set_nodelay(true), server.set_nodelay(true));
    let Ok(mut server) = tls.connect(ServerName::from(to.ip()), server).await else { return };
    _ = copy_bidirectional(&mut client, &mut server).await;
}
