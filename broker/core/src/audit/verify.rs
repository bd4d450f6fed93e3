//! Verification of a written log, as `warder audit verify FILE` does it: streaming, one pass.
//!
//! Finds any changed byte and any removed, added or reordered record after the first one, and
//! names the first bad record. What the file alone cannot show is that its beginning or its end
//! is missing, or that somebody who can write it made the chain anew: [`verify_with`] compares it
//! with a record that is [`Known`] from before.

use std::{
    io::{self, BufRead, Read as _},
    str::FromStr,
};

use super::chain::{Broken, Chain, Hash, Links, hex, parse_hex};

/// Longest record, in bytes.
pub const MAX_LINE_BYTES: usize = 16 << 20;

/// An intact log.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Verified {
    /// Records in it.
    pub records: u64,
    /// Sequence number of the first; 1 unless the log continues an older file; 0 when empty.
    pub first_seq: u64,
    /// Sequence number of the last; 0 when empty.
    pub last_seq: u64,
    /// Lower-case hex hash of the last record, `prev` of the one to come.
    pub last_hash: String,
}

/// A record known from before, such as the last one of an earlier check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    seq: u64,
    hash: Hash,
}

/// `SEQ:HASH`, as [`Verified::last_seq`] and [`Verified::last_hash`] say them.
impl FromStr for Known {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (seq, hash) = text.split_once(':').ok_or("expected SEQ:HASH")?;
        let seq =
            seq.parse().ok().filter(|seq| *seq > 0).ok_or("expected a record's number, from 1, before the ':'")?;
        let hash = parse_hex(hash).ok_or("expected 64 lower-case hex digits behind the ':'")?;
        Ok(Self { seq, hash })
    }
}

/// The first bad record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, record {seq}: {reason}")]
pub struct VerifyError {
    /// Line in the file, from 1.
    pub line: u64,
    /// The record that should stand there; 0 when the first line is bad and does not say.
    pub seq: u64,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Its bytes do not match its own hash.
    #[error("the record was changed: its hash does not match its bytes")]
    Altered,
    /// It names another predecessor than the record before it.
    #[error("the record does not follow the one before it: that one was changed or replaced")]
    Detached,
    /// It is not an audit record.
    #[error("the line is not an audit record")]
    Malformed,
    /// Another record stands where this one should.
    #[error("record {found} stands here: records were removed, added or reordered")]
    Misplaced {
        /// The record that stands there.
        found: u64,
    },
    /// The log begins behind the known record, or ends before it.
    #[error("the log does not hold record {known}, which is known: its beginning or its end was cut off")]
    Missing {
        /// Number of the known record.
        known: u64,
    },
    /// The known record, or what the log says came before its first one, is another one.
    #[error("this is not record {known} as it is known: the log was made anew")]
    Replaced {
        /// Number of the known record.
        known: u64,
    },
    /// Longer than [`MAX_LINE_BYTES`].
    #[error("the line is longer than 16 MiB")]
    TooLong,
    /// The file ends inside it.
    #[error("the file ends in the middle of the record")]
    Unterminated,
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(io::ErrorKind),
}

/// Checks a whole log.
///
/// # Errors
/// The first bad record.
///
/// ```
/// use warder_core::audit::verify::{Reason, verify};
/// assert_eq!(verify(&b""[..]).unwrap().records, 0);
/// let error = verify(&b"{\"time\":\"now\"}\n"[..]).unwrap_err();
/// assert_eq!(error.to_string(), "line 1, record 0: the line is not an audit record");
/// ```
pub fn verify(reader: impl BufRead) -> Result<Verified, VerifyError> {
    verify_with(reader, None)
}

/// Checks a whole log, which must hold the known record or go on right behind it.
///
/// # Errors
/// The first bad record. Where the known record is missing, the line is the one before which it
/// should stand.
pub fn verify_with(mut reader: impl BufRead, known: Option<Known>) -> Result<Verified, VerifyError> {
    let mut walk = Walk { known, ..Walk::default() };
    let mut line = Vec::new();
    while read_line(&mut reader, &mut line).map_err(|reason| walk.fail(reason))? {
        walk.step(&line).map_err(|reason| walk.fail(reason))?;
    }
    walk.reached().map_err(|reason| walk.fail(reason))?;
    Ok(walk.finish())
}

/// Reads the next line without its newline; false at the end.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> Result<bool, Reason> {
    line.clear();
    let limit = MAX_LINE_BYTES as u64 + 1;
    let read = reader.take(limit).read_until(b'\n', line).map_err(|e| Reason::Unreadable(e.kind()))?;
    match line.pop() {
        None => Ok(false),
        Some(b'\n') => Ok(true),
        Some(_) if read > MAX_LINE_BYTES => Err(Reason::TooLong),
        Some(_) => Err(Reason::Unterminated),
    }
}

#[derive(Default)]
struct Walk {
    lines: u64,
    first_seq: u64,
    last: Chain,
    known: Option<Known>,
}

impl Walk {
    fn step(&mut self, line: &[u8]) -> Result<(), Reason> {
        let links = Links::read(line).map_err(|broken| match broken {
            Broken::Altered => Reason::Altered,
            Broken::Malformed => Reason::Malformed,
        })?;
        self.place(&links)?;
        self.compare(&links)?;
        self.last = Chain { seq: links.seq, hash: links.hash };
        self.lines += 1;
        Ok(())
    }

    /// The first line may continue an older file; every other one follows the line before it.
    fn place(&mut self, links: &Links) -> Result<(), Reason> {
        if self.lines == 0 {
            self.first_seq = links.seq;
            let is_first = links.prev == Chain::default().hash;
            return if is_first == (links.seq == 1) && links.seq > 0 { Ok(()) } else { Err(Reason::Detached) };
        }
        if Some(links.seq) != self.last.seq.checked_add(1) {
            return Err(Reason::Misplaced { found: links.seq });
        }
        if links.prev != self.last.hash {
            return Err(Reason::Detached);
        }
        Ok(())
    }

    /// The known record is where it was, or right before the first one.
    fn compare(&self, links: &Links) -> Result<(), Reason> {
        let Some(known) = self.known else { return Ok(()) };
        let missing = Reason::Missing { known: known.seq };
        let hash = match links.seq.checked_sub(known.seq) {
            Some(0) => links.hash,
            Some(1) if self.lines == 0 => links.prev,
            Some(_) if self.lines == 0 => return Err(missing),
            _ => return Ok(()),
        };
        if hash == known.hash { Ok(()) } else { Err(Reason::Replaced { known: known.seq }) }
    }

    /// At the end: the log got as far as the known record.
    fn reached(&self) -> Result<(), Reason> {
        match self.known {
            Some(known) if self.last.seq < known.seq => Err(Reason::Missing { known: known.seq }),
            _ => Ok(()),
        }
    }

    const fn fail(&self, reason: Reason) -> VerifyError {
        let seq = if self.lines == 0 { self.first_seq } else { self.last.seq.saturating_add(1) };
        VerifyError { line: self.lines + 1, seq, reason }
    }

    fn finish(self) -> Verified {
        Verified {
            records: self.lines,
            first_seq: self.first_seq,
            last_seq: self.last.seq,
            last_hash: hex(&self.last.hash),
        }
    }
}
