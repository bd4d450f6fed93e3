//! The collector: one connection, kept, over which one request at a time is made. OTLP over gRPC is
//! a message in a frame and a status in the trailers; over HTTP it is the message and a status.
//!
//! The only connection that the broker itself opens to the outside (see DESIGN.md).
//!
//! Invariant: connecting, TLS, the request and its whole answer are bounded by one timeout.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{Endpoint, Protocol, TelemetryConfig, exporter::Signal};
use crate::edge::tls::{self, TlsError};

/// Most of an answer that is read, bytes.
const ANSWER_BYTES: usize = 64 << 10;
/// Where systems keep the CAs that they trust: Debian, Fedora, Alpine and the BSDs.
const SYSTEM: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Why exporting cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The file of headers.
    #[error("telemetry.headers_file {file}: {reason}")]
    Headers {
        /// Path as configured.
        file: String,
        /// What is wrong with it; no line of it is repeated.
        reason: String,
    },
    /// No system's CAs.
    #[error("telemetry.endpoint speaks TLS, and this system has no file of CAs: set telemetry.ca_file")]
    NoRoots,
    /// The file of CAs.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Its host is no name for TLS.
    #[error("telemetry.endpoint: {0} is no name that a certificate can have")]
    Name(String),
    /// The TLS library refuses.
    #[error("TLS to the collector")]
    Setup(#[source] rustls::Error),
}

/// Why the collector did not take something.
#[derive(Debug)]
pub(super) struct Failed {
    reason: String,
    /// Whether it may take the same later.
    pub(super) again: bool,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl Failed {
    fn again(reason: impl ToString) -> Self {
        Self { reason: reason.to_string(), again: true }
    }
}

/// The collector.
pub(super) struct Collector {
    endpoint: Endpoint,
    protocol: Protocol,
    timeout: Duration,
    headers: HeaderMap,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    kept: Option<Kept>,
}

enum Kept {
    Http(http1::SendRequest<Full<Bytes>>),
    Grpc(http2::SendRequest<Full<Bytes>>),
}

impl Collector {
    pub(super) fn new(endpoint: Endpoint, config: &TelemetryConfig) -> Result<Self, SetupError> {
        let headers = config.headers_file.as_deref().map(headers).transpose()?.unwrap_or_default();
        let tls = match endpoint.tls {
            true => Some((connector(config)?, name(&endpoint)?)),
            false => None,
        };
        let (protocol, timeout) = (config.protocol, config.timeout);
        Ok(Self { endpoint, protocol, timeout, headers, tls, kept: None })
    }

    /// Hands over one request's bytes.
    pub(super) async fn send(&mut self, signal: Signal, message: Vec<u8>) -> Result<(), Failed> {
        // What is cancelled or fails leaves no connection behind that is half way through something.
        let kept = self.kept.take();
        let late = |_| Failed::again(format!("no answer within {} ms", self.timeout.as_millis()));
        let kept = timeout(self.timeout, self.sent(kept, signal, message)).await.map_err(late)??;
        self.kept = Some(kept);
        Ok(())
    }

    async fn sent(&self, kept: Option<Kept>, signal: Signal, message: Vec<u8>) -> Result<Kept, Failed> {
        let request = |message: Vec<u8>| self.request(signal, message).map_err(Failed::again);
        let mut kept = match kept {
            Some(kept) if kept.is_ready().await => kept,
            _ => self.connect().await?,
        };
        let response = match &mut kept {
            Kept::Http(sender) => sender.send_request(request(message)?).await,
            Kept::Grpc(sender) => sender.send_request(request(framed(&message))?).await,
        };
        let response = response.map_err(|e| Failed::again(crate::wire::chain(&e)))?;
        judge(self.protocol, response).await?;
        Ok(kept)
    }

    fn request(&self, signal: Signal, message: Vec<u8>) -> http::Result<Request<Full<Bytes>>> {
        let path = format!("{}{}", self.endpoint.path, path(self.protocol, signal));
        let authority = self.endpoint.authority();
        let mut request = match self.protocol {
            Protocol::Http => Request::post(path)
                .header(header::HOST, authority)
                .header(header::CONTENT_TYPE, "application/x-protobuf"),
            Protocol::Grpc => {
                let scheme = if self.endpoint.tls { "https" } else { "http" };
                Request::post(format!("{scheme}://{authority}{path}"))
                    .header(header::CONTENT_TYPE, "application/grpc")
                    .header(header::TE, "trailers")
            }
        }
        .header(header::USER_AGENT, concat!("warder/", env!("CARGO_PKG_VERSION")))
        .body(Full::new(Bytes::from(message)))?;
        request.headers_mut().extend(self.headers.clone());
        Ok(request)
    }

    async fn connect(&self) -> Result<Kept, Failed> {
        let stream = TcpStream::connect((self.endpoint.host.as_str(), self.endpoint.port)).await;
        let stream = stream.map_err(|e| Failed::again(format!("{}: {e}", self.endpoint)))?;
        let _ = stream.set_nodelay(true);
        match &self.tls {
            None => self.shaken(stream).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await.map_err(Failed::again)?;
                self.shaken(stream).await
            }
        }
    }

    async fn shaken(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Kept, Failed> {
        let failed = |e: hyper::Error| Failed::again(crate::wire::chain(&e));
        let stream = TokioIo::new(stream);
        // A connection ends when its sender does.
        match self.protocol {
            Protocol::Http => {
                let (sender, connection) = http1::handshake(stream).await.map_err(failed)?;
                tokio::spawn(connection);
                Ok(Kept::Http(sender))
            }
            Protocol::Grpc => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.map_err(failed)?;
                tokio::spawn(connection);
                Ok(Kept::Grpc(sender))
            }
        }
    }
}

impl Kept {
    /// Whether another request may go over it. One that was closed meanwhile is not used.
    async fn is_ready(&self) -> bool {
        match self {
            Self::Http(sender) => !sender.is_closed() && sender.is_ready(),
            Self::Grpc(sender) => !sender.is_closed(),
        }
    }
}

const fn path(protocol: Protocol, signal: Signal) -> &'static str {
    match (protocol, signal) {
        (Protocol::Grpc, Signal::Logs) => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        (Protocol::Grpc, Signal::Metrics) => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        (Protocol::Grpc, Signal::Traces) => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        (Protocol::Http, Signal::Logs) => "/v1/logs",
        (Protocol::Http, Signal::Metrics) => "/v1/metrics",
        (Protocol::Http, Signal::Traces) => "/v1/traces",
    }
}

/// A message of gRPC: not compressed, its length, itself.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], &length.to_be_bytes()[..], message].concat()
}

/// Which answers mean that the same may be taken later: OTLP 1.x, "Failures".
async fn judge(protocol: Protocol, response: http::Response<Incoming>) -> Result<(), Failed> {
    let status = response.status();
    if !status.is_success() {
        let again = [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::BAD_GATEWAY,
            StatusCode::SERVICE_UNAVAILABLE,
            StatusCode::GATEWAY_TIMEOUT,
        ];
        return Err(Failed { reason: format!("status {status}"), again: again.contains(&status) });
    }
    let early = code(response.headers());
    let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
    let body = body.map_err(|e| Failed::again(e.to_string()))?;
    match (protocol, early.or_else(|| body.trailers().and_then(code))) {
        (Protocol::Http, _) | (Protocol::Grpc, Some(0)) => Ok(()),
        (Protocol::Grpc, Some(code)) => {
            let again = matches!(code, 1 | 4 | 8 | 10 | 11 | 14 | 15);
            Err(Failed { reason: format!("gRPC status {code}"), again })
        }
        (Protocol::Grpc, None) => Err(Failed::again("an answer without a gRPC status")),
    }
}

fn code(headers: &HeaderMap) -> Option<u16> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// The lines of a file, each `name: value`; empty ones, and those that begin with `#`, are none.
fn headers(file: &Path) -> Result<HeaderMap, SetupError> {
    let refused = |reason: String| SetupError::Headers { file: file.display().to_string(), reason };
    let text = zeroize::Zeroizing::new(std::fs::read_to_string(file).map_err(|e| refused(e.to_string()))?);
    let mut headers = HeaderMap::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let parsed = line.split_once(':').and_then(|(name, value)| {
            let mut value = HeaderValue::from_str(value.trim()).ok()?;
            value.set_sensitive(true);
            Some((HeaderName::try_from(name.trim()).ok()?, value))
        });
        let (name, value) = parsed.ok_or_else(|| refused(format!("line {} is no `name: value`", at + 1)))?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn connector(config: &TelemetryConfig) -> Result<TlsConnector, SetupError> {
    let file = match &config.ca_file {
        Some(file) => file.clone(),
        None => SYSTEM.iter().map(PathBuf::from).find(|file| file.exists()).ok_or(SetupError::NoRoots)?,
    };
    let roots = tls::roots("telemetry.ca_file", &file)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().map_err(SetupError::Setup)?;
    let mut client = builder.with_root_certificates(roots).with_no_client_auth();
    client.alpn_protocols = match config.protocol {
        Protocol::Grpc => vec![b"h2".to_vec()],
        Protocol::Http => vec![b"http/1.1".to_vec()],
    };
    Ok(Arc::new(client).into())
}

fn name(endpoint: &Endpoint) -> Result<ServerName<'static>, SetupError> {
    ServerName::try_from(endpoint.host.clone()).map_err(|_| SetupError::Name(endpoint.host.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_lines_and_a_bad_one_is_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("headers");
        std::fs::write(&file, "# for the collector\n\nAuthorization: Bearer hunter2\nx-tenant:a\n").unwrap();
        let read = headers(&file).unwrap();
        assert_eq!((read.len(), read["authorization"].is_sensitive()), (2, true));
        assert_eq!(
            (&read["authorization"], &read["x-tenant"]),
            (&"Bearer hunter2".parse().unwrap(), &"a".parse().unwrap())
        );
        std::fs::write(&file, "x: y\nhunter2\n").unwrap();
        let told = headers(&file).unwrap_err().to_string();
        assert!(told.ends_with("line 2 is no `name: value`") && !told.contains("hunter2"), "{told}");
    }
}
