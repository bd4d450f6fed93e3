//! Values as HMACs: one key per sink, every leaf of a document replaced, names and shape kept.
//!
//! Invariant: what goes into `out` is structure, member names and digests, never a value.

use std::sync::atomic::{AtomicU64, Ordering};

use ring::hmac;

use crate::{
    forms::Forms,
    json,
    secret::{Secret, wiping_stack},
};

/// Most leaves that are hashed one by one.
pub(super) const MAX_LEAVES: usize = 4096;
/// Largest form of a document with its leaves hashed one by one.
pub(super) const MAX_FORM_BYTES: usize = 1 << 20;

const PREFIX: &[u8] = b"\"hmac-sha256:";
const SEALED: &[u8] = b"\"hmac-sha256:sealed\"";

/// The text that stands for `value` in the records of the sink with this salt.
///
/// ```
/// use warder_core::{audit::hmac_text, secret::Secret};
/// let text = hmac_text(&Secret::from("salt"), "hunter2");
/// assert!(text.starts_with("hmac-sha256:") && text.len() == 12 + 64);
/// ```
#[must_use]
pub fn hmac_text(salt: &Secret, value: impl AsRef<[u8]>) -> String {
    let mut quoted = Vec::with_capacity(PREFIX.len() + 65);
    write_hmac(&mut quoted, Some(&Keys::new(salt)), value.as_ref());
    String::from_utf8_lossy(&quoted[1..quoted.len() - 1]).into_owned()
}

/// A sink's key, prepared.
#[derive(Clone)]
pub(super) struct Keys {
    /// Tells this key's digests from those of any other key of this process.
    pub(super) id: u64,
    key: hmac::Key,
}

impl Keys {
    pub(super) fn new(salt: &Secret) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { id, key: hmac::Key::new(hmac::HMAC_SHA256, salt.expose()) }
    }
}

/// The recorded form of one answer, remembered per sink: a cache entry keeps it beside the
/// answer, so that the same answer is hashed once and not on every hit. It grows when the answer
/// is first recorded.
pub type AnswerDigest = Forms;

/// The recorded form of an answer, from memory where there is one.
pub(super) fn write_answer(out: &mut Vec<u8>, keys: Option<&Keys>, answer: &Secret, memory: Option<&AnswerDigest>) {
    match (keys, memory) {
        (Some(keys), Some(memory)) => memory.write(keys.id, out, |out| write_hidden(out, Some(keys), answer.expose())),
        _ => write_hidden(out, keys, answer.expose()),
    }
}

/// `"hmac-sha256:<hex>"` with its quotes.
pub(super) fn write_hmac(out: &mut Vec<u8>, keys: Option<&Keys>, value: &[u8]) {
    let Some(keys) = keys else {
        return out.extend_from_slice(SEALED);
    };
    out.extend_from_slice(PREFIX);
    write_hex(out, wiping_stack(|| hmac::sign(&keys.key, value)).as_ref());
    out.push(b'"');
}

/// Lower-case hex.
pub(super) fn write_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

/// A document with every leaf hashed; anything else, and what is over a limit, as one digest.
pub(super) fn write_hidden(out: &mut Vec<u8>, keys: Option<&Keys>, text: &[u8]) {
    let start = out.len();
    let whole = std::str::from_utf8(text).ok().and_then(|text| {
        let mut walk = Walk { text, at: 0, out, keys, leaves: 0, limit: start + MAX_FORM_BYTES };
        walk.value(json::MAX_DEPTH)?;
        walk.blank();
        (walk.at == text.len()).then_some(())
    });
    if whole.is_none() {
        out.truncate(start);
        write_hmac(out, keys, text);
    }
}

/// A recursive descent over RFC 8259 text that trusts nobody to have checked it: `None` means
/// "this is not what it should be", and the caller hashes the whole.
struct Walk<'a> {
    text: &'a str,
    at: usize,
    out: &'a mut Vec<u8>,
    keys: Option<&'a Keys>,
    leaves: usize,
    limit: usize,
}

impl<'a> Walk<'a> {
    fn value(&mut self, depth: usize) -> Option<()> {
        self.blank();
        match self.peek()? {
            b'{' => self.object(depth.checked_sub(1)?),
            b'[' => self.array(depth.checked_sub(1)?),
            b'"' => {
                let raw = self.string()?;
                self.string_leaf(raw)
            }
            _ => self.bare(),
        }
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        self.copy(b'{')?;
        self.blank();
        if self.peek()? == b'}' {
            return self.copy(b'}');
        }
        loop {
            self.blank();
            self.name()?;
            self.blank();
            self.copy(b':')?;
            self.value(depth)?;
            self.blank();
            if self.peek()? == b'}' {
                return self.copy(b'}');
            }
            self.copy(b',')?;
        }
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        self.copy(b'[')?;
        self.blank();
        if self.peek()? == b']' {
            return self.copy(b']');
        }
        loop {
            self.value(depth)?;
            self.blank();
            if self.peek()? == b']' {
                return self.copy(b']');
            }
            self.copy(b',')?;
        }
    }

    fn name(&mut self) -> Option<()> {
        let raw = self.string()?;
        if raw.contains('\\') {
            json::write_string(self.out, &json::string(raw).ok()?);
        } else {
            self.out.extend_from_slice(raw.as_bytes());
        }
        (self.out.len() <= self.limit).then_some(())
    }

    fn string_leaf(&mut self, raw: &str) -> Option<()> {
        if raw.contains('\\') {
            let plain = json::string(raw).ok()?;
            return self.leaf(plain.as_bytes());
        }
        self.leaf(raw.get(1..raw.len() - 1)?.as_bytes())
    }

    /// A number, `true`, `false` or `null`.
    fn bare(&mut self) -> Option<()> {
        let rest = self.text.get(self.at..)?;
        let end = rest.find([',', ']', '}', ' ', '\t', '\n', '\r']).unwrap_or(rest.len());
        let word = rest.get(..end)?;
        self.at += end;
        match word {
            "null" => {
                self.out.extend_from_slice(b"null");
                Some(())
            }
            "true" | "false" => self.leaf(word.as_bytes()),
            _ if number(word) => self.leaf(word.as_bytes()),
            _ => None,
        }
    }

    fn leaf(&mut self, value: &[u8]) -> Option<()> {
        self.leaves += 1;
        if self.leaves > MAX_LEAVES || self.out.len() > self.limit {
            return None;
        }
        write_hmac(self.out, self.keys, value);
        Some(())
    }

    /// A string with its quotes, escapes as written, no control character inside.
    fn string(&mut self) -> Option<&'a str> {
        let start = self.at;
        if self.peek()? != b'"' {
            return None;
        }
        self.at += 1;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => self.at += 2,
                0..=31 => return None,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        self.text.get(start..self.at)
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn copy(&mut self, wanted: u8) -> Option<()> {
        if self.peek()? != wanted || self.out.len() > self.limit {
            return None;
        }
        self.out.push(wanted);
        self.at += 1;
        Some(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

fn number(word: &str) -> bool {
    word.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && word.bytes().all(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
}
