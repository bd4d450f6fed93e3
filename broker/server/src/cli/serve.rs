//! `serve`: the server, from a configuration.

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{config::Configured, failure::Failure, output};
use crate::{
    telemetry::{self, Exporter},
    wire::{self, Running},
};

/// Run the server.
#[derive(Args, Debug)]
#[command(after_help = "SIGTERM and SIGINT let open requests end, then stop; a second one stops at once. SIGHUP \
    opens audit files again and reads certificates again.\n\n\
    Options come from the file, from WARDER_... variables, which go before it, and from --set, which goes before \
    both. `warder config generate` shows all of them.\n\n\
    Examples:\n  warder serve --config warder.toml\n  \
    warder serve --config warder.toml --set listener.address=127.0.0.1:8300")]
pub(crate) struct Serve {
    #[command(flatten)]
    configured: Configured,
}

impl Serve {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let config = self.configured.load()?.config;
        let exporter = Exporter::new(&config.telemetry).map_err(|e| Failure::usage(wire::chain(&e)))?;
        telemetry::start(&config.log.level, config.log.format, exporter.as_deref()).map_err(Failure::usage)?;
        let signals = Signals::watch()?;
        let running = wire::start(&config, exporter).await.map_err(|e| Failure::other(e.to_string()))?;
        let lines: String = running.listening().iter().map(|door| format!("{door}\n")).collect();
        output::bytes(lines.as_bytes())?;
        signals.until_told(running).await
    }
}

/// The signals that a server heeds. Watched before it says that it listens: whoever reads that may
/// send one at once.
pub(crate) struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Signals {
    pub(crate) fn watch() -> Result<Self, Failure> {
        let watch = |kind| signal(kind).map_err(|e| Failure::other(format!("cannot watch for signals: {e}")));
        Ok(Self {
            term: watch(SignalKind::terminate())?,
            int: watch(SignalKind::interrupt())?,
            hup: watch(SignalKind::hangup())?,
        })
    }

    /// Serves until SIGTERM or SIGINT, then drains; another of them ends that.
    pub(crate) async fn until_told(mut self, running: Running) -> Result<(), Failure> {
        loop {
            tokio::select! {
                _ = self.term.recv() => break,
                _ = self.int.recv() => break,
                _ = self.hup.recv() => running.reload(),
            }
        }
        tokio::select! {
            () = running.shutdown() => Ok(()),
            _ = self.term.recv() => Err(at_once()),
            _ = self.int.recv() => Err(at_once()),
        }
    }
}

fn at_once() -> Failure {
    Failure::other("told to end again: open requests were cut")
}
