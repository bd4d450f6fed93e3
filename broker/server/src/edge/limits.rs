//! Bounds of what a client may send, enforced before anything is buffered.

use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http::{HeaderMap, StatusCode, header};
use http_body::Body;
use http_body_util::BodyExt as _;
use warder_core::{
    error::{Error, ErrorKind},
    secret::Secret,
};

use super::{decode::MAX_QUERY_BYTES, problem::Refusal};

/// Bounds of one listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest body in bytes; 1 MiB by default.
    pub body: usize,
    /// Largest sum of header names and values in bytes; 64 KiB by default.
    pub headers: usize,
    /// Wall time for a whole request; 30 s by default.
    pub request: Duration,
    /// Wall time for a client to send its body; 10 s by default.
    pub slow_body: Duration,
    /// Wall time for a client to send its headers or finish its TLS handshake; 10 s by default.
    pub slow_head: Duration,
    /// Wall time for a client to take some of what is sent to it; 60 s by default.
    pub slow_answer: Duration,
    /// Most connections at once; for a further one the one goes that was silent for longest. 4,096 by
    /// default.
    pub connections: usize,
    /// Most requests at once of one HTTP/2 connection; a client that begins more is told to wait, or
    /// has them refused. 256 by default.
    pub streams: u32,
    /// Wall time for open requests to end once draining began; 30 s by default.
    pub drain: Duration,
    /// Wall time between the word to end and the end of accepting; 0 s by default.
    pub drain_delay: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 1 << 20,
            headers: 64 << 10,
            request: Duration::from_secs(30),
            slow_body: Duration::from_secs(10),
            slow_head: Duration::from_secs(10),
            slow_answer: Duration::from_secs(60),
            connections: 4096,
            streams: 256,
            drain: Duration::from_secs(30),
            drain_delay: Duration::ZERO,
        }
    }
}

/// What one HTTP/2 connection may hold, and how its end is noticed.
pub(super) mod http2 {
    use std::time::Duration;

    /// Bytes of one request that may be under way before they were read.
    pub(in crate::edge) const STREAM_WINDOW: u32 = 1 << 20;
    /// The same for all requests of a connection together.
    pub(in crate::edge) const CONNECTION_WINDOW: u32 = 1 << 20;
    /// Bytes of one frame: the least that the protocol allows.
    pub(in crate::edge) const FRAME: u32 = 16 << 10;
    /// Bytes of one answer that wait in a buffer for a slow client.
    pub(in crate::edge) const SEND_BUFFER: usize = 400 << 10;
    /// Requests that were reset before they were looked at; beyond, the connection is ended (rapid
    /// reset, CVE-2023-44487).
    pub(in crate::edge) const RESETS: usize = 20;
    /// Requests that broke the protocol and were reset for it; beyond, the connection is ended.
    pub(in crate::edge) const FAULTS: usize = 1024;
    /// Silence after which the client is asked whether it is still there.
    pub(in crate::edge) const PING_AFTER: Duration = Duration::from_secs(60);
    /// How long it may take to answer that; then the connection is ended.
    pub(in crate::edge) const PONG_WITHIN: Duration = Duration::from_secs(10);
}

/// How much of a refused body is read and thrown away, so that the client sees the refusal
/// instead of a reset connection.
const DISCARD_BYTES: usize = 16 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(2);

impl Limits {
    /// Checks what came before the body.
    ///
    /// # Errors
    /// 431 for headers, 414 for the query.
    pub(crate) fn head(&self, headers: &HeaderMap, query: Option<&str>) -> Result<(), Refusal> {
        let total: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if total > self.headers {
            let words = format!("request headers are larger than {} bytes", self.headers);
            return Err(too_large("headers", words).status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
        }
        if query.is_some_and(|query| query.len() > MAX_QUERY_BYTES) {
            let words = format!("query string is longer than {MAX_QUERY_BYTES} bytes");
            return Err(too_large("query", words).status(StatusCode::URI_TOO_LONG));
        }
        Ok(())
    }

    /// Reads a whole body.
    ///
    /// # Errors
    /// 413 over the limit (by `Content-Length` before a byte is read), 408 when it comes too
    /// slowly, 400 when the connection breaks.
    pub(crate) async fn read<B>(&self, headers: &HeaderMap, body: B) -> Result<Secret, Refusal>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        match tokio::time::timeout(self.slow_body, self.collect(headers, body)).await {
            Ok(read) => read,
            Err(_) => {
                let words = format!("the body did not arrive within {} s", self.slow_body.as_secs_f32());
                let error = Error::new(ErrorKind::DeadlineExceeded, words).at("body");
                Err(Refusal::from(error).status(StatusCode::REQUEST_TIMEOUT))
            }
        }
    }

    async fn collect<B>(&self, headers: &HeaderMap, mut body: B) -> Result<Secret, Refusal>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let hint = body.size_hint();
        if hint.lower() > self.body as u64 {
            return Err(self.refuse_body(headers, body).await);
        }
        let mut parts: Vec<Bytes> = Vec::new();
        let mut total = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|e| Error::invalid("body", "the body ended before its end").because(e))?;
            let Ok(data) = frame.into_data() else { continue };
            total += data.remaining();
            if total > self.body {
                return Err(self.refuse_body(headers, body).await);
            }
            parts.push(data);
        }
        Ok(joined(&parts, total))
    }

    async fn refuse_body<B: Body<Data = Bytes> + Unpin>(&self, headers: &HeaderMap, body: B) -> Refusal {
        self.discard(headers, body).await;
        too_large("body", format!("the body is larger than {} bytes", self.body))
    }

    /// Reads some more of a refused body, unless the client waits for a word before it sends it.
    pub(super) async fn discard<B: Body<Data = Bytes> + Unpin>(&self, headers: &HeaderMap, mut body: B) {
        if headers.contains_key(header::EXPECT) {
            return;
        }
        let discard = async {
            let mut total = 0;
            while let Some(Ok(frame)) = body.frame().await {
                total += frame.data_ref().map_or(0, Bytes::len);
                if total > DISCARD_BYTES {
                    break;
                }
            }
        };
        // Best effort: whether the rest came or not, the answer is the same.
        let _ = tokio::time::timeout(DISCARD_TIME, discard).await;
    }
}

fn joined(parts: &[Bytes], total: usize) -> Secret {
    if let [only] = parts {
        return Secret::from(only.as_ref());
    }
    let mut whole = Vec::with_capacity(total);
    parts.iter().for_each(|part| whole.extend_from_slice(part));
    Secret::new(whole)
}

fn too_large(field: &str, words: String) -> Refusal {
    Error::new(ErrorKind::TooLarge, words).at(field).into()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{StreamExt as _, stream};
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};

    use super::*;

    fn chunks(count: usize, size: usize) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        let chunk = Bytes::from(vec![b'x'; size]);
        StreamBody::new(stream::iter((0..count).map(move |_| Ok(Frame::data(chunk.clone())))))
    }

    fn limits() -> Limits {
        Limits { body: 100, slow_body: Duration::from_millis(50), ..Limits::default() }
    }

    #[tokio::test]
    async fn a_body_of_exactly_the_limit_passes_and_one_more_byte_does_not() {
        let limits = limits();
        let headers = HeaderMap::new();
        assert_eq!(limits.read(&headers, chunks(4, 25)).await.unwrap().len(), 100);
        for refused in [
            limits.read(&headers, chunks(101, 1)).await.unwrap_err(),
            limits.read(&headers, Full::new(Bytes::from(vec![0; 101]))).await.unwrap_err(),
        ] {
            assert_eq!(refused.native("r").status(), 413);
            assert_eq!(refused.error().field.as_deref(), Some("body"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_given_up() {
        let body = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>().boxed());
        let refused = limits().read(&HeaderMap::new(), body).await.unwrap_err();
        assert_eq!(refused.native("r").status(), 408);
    }

    #[test]
    fn large_headers_and_queries_have_their_own_status() {
        let mut headers = HeaderMap::new();
        headers.insert("x-a", http::HeaderValue::from_str(&"a".repeat(70_000)).unwrap());
        let limits = Limits::default();
        assert_eq!(limits.head(&headers, None).unwrap_err().native("r").status(), 431);
        let query = "a".repeat(9000);
        assert_eq!(limits.head(&HeaderMap::new(), Some(&query)).unwrap_err().native("r").status(), 414);
    }
}
