//! `serve`: the server, from a configuration file.

use std::path::PathBuf;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{failure::Failure, output};
use crate::{
    config::Config,
    telemetry::{self, LogFormat},
    wire::{self, Running},
};

/// How the process logs.
#[derive(Args, Debug)]
pub(crate) struct Logging {
    /// Level or directives, such as info or warder=debug.
    #[arg(long, env = "WARDER_LOG", default_value = "info", value_name = "FILTER")]
    log: String,
    /// How log lines look on stderr.
    #[arg(long, env = "WARDER_LOG_FORMAT", value_enum, default_value_t)]
    log_format: LogFormat,
}

impl Logging {
    pub(crate) fn start(&self) -> Result<(), Failure> {
        telemetry::start(&self.log, self.log_format).map_err(Failure::usage)
    }
}

/// Run the server.
#[derive(Args, Debug)]
#[command(after_help = "SIGTERM and SIGINT let open requests end, then stop. SIGHUP reopens audit files.\n\n\
    Example:\n  warder serve --config warder.toml")]
pub(crate) struct Serve {
    /// The configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    logging: Logging,
}

impl Serve {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let config = Config::read(&self.config).map_err(|e| Failure::usage(e.to_string()))?;
        self.logging.start()?;
        let signals = Signals::watch()?;
        let running = wire::start(&config).await.map_err(|e| Failure::other(e.to_string()))?;
        let scheme = if running.tls { "https" } else { "http" };
        output::bytes(format!("listening on {scheme}://{}\n", running.address).as_bytes())?;
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

    /// Serves until SIGTERM or SIGINT, then drains.
    pub(crate) async fn until_told(mut self, running: Running) -> Result<(), Failure> {
        loop {
            tokio::select! {
                _ = self.term.recv() => break,
                _ = self.int.recv() => break,
                _ = self.hup.recv() => running.reopen(),
            }
        }
        running.shutdown().await;
        Ok(())
    }
}
