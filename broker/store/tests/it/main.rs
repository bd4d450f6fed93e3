//! What the store promises, through its public interface.

mod engines;
mod files;
mod lifecycle;
mod protection;
mod sinks;
mod support;
