//! A server's standard output: a real pipe that somebody reads, stops reading, leaves and comes
//! back to. Who does not read makes a sink that hangs; who leaves, one that dies.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Stdio,
};

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use warder_testkit::{Failure, Result};

/// What a pipe holds before a writer waits, unless told otherwise (pipe(7)).
pub(crate) const PIPE_BYTES: usize = 64 << 10;

/// The reading end of a named pipe.
pub(crate) struct Console {
    path: PathBuf,
    reader: Option<File>,
    text: Vec<u8>,
}

impl Console {
    /// A pipe in `folder`, attended.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let path = folder.join("console");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).map_err(|e| Failure::new("make a pipe", e))?;
        let mut console = Self { path, reader: None, text: Vec::new() };
        console.come_back()?;
        Ok(console)
    }

    /// The writing end.
    pub(crate) fn output(&self) -> Result<Stdio> {
        Ok(OpenOptions::new().write(true).open(&self.path)?.into())
    }

    /// Reads what is there, without waiting.
    pub(crate) fn read(&mut self) -> Result {
        let Some(reader) = &mut self.reader else { return Ok(()) };
        match reader.read_to_end(&mut self.text) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Closes the reading end, with what is unread still in the pipe.
    pub(crate) fn leave(&mut self) {
        self.reader = None;
    }

    /// Opens the reading end again.
    pub(crate) fn come_back(&mut self) -> Result {
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        self.reader = Some(OpenOptions::new().read(true).custom_flags(flags).open(&self.path)?);
        Ok(())
    }

    /// The server's first line, once it is there.
    pub(crate) fn banner(&mut self) -> Result<Option<String>> {
        self.read()?;
        let end = self.text.iter().position(|byte| *byte == b'\n');
        Ok(end.map(|end| String::from_utf8_lossy(&self.text[..end]).into_owned()))
    }

    /// What was read behind the first line.
    pub(crate) fn records(&self) -> &[u8] {
        let end = self.text.iter().position(|byte| *byte == b'\n').map_or(self.text.len(), |end| end + 1);
        &self.text[end..]
    }
}
