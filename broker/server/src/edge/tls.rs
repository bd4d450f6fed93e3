//! TLS by rustls with ring, for listeners: 1.3, and 1.2 where it is asked for.

use std::{
    io,
    path::Path as File,
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::CryptoProvider,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio_rustls::TlsAcceptor;

use crate::config::{ClientAuth, TlsConfig, TlsVersion};

const CERTIFICATE: &str = "tls.cert_file";
const KEY: &str = "tls.key_file";
const CLIENT_CA: &str = "tls.client_ca_file";

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file of certificates or a key is missing or malformed.
    #[error("{role} {file}: {reason}")]
    File {
        /// The setting that names it.
        role: String,
        /// Path as configured.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Certificate, key and settings do not fit together.
    #[error("{listener}.tls: certificate and key do not fit")]
    Setup {
        /// The listener's section.
        listener: String,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

/// TLS of the listener: the certificate that new connections get.
///
/// Invariant: what is in use was read as a whole; a reload that fails changes nothing.
pub(crate) struct Tls {
    /// The path of the listener's section.
    listener: String,
    config: TlsConfig,
    current: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`] names the file.
    pub(crate) fn new(listener: String, config: &TlsConfig) -> Result<Self, TlsError> {
        let current = RwLock::new(Arc::new(read(&listener, config)?));
        Ok(Self { listener, config: config.clone(), current })
    }

    /// The path of the listener's section.
    pub(crate) fn listener(&self) -> &str {
        &self.listener
    }

    /// For one new connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone().into()
    }

    /// Reads the files again; open connections go on with what they have.
    ///
    /// # Errors
    /// [`TlsError`] names the file; what was in use stays.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        let fresh = Arc::new(read(&self.listener, &self.config)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}

/// What an acceptor is made of: it speaks HTTP/2 and HTTP/1.1.
///
/// With `client_ca_file` a certificate that a client shows must be signed by one of those CAs, and
/// where `client_auth` is required the handshake fails without one.
///
/// # Errors
/// [`TlsError`] names the file.
fn read(listener: &str, config: &TlsConfig) -> Result<ServerConfig, TlsError> {
    let unfit = |source| TlsError::Setup { listener: listener.to_owned(), source };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions: &[_] = match config.min_version {
        TlsVersion::V1_2 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        TlsVersion::V1_3 => &[&rustls::version::TLS13],
    };
    let builder = ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_protocol_versions(versions).map_err(unfit)?;
    let builder = match &config.client_ca_file {
        None => builder.with_no_client_auth(),
        Some(file) => builder.with_client_cert_verifier(verifier(listener, file, config.client_auth, provider)?),
    };
    let chain = certificates(&role(listener, CERTIFICATE), &config.cert_file)?;
    let key = key(&role(listener, KEY), &config.key_file)?;
    let mut server = builder.with_single_cert(chain, key).map_err(unfit)?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(server)
}

/// What is wrong with the files: each that cannot be read, or else that they do not fit together.
pub(crate) fn check(listener: &str, config: &TlsConfig) -> Vec<TlsError> {
    let authority = config.client_ca_file.as_ref().and_then(|file| roots(&role(listener, CLIENT_CA), file).err());
    let chain = certificates(&role(listener, CERTIFICATE), &config.cert_file).err();
    let key = key(&role(listener, KEY), &config.key_file).err();
    let wrong: Vec<_> = [chain, key, authority].into_iter().flatten().collect();
    if wrong.is_empty() { read(listener, config).err().into_iter().collect() } else { wrong }
}

fn role(listener: &str, option: &str) -> String {
    format!("{listener}.{option}")
}

fn verifier(
    listener: &str,
    file: &File,
    auth: ClientAuth,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let role = role(listener, CLIENT_CA);
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(&role, file)?), provider);
    let builder = match auth {
        ClientAuth::Optional => builder.allow_unauthenticated(),
        ClientAuth::Required => builder,
    };
    builder.build().map_err(|e| bad(&role, file, e))
}

/// Trust anchors out of a PEM file.
///
/// # Errors
/// [`TlsError::File`] when there is none in it.
pub(crate) fn roots(role: &str, file: &File) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(certificates(role, file)?);
    if store.is_empty() {
        return Err(bad(role, file, "holds no usable certificate"));
    }
    Ok(store)
}

/// All certificates of a PEM file, in their order.
///
/// # Errors
/// [`TlsError::File`] when there is none in it.
pub(crate) fn certificates(role: &str, file: &File) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).map_err(|e| bad(role, file, e))?.collect();
    let chain = chain.map_err(|e| bad(role, file, e))?;
    if chain.is_empty() {
        return Err(bad(role, file, "holds no certificate"));
    }
    Ok(chain)
}

/// The private key of a PEM file.
///
/// # Errors
/// [`TlsError::File`] when there is none in it.
pub(crate) fn key(role: &str, file: &File) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(file).map_err(|e| bad(role, file, e))
}

fn bad(role: &str, file: &File, reason: impl ToString) -> TlsError {
    TlsError::File { role: role.to_owned(), file: file.display().to_string(), reason: reason.to_string() }
}

/// A certificate as PEM text (RFC 7468).
pub(crate) fn pem(certificate: &CertificateDer<'_>) -> String {
    use base64::Engine as _;
    let body = base64::engine::general_purpose::STANDARD.encode(certificate);
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, left) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = left;
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

/// Whether an error on a new connection is this connection's own fault, not the listener's.
pub(crate) fn connection_fault(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}
