//! What broker/fuzz sees of the edge: each decoder by itself.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use warder_core::{
    broker::Broker,
    clock::Clock,
    error::Error,
    identity::Peer,
    request::{Door, Fields},
    secret::Secret,
};

use super::{
    Edge,
    decode::{self, Query},
    grpc, identify,
    ids::Ids,
    rest, route, vault,
};

/// A request's path, decoded.
///
/// # Errors
/// `invalid_request` at `path`.
pub fn path(raw: &str) -> Result<String, Error> {
    decode::path(raw)
}

/// The pattern that owns a decoded path, and what its capture takes.
#[must_use]
pub fn route(method: &str, path: &str) -> Option<(&'static str, String)> {
    route::find(method, path).ok().map(|(route, capture)| (route.pattern, capture))
}

/// A query as pairs, and as the fields that `/v1` makes of it.
///
/// # Errors
/// `invalid_request` at `query`.
pub fn query(raw: &str) -> Result<(Vec<(String, String)>, Fields), Error> {
    let query = Query::parse(raw)?;
    for name in query.iter().map(|(name, _)| name) {
        let _ = (query.flag(name), query.number(name, u64::MAX), query.only(&[name]));
    }
    let pairs = query.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Ok((pairs, vault::from_query(&query)))
}

/// What a request says of itself in its headers.
#[derive(Debug)]
pub struct Said {
    /// The id that is echoed.
    pub id: String,
    /// The trace id.
    pub trace: Option<String>,
    /// The token, or why there is none.
    pub token: Result<Option<Secret>, Error>,
    /// The version that a condition expects.
    pub expected: Result<Option<u64>, Error>,
}

/// Reads the headers that the wire lets through; at the native door.
#[must_use]
pub fn headers<'a>(pairs: impl Iterator<Item = (&'a str, &'a [u8])>) -> Said {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    let _ = identify::honourable(&headers);
    let _ = identify::credential(&headers, Door::Vault);
    Said {
        id: identify::request_id(&headers, &Ids::new()).to_string(),
        trace: super::trace::Parent::read(&headers).map(|parent| parent.trace.to_string()),
        token: identify::credential(&headers, Door::Native),
        expected: rest::secrets::expected_version(&headers),
    }
}

/// Versions in a query, as a JSON array.
///
/// # Errors
/// `invalid_request` at `versions`.
pub fn versions(text: &str) -> Result<String, Error> {
    rest::secrets::versions_of(text)
}

/// Versions in a body, as a JSON array.
///
/// # Errors
/// `invalid_request` at `versions`.
pub fn version_list(text: &str) -> Result<String, Error> {
    rest::secrets::version_list(text)
}

/// A key share's bytes out of hex or base64.
///
/// # Errors
/// `invalid_request` at `key`.
pub fn share(text: &Secret) -> Result<Secret, Error> {
    warder_core::sys::share(text)
}

/// gRPC's way to say a timeout.
#[must_use]
pub fn timeout(text: &str) -> Option<Duration> {
    grpc::call::timeout(text)
}

/// What both native doors read out of a plugin's document: its versions, and what is known of it.
pub fn known(document: &Secret) {
    let _ = grpc::shape::versions(document);
    let text = document.expose_str().unwrap_or("null");
    if let Ok(known) = rest::shape::Known::of(text) {
        let _ = (grpc::shape::number(known.version), grpc::shape::time(known.created_at));
    }
    let _ = (rest::shape::about("a/b", document), rest::token::native(document));
}

/// The edge before a broker, without a socket.
pub struct Server(
    Arc<Edge>,
    #[expect(dead_code, reason = "without it the edge would stop")] tokio::sync::watch::Sender<bool>,
);

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

impl Server {
    /// Before this broker; none when its metrics cannot be made.
    #[must_use]
    pub fn new(broker: Arc<Broker>, clock: Arc<dyn Clock>) -> Option<Self> {
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let edge = Arc::new(Edge {
            broker,
            clock,
            limits: super::Limits::default(),
            metrics: super::metrics::Metrics::new(None).ok()?.into(),
            dev: false,
            storage: "memory",
            ids: Ids::new(),
            streams: grpc::Streams::new(stopped.clone()),
            crowd: super::crowd::Crowd::new(1),
            exporter: None,
            stop: stopped.clone(),
            leaving: stopped,
        });
        Some(Self(edge, stop))
    }

    /// What a connection answers when it is sent these bytes and then nothing.
    pub async fn connection(&self, bytes: &[u8]) -> Vec<u8> {
        let (client, server) = tokio::io::duplex(64 << 10);
        let seat = super::seat::Seat::new();
        let gate = super::listener::Gate::default();
        let served = super::listener::http(server, Peer::default(), &seat, gate, self.0.clone());
        let (mut answers, mut requests) = tokio::io::split(client);
        let sent = async {
            // The other side may have had enough before the end.
            let _ = requests.write_all(bytes).await;
            let _ = requests.shutdown().await;
        };
        let mut answer = Vec::new();
        let received = async { answers.read_to_end(&mut answer).await };
        let _ = tokio::join!(served, sent, received);
        answer
    }

    /// The status code of a gRPC call; `method` counts through all of them.
    pub async fn grpc<'a>(
        &self,
        method: usize,
        pairs: impl Iterator<Item = (&'a str, &'a str)>,
        message: &[u8],
    ) -> i32 {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_static("Bearer root"));
        for (name, value) in pairs {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        }
        grpc::fuzzed(self.0.clone(), Peer::default(), method, headers, message).await
    }
}
