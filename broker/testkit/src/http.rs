//! An HTTP/1.1 client that sends exactly the bytes a test wrote: targets are not normalized,
//! bodies are not checked. One connection, kept open; no TLS, no redirects.
//!
//! Invariant: a request is sent a second time only when a kept connection was closed by the
//! server before the first byte of an answer.

use std::{
    fmt::Write as _,
    io::{self, BufRead, BufReader, Read, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;

use crate::failure::{Failure, Result};

/// A server and, perhaps, a token to show it.
#[derive(Debug)]
pub struct Http {
    address: SocketAddr,
    token: Option<String>,
    kept: Mutex<Option<BufReader<TcpStream>>>,
}

impl Http {
    /// A client without a token.
    #[must_use]
    pub const fn at(address: SocketAddr) -> Self {
        Self { address, token: None, kept: Mutex::new(None) }
    }

    /// The same server with a token, sent as `X-Vault-Token`.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { address: self.address, token: Some(token.to_owned()), kept: Mutex::new(None) }
    }

    /// Where the server listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts a request; `target` goes out as it is.
    #[must_use]
    pub fn call(&self, method: &str, target: &str) -> Call<'_> {
        let headers = self.token.iter().map(|token| ("X-Vault-Token".to_owned(), token.clone())).collect();
        Call { http: self, method: method.to_owned(), target: target.to_owned(), headers, body: None }
    }

    /// Starts a `GET`.
    #[must_use]
    pub fn get(&self, target: &str) -> Call<'_> {
        self.call("GET", target)
    }

    /// Starts a `PUT`.
    #[must_use]
    pub fn put(&self, target: &str) -> Call<'_> {
        self.call("PUT", target)
    }

    /// Starts a `POST`.
    #[must_use]
    pub fn post(&self, target: &str) -> Call<'_> {
        self.call("POST", target)
    }

    /// Starts a `DELETE`.
    #[must_use]
    pub fn delete(&self, target: &str) -> Call<'_> {
        self.call("DELETE", target)
    }

    fn exchange(&self, head: &[u8], method: &str) -> Result<Reply> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut stream) = kept.take() {
            let sent = stream.get_mut().write_all(head);
            if sent.is_ok() && stream.fill_buf().is_ok_and(|bytes| !bytes.is_empty()) {
                return Self::answer(stream, method, &mut kept);
            }
        }
        let mut stream = BufReader::new(self.connect()?);
        stream.get_mut().write_all(head)?;
        Self::answer(stream, method, &mut kept)
    }

    fn connect(&self) -> Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(5))
            .map_err(|e| Failure::new(format_args!("connect to {}", self.address), e))?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.set_write_timeout(Some(Duration::from_secs(60)))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn answer(
        mut stream: BufReader<TcpStream>,
        method: &str,
        kept: &mut Option<BufReader<TcpStream>>,
    ) -> Result<Reply> {
        let reply = Reply::read(&mut stream, method)?;
        if !reply.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            *kept = Some(stream);
        }
        Ok(reply)
    }
}

impl Clone for Http {
    fn clone(&self) -> Self {
        Self { address: self.address, token: self.token.clone(), kept: Mutex::new(None) }
    }
}

/// A request being put together.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    http: &'a Http,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Call<'_> {
    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends these bytes, whatever they are.
    #[must_use]
    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.body = Some(bytes.into());
        self
    }

    /// Sends this JSON, with its media type.
    #[must_use]
    pub fn json(self, value: &Value) -> Self {
        self.header("Content-Type", "application/json").body(value.to_string())
    }

    /// Sends the request and reads the whole answer.
    ///
    /// # Errors
    /// When the connection fails or the answer is not HTTP/1.1. Any status is an answer.
    pub fn send(self) -> Result<Reply> {
        self.http
            .exchange(&self.bytes(), &self.method)
            .map_err(|why| Failure::new(format_args!("{} {}", self.method, self.target), why))
    }

    /// Sends the request on a connection of its own and closes that at once, answer unread.
    /// Whether the request takes effect nobody will tell.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn send_and_hang_up(self) -> Result {
        let mut stream = self.http.connect()?;
        stream.write_all(&self.bytes())?;
        Ok(())
    }

    /// The command line that does the same by hand.
    #[must_use]
    pub fn curl(&self) -> String {
        let mut line = format!("curl -s -i --path-as-is -X {}", self.method);
        for (name, value) in &self.headers {
            _ = write!(line, " -H {}", quoted(&format!("{name}: {value}")));
        }
        if let Some(body) = &self.body {
            _ = write!(line, " --data-binary {}", quoted(&String::from_utf8_lossy(body)));
        }
        _ = write!(line, " {}", quoted(&format!("http://{}{}", self.http.address, self.target)));
        line
    }

    fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: {}\r\n", self.method, self.target, self.http.address);
        for (name, value) in &self.headers {
            _ = write!(head, "{name}: {value}\r\n");
        }
        if let Some(body) = &self.body {
            _ = write!(head, "Content-Length: {}\r\n", body.len());
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Header fields in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The first header of this (lower-case) name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(had, _)| had == name).map(|(_, value)| value.as_str())
    }

    /// The body as text, damaged bytes replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is not JSON; the words quote it.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body)
            .map_err(|why| Failure::new(format_args!("status {}, body {:?}", self.status, self.text()), why))
    }

    /// The answer itself when it has this status.
    ///
    /// # Errors
    /// Any other status; the words quote the body.
    pub fn expect_status(self, status: u16) -> Result<Self> {
        if self.status == status {
            return Ok(self);
        }
        Err(Failure::from(format!("status {} instead of {status}, body {}", self.status, self.text())))
    }

    fn read(stream: &mut BufReader<TcpStream>, method: &str) -> Result<Self> {
        let status_line = line(stream)?;
        let status = status_line
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3))
            .and_then(|code| code.parse().ok())
            .ok_or_else(|| Failure::from(format!("not an HTTP/1.1 answer: {status_line:?}")))?;
        let mut reply = Self { status, headers: Vec::new(), body: Vec::new() };
        loop {
            let field = line(stream)?;
            let Some((name, value)) = field.split_once(':') else { break };
            reply.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        if reply.status == 100 {
            return Self::read(stream, method);
        }
        reply.body = reply.read_body(stream, method)?;
        Ok(reply)
    }

    fn read_body(&self, stream: &mut BufReader<TcpStream>, method: &str) -> Result<Vec<u8>> {
        if method == "HEAD" || matches!(self.status, 204 | 304) {
            return Ok(Vec::new());
        }
        if self.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            return chunks(stream);
        }
        let length = self.header("content-length").and_then(|value| value.parse().ok());
        let mut body = Vec::new();
        match length {
            Some(length) => _ = stream.take(length).read_to_end(&mut body)?,
            None => _ = stream.read_to_end(&mut body)?,
        }
        if length.is_some_and(|length| body.len() as u64 != length) {
            return Err("the answer ended in the middle of its body".into());
        }
        Ok(body)
    }
}

fn chunks(stream: &mut BufReader<TcpStream>) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = line(stream)?;
        let size = u64::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)
            .map_err(|why| Failure::new("chunk size", why))?;
        stream.take(size).read_to_end(&mut body)?;
        line(stream)?;
        if size == 0 {
            return Ok(body);
        }
    }
}

fn line(stream: &mut BufReader<TcpStream>) -> Result<String> {
    let mut bytes = Vec::new();
    stream.read_until(b'\n', &mut bytes)?;
    if bytes.is_empty() {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned())
}

/// For a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_told_as_a_command_that_a_shell_takes() {
        let http = Http::at(([127, 0, 0, 1], 80).into()).with_token("t");
        let call = http.put("/v1/a").body("it's");
        assert_eq!(
            call.curl(),
            r"curl -s -i --path-as-is -X PUT -H 'X-Vault-Token: t' --data-binary 'it'\''s' 'http://127.0.0.1:80/v1/a'"
        );
    }
}
