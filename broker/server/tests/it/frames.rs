//! Frames of HTTP/2 as bytes (RFC 9113): what no client library would send.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use crate::place::{PATIENCE, Place, Stream};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RESET: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const ACK: u8 = 1;

/// Words of a reset or a GOAWAY.
pub(crate) const FRAME_SIZE_ERROR: u32 = 6;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Headers as HPACK writes them without its table (RFC 7541, section 6.2.2).
pub(crate) fn headers<'a>(all: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in all {
        out.push(0);
        for text in [name, value] {
            integer(text.len(), &mut out);
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

/// RFC 7541, section 5.1, with a prefix of 7 bits.
fn integer(mut number: usize, out: &mut Vec<u8>) {
    if number < 127 {
        return out.push(u8::try_from(number).unwrap());
    }
    out.push(127);
    number -= 127;
    while number >= 128 {
        out.push(u8::try_from(number % 128).unwrap() | 128);
        number /= 128;
    }
    out.push(u8::try_from(number).unwrap());
}

/// The head of a request for this path.
pub(crate) fn request<'a>(method: &'a str, path: &'a str, token: &'a str) -> Vec<u8> {
    headers([
        (":method", method),
        (":scheme", "http"),
        (":path", path),
        (":authority", "w"),
        ("x-vault-token", token),
        ("content-type", "application/json"),
    ])
}

/// A frame that came.
#[derive(Debug)]
pub(crate) struct Came {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Came {
    /// Why, of a reset or a GOAWAY.
    pub(crate) fn why(&self) -> Option<u32> {
        let at = match self.kind {
            RESET => 0,
            GOAWAY => 4,
            _ => return None,
        };
        Some(u32::from_be_bytes(self.payload.get(at..at + 4)?.try_into().unwrap()))
    }

    /// The status, of an answer's head: the first of its fields, indexed or literal.
    pub(crate) fn status(&self) -> Option<String> {
        let indexed = ["200", "204", "206", "304", "400", "404", "500"];
        // A change of the table's size may come first.
        let from = self.payload.iter().take_while(|byte| *byte & 0xe0 == 0x20).count();
        let block = self.payload.get(from..).filter(|_| self.kind == HEADERS)?;
        match *block.first()? {
            byte @ 0x88..=0x8e => indexed.get(usize::from(byte - 0x88)).map(|text| (*text).to_owned()),
            // `:status` by its name, the value as it is or packed by Huffman's code: digits have five bits, or six.
            _ => {
                let length = block.get(1)?;
                let value = block.get(2..2 + usize::from(length & 127))?;
                Some(if length & 128 == 0 { String::from_utf8_lossy(value).into_owned() } else { digits(value) })
            }
        }
    }
}

/// Three digits packed by Huffman's code (RFC 7541, appendix B): 0, 1 and 2 have five bits, others six.
fn digits(packed: &[u8]) -> String {
    let bits: String = packed.iter().map(|byte| format!("{byte:08b}")).collect();
    let (mut at, mut out) = (0, String::new());
    while out.len() < 3 {
        let five = u8::from_str_radix(&bits[at..at + 5], 2).unwrap();
        if five < 3 {
            (at, out) = (at + 5, out + &five.to_string());
        } else {
            let six = u8::from_str_radix(&bits[at..at + 6], 2).unwrap();
            (at, out) = (at + 6, out + &(six - 0x19 + 3).to_string());
        }
    }
    out
}

/// A connection of HTTP/2 by hand.
pub(crate) struct Frames {
    stream: Box<dyn Stream>,
    /// What came and was not looked at.
    came: Vec<u8>,
}

impl Frames {
    /// With these settings of ours, and no table of headers: each head is whole by itself.
    pub(crate) async fn open(place: &Place, settings: &[u8]) -> Self {
        let mut stream = place.connect("h2").await.unwrap();
        let settings = [&[0, 1, 0, 0, 0, 0], settings].concat();
        stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &settings)].concat()).await.unwrap();
        Self { stream, came: Vec::new() }
    }

    /// Sends these bytes; the server may have had enough before the end.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        let sent = timeout(PATIENCE, async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        });
        sent.await.expect("bytes are taken, or refused").is_ok()
    }

    /// The next frame; none: the connection is over. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Option<Came> {
        timeout(PATIENCE, self.read()).await.expect("a frame, or the end")
    }

    /// The next frame of this kind; pings and settings are answered, as a client that lives does.
    pub(crate) async fn find(&mut self, wanted: impl Fn(&Came) -> bool) -> Option<Came> {
        loop {
            let came = self.next().await?;
            if wanted(&came) {
                return Some(came);
            }
            if matches!(came.kind, PING | SETTINGS) && came.flags & ACK == 0 {
                let payload = if came.kind == PING { came.payload } else { Vec::new() };
                self.send(&frame(came.kind, ACK, 0, &payload)).await;
            }
        }
    }

    async fn read(&mut self) -> Option<Came> {
        loop {
            if let Some((came, length)) = whole(&self.came) {
                self.came.drain(..length);
                return Some(came);
            }
            let mut some = [0; 4096];
            match self.stream.read(&mut some).await {
                Ok(0) | Err(_) => return None,
                Ok(read) => self.came.extend_from_slice(&some[..read]),
            }
        }
    }
}

/// The first frame of these bytes, and its length with its head.
fn whole(bytes: &[u8]) -> Option<(Came, usize)> {
    let (head, rest) = bytes.split_first_chunk::<9>()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    let payload = rest.get(..length)?.to_vec();
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
    Some((Came { kind: head[3], flags: head[4], stream, payload }, 9 + length))
}
