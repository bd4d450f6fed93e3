//! The `stdout` sink: for containers whose platform collects the output.
//!
//! Invariant: a record that was written in part when a write failed is completed before anything
//! else is written, because a stream cannot be cut. It then counts as held, though it was refused.

use std::{
    fs::File,
    io::{self, ErrorKind, Write},
    os::fd::AsFd,
};

use warder_core::port::sink::Sink;

use super::{Options, SinkError, only};

pub(super) fn open(options: &Options) -> Result<Box<dyn Sink>, SinkError> {
    only(options, &[], "the stdout sink has no options")?;
    // A handle of its own: what it writes is in no buffer, and whoever hangs in it holds no lock.
    let output = io::stdout().as_fd().try_clone_to_owned();
    let output = output.map_err(|source| SinkError::Io { path: "standard output".into(), source })?;
    Ok(Box::new(StdoutSink::new(File::from(output))))
}

/// Writes to standard output, or in tests to anything; promises no more than that a write went
/// through.
#[derive(Debug)]
pub struct StdoutSink<W = File> {
    out: W,
    /// What is missing of a record that was written in part.
    rest: Vec<u8>,
    /// After a failure: the last record that is there, or will be with `rest`.
    last: Option<Vec<u8>>,
}

impl<W: Write> StdoutSink<W> {
    /// Writes to `out`, which should keep nothing back.
    pub const fn new(out: W) -> Self {
        Self { out, rest: Vec::new(), last: None }
    }

    /// What it writes to.
    pub const fn output(&mut self) -> &mut W {
        &mut self.out
    }

    /// Completes the record that was written in part.
    fn complete(&mut self) -> io::Result<()> {
        let mut written = 0;
        let result = write(&mut self.out, &self.rest, &mut written);
        self.rest.drain(..written);
        result
    }

    /// Remembers what is missing and what the last record will be, when `written` bytes got through.
    fn remember(&mut self, lines: &[u8], written: usize) {
        let newline = |byte: &u8| *byte == b'\n';
        let half = lines[..written].last().is_some_and(|byte| *byte != b'\n');
        let end = if half {
            lines[written..].iter().position(newline).map_or(lines.len(), |at| written + at + 1)
        } else {
            written
        };
        self.rest = lines[written..end].to_vec();
        if let Some(whole) = lines[..end].strip_suffix(b"\n") {
            let start = whole.iter().rposition(newline).map_or(0, |at| at + 1);
            self.last = Some(whole[start..].to_vec());
        }
    }
}

impl<W: Write + Send + 'static> Sink for StdoutSink<W> {
    fn append(&mut self, lines: &[u8], _: bool) -> io::Result<()> {
        self.complete()?;
        let mut written = 0;
        let result = write(&mut self.out, lines, &mut written).and_then(|()| self.out.flush());
        match &result {
            Ok(()) => self.last = None,
            Err(_) => self.remember(lines, written),
        }
        result
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.complete()
    }

    fn last_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.last.clone())
    }
}

/// `write_all` that counts.
fn write(out: &mut impl Write, bytes: &[u8], written: &mut usize) -> io::Result<()> {
    while let Some(rest) = bytes.get(*written..).filter(|rest| !rest.is_empty()) {
        match out.write(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => *written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
