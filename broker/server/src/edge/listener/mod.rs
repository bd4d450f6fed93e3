//! Accepts connections and serves HTTP/1.1 and HTTP/2 on them until told to drain.
//!
//! Invariant: every connection is owned by the set here, bounded in number, and bounded in time
//! until its request's head has come.

mod socket;

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::timeout,
};
use warder_core::identity::Peer;

use self::socket::{Socket, Stream};
use super::{
    Edge, grpc,
    limits::http2,
    prompt::Prompt,
    tls::{self, Tls, TlsError},
};
use crate::config::{self, Address, ListenerConfig};

/// Smallest buffer of one HTTP/1 connection: the largest head that we answer in our own words.
const HEAD_BYTES: usize = 128 << 10;

/// A listener that does not serve yet.
pub(crate) struct Listener {
    socket: Socket,
    listening: Listening,
    tls: Option<Arc<Tls>>,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("listening", &self.listening).finish_non_exhaustive()
    }
}

/// Where somebody listens.
#[derive(Clone, Debug)]
pub struct Listening {
    name: String,
    address: Address,
    tls: bool,
}

impl Listening {
    /// The port, if it is one.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        match self.address {
            Address::Tcp(address) => Some(address),
            Address::Unix(_) => None,
        }
    }
}

/// `listening on https://127.0.0.1:8200`, `local: listening on unix:///run/warder/warder.sock`.
impl fmt::Display for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.name.is_empty() {
            write!(f, "{}: ", self.name)?;
        }
        match &self.address {
            Address::Tcp(address) => write!(f, "listening on http{}://{address}", if self.tls { "s" } else { "" }),
            Address::Unix(path) => write!(f, "listening on unix://{}", path.display()),
        }
    }
}

impl Listener {
    /// Takes the address.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub(crate) async fn bind(name: &str, config: &ListenerConfig) -> io::Result<Self> {
        let socket = Socket::bind(&config.address, &config.socket).await?;
        let listening = Listening { name: name.to_owned(), address: socket.address()?, tls: !config.is_plain() };
        Ok(Self { socket, listening, tls: None })
    }

    /// Reads the certificate, if there is to be one.
    ///
    /// # Errors
    /// [`TlsError`] names the file.
    pub(crate) fn secured(self, config: &ListenerConfig) -> Result<Self, TlsError> {
        let read = || Ok(Arc::new(Tls::new(config::section(&self.listening.name), &config.tls)?));
        let tls = if config.is_plain() { None } else { Some(read()?) };
        Ok(Self { tls, ..self })
    }

    /// Where it listens.
    pub(crate) const fn listening(&self) -> &Listening {
        &self.listening
    }

    /// Its TLS.
    pub(crate) const fn tls(&self) -> Option<&Arc<Tls>> {
        self.tls.as_ref()
    }
}

/// Serves until `stop` turns true, then drains. When the barrier is closed, open requests end and
/// their connections with them: buffers of a kept connection hold what it last carried.
pub(crate) async fn run(listener: Listener, edge: Arc<Edge>, mut stop: watch::Receiver<bool>) {
    let Listener { socket, tls, listening } = listener;
    let mut graceful = GracefulShutdown::new();
    let mut closings = edge.broker.closings();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = async { drop(stop.wait_for(|stop| *stop).await) } => break,
            Ok(()) = closings.changed() => {
                connections.spawn(std::mem::take(&mut graceful).shutdown());
                continue;
            }
            accepted = accept(&socket, &edge.room) => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let Some((stream, permit)) = accepted else { break };
        let (tls, edge, watcher) = (tls.clone(), edge.clone(), graceful.watcher());
        connections.spawn(async move {
            let _permit = permit;
            Box::pin(connection(stream, tls, edge, watcher)).await;
        });
    }
    drop(socket);
    drain(&listening, graceful, connections, edge.limits.drain).await;
}

async fn accept(socket: &Socket, room: &Arc<Semaphore>) -> Option<(Stream, OwnedSemaphorePermit)> {
    let permit = room.clone().acquire_owned().await.ok()?;
    loop {
        match socket.accept().await {
            Ok(stream) => return Some((stream, permit)),
            Err(error) if tls::connection_fault(&error) => {}
            Err(error) => {
                // Out of file descriptors, mostly: wait for connections to end instead of spinning.
                tracing::warn!(error.chain = %error, "connection not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn drain(listening: &Listening, graceful: GracefulShutdown, mut connections: JoinSet<()>, patience: Duration) {
    let open = connections.len();
    tracing::info!(listener.name = listening.name, connections = open, "draining");
    let all = async {
        graceful.shutdown().await;
        while connections.join_next().await.is_some() {}
    };
    if timeout(patience, all).await.is_err() {
        tracing::warn!(seconds = patience.as_secs_f32(), "connections did not end in time and were cut");
    }
}

async fn connection(
    stream: Stream,
    tls: Option<Arc<Tls>>,
    edge: Arc<Edge>,
    watcher: hyper_util::server::graceful::Watcher,
) {
    match stream {
        Stream::Unix(stream) => secured(stream, Peer::default(), tls, edge, watcher).await,
        Stream::Tcp(stream, address) => {
            let peer = Peer { address: Some(address), ..Peer::default() };
            secured(stream, peer, tls, edge, watcher).await;
        }
    }
}

async fn secured(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    mut peer: Peer,
    tls: Option<Arc<Tls>>,
    edge: Arc<Edge>,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let _open = edge.metrics.connection();
    let Some(tls) = tls else { return http(stream, peer, edge, watcher).await };
    match timeout(edge.limits.slow_head, tls.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => {
            let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
            peer.certificates = chain.iter().map(tls::pem).collect();
            http(stream, peer, edge, watcher).await;
        }
        Ok(Err(error)) => tracing::debug!(error.chain = %error, "TLS handshake failed"),
        Err(_) => tracing::debug!("TLS handshake took too long"),
    }
}

pub(super) async fn http(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    edge: Arc<Edge>,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let limits = edge.limits;
    let service = service_fn(move |request| {
        let (edge, peer) = (edge.clone(), peer.clone());
        async move { Ok::<_, std::convert::Infallible>(grpc::or_http(edge, peer, request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // A client that only closed its half still waits; looking for that would cost a buffer each
    // time that an answer is not there at once.
    builder.http1().half_close(true);
    let head = HEAD_BYTES.max(2 * limits.headers);
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.slow_head).max_buf_size(head);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.headers).unwrap_or(u32::MAX))
        .max_concurrent_streams(limits.streams)
        .initial_stream_window_size(http2::STREAM_WINDOW)
        .initial_connection_window_size(http2::CONNECTION_WINDOW)
        .max_frame_size(http2::FRAME)
        .max_send_buf_size(http2::SEND_BUFFER)
        .max_pending_accept_reset_streams(http2::RESETS)
        .max_local_error_reset_streams(http2::FAULTS)
        .keep_alive_interval(http2::PING_AFTER)
        .keep_alive_timeout(http2::PONG_WITHIN);
    let stream = TokioIo::new(Prompt::new(stream, limits.slow_head));
    let served = watcher.watch(builder.serve_connection(stream, service).into_owned()).await;
    if let Err(error) = served {
        tracing::debug!(error.chain = %error, "connection ended early");
    }
}
