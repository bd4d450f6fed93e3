//! What the store promises, through its public interface.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test there")]

mod engines;
mod files;
mod lifecycle;
mod protection;
mod rotation;
mod sinks;
mod support;
