//! Floors that are servers: axum, in a process of its own, doing nothing but what is measured.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs::{File, OpenOptions},
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::{self, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, put},
};
use ring::digest;
use warder_testkit::{Failure, Process, Result};

use crate::floor::{Floor, Shape, Written};

/// Serves until it is killed; prints its address first.
pub(crate) async fn serve(what: &str, arguments: &[String]) -> Result {
    let router = match (what, arguments) {
        ("answer", [file]) => answer(Path::new(file))?,
        ("recorded", [file, line, log]) => recorded(Path::new(file), Path::new(line), Path::new(log))?,
        ("writes", [directory, shape]) => writes(Path::new(directory), shape)?,
        _ => return Err(format!("there is no bare server {what:?} of {} arguments", arguments.len()).into()),
    };
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    writeln!(io::stdout(), "{}", listener.local_addr()?)?;
    Ok(axum::serve(listener, router).await?)
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
    let line = std::fs::read(line)?;
    let log = OpenOptions::new().append(true).create(true).open(log)?;
    let chain = Arc::new(Mutex::new((log, Vec::<u8>::new())));
    let answer = move || {
        let kept = append(&mut chain.lock().unwrap_or_else(PoisonError::into_inner), &line);
        async move { kept.map(|()| (FIELDS, body)).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR) }
    };
    Ok(Router::new().route("/{*path}", get(answer)))
}

fn append((log, before): &mut (File, Vec<u8>), line: &[u8]) -> io::Result<()> {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(before);
    hash.update(line);
    *before = hash.finish().as_ref().to_vec();
    log.write_all(line)
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
