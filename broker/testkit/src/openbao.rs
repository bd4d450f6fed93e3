//! A real OpenBao server in its dev mode: in memory, unsealed, root token `root`, KV v2 at
//! `secret/`.

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::Command,
    time::{Duration, Instant},
};

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
    /// Starts one and waits until its KV mount answers.
    ///
    /// # Errors
    /// When the part is missing or the server does not come up.
    pub fn dev() -> Result<Self> {
        let program = Parts::find().openbao()?;
        // It takes a free port for itself, but wants the next one for its cluster: that one may
        // be taken, so try again.
        let mut last = Failure::from("never tried");
        for _ in 0..5 {
            match Self::start(Command::new(&program)) {
                Ok(server) => return Ok(server),
                Err(failure) => last = failure,
            }
        }
        Err(last)
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

    fn start(mut program: Command) -> Result<Self> {
        let flags = ["-dev", "-dev-no-store-token", "-dev-root-token-id=root", "-dev-listen-address=127.0.0.1:0"];
        let process = Process::spawn("OpenBao", program.arg("server").args(flags))?;
        let port = process.wait_for(Duration::from_secs(30), |text| {
            text.contains("Development mode should NOT").then(|| port(text)).flatten()
        })?;
        let http = Http::at(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).with_token("root");
        wait_for_kv(&http)?;
        Ok(Self { process, http })
    }
}

/// Its banner prints the listener as `:0`, but the cluster port, which is the listener's plus one.
fn port(banner: &str) -> Option<u16> {
    let (_, rest) = banner.split_once("cluster address: \"127.0.0.1:")?;
    rest.split('"').next()?.parse::<u16>().ok()?.checked_sub(1)
}

/// The mount answers 400 while it sets itself up.
fn wait_for_kv(http: &Http) -> Result {
    let start = Instant::now();
    while http.get("/v1/secret/config").send()?.status != 200 {
        if start.elapsed() > Duration::from_secs(30) {
            return Err("OpenBao's KV mount did not come up in 30 s".into());
        }
        std::thread::yield_now();
    }
    Ok(())
}
