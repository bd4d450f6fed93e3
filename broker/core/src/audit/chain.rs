//! The hash chain of one sink: every record names its place and the record before it.
//!
//! Invariant: the state is that of the last record that the sink took.

use ring::digest::{Context, SHA256, SHA256_OUTPUT_LEN, digest};

use super::digest::write_hex;

/// SHA-256 of a line.
pub(super) type Hash = [u8; SHA256_OUTPUT_LEN];

/// What stands between a record's content and its own hash.
pub(super) const HASH_MEMBER: &[u8] = b",\"hash\":\"";
/// Length of `,"hash":"<64 hex>"}`.
pub(super) const TAIL: usize = HASH_MEMBER.len() + 2 * SHA256_OUTPUT_LEN + 2;

/// Place in the chain: number and hash of the last record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Chain {
    /// Sequence number of the last record; 0 before the first.
    pub(super) seq: u64,
    /// Hash of the last line without its newline; zeros before the first.
    pub(super) hash: Hash,
}

/// The last line of a sink is no record of ours.
#[derive(Debug, thiserror::Error)]
#[error("the last line is not an intact audit record; move the log away or repair it")]
pub(super) struct Foreign;

impl Chain {
    /// Continues after `line`, the last one that a sink holds.
    pub(super) fn after(line: &[u8]) -> Result<Self, Foreign> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let links = Links::read(line).map_err(|_| Foreign)?;
        Ok(Self { seq: links.seq, hash: links.hash })
    }

    /// Writes the members that link the next record to the last one.
    pub(super) fn write_links(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\"seq\":");
        write_number(out, self.seq + 1);
        out.extend_from_slice(b",\"prev\":\"");
        write_hex(out, &self.hash);
        out.push(b'"');
    }

    /// Ends the record that starts at `start` with its own hash and a newline, and moves on to it.
    pub(super) fn close(&mut self, out: &mut Vec<u8>, start: usize) {
        let mut context = Context::new(&SHA256);
        context.update(&out[start..]);
        let own = context.clone().finish();
        let tail = out.len();
        out.extend_from_slice(HASH_MEMBER);
        write_hex(out, own.as_ref());
        out.extend_from_slice(b"\"}");
        context.update(&out[tail..]);
        *self = Self { seq: self.seq + 1, hash: sized(context.finish().as_ref()) };
        out.push(b'\n');
    }
}

/// What a line says about its place.
pub(super) struct Links {
    pub(super) seq: u64,
    pub(super) prev: Hash,
    /// Hash of this line.
    pub(super) hash: Hash,
}

/// Why a line says nothing about its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// Its own hash is not that of its bytes.
    Altered,
    /// It is not a record at all.
    Malformed,
}

impl Links {
    /// Reads a whole line, without its newline, whose own hash must be right.
    pub(super) fn read(line: &[u8]) -> Result<Self, Broken> {
        let (content, tail) = line.split_at_checked(line.len().wrapping_sub(TAIL)).ok_or(Broken::Malformed)?;
        let mut expected = Vec::with_capacity(TAIL);
        expected.extend_from_slice(HASH_MEMBER);
        write_hex(&mut expected, digest(&SHA256, content).as_ref());
        expected.extend_from_slice(b"\"}");
        if tail != expected {
            return Err(if tail.starts_with(HASH_MEMBER) { Broken::Altered } else { Broken::Malformed });
        }
        let members: Members<'_> = serde_json::from_slice(line).map_err(|_| Broken::Malformed)?;
        let prev = parse_hex(members.prev).ok_or(Broken::Malformed)?;
        Ok(Self { seq: members.seq, prev, hash: sized(digest(&SHA256, line).as_ref()) })
    }
}

#[derive(serde::Deserialize)]
struct Members<'a> {
    seq: u64,
    prev: &'a str,
}

/// Lower-case hex of a hash.
pub(super) fn hex(hash: &Hash) -> String {
    let mut out = Vec::with_capacity(2 * SHA256_OUTPUT_LEN);
    write_hex(&mut out, hash);
    String::from_utf8_lossy(&out).into_owned()
}

/// Decimal digits of `number`.
pub(super) fn write_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// A hash from its 64 lower-case hex digits.
pub(super) fn parse_hex(text: &str) -> Option<Hash> {
    let digits: &[u8; 2 * SHA256_OUTPUT_LEN] = text.as_bytes().try_into().ok()?;
    let mut hash = Hash::default();
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(hash)
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

fn sized(digest: &[u8]) -> Hash {
    let mut hash = Hash::default();
    hash.copy_from_slice(digest);
    hash
}
