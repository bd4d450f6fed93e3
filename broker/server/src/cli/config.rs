//! `config check` and `config generate`; and how `serve` is told its configuration.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum as _};
use serde_json::{Value, json};

use super::{Shared, failure::Failure, output};
use crate::{
    config::{self, Argument, Config, Loaded},
    edge::tls,
    plugins,
    telemetry::LogFormat,
    wire,
};

/// Where the configuration comes from.
#[derive(Args, Debug)]
pub(crate) struct Configured {
    /// The configuration.
    #[arg(long, env = "WARDER_CONFIG", default_value = "/etc/warder/warder.toml", value_name = "FILE")]
    config: PathBuf,
    /// Sets an option, such as limits.request_size=2MiB. Again for more.
    #[arg(long = "set", value_name = "OPTION=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,
    /// Level or directives, such as info or info,warder=debug: the option log.level.
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// How log lines look on stderr: the option log.format.
    #[arg(long, value_enum)]
    log_format: Option<LogFormat>,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (option, value) = text.split_once('=').ok_or("expected OPTION=VALUE")?;
    Ok((option.to_owned(), value.to_owned()))
}

impl Configured {
    /// Reads and checks all of it.
    pub(crate) fn load(&self) -> Result<Loaded, Failure> {
        Config::load(&self.config, std::env::vars_os(), &self.arguments()).map_err(|e| Failure::usage(e.to_string()))
    }

    fn arguments(&self) -> Vec<Argument> {
        let argument = |argument: String, option: &str, value: &str| Argument {
            argument,
            option: option.to_owned(),
            value: value.to_owned().into(),
        };
        let mut all: Vec<_> =
            self.set.iter().map(|(option, value)| argument(format!("--set {option}"), option, value)).collect();
        all.extend(self.log.iter().map(|filter| argument("--log".to_owned(), "log.level", filter)));
        let format = self.log_format.and_then(|format| format.to_possible_value());
        all.extend(format.map(|format| argument("--log-format".to_owned(), "log.format", format.get_name())));
        all
    }
}

/// Work with configurations.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:\n  warder config check --config warder.toml\n  \
    warder config generate > warder.toml")]
pub(crate) enum ConfigCommand {
    /// Check a configuration and show what holds, and who said so.
    Check(Box<Configured>),
    /// Print an example with every option, its type, range and default.
    Generate,
}

impl ConfigCommand {
    pub(super) fn run(&self, shared: &Shared) -> Result<(), Failure> {
        match self {
            Self::Check(configured) => check(configured, shared),
            Self::Generate => output::bytes(config::generate().as_bytes()),
        }
    }
}

/// Checks options and the files that they name; opens neither storage nor audit logs.
fn check(configured: &Configured, shared: &Shared) -> Result<(), Failure> {
    let loaded = configured.load()?;
    let mut wrong: Vec<String> = Vec::new();
    for (name, listener) in loaded.config.listeners.iter().filter(|(_, listener)| !listener.is_plain()) {
        wrong.extend(tls::check(&config::section(name), &listener.tls).iter().map(|e| wire::chain(e)));
    }
    wrong.extend(plugins::check(&loaded.config).err().into_iter().flatten().map(|e| wire::chain(&e)));
    if !wrong.is_empty() {
        return Err(Failure::usage(format!(
            "the configuration names files that will not do:\n  {}",
            wrong.join("\n  ")
        )));
    }
    let row = |held: &config::Effective| json!({"option": held.option, "value": held.value, "source": held.source, "variable": held.variable});
    let rows: Vec<Value> = loaded.effective().iter().map(row).collect();
    output::show_as(shared.output, &json!({ "options": rows }), table)
}

fn table(value: &Value) -> String {
    let rows = value["options"].as_array().into_iter().flatten();
    let cell = |row: &Value, name: &str| output::plain(&row[name]);
    output::columns(
        ["OPTION", "VALUE", "SOURCE"],
        rows.map(|row| ["option", "value", "source"].map(|name| cell(row, name))),
    )
}
