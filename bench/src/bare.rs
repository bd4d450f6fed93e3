//! The floor of any HTTP answer here: axum, in a process of its own, answering constant bytes.

use std::{
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Command,
    time::Duration,
};

use axum::{Router, http::header, routing::get};
use warder_testkit::{Failure, Process, Result};

/// Serves the file's bytes at every path until it is killed; prints its address first.
pub(crate) async fn serve(file: &Path) -> io::Result<()> {
    let body: &'static [u8] = std::fs::read(file)?.leak();
    let answer = move || async move {
        ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], body)
    };
    let router = Router::new().route("/{*path}", get(answer));
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    writeln!(io::stdout(), "{}", listener.local_addr()?)?;
    axum::serve(listener, router).await
}

/// Starts this program again as the bare server.
pub(crate) fn start(file: &Path) -> Result<(Process, SocketAddr)> {
    let program = std::env::current_exe()?;
    let process = Process::spawn("bare axum", Command::new(program).arg("bare").arg(file))?;
    let address = process.wait_for(Duration::from_secs(10), |text| text.trim_end().parse().ok())?;
    Ok((process, address))
}

/// A file with these bytes, for [`start`].
pub(crate) fn answer_file(directory: &Path, body: &[u8]) -> Result<std::path::PathBuf> {
    let file = directory.join("answer");
    std::fs::write(&file, body).map_err(|why| Failure::new("write the answer", why))?;
    Ok(file)
}
