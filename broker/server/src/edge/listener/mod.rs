//! Accepts connections and serves HTTP/1.1 and HTTP/2 on them until told to drain.
//!
//! Invariant: every connection is owned by the set here, bounded in number, bounded in time until its
//! request's head has come, and in the time that its client takes nothing of an answer.

mod socket;

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{HeaderValue, Version, header};
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout},
};
use warder_core::identity::Peer;

use self::socket::{Socket, Stream};
use super::{
    Edge,
    brisk::Brisk,
    crowd::{Crowd, Seated},
    forwarded, grpc,
    limits::http2,
    metrics::Dropped,
    prompt::Prompt,
    proxy::{self, Source},
    seat::Seat,
    tls::{self, Tls, TlsError},
};
use crate::config::{self, Address, ListenerConfig};

/// Smallest buffer of one HTTP/1 connection: the largest head that we answer in our own words.
const HEAD_BYTES: usize = 128 << 10;
/// How long a kept HTTP/1 connection may be silent while draining: its client may be about to send a
/// request, which a closed connection would lose.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Silence after which no handshake is under way that began before new ones were turned away.
const HANDSHAKES: Duration = Duration::from_millis(50);
/// For a client of HTTP/2 to read that its place is wanted.
const LEAVING: Duration = Duration::from_millis(100);

/// A listener that does not serve yet.
pub(crate) struct Listener {
    socket: Socket,
    listening: Listening,
    gate: Gate,
}

/// What every connection of a listener goes through.
#[derive(Clone, Default)]
pub(crate) struct Gate {
    config: Arc<ListenerConfig>,
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
        let gate = Gate { config: Arc::new(config.clone()), tls: None };
        Ok(Self { socket, listening, gate })
    }

    /// Reads the certificate, if there is to be one.
    ///
    /// # Errors
    /// [`TlsError`] names the file.
    pub(crate) fn secured(mut self) -> Result<Self, TlsError> {
        let config = &self.gate.config;
        if !config.is_plain() {
            self.gate.tls = Some(Arc::new(Tls::new(config::section(&self.listening.name), &config.tls)?));
        }
        Ok(self)
    }

    /// Where it listens.
    pub(crate) const fn listening(&self) -> &Listening {
        &self.listening
    }

    /// Its TLS.
    pub(crate) const fn tls(&self) -> Option<&Arc<Tls>> {
        self.gate.tls.as_ref()
    }
}

/// Serves until told to drain, and then until the last connection has ended or was cut.
pub(crate) async fn run(listener: Listener, edge: Arc<Edge>) {
    let Listener { socket, gate, listening } = listener;
    let mut queue = Queue { socket, waiting: None };
    let mut connections = JoinSet::new();
    let mut stop = edge.stop.clone();
    let serve = |(stream, seated): (Stream, Seated)| {
        let (gate, edge) = (gate.clone(), edge.clone());
        async move { Box::pin(connection(stream, &seated.seat, gate, edge)).await }
    };
    loop {
        let accepted = tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            accepted = queue.next(&edge.crowd) => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let Some(accepted) = accepted else { break };
        connections.spawn(serve(accepted));
    }
    tracing::info!(listener.name = listening.name, connections = connections.len(), "draining");
    let all = async {
        // Closed with connections in it, the kernel's queue would end them without an answer.
        queue.socket.turn_away();
        loop {
            match timeout(HANDSHAKES, queue.next(&edge.crowd)).await {
                Ok(Some(accepted)) => _ = connections.spawn(serve(accepted)),
                Err(_) if queue.waiting.is_some() => {}
                Ok(None) | Err(_) => break,
            }
        }
        drop(queue);
        while connections.join_next().await.is_some() {}
    };
    if timeout(edge.limits.drain, all).await.is_err() {
        let seconds = edge.limits.drain.as_secs_f32();
        tracing::warn!(listener.name = listening.name, seconds, "connections did not end in time and were cut");
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Nobody there to say so means that it did. The value is a guard that must not live on.
    drop(stop.wait_for(|stop| *stop).await);
}

/// A socket, and who was accepted there and has no place yet.
struct Queue {
    socket: Socket,
    waiting: Option<Stream>,
}

impl Queue {
    /// The next connection with its place.
    ///
    /// # Cancel safety
    /// Who was accepted goes on waiting.
    async fn next(&mut self, crowd: &Arc<Crowd>) -> Option<(Stream, Seated)> {
        if self.waiting.is_none() {
            self.waiting = Some(accept(&self.socket, crowd).await);
        }
        let seated = crowd.enter().await?;
        Some((self.waiting.take()?, seated))
    }
}

async fn accept(socket: &Socket, crowd: &Crowd) -> Stream {
    loop {
        match socket.accept().await {
            Ok(stream) => return stream,
            Err(error) if tls::connection_fault(&error) => {}
            Err(error) => {
                // Out of file descriptors, mostly: wait for connections to end instead of spinning.
                tracing::warn!(error.chain = %error, "connection not accepted");
                crowd.make_room();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: Stream, seat: &Arc<Seat>, gate: Gate, edge: Arc<Edge>) {
    let patience = edge.limits.slow_answer;
    match stream {
        Stream::Tcp(stream, address) => arrived(Brisk::new(stream, patience), Some(address), seat, gate, edge).await,
        Stream::Unix(stream) => arrived(Brisk::new(stream, patience), None, seat, gate, edge).await,
    }
}

/// A connection from this address, which says first for whom it is where that is asked.
async fn arrived(
    mut stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    direct: Option<IpAddr>,
    seat: &Arc<Seat>,
    gate: Gate,
    edge: Arc<Edge>,
) {
    let _open = edge.metrics.connection();
    let mut peer = Peer { address: direct, ..Peer::default() };
    let proxies = &gate.config.proxy_protocol;
    if !proxies.is_empty() {
        if !proxies.contains(direct) {
            return tracing::debug!("connection closed: it is from nobody who may speak the PROXY protocol");
        }
        match begun("header of the PROXY protocol", proxy::read(&mut stream), seat, &edge).await {
            Some(Source::Client(address)) => peer = Peer { address, via: direct, ..peer },
            Some(Source::Proxy) => {}
            None => return,
        }
    }
    let Some(tls) = &gate.tls else { return http(stream, peer, seat, gate, edge).await };
    let handshake = tls.acceptor().accept(stream);
    let Some(stream) = begun("TLS handshake", handshake, seat, &edge).await else { return };
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    peer.certificates = chain.iter().map(tls::pem).collect();
    http(stream, peer, seat, gate, edge).await;
}

/// A part of a connection's beginning; none: it went wrong, took too long, or its place was wanted.
async fn begun<T>(
    what: &'static str,
    part: impl Future<Output = io::Result<T>>,
    seat: &Seat,
    edge: &Edge,
) -> Option<T> {
    let ended = tokio::select! {
        biased;
        ended = timeout(edge.limits.slow_head, part) => ended,
        () = seat.asked_to_leave() => {
            edge.metrics.dropped(Dropped::Crowded);
            return None;
        }
    };
    match ended {
        Ok(Ok(begun)) => Some(begun),
        Ok(Err(error)) => {
            tracing::debug!(what, error.chain = %error, "connection failed at its beginning");
            None
        }
        Err(_) => {
            edge.metrics.dropped(Dropped::Slow);
            tracing::debug!(what, "connection took too long at its beginning");
            None
        }
    }
}

/// Answers the requests of a connection until it ends. When the barrier is closed, open requests end
/// and the connection with them: its buffers hold what it last carried. When draining, HTTP/2 is
/// told at once that what it has begun is all; HTTP/1 has its next answer marked as the last. A client
/// that takes nothing of its answers is cut; one that is silent goes when its place is wanted.
pub(super) async fn http(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    seat: &Arc<Seat>,
    gate: Gate,
    edge: Arc<Edge>,
) {
    let limits = edge.limits;
    let (mut closings, mut stop) = (edge.broker.closings(), edge.stop.clone());
    let (metrics, place) = (edge.metrics.clone(), seat.clone());
    let service = service_fn(move |request| {
        let (edge, version, open) = (edge.clone(), request.version(), place.open());
        let peer = forwarded::client(request.headers(), &gate.config.forwarded, &peer);
        async move {
            let stop = edge.stop.clone();
            let mut response = grpc::or_http(edge, peer, request).await;
            if version < Version::HTTP_2 && *stop.borrow() {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, std::convert::Infallible>(response.map(|body| open.carry(body, version >= Version::HTTP_2)))
        }
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
    let is_http2 = Arc::new(AtomicBool::new(false));
    let stream = TokioIo::new(Prompt::new(stream, limits.slow_head, is_http2.clone()));
    let mut connection = pin!(builder.serve_connection(stream, service));
    let (mut draining, mut patience, mut leaving) = (false, None, None);
    let mut look = interval_at(Instant::now() + limits.slow_answer, limits.slow_answer / 4);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let at = |moment: Option<Instant>| sleep_until(moment.unwrap_or_else(Instant::now));
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    if is_slow(&*error, seat) {
                        metrics.dropped(Dropped::Slow);
                    }
                    tracing::debug!(error.chain = %error, "connection ended early");
                }
                return;
            }
            Ok(()) = closings.changed() => connection.as_mut().graceful_shutdown(),
            () = stopped(&mut stop), if !draining => {
                draining = true;
                patience = Some(Instant::now() + LAST_WORDS);
                if is_http2.load(Ordering::Relaxed) {
                    connection.as_mut().graceful_shutdown();
                }
            }
            () = at(patience), if patience.is_some() => {
                patience = None;
                connection.as_mut().graceful_shutdown();
            }
            () = seat.asked_to_leave(), if leaving.is_none() => {
                let patience = if is_http2.load(Ordering::Relaxed) { LEAVING } else { Duration::ZERO };
                leaving = Some(Instant::now() + patience);
                connection.as_mut().graceful_shutdown();
            }
            () = at(leaving), if leaving.is_some() => {
                leaving = None;
                // Who has begun something meanwhile is answered.
                if seat.is_silent() {
                    metrics.dropped(Dropped::Crowded);
                    return tracing::debug!("connection closed: it was silent, and its place was wanted");
                }
            }
            _ = look.tick() => if seat.is_stuck(limits.slow_answer) {
                metrics.dropped(Dropped::Slow);
                return tracing::debug!("connection closed: the client takes nothing of an answer");
            }
        }
    }
}

/// Whether a connection ended because its client was too slow, and not because it was kept for nothing.
fn is_slow(error: &(dyn std::error::Error + 'static), seat: &Seat) -> bool {
    let mut next = Some(error);
    while let Some(cause) = next {
        let late_head = cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_timeout) && seat.is_new();
        let stuck = cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut);
        if late_head || stuck {
            return true;
        }
        next = cause.source();
    }
    false
}
