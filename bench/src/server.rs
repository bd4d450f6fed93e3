//! The servers that are measured, with secrets in them and a token that may use them.

use std::path::Path;

use serde_json::{Value, json};
use warder_testkit::{Http, Result, Serve, Warder};

/// Log level of the servers: this program would read a line a request, on the same cores.
const QUIET: &str = "warn";

/// `warder dev` with a data directory, which must keep an audit file: without one the numbers
/// would leave out a sync.
pub(crate) fn dev(data: &Path) -> Result<Warder> {
    let warder = Warder::dev().data_dir(data).argument("--log").argument(QUIET).start()?;
    let sinks = warder.http().get("/api/v1/audit").send()?.expect_status(200)?.text();
    if sinks.contains("\"file\"") { Ok(warder) } else { Err(format!("no file sink is in use: {sinks}").into()) }
}

/// `warder serve` on redb with an audit file of this `sync`, and its root token.
pub(crate) fn serve(directory: &Path, sync: &str) -> Result<(Warder, Http)> {
    serve_with(directory, sync, &[])
}

/// The same with these options beside.
pub(crate) fn serve_with(directory: &Path, sync: &str, options: &[&str]) -> Result<(Warder, Http)> {
    std::fs::create_dir_all(directory)?;
    let at = directory.display();
    let file = directory.join("warder.toml");
    let config = format!(
        "[listener]\naddress = \"127.0.0.1:0\"\ntls_disable = true\n[storage]\ntype = \"redb\"\npath = \"{at}/warder.redb\"\n\
         [seal]\ntype = \"dev\"\n[audit.file]\ntype = \"file\"\npath = \"{at}/audit.log\"\nsync = \"{sync}\"\n"
    );
    std::fs::write(&file, config)?;
    let plain = Warder::serve(&file).argument("--log").argument(QUIET);
    let warder = with(plain, options).start()?;
    let init = json!({"shares": 1, "threshold": 1});
    let made = warder.stranger().post("/api/v1/sys/init").json(&init).send()?.expect_status(200)?.json()?;
    let root = warder.stranger().with_token(made["root_token"].as_str().unwrap_or_default());
    Ok((warder, root))
}

/// Starts a server on what such a one left behind.
pub(crate) fn again(directory: &Path, options: &[&str]) -> Result<Warder> {
    with(Warder::serve(&directory.join("warder.toml")).argument("--log").argument(QUIET), options).start()
}

fn with(serve: Serve, options: &[&str]) -> Serve {
    options.iter().fold(serve, |serve, option| serve.argument("--set").argument(*option))
}

/// A token that may read and write secrets and nothing else, made through `/v1`.
pub(crate) fn token(root: &Http) -> Result<String> {
    let policy = "path \"secret/data/*\" { capabilities = [\"create\", \"read\", \"update\"] }";
    let policy = json!({ "policy": policy });
    root.put("/v1/sys/policies/acl/bench").json(&policy).send()?.expect_status(204)?;
    let wanted = json!({"policies": ["bench"]});
    let made = root.post("/v1/auth/token/create").json(&wanted).send()?.expect_status(200)?.json()?;
    match made["auth"]["client_token"].as_str() {
        Some(token) => Ok(token.to_owned()),
        None => Err("no token was made".into()),
    }
}

/// The number of a counter of `/metrics`, summed over its labels that hold `label`.
pub(crate) fn counted(http: &Http, name: &str, label: &str) -> Result<f64> {
    let text = http.get("/metrics").send()?.expect_status(200)?.text();
    let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
    Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
}

/// A secret of two short values.
pub(crate) fn secret() -> Value {
    json!({"username": "admin", "password": "secure123"})
}
