//! A real OpenBao server, unsealed, KV v2 at `secret/`: in its dev mode (in memory, root token
//! `root`) for comparing answers, or on disk with an audit file for comparing speed.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    failure::{Failure, Result},
    http::Http,
    parts::Parts,
    process::Process,
};

/// A running OpenBao; ends with the value.
#[derive(Debug)]
pub struct OpenBao {
    process: Process,
    http: Http,
}

impl OpenBao {
    /// Starts one in dev mode and waits until its KV mount answers.
    ///
    /// # Errors
    /// When the part is missing or the server does not come up.
    pub fn dev() -> Result<Self> {
        let program = Parts::find().openbao()?;
        let flags = ["-dev", "-dev-no-store-token", "-dev-root-token-id=root", "-dev-listen-address=127.0.0.1:0"];
        retried(|| {
            let command = &mut Command::new(&program);
            let (process, http) = start(command.arg("server").args(flags), "Development mode should NOT")?;
            let server = Self { process, http: http.with_token("root") };
            wait_for_kv(&server.http)?;
            Ok(server)
        })
    }

    /// Starts one as it would run for real on one machine: raft storage and an audit file in
    /// `directory` (made if it is not there), unsealed by one share.
    ///
    /// # Errors
    /// When the part is missing or the server does not come up.
    pub fn serve(directory: &Path) -> Result<Self> {
        let program = Parts::find().openbao()?;
        let mut tries = 0;
        retried(|| {
            tries += 1;
            let directory = directory.join(tries.to_string());
            std::fs::create_dir_all(directory.join("raft"))?;
            let file = directory.join("openbao.hcl");
            std::fs::write(&file, configuration(&directory))?;
            let command = &mut Command::new(&program);
            let (process, http) = start(command.arg("server").arg("-config").arg(&file), "OpenBao server started!")?;
            let http = http.with_token(&initialize(&http)?);
            let kv = json!({"type": "kv", "options": {"version": "2"}});
            until(|| Ok(http.post("/v1/sys/mounts/secret").json(&kv).send()?.status == 204))?;
            wait_for_kv(&http)?;
            let audit = http.get("/v1/sys/audit").send()?.expect_status(200)?.text();
            if !audit.contains("file_path") {
                return Err(format!("OpenBao keeps no audit file: {audit}").into());
            }
            Ok(Self { process, http })
        })
    }

    /// A client with the root token.
    #[must_use]
    pub fn http(&self) -> Http {
        self.http.clone()
    }

    /// Its process.
    #[must_use]
    pub const fn process(&self) -> &Process {
        &self.process
    }
}

/// It takes a free port for itself, but wants the next one for its cluster: that one may be taken,
/// so try again.
fn retried(mut start: impl FnMut() -> Result<OpenBao>) -> Result<OpenBao> {
    let mut last = Failure::from("never tried");
    for _ in 0..5 {
        match start() {
            Ok(server) => return Ok(server),
            Err(failure) => last = failure,
        }
    }
    Err(last)
}

/// Waits for `words` in what it prints.
fn start(command: &mut Command, words: &str) -> Result<(Process, Http)> {
    let process = Process::spawn("OpenBao", command)?;
    let port = process.wait_for(Duration::from_secs(30), |text| text.contains(words).then(|| port(text)).flatten())?;
    Ok((process, Http::at(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))))
}

fn configuration(directory: &Path) -> String {
    let at = directory.display();
    // The addresses are for other nodes, and there are none.
    format!(
        r#"
storage "raft" {{
  path = "{at}/raft"
  node_id = "one"
}}
listener "tcp" {{
  address = "127.0.0.1:0"
  tls_disable = true
}}
audit "file" "file" {{
  options {{ file_path = "{at}/audit.log" }}
}}
api_addr = "http://127.0.0.1:8200"
cluster_addr = "http://127.0.0.1:8201"
log_level = "error"
"#
    )
}

/// Makes one share, opens the barrier with it, and gives the root token.
fn initialize(http: &Http) -> Result<String> {
    let one = json!({"secret_shares": 1, "secret_threshold": 1});
    let made = http.put("/v1/sys/init").json(&one).send()?.expect_status(200)?.json()?;
    let (Some(share), Some(token)) = (made["keys"][0].as_str(), made["root_token"].as_str()) else {
        return Err("OpenBao's init gave no share or no token".into());
    };
    http.put("/v1/sys/unseal").json(&json!({ "key": share })).send()?.expect_status(200)?;
    until(|| Ok(http.get("/v1/sys/health").send()?.status == 200))?;
    Ok(token.to_owned())
}

/// Its banner prints the listener as `:0`, but the cluster port, which is the listener's plus one.
fn port(banner: &str) -> Option<u16> {
    let (_, rest) = banner.split_once("cluster address: \"127.0.0.1:")?;
    rest.split('"').next()?.parse::<u16>().ok()?.checked_sub(1)
}

/// The mount answers 400 while it sets itself up.
fn wait_for_kv(http: &Http) -> Result {
    until(|| Ok(http.get("/v1/secret/config").send()?.status == 200))
}

fn until(done: impl Fn() -> Result<bool>) -> Result {
    let start = Instant::now();
    while !done()? {
        if start.elapsed() > Duration::from_secs(30) {
            return Err("OpenBao did not come up in 30 s".into());
        }
        std::thread::yield_now();
    }
    Ok(())
}
