//! The audit log as the clients' requests left it.

use std::{
    collections::HashSet,
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use warder_testkit::{Failure, Result, Warder};

use crate::attempt::Attempt;

/// The attempts that have records, read as far as the file goes.
pub(crate) struct Log {
    path: PathBuf,
    read: u64,
    pub(crate) opened: HashSet<Attempt>,
    pub(crate) closed: HashSet<Attempt>,
}

impl Log {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, read: 0, opened: HashSet::new(), closed: HashSet::new() }
    }

    /// Reads the whole lines that have come since the last time.
    pub(crate) fn read(&mut self) -> Result {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        self.read += whole as u64;
        for line in text[..whole].lines().filter(|line| line.contains("\"id\":\"crash-")) {
            let record: Value = serde_json::from_str(line)?;
            let Some(attempt) = record["id"].as_str().and_then(|id| id.parse().ok()) else { continue };
            match record["type"].as_str() {
                Some("open") => _ = self.opened.insert(attempt),
                Some("close") => _ = self.closed.insert(attempt),
                _ => {}
            }
        }
        Ok(())
    }

    /// An acknowledged write was announced before and reported after.
    pub(crate) fn holds(&self, attempt: Attempt) {
        assert!(self.opened.contains(&attempt), "{attempt} was acknowledged and has no open record");
        assert!(self.closed.contains(&attempt), "{attempt} was acknowledged and has no close record");
    }

    /// `warder audit verify` takes it.
    pub(crate) fn verify(&self) -> Result {
        verify(&self.path)
    }
}

/// Runs `warder audit verify` over the file.
pub(crate) fn verify(path: &Path) -> Result {
    let verified = Command::new(Warder::program()?).args(["audit", "verify"]).arg(path).output()?;
    if verified.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&verified.stderr).into_owned();
    Err(Failure::new(format_args!("audit verify {}", path.display()), words))
}
