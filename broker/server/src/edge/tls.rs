//! TLS 1.3 by rustls with ring, for the listener.

use std::{io, path::Path as File, sync::Arc};

use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio_rustls::TlsAcceptor;

use crate::config::TlsConfig;

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file of certificates or a key is missing or malformed.
    #[error("{role} {file}: {reason}")]
    File {
        /// The setting that names it.
        role: &'static str,
        /// Path as configured.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Certificate, key and settings do not fit together.
    #[error("certificate and key do not fit")]
    Setup(#[source] rustls::Error),
}

/// An acceptor that speaks TLS 1.3, HTTP/2 and HTTP/1.1.
///
/// With `client_ca_file` a client must show a certificate that is signed by that CA: without one
/// the handshake fails.
///
/// # Errors
/// [`TlsError`] names the file.
pub(crate) fn acceptor(config: &TlsConfig) -> Result<TlsAcceptor, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Setup)?;
    let builder = match &config.client_ca_file {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let roots = Arc::new(roots("tls.client_ca_file", file)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                .build()
                .map_err(|e| bad("tls.client_ca_file", file, e))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain = certificates("tls.cert_file", &config.cert_file)?;
    let key = key("tls.key_file", &config.key_file)?;
    let mut server = builder.with_single_cert(chain, key).map_err(TlsError::Setup)?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(server)))
}

/// Trust anchors out of a PEM file.
///
/// # Errors
/// [`TlsError::File`] when there is none in it.
pub(crate) fn roots(role: &'static str, file: &File) -> Result<RootCertStore, TlsError> {
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
pub(crate) fn certificates(role: &'static str, file: &File) -> Result<Vec<CertificateDer<'static>>, TlsError> {
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
pub(crate) fn key(role: &'static str, file: &File) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(file).map_err(|e| bad(role, file, e))
}

fn bad(role: &'static str, file: &File, reason: impl ToString) -> TlsError {
    TlsError::File { role, file: file.display().to_string(), reason: reason.to_string() }
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
