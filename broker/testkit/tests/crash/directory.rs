//! A directory for data that stays when the test fails, so that somebody can look.

use std::path::Path;

use tempfile::TempDir;
use warder_testkit::{Result, temp_dir};

/// Removed at the end, unless the test panics.
pub(crate) struct Directory(Option<TempDir>);

impl Directory {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(Some(temp_dir()?)))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.as_ref().map_or_else(|| Path::new(""), TempDir::path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Some(directory) = self.0.take().filter(|_| std::thread::panicking()) {
            eprintln!("the data is left at {}", directory.keep().display());
        }
    }
}
