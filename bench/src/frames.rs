//! HTTP/2 as the load generator speaks it: one unary call, asked again and again on one connection.
//! Frames as bytes (RFC 9113), headers out of the peer's table after the first call (RFC 7541), as
//! clients' libraries send them; of answers it looks at the message and at how the call ends.
//!
//! Nothing of it waits: who drives it moves the bytes.

use std::{collections::BTreeMap, io, sync::Arc, time::Instant};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What all answers of a connection may have together: more than a run brings.
const WINDOW: u32 = (1 << 31) - (1 << 16) - 1;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// A call, and what must come back: these bytes somewhere in the message.
#[derive(Clone, Debug)]
pub(crate) struct Unary {
    pub(crate) path: String,
    pub(crate) token: String,
    /// The message, encoded.
    pub(crate) message: Arc<[u8]>,
    pub(crate) holds: Arc<[u8]>,
}

/// One connection, from the client's side.
pub(crate) struct Connection {
    unary: Unary,
    stream: u32,
    /// Calls under way, since when, and whether their message has come.
    open: BTreeMap<u32, (Instant, bool)>,
    received: Vec<u8>,
    /// To be sent.
    pub(crate) outgoing: Vec<u8>,
}

impl Connection {
    /// With its greeting in `outgoing`.
    pub(crate) fn new(unary: Unary) -> Self {
        let mut outgoing = PREFACE.to_vec();
        frame(&mut outgoing, SETTINGS, 0, 0, &[]);
        frame(&mut outgoing, WINDOW_UPDATE, 0, 0, &WINDOW.to_be_bytes());
        Self { unary, stream: 1, open: BTreeMap::new(), received: Vec::with_capacity(1 << 14), outgoing }
    }

    /// Asks once more; its time counts from there.
    pub(crate) fn ask(&mut self, from: Instant) {
        let fields = if self.stream == 1 { first(&self.unary) } else { AGAIN.to_vec() };
        frame(&mut self.outgoing, HEADERS, END_HEADERS, self.stream, &fields);
        let length = u32::try_from(self.unary.message.len()).unwrap_or_default();
        let message = [&[0], &length.to_be_bytes()[..], &self.unary.message].concat();
        frame(&mut self.outgoing, DATA, END_STREAM, self.stream, &message);
        self.open.insert(self.stream, (from, false));
        self.stream += 2;
    }

    /// Calls under way.
    pub(crate) fn waiting(&self) -> usize {
        self.open.len()
    }

    /// Takes what came; since when the calls were under way that are answered now.
    ///
    /// # Errors
    /// Any answer but the expected one.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> io::Result<Vec<Instant>> {
        self.received.extend_from_slice(bytes);
        let (mut at, mut done) = (0, Vec::new());
        while let Some((head, rest)) = self.received.get(at..).and_then(|left| left.split_at_checked(9)) {
            let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            let Some(payload) = rest.get(..length) else { break };
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & !(1 << 31);
            match (head[3], head[4]) {
                (DATA, 0) => {
                    let Some((_, good)) = self.open.get_mut(&stream) else { return Err(odd("data of no call")) };
                    *good |= payload.windows(self.unary.holds.len().max(1)).any(|part| *part == *self.unary.holds);
                }
                (HEADERS, flags) if flags & END_STREAM != 0 => match self.open.remove(&stream) {
                    Some((from, true)) => done.push(from),
                    _ => return Err(odd(&format!("refused: {}", String::from_utf8_lossy(payload)))),
                },
                (SETTINGS, 0) => frame(&mut self.outgoing, SETTINGS, ACK, 0, &[]),
                (PING, 0) => frame(&mut self.outgoing, PING, ACK, 0, payload),
                (RST_STREAM | GOAWAY, _) => return Err(odd("the server ended a call or the connection")),
                (HEADERS | SETTINGS | PING | WINDOW_UPDATE, _) => {}
                (kind, flags) => return Err(odd(&format!("a frame of type {kind} with flags {flags}"))),
            }
            at += 9 + length;
        }
        self.received.drain(..at);
        Ok(done)
    }
}

fn odd(words: &str) -> io::Error {
    io::Error::other(format!("not the expected answer: {words}"))
}

fn frame(into: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    into.extend_from_slice(&length[1..]);
    into.extend_from_slice(&[kind, flags]);
    into.extend_from_slice(&stream.to_be_bytes());
    into.extend_from_slice(payload);
}

/// POST, http, and what the first call has put into the table: path, authority, content-type, te and
/// authorization, the last one at its front (62).
const AGAIN: [u8; 7] = [0x83, 0x86, 0x80 | 66, 0x80 | 65, 0x80 | 64, 0x80 | 63, 0x80 | 62];

/// The headers of a connection's first call, each kept in the table.
fn first(unary: &Unary) -> Vec<u8> {
    let mut fields = vec![0x83, 0x86];
    let bearer = format!("Bearer {}", unary.token);
    // Names by their place in the static table; `te` is not in it.
    for (name, value) in [(4, unary.path.as_str()), (1, "localhost"), (31, "application/grpc")] {
        fields.push(0x40 | name);
        text(&mut fields, value);
    }
    fields.push(0x40);
    text(&mut fields, "te");
    text(&mut fields, "trailers");
    fields.push(0x40 | 23);
    text(&mut fields, &bearer);
    fields
}

/// Without Huffman's code. Lengths up to 126 + 127 are what is needed here.
fn text(into: &mut Vec<u8>, value: &str) {
    match u8::try_from(value.len()) {
        Ok(short) if short < 127 => into.push(short),
        Ok(long) if long < 254 => into.extend([127, long - 127]),
        _ => {}
    }
    into.extend_from_slice(value.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection() -> Connection {
        let message = Arc::from(&b"\x0a\x01a"[..]);
        let unary = Unary { path: "/a.B/C".to_owned(), token: "t".to_owned(), message, holds: Arc::from(&b"yes"[..]) };
        let mut connection = Connection::new(unary);
        connection.ask(Instant::now());
        connection
    }

    fn answer(message: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame(&mut bytes, SETTINGS, 0, 0, &[]);
        frame(&mut bytes, HEADERS, END_HEADERS, 1, &[0x88]);
        frame(&mut bytes, DATA, 0, 1, message);
        frame(&mut bytes, HEADERS, END_HEADERS | END_STREAM, 1, b"\x40\x0bgrpc-status\x010");
        bytes
    }

    #[test]
    fn an_answer_counts_when_its_call_has_ended_with_the_expected_message() {
        let whole = answer(b"\0\0\0\0\x03yes");
        let mut cut = connection();
        for byte in &whole[..whole.len() - 1] {
            assert!(cut.take(&[*byte]).unwrap().is_empty());
        }
        assert_eq!((cut.take(&whole[whole.len() - 1..]).unwrap().len(), cut.waiting()), (1, 0));
        assert!(cut.outgoing.ends_with(&[0, 0, 0, SETTINGS, ACK, 0, 0, 0, 0]));
        assert!(connection().take(&answer(b"\0\0\0\0\x02no")).is_err());
        let mut reset = Vec::new();
        frame(&mut reset, RST_STREAM, 0, 1, &[0; 4]);
        assert!(connection().take(&reset).is_err());
    }

    #[test]
    fn later_calls_name_the_headers_of_the_first() {
        let mut connection = connection();
        let first = connection.outgoing.len();
        connection.ask(Instant::now());
        assert_eq!(connection.outgoing.len() - first, 9 + AGAIN.len() + 9 + 5 + 3);
        assert_eq!(connection.waiting(), 2);
    }
}
