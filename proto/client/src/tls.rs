//! Whom a client trusts, and what it shows of itself.

use std::{path::Path, sync::Arc};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

use crate::error::Error;

/// Where systems keep the CAs that they trust.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// PEM files, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    pub(crate) ca: Option<std::path::PathBuf>,
    /// Certificate and key.
    pub(crate) identity: Option<(std::path::PathBuf, std::path::PathBuf)>,
}

/// TLS 1.3 or 1.2 with HTTP/2.
pub(crate) fn config(files: &Files) -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|why| Error::usage(why.to_string()))?.with_root_certificates(roots(files)?);
    let mut config = match &files.identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let wrong = |why: rustls::Error| Error::usage(format!("certificate {}: {why}", chain.display()));
            let read = PrivateKeyDer::from_pem_file(key);
            let read = read.map_err(|why| Error::usage(format!("key {}: {why}", key.display())))?;
            builder.with_client_auth_cert(certificates(chain)?, read).map_err(wrong)?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

fn roots(files: &Files) -> Result<RootCertStore, Error> {
    let file = match &files.ca {
        Some(file) => file.clone(),
        None => system().ok_or_else(|| Error::usage("this system's CAs were not found: name a file of them"))?,
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&file)? {
        // A system's bundle may hold what is no CA for TLS.
        let added = roots.add(certificate);
        if files.ca.is_some() {
            added.map_err(|why| Error::usage(format!("CA {}: {why}", file.display())))?;
        }
    }
    Ok(roots)
}

fn system() -> Option<std::path::PathBuf> {
    let named = std::env::var_os("SSL_CERT_FILE").map(std::path::PathBuf::from);
    named.into_iter().chain(SYSTEM_ROOTS.map(Into::into)).find(|file| file.is_file())
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let wrong = |why: String| Error::usage(format!("certificates {}: {why}", file.display()));
    let found = CertificateDer::pem_file_iter(file).map_err(|why| wrong(why.to_string()))?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(|why| wrong(why.to_string()))?;
    if found.is_empty() { Err(wrong("no certificate is in it".to_owned())) } else { Ok(found) }
}
