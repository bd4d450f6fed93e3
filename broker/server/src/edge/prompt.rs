//! A bound on silence at the start of a connection.
//!
//! hyper tells HTTP/2 from HTTP/1.1 by the first bytes and waits for them without a bound; its own
//! bound on a slow head begins only after. Invariant: until the protocol is known, a connection
//! lives no longer than it was given.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// What every HTTP/2 connection begins with (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream whose reads fail when the protocol is not known in time.
pub(crate) struct Prompt<S> {
    stream: S,
    /// None once the protocol is known.
    patience: Option<Pin<Box<Sleep>>>,
    /// Bytes of the preface seen so far.
    seen: usize,
    /// Set once the protocol is known to be HTTP/2.
    is_http2: Arc<AtomicBool>,
}

impl<S> Prompt<S> {
    /// Gives the stream's other end so long to say what it speaks.
    pub(crate) fn new(stream: S, patience: Duration, is_http2: Arc<AtomicBool>) -> Self {
        Self { stream, patience: Some(Box::pin(sleep(patience))), seen: 0, is_http2 }
    }

    fn learn(&mut self, bytes: &[u8]) {
        let expected = PREFACE.get(self.seen..).unwrap_or_default();
        let compared = bytes.len().min(expected.len());
        self.seen += compared;
        let differs = bytes.get(..compared) != expected.get(..compared);
        if differs || self.seen == PREFACE.len() {
            self.patience = None;
            self.is_http2.store(!differs, Ordering::Relaxed);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prompt<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Ready(read) => {
                if self.patience.is_some() {
                    self.learn(buffer.filled().get(before..).unwrap_or_default());
                }
                Poll::Ready(read)
            }
            Poll::Pending => match &mut self.patience {
                Some(patience) => patience.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
                None => Poll::Pending,
            },
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prompt<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    /// What the second read says after `first` was sent in two parts and nothing more.
    async fn silence_after(first: &[u8]) -> Option<io::ErrorKind> {
        let (mut client, server) = duplex(64);
        let mut server = Prompt::new(server, Duration::from_secs(10), Arc::default());
        let mut buffer = [0; 64];
        for part in first.chunks(12) {
            client.write_all(part).await.unwrap();
            assert_eq!(server.read(&mut buffer).await.unwrap(), part.len());
        }
        let waited = tokio::time::timeout(Duration::from_secs(60), server.read(&mut buffer)).await;
        waited.ok().map(|read| read.unwrap_err().kind())
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_connection_that_has_not_said_what_it_speaks_is_given_up() {
        for (first, given_up) in [
            (&b""[..], true),
            (b"P", true),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", true),
            (PREFACE, false),
            (b"G", false),
            (b"PUT /a HTTP/1.1\r\n", false),
        ] {
            let expected = given_up.then_some(io::ErrorKind::TimedOut);
            assert_eq!(silence_after(first).await, expected, "{}", String::from_utf8_lossy(first));
        }
    }
}
