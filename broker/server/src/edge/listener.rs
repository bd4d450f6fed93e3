//! Accepts connections and serves HTTP/1.1 and HTTP/2 on them until told to drain.
//!
//! Invariant: every connection is owned by the set here, bounded in number, and bounded in time
//! until its request's head has come.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use warder_core::identity::Peer;

use super::{
    Edge, grpc,
    limits::http2,
    prompt::Prompt,
    tls::{self, Tls},
};

/// Smallest buffer of one HTTP/1 connection: the largest head that we answer in our own words.
const HEAD_BYTES: usize = 128 << 10;

/// Serves until `stop` turns true, then drains. When the barrier is closed, open requests end and
/// their connections with them: buffers of a kept connection hold what it last carried.
pub(crate) async fn run(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    edge: Arc<Edge>,
    mut stop: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(edge.limits.connections));
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
            accepted = accept(&listener, &room) => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let Some((stream, address, permit)) = accepted else { break };
        let tls = tls.as_ref().map(|tls| tls.acceptor());
        let (edge, watcher) = (edge.clone(), graceful.watcher());
        connections.spawn(async move {
            let _permit = permit;
            Box::pin(connection(stream, address, tls, edge, watcher)).await;
        });
    }
    drop(listener);
    drain(graceful, connections, edge.limits.drain).await;
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = room.clone().acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, address)) => return Some((stream, address, permit)),
            Err(error) if tls::connection_fault(&error) => {}
            Err(error) => {
                // Out of file descriptors, mostly: wait for connections to end instead of spinning.
                tracing::warn!(error.chain = %error, "connection not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn drain(graceful: GracefulShutdown, mut connections: JoinSet<()>, patience: Duration) {
    let open = connections.len();
    tracing::info!(connections = open, "draining");
    let all = async {
        graceful.shutdown().await;
        while connections.join_next().await.is_some() {}
    };
    if timeout(patience, all).await.is_err() {
        tracing::warn!(seconds = patience.as_secs_f32(), "connections did not end in time and were cut");
    }
}

async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    edge: Arc<Edge>,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let _open = edge.metrics.connection();
    // Without it a small answer waits for the peer's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let mut peer = Peer { address: Some(address.ip()), certificates: Vec::new() };
    let Some(tls) = tls else { return http(stream, peer, edge, watcher).await };
    match timeout(edge.limits.slow_head, tls.accept(stream)).await {
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
