//! The load generator: keep-alive connections, one request in flight on each, every answer looked at.

use std::{
    io::{self, Read as _, Write as _},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinSet,
};

use crate::wire::{Peer, Polled};

/// What to send where.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) peer: Peer,
    /// One connection each.
    pub(crate) lanes: Vec<Lane>,
}

/// What one connection sends, one after another.
pub(crate) type Lane = Arc<[Exchange]>;

/// A request and what must come back: 2xx, and these bytes somewhere in the body.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) request: Arc<[u8]>,
    pub(crate) holds: Arc<[u8]>,
}

/// How long to go on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// Every lane is sent again and again for so long.
    Time(Duration),
    /// Every lane is sent once.
    Sent,
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
    /// The same exchange on so many connections.
    pub(crate) fn same(peer: Peer, connections: usize, exchange: &Exchange) -> Self {
        Self { peer, lanes: vec![Arc::from([exchange.clone()]); connections] }
    }

    /// As many requests as there are answers. An answer that is not the expected one, or a broken
    /// connection, is an error.
    pub(crate) async fn run(&self, until: Until) -> io::Result<Figures> {
        let start = Instant::now();
        let mut connections = JoinSet::new();
        for lane in &self.lanes {
            connections.spawn(unpaced(self.peer.clone(), lane.clone(), until, start));
        }
        let mut took = Vec::new();
        while let Some(done) = connections.join_next().await {
            took.extend(done.map_err(io::Error::other)??);
        }
        Ok(Figures::of(took, start.elapsed()))
    }

    /// So many requests a second, evenly over time. A request that had to wait for the answer
    /// before it counts from the moment it was due.
    ///
    /// One thread for all connections, which looks around every few dozen microseconds: a runtime's
    /// timers tick in milliseconds and would send in bursts, a thread a connection would cost more
    /// than the server. An answer may have waited for that look.
    pub(crate) fn paced(&self, lasting: Duration, per_second: f64) -> io::Result<Figures> {
        let gap = Duration::from_secs_f64(self.lanes.len() as f64 / per_second);
        let start = Instant::now();
        let first = |at: usize| start + gap.mul_f64(at as f64 / self.lanes.len() as f64);
        let lanes = self.lanes.iter().enumerate();
        let mut lines: Vec<_> =
            lanes.map(|(at, lane)| Line::open(&self.peer, lane, first(at))).collect::<io::Result<_>>()?;
        let (mut took, end) = (Vec::with_capacity(1 << 20), start + lasting);
        while Instant::now() < end {
            for line in &mut lines {
                took.extend(line.turn(gap)?);
            }
            pause();
        }
        Ok(Figures::of(took, start.elapsed()))
    }
}

/// Leaves the processor for a moment: with the system's slack about 70 us.
#[expect(clippy::disallowed_methods, reason = "it keeps time: sleeping until a request is due is the point")]
pub(crate) fn pause() {
    thread::sleep(Duration::from_micros(10));
}

/// A connection of the paced load.
struct Line<'a> {
    stream: Box<dyn Polled>,
    exchanges: std::iter::Cycle<std::slice::Iter<'a, Exchange>>,
    /// What was sent and from when it counts; none while nothing is due.
    asked: Option<(&'a Exchange, Instant)>,
    due: Instant,
    buffer: Vec<u8>,
    filled: usize,
}

impl<'a> Line<'a> {
    fn open(peer: &Peer, lane: &'a Lane, due: Instant) -> io::Result<Self> {
        let stream = peer.polled()?;
        Ok(Self { stream, exchanges: lane.iter().cycle(), asked: None, due, buffer: vec![0; 1 << 14], filled: 0 })
    }

    /// Takes what has come and sends what is due; how long an answer took that is whole now.
    fn turn(&mut self, gap: Duration) -> io::Result<Option<Duration>> {
        let mut answered = None;
        if let Some((exchange, from)) = self.asked {
            if !self.received(exchange)? {
                return Ok(None);
            }
            answered = Some(from.elapsed());
            self.asked = None;
        }
        let now = Instant::now();
        if now >= self.due
            && let Some(exchange) = self.exchanges.next()
        {
            // It was due while the answer before it was awaited.
            let late = answered.is_some();
            self.stream.write_all(&exchange.request)?;
            self.asked = Some((exchange, if late { self.due } else { now }));
            (self.due, self.filled) = (self.due + gap, 0);
        }
        Ok(answered)
    }

    fn received(&mut self, exchange: &Exchange) -> io::Result<bool> {
        match self.stream.read(&mut self.buffer[self.filled..]) {
            Ok(0) => Err(io::Error::other("the connection was closed, or an answer is over 16 KiB")),
            Ok(read) => {
                self.filled += read;
                whole(&self.buffer[..self.filled], exchange)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}

async fn unpaced(peer: Peer, lane: Lane, until: Until, start: Instant) -> io::Result<Vec<Duration>> {
    let mut stream = peer.connect().await?;
    let (mut took, mut buffer) = (Vec::with_capacity(1 << 16), Vec::with_capacity(1 << 14));
    let times = if matches!(until, Until::Sent) { 1 } else { usize::MAX };
    for exchange in std::iter::repeat_n(lane.iter(), times).flatten() {
        if matches!(until, Until::Time(lasting) if start.elapsed() >= lasting) {
            break;
        }
        let sent = Instant::now();
        stream.write_all(&exchange.request).await?;
        stream.flush().await?;
        buffer.clear();
        while !whole(&buffer, exchange)? {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        took.push(sent.elapsed());
    }
    Ok(took)
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

/// Whether a whole answer is there; an answer that is not the expected one is an error.
fn whole(buffer: &[u8], exchange: &Exchange) -> io::Result<bool> {
    let Some(at) = find(buffer, b"\r\n\r\n") else { return Ok(false) };
    let (head, body) = (&buffer[..at], &buffer[at + 4..]);
    if body.len() < body_length(head)? {
        return Ok(false);
    }
    if head.starts_with(b"HTTP/1.1 2") && (exchange.holds.is_empty() || find(body, &exchange.holds).is_some()) {
        return Ok(true);
    }
    let (answer, wanted) = (String::from_utf8_lossy(buffer), String::from_utf8_lossy(&exchange.holds));
    Err(io::Error::other(format!("expected 2xx with {wanted}, got {answer}")))
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    let first = *part.first()?;
    let mut at = 0;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == first)?;
        if bytes[at..].starts_with(part) {
            return Some(at);
        }
        at += 1;
    }
}

fn body_length(head: &[u8]) -> io::Result<usize> {
    const NAME: &[u8] = b"content-length:";
    let mut fields = head.split(|byte| *byte == b'\n');
    let field = fields.find(|field| field.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)));
    match field.and_then(|field| std::str::from_utf8(&field[NAME.len()..]).ok()) {
        Some(value) => value.trim().parse().map_err(io::Error::other),
        None if find(head, b" 204 ").is_some() => Ok(0),
        None => Err(io::Error::other("an answer without Content-Length")),
    }
}

/// The bytes of a request.
pub(crate) fn request(method: &str, target: &str, token: &str, body: &str) -> Arc<[u8]> {
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nX-Vault-Token: {token}\r\n\
         Content-Type: application/json\r\n{length}\r\n{body}"
    )
    .into_bytes()
    .into()
}

/// A read that must bring `holds`.
pub(crate) fn read(target: &str, token: &str, holds: &[u8]) -> Exchange {
    Exchange { request: request("GET", target, token, ""), holds: holds.into() }
}

/// A write that must be answered with a version.
pub(crate) fn write(target: &str, token: &str, body: &str) -> Exchange {
    Exchange { request: request("PUT", target, token, body), holds: (*b"\"version\":").into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_when_it_is_whole_and_the_expected_one() {
        let expected = read("/", "", b"\"a\":1");
        let answer = b"HTTP/1.1 200 OK\r\nContent-LENGTH: 9\r\n\r\n{ \"a\":1 }";
        for cut in 0..answer.len() {
            assert!(!whole(&answer[..cut], &expected).unwrap(), "{cut} bytes");
        }
        assert!(whole(answer, &expected).unwrap());
        assert!(whole(answer, &read("/", "", b"\"a\":2")).is_err());
        assert!(whole(b"HTTP/1.1 503 Sorry\r\ncontent-length: 5\r\n\r\n\"a\":1", &expected).is_err());
        assert!(whole(b"HTTP/1.1 204 No Content\r\n\r\n", &read("/", "", b"")).unwrap());
    }
}
