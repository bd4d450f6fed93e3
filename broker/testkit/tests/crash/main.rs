//! What a crash, a full disk and a read-only disk leave behind: the real binary, killed with
//! SIGKILL in the middle of writing, or put on a file system that takes no more.
//!
//! `WARDER_TEST_SEED=n` gives other random cases; `WARDER_TEST_LONG=1` runs the long forms.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper that cannot go on fails its test there")]

mod attempt;
mod client;
mod directory;
mod full;
mod hot;
mod policy;
mod raw;
mod read_only;
mod records;
mod restore;
mod rounds;
mod secret;
mod token;
mod written;
