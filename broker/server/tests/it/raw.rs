//! Bytes on a socket: what no client library would send, and answers as they came.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

/// Longer than any bound of the server on a slow client.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer taken apart; status 0 when the connection was closed without one.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Lower-case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Of all that came until the connection was closed.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Self { status: 0, head: String::from_utf8_lossy(bytes).into_owned(), body: Vec::new() };
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Self { status, head, body: bytes[end + 4..].to_vec() }
    }

    /// The body, null unless it is JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// A connection whose reads end.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends bytes and reads until the server closes.
pub(crate) fn send(address: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = connect(address);
    // The server may refuse, and close, before it has read it all.
    let _ = stream.write_all(request);
    Answer::parse(&rest(&mut stream))
}

/// Sends bytes and reads as [`send`] does, but no more than the head of an answer that goes on.
pub(crate) fn begin(address: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = connect(address);
    let _ = stream.write_all(request);
    let mut all = Vec::new();
    while Answer::parse(&all).status != 200 {
        let mut some = [0; 1024];
        match stream.read(&mut some).unwrap() {
            0 => break,
            read => all.extend_from_slice(&some[..read]),
        }
    }
    Answer::parse(&all)
}

/// All that comes until the server closes, or resets.
pub(crate) fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("no end after {PATIENCE:?}"),
        _ => all,
    }
}
