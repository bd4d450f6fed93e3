//! HTTP/1.1 as it is on the wire, so that what became of a request is known.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{Instant, timeout},
};

use crate::place::{PATIENCE, Place, Stream};

/// A server closes what was silent for a second: a request that comes so late may find it closed.
const SILENCE: Duration = Duration::from_millis(800);

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    /// Lower-case.
    pub(super) head: String,
    pub(super) body: String,
}

/// One connection, used again as long as the server lets us.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    used: Instant,
    pub(super) closing: bool,
}

impl Connection {
    pub(super) async fn open(place: &Place) -> io::Result<Self> {
        let stream = place.connect("http/1.1").await?;
        Ok(Self { stream, used: Instant::now(), closing: false })
    }

    /// One request; `None`: the server had closed a silent connection before it came, and has said nothing.
    ///
    /// # Panics
    /// When the request was lost.
    pub(super) async fn ask(&mut self, method: &str, name: &str, token: &str, body: &str) -> Option<Answer> {
        let request = format!(
            "{method} /api/v1/secrets/load/{name} HTTP/1.1\r\nHost: w\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let (stream, used) = (&mut self.stream, self.used);
        let (mut said, mut silent) = (Vec::new(), Duration::ZERO);
        let exchanged = timeout(PATIENCE, async {
            let sent = stream.write_all(request.as_bytes()).await;
            let sent = sent.and(stream.flush().await);
            silent = used.elapsed();
            sent?;
            read(stream, &mut said).await
        });
        let exchanged = exchanged.await;
        match exchanged.unwrap_or_else(|_| panic!("{name} was not answered: {}", String::from_utf8_lossy(&said))) {
            Ok(answer) => {
                self.closing = answer.head.contains("connection: close");
                self.used = Instant::now();
                Some(answer)
            }
            Err(_) if said.is_empty() && silent > SILENCE => None,
            Err(why) => {
                panic!("{name} was lost after {silent:?} of silence: {why}: {}", String::from_utf8_lossy(&said))
            }
        }
    }
}

/// Reads an answer of known length.
async fn read(stream: &mut Box<dyn Stream>, said: &mut Vec<u8>) -> io::Result<Answer> {
    let mut some = [0; 4096];
    loop {
        if let Some(answer) = whole(said) {
            return Ok(answer);
        }
        match stream.read(&mut some).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => said.extend_from_slice(&some[..read]),
        }
    }
}

fn whole(said: &[u8]) -> Option<Answer> {
    let text = std::str::from_utf8(said).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    assert!(body.len() <= length, "more than one answer: {text}");
    let status = head.split(' ').nth(1)?.parse().ok()?;
    (body.len() == length).then(|| Answer { status, head, body: body.to_owned() })
}
