//! Warder's benchmarks: one command per number, each prints a table for `RESULTS.md`.
//!
//! Build the binary first (`cargo build --release -p warder`), then
//! `cargo run --release -p warder-bench -- get|put|instance|start|rss|all`.

#![expect(clippy::print_stdout, reason = "the tables are the product")]

mod bare;
mod get;
mod instance;
mod load;
mod machine;
mod process;
mod put;

use std::path::Path;

use warder_testkit::{Http, Result, Warder};

/// Log level of the servers: this program would read a line a request, on the same cores.
const QUIET: &str = "warn";
const USAGE: &str = "usage: warder-bench get|put|instance|start|rss|all";

#[tokio::main]
async fn main() -> Result {
    let mut arguments = std::env::args_os().skip(1);
    let name = arguments.next().unwrap_or_default();
    match (name.to_str().unwrap_or_default(), arguments.next()) {
        ("bare", Some(file)) => Ok(bare::serve(Path::new(&file)).await?),
        ("all", None) => {
            for name in ["get", "put", "instance", "start", "rss"] {
                measure(name).await?;
            }
            Ok(())
        }
        (name, None) => measure(name).await,
        _ => Err(USAGE.into()),
    }
}

async fn measure(name: &str) -> Result {
    println!("\n## {name}\n\n{}\n", machine::line());
    match name {
        "get" => get::run().await,
        "put" => put::run().await,
        "instance" => instance::run().await,
        "start" => tokio::task::block_in_place(process::start),
        "rss" => tokio::task::block_in_place(process::resident),
        _ => Err(USAGE.into()),
    }
}

/// `warder dev` with a data directory, which must keep an audit file: without one the numbers
/// would leave out a sync.
fn warder(data: &Path) -> Result<Warder> {
    let warder = Warder::dev().data_dir(data).argument("--log").argument(QUIET).start()?;
    let sinks = warder.http().get("/api/v1/audit").send()?.expect_status(200)?.text();
    if sinks.contains("\"file\"") { Ok(warder) } else { Err(format!("no file sink is in use: {sinks}").into()) }
}

/// `warder serve` on redb with an audit file of this `sync`, and its root token.
fn served(directory: &Path, sync: &str) -> Result<(Warder, Http)> {
    std::fs::create_dir_all(directory)?;
    let at = directory.display();
    let file = directory.join("warder.toml");
    let config = format!(
        "[listener]\naddress = \"127.0.0.1:0\"\ntls_disable = true\n[storage]\ntype = \"redb\"\npath = \"{at}/warder.redb\"\n\
         [seal]\ntype = \"dev\"\n[audit.file]\ntype = \"file\"\npath = \"{at}/audit.log\"\nsync = \"{sync}\"\n"
    );
    std::fs::write(&file, config)?;
    let warder = Warder::serve(&file).argument("--log").argument(QUIET).start()?;
    let init = serde_json::json!({"shares": 1, "threshold": 1});
    let made = warder.stranger().post("/api/v1/sys/init").json(&init).send()?.expect_status(200)?.json()?;
    let root = warder.stranger().with_token(made["root_token"].as_str().unwrap_or_default());
    Ok((warder, root))
}
