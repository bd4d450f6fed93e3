//! The load generator: keep-alive connections over plain TCP, one request in flight on each.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

/// What to send where.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    /// One connection each; sent again and again.
    pub(crate) requests: Vec<Arc<[u8]>>,
    pub(crate) lasting: Duration,
    /// Requests a second over all connections; none: as many as there are answers.
    pub(crate) pace: Option<f64>,
}

/// What came back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) requests: usize,
    pub(crate) per_second: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Load {
    /// Runs to the end. Any answer but 2xx, or a broken connection, is an error.
    pub(crate) async fn run(&self) -> io::Result<Figures> {
        let start = Instant::now();
        let mut connections = JoinSet::new();
        for (number, request) in self.requests.iter().enumerate() {
            let (load, request) = (self.clone(), request.clone());
            connections.spawn(async move { load.connection(number, &request, start).await });
        }
        let mut took = Vec::new();
        while let Some(done) = connections.join_next().await {
            took.extend(done.map_err(io::Error::other)??);
        }
        Ok(Figures::of(took, start.elapsed()))
    }

    async fn connection(&self, number: usize, request: &[u8], start: Instant) -> io::Result<Vec<Duration>> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (mut took, mut buffer) = (Vec::with_capacity(1 << 16), Vec::with_capacity(1 << 14));
        let gap = self.pace.map(|pace| Duration::from_secs_f64(self.requests.len() as f64 / pace));
        let mut due = start + gap.unwrap_or_default().mul_f64(number as f64 / self.requests.len() as f64);
        while start.elapsed() < self.lasting {
            if let Some(gap) = gap {
                tokio::time::sleep_until(due.into()).await;
                due += gap;
            }
            let sent = Instant::now();
            stream.write_all(request).await?;
            answer(&mut stream, &mut buffer).await?;
            took.push(sent.elapsed());
        }
        Ok(took)
    }
}

impl Figures {
    pub(crate) fn of(mut took: Vec<Duration>, elapsed: Duration) -> Self {
        took.sort_unstable();
        let at = |share: f64| took.get((took.len() as f64 * share) as usize).copied().unwrap_or_default();
        Self {
            requests: took.len(),
            per_second: took.len() as f64 / elapsed.as_secs_f64(),
            p50: at(0.5),
            p99: at(0.99),
        }
    }
}

/// Reads one whole answer; leaves its bytes in `buffer`.
pub(crate) async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some(head) = buffer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(buffer.get(..head).unwrap_or_default()).into_owned();
        if buffer.len() >= head + 4 + body_length(&text)? {
            return if text.starts_with("HTTP/1.1 2") { Ok(()) } else { Err(io::Error::other(text)) };
        }
    }
}

fn body_length(head: &str) -> io::Result<usize> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    match fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
        Some((_, value)) => value.trim().parse().map_err(io::Error::other),
        None if head.contains(" 204 ") => Ok(0),
        None => Err(io::Error::other("an answer without Content-Length")),
    }
}

/// The bytes of a request.
pub(crate) fn request(method: &str, target: &str, token: &str, body: &str) -> Arc<[u8]> {
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\n{length}\r\n{body}"
    )
    .into_bytes()
    .into()
}
