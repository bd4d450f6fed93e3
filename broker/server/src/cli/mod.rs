//! The command line. One file per group of commands; this one holds what they share.
//!
//! Invariants: no secret is ever an argument; answers go to stdout, everything else to stderr;
//! the exit code tells the kind of error.

mod administer;
mod client;
mod config;
mod dev;
mod failure;
mod input;
mod lease;
mod limit;
mod output;
mod policy;
mod quorum;
mod secret;
mod serve;
mod snapshot;
mod token;
mod watch;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use self::{failure::Failure, output::Format};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  another error
  2  wrong usage
  3  the server cannot be reached
  4  no valid token, or not allowed
  5  nothing there
  6  a condition failed, or a conflict
  7  sealed, not initialized or not available
  8  the server refused the input

Environment:
  WARDER_ADDR    address of the server (or VAULT_ADDR): http://HOST:PORT, https://HOST:PORT or
                 unix:///PATH; http://127.0.0.1:8080
  WARDER_TOKEN   token (or VAULT_TOKEN)
  WARDER_CACERT  PEM file of CAs to trust (or VAULT_CACERT); the system's by default
  WARDER_CLIENT_CERT, WARDER_CLIENT_KEY
                 PEM files of a certificate to show and its key (or VAULT_CLIENT_...)
  WARDER_CONFIG  configuration of `serve` and `config check`; /etc/warder/warder.toml
  WARDER_...     options of `serve`: `warder config generate` tells the names

Examples:
  warder dev
  printf %s \"$PASSWORD\" | warder put database/postgres username=@user.txt password=-
  warder get database/postgres --field password";

/// Warder: the secrets broker gateway.
#[derive(Debug, Parser)]
#[command(name = "warder", version, about, after_help = EXIT_CODES, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    shared: Shared,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Shared {
    /// How answers are written.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
    /// Address of the server; default from WARDER_ADDR or VAULT_ADDR.
    #[arg(long, global = true, value_name = "URL")]
    address: Option<String>,
    /// PEM file of CAs to trust; default from WARDER_CACERT or VAULT_CACERT.
    #[arg(long, global = true, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// PEM file of a certificate to show; default from WARDER_CLIENT_CERT or VAULT_CLIENT_CERT.
    #[arg(long, global = true, value_name = "FILE")]
    client_cert: Option<PathBuf>,
    /// PEM file of its key; default from WARDER_CLIENT_KEY or VAULT_CLIENT_KEY.
    #[arg(long, global = true, value_name = "FILE")]
    client_key: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one process for development: initialized, unsealed, KV at secret/.
    Dev(dev::Dev),
    /// Run the server.
    Serve(serve::Serve),
    /// Check a configuration of the server, or print an example.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Show where the seal stands (exit code 7 unless ready).
    #[command(after_help = "Example:\n  warder status --output json")]
    Status,
    /// Read a secret.
    Get(secret::Get),
    /// Store a new version of a secret.
    Put(secret::Put),
    /// Merge into the current version of a secret (RFC 7396).
    Patch(secret::Patch),
    /// Delete the latest or named versions of a secret.
    Delete(secret::Delete),
    /// List names under a folder.
    List(secret::List),
    /// Show the versions of a secret, without values.
    Versions(secret::Versions),
    /// Restore deleted versions of a secret.
    Undelete(secret::Undelete),
    /// Have the backend replace a secret by a new value that it makes itself.
    Rotate(secret::Rotate),
    /// Show changes of secrets as they happen.
    Watch(watch::Watch),
    /// Work with tokens.
    #[command(subcommand)]
    Token(token::Token),
    /// Work with policies.
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Work with leases: what was issued for a time.
    #[command(subcommand)]
    Lease(lease::Lease),
    /// Work with rate limits.
    #[command(subcommand)]
    Limit(limit::Limit),
    /// Work with mounts.
    #[command(subcommand)]
    Mount(administer::Mount),
    /// Initialize, unseal, seal; keys, root tokens, snapshots.
    #[command(subcommand)]
    Operator(administer::Operator),
    /// Work with audit logs.
    #[command(subcommand)]
    Audit(administer::AuditCommand),
    /// Print a completion script for a shell.
    #[command(after_help = "Example:\n  source <(warder completion bash)")]
    Completion {
        /// bash, elvish, fish, powershell or zsh.
        shell: clap_complete::Shell,
    },
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are errors to clap, but go to stdout and end well.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let Cli { shared, command } = cli;
    match command {
        Command::Dev(dev) => runtime(true)?.block_on(Box::pin(dev.run())),
        Command::Serve(serve) => runtime(true)?.block_on(Box::pin(serve.run())),
        Command::Config(command) => command.run(&shared),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "warder", &mut script);
            output::bytes(&script)
        }
        Command::Audit(administer::AuditCommand::Verify { file, known }) => administer::verified(&file, known, &shared),
        other => runtime(false)?.block_on(Box::pin(ask(other, &shared))),
    }
}

async fn ask(command: Command, shared: &Shared) -> Result<(), Failure> {
    match command {
        Command::Status => administer::status(shared).await,
        Command::Get(get) => get.run(shared).await,
        Command::Put(put) => put.run(shared).await,
        Command::Patch(patch) => patch.run(shared).await,
        Command::Delete(delete) => delete.run(shared).await,
        Command::List(list) => list.run(shared).await,
        Command::Versions(versions) => versions.run(shared).await,
        Command::Undelete(undelete) => undelete.run(shared).await,
        Command::Rotate(rotate) => rotate.run(shared).await,
        Command::Watch(rotate) => rotate.run(shared).await,
        Command::Token(token) => token.run(shared).await,
        Command::Policy(policy) => policy.run(shared).await,
        Command::Lease(lease) => lease.run(shared).await,
        Command::Limit(limit) => limit.run(shared).await,
        Command::Mount(mount) => mount.run(shared).await,
        Command::Operator(operator) => operator.run(shared).await,
        Command::Audit(administer::AuditCommand::List) => administer::sinks(shared).await,
        Command::Audit(administer::AuditCommand::Verify { file, known }) => administer::verified(&file, known, shared),
        Command::Completion { .. } | Command::Config(_) | Command::Dev(_) | Command::Serve(_) => {
            Err(Failure::other("this command does not ask a server"))
        }
    }
}

fn runtime(threads: bool) -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = match threads {
        true => tokio::runtime::Builder::new_multi_thread(),
        false => tokio::runtime::Builder::new_current_thread(),
    };
    builder.enable_all().build().map_err(|e| Failure::other(format!("the runtime did not start: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_takes_every_output_format() {
        for format in ["table", "json", "yaml"] {
            let cli = Cli::try_parse_from(["warder", "get", "a/b", "--output", format]);
            assert!(cli.is_ok(), "{format}");
        }
        assert!(Cli::try_parse_from(["warder", "get", "a/b", "--output", "xml"]).is_err());
    }

    #[test]
    fn every_command_shows_an_example() {
        fn look(command: &clap::Command, path: &str) {
            for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
                let path = format!("{path} {}", inner.get_name());
                let own = inner.get_after_help().or_else(|| command.get_after_help());
                let words = own.map(ToString::to_string).unwrap_or_default();
                assert!(words.contains(&format!("warder {}", path.trim())), "{path}: {words}");
                look(inner, path.trim());
            }
        }
        look(&Cli::command(), "");
    }

    #[test]
    fn no_command_takes_a_token_to_authenticate_with() {
        assert!(Cli::try_parse_from(["warder", "get", "a", "--token", "x"]).is_err());
    }
}
