//! One HTTP/2 connection that all calls share, opened when a call needs it and there is none.
//!
//! Invariant: an error that says [`Broken::sent`] `false` means that the server has seen nothing of
//! the request, or has said that it did nothing about it.

use std::{
    error, fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    sync::Mutex,
    time::timeout,
};
use tonic::{Status, body::Body, codegen::Service};

use crate::target::{Place, Target};

/// For a connection to be made, TLS included.
const CONNECTING: Duration = Duration::from_secs(10);
/// A call that waits hears of a dead peer after these two.
const PING_AFTER: Duration = Duration::from_secs(30);
const PING_ANSWER: Duration = Duration::from_secs(10);
/// Bytes under way to us, for a call and for all: an answer may hold as many secrets as fit.
const WINDOW: u32 = 1 << 20;

/// Cheap to clone: all clones are one connection.
#[derive(Clone)]
pub(crate) struct Wire(Arc<Shared>);

struct Shared {
    target: Target,
    tls: Option<Arc<ClientConfig>>,
    live: Mutex<Option<http2::SendRequest<Body>>>,
}

/// A call that the connection failed.
#[derive(Debug)]
pub(crate) struct Broken {
    /// Whether the server may have acted on it.
    pub(crate) sent: bool,
    why: Box<dyn error::Error + Send + Sync>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.why)?;
        let mut next = self.why.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}

impl error::Error for Broken {}

impl Broken {
    fn unsent(why: impl Into<Box<dyn error::Error + Send + Sync>>) -> Self {
        Self { sent: false, why: why.into() }
    }

    /// Tells an error of a request that went out: two of HTTP/2's say that nothing came of it
    /// (RFC 9113, section 8.7).
    fn sent(why: hyper::Error) -> Self {
        let mut next: Option<&(dyn error::Error + 'static)> = Some(&why);
        let mut unseen = false;
        while let Some(cause) = next {
            if let Some(reset) = cause.downcast_ref::<h2::Error>() {
                unseen |= reset.reason() == Some(h2::Reason::REFUSED_STREAM) || reset.is_go_away() && reset.is_remote();
            }
            next = cause.source();
        }
        Self { sent: !unseen, why: why.into() }
    }
}

impl Wire {
    pub(crate) fn new(target: Target, tls: Option<Arc<ClientConfig>>) -> Self {
        Self(Arc::new(Shared { target, tls, live: Mutex::default() }))
    }

    /// What requests name.
    pub(crate) fn origin(&self) -> http::Uri {
        self.0.target.origin.clone()
    }

    async fn exchange(&self, request: Request<Body>) -> Result<Response<Incoming>, Broken> {
        let mut request = request;
        // A connection may end between being found and being used: then there is a new one.
        for _ in 0..2 {
            let mut live = self.live().await?;
            match live.try_send_request(request).await {
                Ok(response) => return Ok(response),
                Err(mut unsent) => match unsent.take_message() {
                    Some(again) => request = again,
                    None => return Err(Broken::sent(unsent.into_error())),
                },
            }
        }
        Err(Broken::unsent(format!("{} ends every connection", self.0.target.text)))
    }

    /// The connection, made anew when it is gone.
    async fn live(&self) -> Result<http2::SendRequest<Body>, Broken> {
        let mut kept = self.0.live.lock().await;
        if let Some(live) = &mut *kept
            && !live.is_closed()
            && live.ready().await.is_ok()
        {
            return Ok(live.clone());
        }
        *kept = None;
        let late = |_| Broken::unsent(format!("{} did not answer in time", self.0.target.text));
        let live = timeout(CONNECTING, self.0.connect()).await.map_err(late)??;
        *kept = Some(live.clone());
        Ok(live)
    }
}

impl Shared {
    async fn connect(&self) -> Result<http2::SendRequest<Body>, Broken> {
        let failed = |why: std::io::Error| Broken::unsent(format!("cannot connect to {}: {why}", self.target.text));
        let (host, stream) = match &self.target.place {
            Place::Socket(path) => return speak(UnixStream::connect(path).await.map_err(failed)?).await,
            Place::Host(host, port) => (host, TcpStream::connect((host.as_str(), *port)).await.map_err(failed)?),
        };
        stream.set_nodelay(true).map_err(failed)?;
        let Some(tls) = &self.tls else { return speak(stream).await };
        let name = ServerName::try_from(host.clone()).map_err(Broken::unsent)?;
        let secured = tokio_rustls::TlsConnector::from(tls.clone()).connect(name, stream).await;
        speak(secured.map_err(|why| Broken::unsent(format!("no TLS with {}: {why}", self.target.text)))?).await
    }
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<http2::SendRequest<Body>, Broken> {
    let (live, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PING_ANSWER)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(Broken::unsent)?;
    // Ends with the last clone of `live`, or with the connection: calls learn why by themselves.
    tokio::spawn(async move { _ = connection.await });
    Ok(live)
}

impl Service<Request<Body>> for Wire {
    type Response = Response<Incoming>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let wire = self.clone();
        Box::pin(async move {
            wire.exchange(request).await.map_err(|broken| {
                let mut status = Status::unavailable(broken.to_string());
                status.set_source(Arc::new(broken));
                status
            })
        })
    }
}
