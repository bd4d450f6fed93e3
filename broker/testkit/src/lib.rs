//! Real servers and the real binary, for tests and benchmarks.
//!
//! What a test needs in one line: [`Warder::dev`] starts the binary that cargo built,
//! [`OpenBao::dev`] a real OpenBao, and [`Http`] talks to either, byte for byte. Each fixture
//! listens on a port the kernel chose, keeps its data in its own directory, and ends its own
//! process when it drops. A missing part is an error that says how to get it, never a skip.

mod collector;
mod disk;
mod failure;
mod guest;
mod http;
mod openbao;
mod parts;
mod process;
mod suite;
mod volume;
mod warder;

pub use collector::{Collector, attribute};
pub use disk::SmallDisk;
pub use failure::{Failure, Result};
pub use guest::Guest;
pub use http::{Call, Http, Reply};
pub use openbao::OpenBao;
pub use parts::Parts;
pub use process::Process;
pub use suite::{Random, Suite};
pub use tempfile::TempDir;
pub use volume::Volume;
pub use warder::{Dev, Serve, Warder};

/// A directory of this test's own, removed when it drops.
///
/// # Errors
/// When the system's directory for temporary files cannot be written.
pub fn temp_dir() -> Result<TempDir> {
    tempfile::Builder::new().prefix("warder-").tempdir().map_err(|e| Failure::new("make a temporary directory", e))
}
