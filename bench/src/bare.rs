//! Floors that are servers: axum, in a process of its own, doing nothing but what is measured.

use std::{
    collections::HashMap,
    convert::Infallible,
    ffi::OsStr,
    fs::{File, OpenOptions},
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    pin::Pin,
    process::Command,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    extract::{self, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, put},
};
use prost::Message as _;
use ring::digest;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tonic::{
    codegen::Service,
    server::{NamedService, UnaryService},
    transport::server::TcpIncoming,
};
use warder_proto::{
    codec::Codec,
    v1::{SecretsServiceGetRequest as GetRequest, SecretsServiceGetResponse as GetResponse},
};
use warder_testkit::{Failure, Process, Result};

use crate::{
    floor::{Floor, Shape, Written},
    wire::Certificate,
};

/// Serves until it is killed; prints its address first.
pub(crate) async fn serve(what: &str, arguments: &[String]) -> Result {
    match (what, arguments) {
        ("grpc", [file]) => return grpc(Path::new(file), None).await,
        ("grpc-recorded", [file, line, log]) => {
            return grpc(Path::new(file), Some((Path::new(line), Path::new(log)))).await;
        }
        _ => {}
    }
    let router = match (what, arguments) {
        ("answer", [file]) => answer(Path::new(file))?,
        ("tls-answer", [file, certificate, key]) => {
            let certificate = Certificate { file: certificate.into(), key: key.into() };
            return tls(answer(Path::new(file))?, certificate.acceptor()?).await;
        }
        ("recorded", [file, line, log]) => recorded(Path::new(file), Path::new(line), Path::new(log))?,
        ("writes", [directory, shape]) => writes(Path::new(directory), shape)?,
        _ => return Err(format!("there is no bare server {what:?} of {} arguments", arguments.len()).into()),
    };
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    writeln!(io::stdout(), "{}", listener.local_addr()?)?;
    Ok(axum::serve(listener, router).await?)
}

/// Serves over TLS. Handshakes come one after another: the load makes its connections once.
async fn tls(router: Router, acceptor: TlsAcceptor) -> Result {
    let listener = Tls { plain: tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?, acceptor };
    writeln!(io::stdout(), "{}", listener.plain.local_addr()?)?;
    Ok(axum::serve(listener, router).await?)
}

struct Tls {
    plain: tokio::net::TcpListener,
    acceptor: TlsAcceptor,
}

impl Tls {
    async fn next(&self) -> io::Result<(TlsStream<TcpStream>, SocketAddr)> {
        let (stream, from) = self.plain.accept().await?;
        stream.set_nodelay(true)?;
        Ok((self.acceptor.accept(stream).await?, from))
    }
}

impl axum::serve::Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match self.next().await {
                Ok(accepted) => return accepted,
                Err(why) => eprintln!("a connection was not accepted: {why}"),
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.plain.local_addr()
    }
}

/// The file's bytes at every path.
fn answer(file: &Path) -> Result<Router> {
    let body: &'static [u8] = std::fs::read(file)?.leak();
    let answer = move || async move { (FIELDS, body) };
    Ok(Router::new().route("/{*path}", get(answer)))
}

/// The same, and before each answer what no audit log of chained records can leave out: `line`'s
/// bytes hashed behind the hash of the record before, and appended to `log`.
fn recorded(file: &Path, line: &Path, log: &Path) -> Result<Router> {
    let body: &'static [u8] = std::fs::read(file)?.leak();
    let records = Records::open(line, log)?;
    let answer = move || {
        let kept = records.append();
        async move { kept.map(|()| (FIELDS, body)).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR) }
    };
    Ok(Router::new().route("/{*path}", get(answer)))
}

/// A log of one line, again and again.
#[derive(Clone)]
struct Records {
    line: Arc<[u8]>,
    /// The log, and the hash of the record before.
    chain: Arc<Mutex<(File, Vec<u8>)>>,
}

impl Records {
    fn open(line: &Path, log: &Path) -> Result<Self> {
        let log = OpenOptions::new().append(true).create(true).open(log)?;
        Ok(Self { line: std::fs::read(line)?.into(), chain: Arc::new(Mutex::new((log, Vec::new()))) })
    }

    fn append(&self) -> io::Result<()> {
        let mut chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        let (log, before) = &mut *chain;
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(before);
        hash.update(&self.line);
        *before = hash.finish().as_ref().to_vec();
        log.write_all(&self.line)
    }
}

/// tonic's own server with one method, which answers the message in this file, with or without a
/// record before each answer.
async fn grpc(file: &Path, records: Option<(&Path, &Path)>) -> Result {
    let bytes = std::fs::read(file)?;
    let answer = GetResponse::decode(&*bytes).map_err(|why| Failure::new("the answer", why))?;
    let records = records.map(|(line, log)| Records::open(line, log)).transpose()?;
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    writeln!(io::stdout(), "{}", listener.local_addr()?)?;
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = tonic::transport::Server::builder().add_service(Get { answer, records });
    server.serve_with_incoming(incoming).await.map_err(|why| Failure::new("serve", why))
}

/// As tonic generates it, of one method.
#[derive(Clone)]
struct Get {
    answer: GetResponse,
    records: Option<Records>,
}

impl NamedService for Get {
    const NAME: &'static str = "warder.v1.SecretsService";
}

impl Service<http::Request<tonic::body::Body>> for Get {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let method = self.clone();
        Box::pin(async move { Ok(tonic::server::Grpc::new(Codec::default()).unary(method, request).await) })
    }
}

impl UnaryService<GetRequest> for Get {
    type Response = GetResponse;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<GetResponse>, tonic::Status>> + Send>>;

    fn call(&mut self, _: tonic::Request<GetRequest>) -> Self::Future {
        let (answer, records) = (self.answer.clone(), self.records.clone());
        Box::pin(async move {
            if let Some(records) = records {
                records.append().map_err(|why| tonic::Status::internal(why.to_string()))?;
            }
            Ok(tonic::Response::new(answer))
        })
    }
}

const FIELDS: [(header::HeaderName, &str); 2] =
    [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];

/// What a PUT makes durable, whatever it carries: a commit of the engine and two audit records.
fn writes(directory: &Path, shape: &str) -> Result<Router> {
    let floor = Floor::open(directory, Shape::parse(shape)?, true)?;
    let state = Arc::new(Writes { floor, secrets: Mutex::default() });
    Ok(Router::new().route("/{*path}", put(write)).with_state(state))
}

struct Writes {
    floor: Floor,
    secrets: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Written>>>>,
}

async fn write(
    State(writes): State<Arc<Writes>>,
    extract::Path(path): extract::Path<String>,
    _body: axum::body::Bytes,
) -> Response {
    let secret = {
        let mut secrets = writes.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.entry(path.clone()).or_insert_with(|| Arc::new(tokio::sync::Mutex::new(Written::new(path)))).clone()
    };
    let mut secret = secret.lock().await;
    match writes.floor.write(&mut secret).await {
        Ok(()) => (FIELDS, format!("{{\"version\":{}}}", secret.number)).into_response(),
        Err(why) => (StatusCode::INTERNAL_SERVER_ERROR, why.to_string()).into_response(),
    }
}

/// Starts this program again as a bare server.
pub(crate) fn start(what: &str, arguments: &[&OsStr]) -> Result<(Process, SocketAddr)> {
    let program = std::env::current_exe()?;
    let process = Process::spawn("the bare server", Command::new(program).arg("bare").arg(what).args(arguments))?;
    let address = process.wait_for(Duration::from_secs(10), |text| text.trim_end().parse().ok())?;
    Ok((process, address))
}

/// A file with these bytes, for `answer`.
pub(crate) fn answer_file(directory: &Path, body: &[u8]) -> Result<PathBuf> {
    let file = directory.join("answer");
    std::fs::write(&file, body).map_err(|why| Failure::new("write the answer", why))?;
    Ok(file)
}
