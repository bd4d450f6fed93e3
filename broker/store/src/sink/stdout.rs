//! The `stdout` sink: for containers whose platform collects the output.

use std::io::{self, Write};

use warder_core::port::sink::Sink;

use super::{Options, SinkError, only};

pub(super) fn open(options: &Options) -> Result<Box<dyn Sink>, SinkError> {
    only(options, &[], "the stdout sink has no options")?;
    Ok(Box::new(StdoutSink(io::stdout())))
}

/// Writes to standard output, or in tests to anything; promises no more than that a write went
/// through.
#[derive(Debug)]
pub struct StdoutSink<W = io::Stdout>(pub W);

impl<W: Write + Send + 'static> Sink for StdoutSink<W> {
    fn append(&mut self, lines: &[u8], _: bool) -> io::Result<()> {
        self.0.write_all(lines)?;
        self.0.flush()
    }

    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn last_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }
}
