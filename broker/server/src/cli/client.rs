//! One request to a server, over HTTP/1.1, with TLS when the address says `https`, or by a unix socket.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt as _, Either, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    task::JoinHandle,
    time::timeout,
};
use warder_client::Retry;
use warder_core::secret::Secret;
use zeroize::Zeroizing;

use super::{Shared, failure::Failure};
use crate::edge::tls;

const DEFAULT_ADDRESS: &str = "http://127.0.0.1:8080";
/// Largest answer that is read.
const MAX_ANSWER: usize = 64 << 20;
/// For connecting, and again for the whole exchange.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two attempts of what is asked again: at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Bytes of a file that are read at once.
const PIECE: usize = 64 << 10;
/// Where systems keep the CAs that they trust.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What keeps a connection going.
pub(crate) type Driving = JoinHandle<Result<(), hyper::Error>>;

/// What to send.
pub(crate) struct Ask<'a> {
    method: Method,
    path: String,
    headers: Vec<(http::HeaderName, &'a str)>,
    body: Option<(&'static str, Sent)>,
}

/// A body.
enum Sent {
    File(Pieces),
    Text(Secret),
}

/// A file, piece by piece, as long as it was when it was opened.
struct Pieces {
    file: File,
    left: u64,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let mut piece = vec![0; usize::try_from(self.left).map_or(PIECE, |left| left.min(PIECE))];
        // Nobody else waits in this process.
        let read = self.file.read_exact(&mut piece).map(|()| {
            self.left -= piece.len() as u64;
            Frame::data(Bytes::from(piece))
        });
        Poll::Ready(Some(read))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

type Body = Either<Full<Bytes>, Pieces>;

impl<'a> Ask<'a> {
    /// A request below `/api/v1/`; `path` is encoded already.
    pub(crate) fn new(method: Method, path: impl AsRef<str>) -> Self {
        Self { method, path: format!("/api/v1/{}", path.as_ref()), headers: Vec::new(), body: None }
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: http::HeaderName, value: &'a str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Adds a JSON body.
    pub(crate) fn json(self, body: impl Into<Secret>) -> Self {
        self.body("application/json", body)
    }

    /// Adds a body.
    pub(crate) fn body(mut self, media: &'static str, body: impl Into<Secret>) -> Self {
        self.body = Some((media, Sent::Text(body.into())));
        self
    }

    /// Adds a file as the body.
    pub(crate) fn file(mut self, media: &'static str, file: File) -> io::Result<Self> {
        let left = file.metadata()?.len();
        self.body = Some((media, Sent::File(Pieces { file, left })));
        Ok(self)
    }

    /// For the whole exchange; a file has a second more for each MiB.
    fn patience(&self) -> Duration {
        match &self.body {
            Some((_, Sent::File(pieces))) => PATIENCE + Duration::from_secs(pieces.left >> 20),
            _ => PATIENCE,
        }
    }
}

/// A server, and who asks it.
pub(crate) struct Client {
    /// As it was given, for errors.
    address: String,
    /// For the header `Host`.
    host: String,
    place: Place,
    token: Option<Secret>,
}

/// Where the server is.
enum Place {
    Tcp { host: String, port: u16, tls: Option<Arc<ClientConfig>> },
    Unix(PathBuf),
}

impl Place {
    /// Out of an address, with the text of `Host`.
    fn of(address: &str, shared: &Shared) -> Result<(String, Self), Failure> {
        if let Some(path) = address.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return Ok(("localhost".to_owned(), Self::Unix(path.into())));
        }
        let expected = "expected http://HOST:PORT, https://HOST:PORT or unix:///PATH";
        let bad = || Failure::usage(format!("bad address {address}: {expected}"));
        let uri: Uri = address.trim_end_matches('/').parse().map_err(|_| bad())?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(bad()),
        };
        let host = uri.host().ok_or_else(bad)?.trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let tls = if secure { Some(Arc::new(trust(shared)?)) } else { None };
        let named = uri.authority().map_or("", http::uri::Authority::as_str).to_owned();
        Ok((named, Self::Tcp { host, port, tls }))
    }
}

impl Client {
    /// From flags and environment.
    pub(crate) fn new(shared: &Shared) -> Result<Self, Failure> {
        let address = address(shared);
        let token = token().map(|text| Secret::from(text.trim()));
        let (host, place) = Place::of(&address, shared)?;
        Ok(Self { address, host, place, token })
    }

    /// Whether it has a token to show.
    pub(crate) const fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Sends a request and reads its answer; refusals become failures in words.
    pub(crate) async fn ask(&self, ask: Ask<'_>) -> Result<Value, Failure> {
        let (status, body) = timeout(ask.patience(), self.exchange(ask))
            .await
            .map_err(|_| Failure::unreachable(format!("{} did not answer in time", self.address)))??;
        let value = match body.as_slice() {
            [] => Value::Null,
            bytes => serde_json::from_slice(bytes)
                .map_err(|_| Failure::other(format!("{} did not answer with JSON (status {status})", self.address)))?,
        };
        if status.is_success() { Ok(value) } else { Err(Failure::answered(status, &value)) }
    }

    /// Sends a request and gives its answer's body as it comes; refusals become failures in words.
    pub(crate) async fn open(&self, ask: Ask<'_>) -> Result<(Incoming, Driving), Failure> {
        let late = |_| Failure::unreachable(format!("{} did not answer in time", self.address));
        let (response, driving) = timeout(PATIENCE, self.send(ask)).await.map_err(late)??;
        if response.status().is_success() {
            return Ok((response.into_body(), driving));
        }
        let (status, body) = timeout(PATIENCE, self.whole(response, driving)).await.map_err(late)??;
        Err(Failure::answered(status, &serde_json::from_slice(&body).unwrap_or_default()))
    }

    async fn exchange(&self, ask: Ask<'_>) -> Result<(StatusCode, Zeroizing<Vec<u8>>), Failure> {
        let (response, driving) = self.send(ask).await?;
        self.whole(response, driving).await
    }

    async fn send(&self, ask: Ask<'_>) -> Result<(Response<Incoming>, Driving), Failure> {
        let unreachable = |e| Failure::unreachable(format!("cannot connect to {}: {e}", self.address));
        let (host, port, tls) = match &self.place {
            Place::Unix(path) => return self.speak(UnixStream::connect(path).await.map_err(unreachable)?, ask).await,
            Place::Tcp { host, port, tls } => (host, *port, tls),
        };
        let stream = TcpStream::connect((host.as_str(), port)).await.map_err(unreachable)?;
        let Some(tls) = tls else { return self.speak(stream, ask).await };
        let name = ServerName::try_from(host.clone())
            .map_err(|_| Failure::usage(format!("bad host name in {}", self.address)))?;
        let stream = tokio_rustls::TlsConnector::from(tls.clone())
            .connect(name, stream)
            .await
            .map_err(|e| Failure::unreachable(format!("no TLS with {}: {e}{}", self.address, advice(&e))))?;
        self.speak(stream, ask).await
    }

    async fn speak(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        ask: Ask<'_>,
    ) -> Result<(Response<Incoming>, Driving), Failure> {
        let broken =
            |e: hyper::Error| Failure::unreachable(format!("the connection to {} broke: {}", self.address, chain(&e)));
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let driving = tokio::spawn(connection);
        let response = sender.send_request(self.request(ask)?).await.map_err(broken)?;
        Ok((response, driving))
    }

    async fn whole(
        &self,
        response: Response<Incoming>,
        driving: Driving,
    ) -> Result<(StatusCode, Zeroizing<Vec<u8>>), Failure> {
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        driving.abort();
        let body = body.map_err(|e| Failure::other(format!("the answer of {} did not arrive: {e}", self.address)))?;
        Ok((status, Zeroizing::new(body.to_bytes().to_vec())))
    }

    fn request(&self, ask: Ask<'_>) -> Result<Request<Body>, Failure> {
        let bad = |e: &dyn std::error::Error| Failure::usage(format!("cannot be sent: {e}"));
        let (media, body) = match ask.body {
            None => (None, Either::Left(Full::default())),
            Some((media, Sent::File(pieces))) => (Some(media), Either::Right(pieces)),
            Some((media, Sent::Text(text))) => {
                (Some(media), Either::Left(Full::new(Bytes::copy_from_slice(text.expose()))))
            }
        };
        let mut request = Request::builder().method(ask.method).uri(&ask.path).body(body).map_err(|e| bad(&e))?;
        let headers = request.headers_mut();
        self.identify(headers).map_err(|e| bad(&e))?;
        for (name, value) in ask.headers {
            headers.insert(name, HeaderValue::from_str(value).map_err(|e| bad(&e))?);
        }
        if let Some(media) = media {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
        }
        Ok(request)
    }

    fn identify(&self, headers: &mut HeaderMap) -> Result<(), header::InvalidHeaderValue> {
        headers.insert(header::HOST, HeaderValue::from_str(&self.host)?);
        let agent = concat!("warder/", env!("CARGO_PKG_VERSION"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(agent));
        if let Some(token) = &self.token {
            let mut value = Zeroizing::new(Vec::with_capacity(token.len() + 7));
            value.extend_from_slice(b"Bearer ");
            value.extend_from_slice(token.expose());
            let mut value = HeaderValue::from_bytes(&value)?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        Ok(())
    }
}

/// The same server and token, asked over gRPC. What is asked is asked once: whether to ask again is the
/// command's to say.
pub(crate) fn grpc(shared: &Shared) -> Result<warder_client::Client, Failure> {
    let retry = Retry { attempts: 1, pause: PAUSES.0, longest: PAUSES.1 };
    let mut builder = warder_client::Client::builder(address(shared)).deadline(PATIENCE).retry(retry);
    let files = Files::named(shared)?;
    if let Some(file) = files.roots {
        builder = builder.ca_file(file);
    }
    if let Some((certificate, key)) = files.identity {
        builder = builder.client_certificate(certificate, key);
    }
    if let Some(token) = token() {
        builder = builder.token(warder_client::Token::new(token.trim()));
    }
    builder.build().map_err(|error| Failure::from(&error))
}

fn address(shared: &Shared) -> String {
    let named = shared.address.clone().or_else(|| variable(&["WARDER_ADDR", "VAULT_ADDR"]));
    named.unwrap_or_else(|| DEFAULT_ADDRESS.to_owned())
}

fn token() -> Option<Zeroizing<String>> {
    let text = variable(&["WARDER_TOKEN", "VAULT_TOKEN"]).map(Zeroizing::new);
    text.filter(|text| !text.trim().is_empty())
}

/// Files for TLS that were named.
struct Files {
    roots: Option<PathBuf>,
    /// Certificate and key.
    identity: Option<(PathBuf, PathBuf)>,
}

impl Files {
    fn named(shared: &Shared) -> Result<Self, Failure> {
        let given =
            |flag: &Option<PathBuf>, names: [&str; 2]| flag.clone().or_else(|| variable(&names).map(Into::into));
        let certificate = given(&shared.client_cert, ["WARDER_CLIENT_CERT", "VAULT_CLIENT_CERT"]);
        let key = given(&shared.client_key, ["WARDER_CLIENT_KEY", "VAULT_CLIENT_KEY"]);
        let identity = match (certificate, key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificate, key)),
            _ => {
                let words = "a client certificate and its key go together: --client-cert and --client-key";
                return Err(Failure::usage(words));
            }
        };
        Ok(Self { roots: given(&shared.cacert, ["WARDER_CACERT", "VAULT_CACERT"]), identity })
    }
}

/// What to do about a certificate that is not trusted.
pub(super) const TRUST: &str = "\n  trust the CA that signed it with --cacert or WARDER_CACERT";

fn advice(error: &io::Error) -> &'static str {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_)) => TRUST,
        _ => "",
    }
}

/// An error and its causes: hyper's own words alone say little.
fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        words = format!("{words}: {cause}");
        next = cause.source();
    }
    words
}

fn variable(names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

fn trust(shared: &Shared) -> Result<ClientConfig, Failure> {
    let files = Files::named(shared)?;
    let roots = match files.roots {
        Some(file) => tls::roots("CA file", &file).map_err(|e| Failure::usage(e.to_string()))?,
        None => system_roots()?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Failure::other(e.to_string()))?;
    let builder = builder.with_root_certificates(roots);
    let Some((certificate, key)) = files.identity else { return Ok(builder.with_no_client_auth()) };
    let refused = |e: &dyn std::error::Error| Failure::usage(e.to_string());
    let chain = tls::certificates("client certificate", &certificate).map_err(|e| refused(&e))?;
    let key = tls::key("client key", &key).map_err(|e| refused(&e))?;
    builder.with_client_auth_cert(chain, key).map_err(|e| refused(&e))
}

fn system_roots() -> Result<RootCertStore, Failure> {
    let named = variable(&["SSL_CERT_FILE"]);
    let files = named.iter().map(String::as_str).chain(SYSTEM_ROOTS);
    match files.map(Path::new).find(|file| file.is_file()) {
        Some(file) => tls::roots("system CAs", file).map_err(|e| Failure::other(e.to_string())),
        None => Err(Failure::usage("this system's CAs were not found: name a PEM file in WARDER_CACERT")),
    }
}

/// A path with everything percent-encoded that is not plain, slashes apart.
pub(crate) fn encoded(path: &str) -> String {
    escape(path, |byte| byte == b'/')
}

/// `?name=value&..` out of the parameters that are there.
pub(crate) fn query(parameters: &[(&str, Option<String>)]) -> String {
    let given = parameters.iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
    let parts: Vec<String> = given.map(|(name, value)| format!("{name}={}", escape(value, |_| false))).collect();
    if parts.is_empty() { String::new() } else { format!("?{}", parts.join("&")) }
}

fn escape(text: &str, keep: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || keep(byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_queries_are_encoded() {
        assert_eq!(encoded("a b/gr\u{fc}n?/"), "a%20b/gr%C3%BCn%3F/");
        assert_eq!(
            query(&[("list", Some("true".into())), ("after", Some("a/b&c".into())), ("limit", None)]),
            "?list=true&after=a%2Fb%26c"
        );
        assert_eq!(query(&[("limit", None)]), "");
    }
}
