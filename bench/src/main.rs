//! Warder's benchmarks: one command per number, each prints tables for `RESULTS.md`.
//!
//! Build the binary first (`cargo build --release -p warder`), then
//! `cargo run --release -p warder-bench -- NAME`; without a name it lists them. Every command
//! starts its own servers, looks at every answer, and stands alone.

#![expect(clippy::print_stdout, reason = "the tables are the product")]

mod bare;
mod floor;
mod frames;
mod get;
mod grpc;
mod hostile;
mod instance;
mod load;
mod machine;
mod openbao;
mod process;
mod put;
mod rounds;
mod sandbox;
mod scale;
mod server;
mod tls;
mod watch;
mod wire;

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;
use tokio::task::block_in_place;
use warder_testkit::Result;

/// The product's, so that floors and what runs in this process have no other; freed memory is not
/// overwritten here.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Every command with what it measures, in the order of `all`.
const COMMANDS: [(&str, &str); 12] = [
    ("get", "a cached read against a bare axum answer of the same bytes"),
    ("tls", "a cached read over TLS against bare axum over TLS"),
    ("grpc", "a cached Get against a bare tonic answer of the same bytes"),
    ("sandbox", "an uncached read: processor time a request, and the sandbox's share of it"),
    ("put", "durable writes at 1 and 256 in flight against the bare engine"),
    ("scale", "what a second core brings"),
    ("instance", "one call in a fresh sandbox"),
    ("start", "from exec to ready"),
    ("rss", "resident memory, idle and with 100,000 secrets"),
    ("hostile", "p99 of reads alone and beside a plugin that misbehaves"),
    ("watch", "from a write to each of 10,000 watchers"),
    ("openbao", "reads and writes side by side with OpenBao (`make parts` gets it)"),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os().skip(1).map(|it| it.to_string_lossy().into_owned()).collect();
    let done = match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["bare", what, ..] => wait(bare::serve(what, arguments.get(2..).unwrap_or_default())),
        ["scaled", cores] => scale::measured(cores),
        ["all"] => wait(all()),
        [name] if COMMANDS.iter().any(|(known, _)| known == name) => wait(measure(name)),
        _ => {
            eprint!("{}", usage());
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("warder-bench: {why}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> String {
    let lines = COMMANDS.map(|(name, words)| format!("  {name:10}{words}\n"));
    format!("usage: warder-bench NAME\n\n{}  {:10}all of them, one after another\n", lines.concat(), "all")
}

fn wait(work: impl Future<Output = Result>) -> Result {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

/// Goes on after a failure: the others stand alone.
async fn all() -> Result {
    let mut failed = Vec::new();
    for (name, _) in COMMANDS {
        if let Err(why) = measure(name).await {
            println!("\n**{name} failed: {why}**");
            failed.push(name);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", ")).into()) }
}

async fn measure(name: &str) -> Result {
    println!("\n## {name}\n\n{}\n", machine::head().await?);
    match name {
        "get" => get::run().await,
        "grpc" => grpc::run().await,
        "hostile" => block_in_place(hostile::run),
        "instance" => instance::run().await,
        "openbao" => openbao::run().await,
        "put" => put::run().await,
        "rss" => process::resident().await,
        "sandbox" => sandbox::run().await,
        "scale" => block_in_place(scale::run),
        "tls" => tls::run().await,
        "watch" => watch::run().await,
        "start" => block_in_place(process::start),
        _ => Err(format!("there is no measure {name:?}").into()),
    }
}
