//! What the process says of itself: structured logs on stderr, and, where a collector is configured,
//! traces, metrics and the same logs by OTLP.
//!
//! Levels: error = someone must act, warn = degraded but coping, info = one line per request and
//! per change of state. Never a value, a token or a query string.

mod batch;
mod collector;
mod config;
mod exporter;
mod lines;
mod message;

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

pub(crate) use self::exporter::{Reader, Readers};
pub use self::{
    config::{Endpoint, Protocol, TelemetryConfig},
    exporter::{Exporter, Signal, Tally},
};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    #[default]
    Text,
}

/// Whether text is a level, or directives with a level each, that logging takes.
#[must_use]
pub fn is_filter(text: &str) -> bool {
    let level = |text: &str| ["off", "error", "warn", "info", "debug", "trace"].contains(&text);
    // A word by itself would be taken for a module, and so would a misspelt level.
    let directive = |part: &str| part.contains(['=', '[']) || level(part.trim());
    text.split(',').all(directive) && EnvFilter::try_new(text).is_ok()
}

/// Starts logging; `filter` is a level or tracing's directives, such as `warder=debug`. An exporter
/// that takes logs gets those lines of them that are Warder's own.
///
/// # Errors
/// Words for the user when the filter does not parse.
pub fn start(filter: &str, format: LogFormat, exporter: Option<&Exporter>) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|e| format!("bad log filter: {e}"))?;
    let lines = exporter.and_then(Exporter::lines);
    let registry = tracing_subscriber::registry().with(filter).with(lines);
    let started = match format {
        LogFormat::Json => registry.with(fmt::layer().json().with_writer(std::io::stderr)).try_init(),
        LogFormat::Text => {
            let ansi = std::io::stderr().is_terminal();
            registry.with(fmt::layer().with_ansi(ansi).with_writer(std::io::stderr)).try_init()
        }
    };
    started.map_err(|e| e.to_string())
}
