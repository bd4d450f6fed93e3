//! Warder: the secrets broker gateway.
//!
//! The composition root ([`wire`]), the edge that serves it ([`edge`]), its configuration and
//! its command line. All rules are in `warder-core`; this crate gives them sockets and words.

pub mod cli;
pub mod config;
pub mod edge;
pub mod plugins;
pub mod telemetry;
pub mod wire;
