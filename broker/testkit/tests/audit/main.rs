//! No record, no request: the real binary with sinks that hang, fill up, die and come back, and
//! logs that somebody tampered with.
//!
//! `WARDER_TEST_SEED=n` draws other cases, `WARDER_TEST_LONG=1` more of them.

#![expect(clippy::expect_used, reason = "a helper that meets what must not be ends its test")]

mod console;
mod delivery;
mod doors;
mod files;
mod full;
mod house;
mod tampering;
