//! A server that exports, and the double that it exports to.

use std::{fs, path::Path};

use serde_json::{Value, json};
use warder_testkit::{Collector, Failure, Guest, Http, Result, TempDir, Warder, temp_dir};

/// `warder serve` in memory, opened, with the plugin that misbehaves at `bad/`.
pub(crate) struct Stage {
    pub(crate) warder: Warder,
    pub(crate) token: String,
    /// Removed after the server has ended.
    _folder: TempDir,
}

/// A folder for a collector's findings, and its double.
pub(crate) fn collector() -> Result<(TempDir, Collector)> {
    let folder = temp_dir()?;
    let collector = Collector::start(folder.path())?;
    Ok((folder, collector))
}

impl Stage {
    /// One that exports to `endpoint`; `more` are further lines of `[telemetry]`.
    pub(crate) fn set(endpoint: &str, more: &str) -> Result<Self> {
        let folder = temp_dir()?;
        let file = folder.path().join("warder.toml");
        fs::write(&file, config(folder.path(), endpoint, more)?)?;
        let warder = Warder::serve(&file).start()?;
        let made = warder
            .stranger()
            .post("/api/v1/sys/init")
            .json(&json!({"shares": 1, "threshold": 1}))
            .send()?
            .expect_status(200)?
            .json()?;
        let token = made["root_token"].as_str().ok_or("no root token")?.to_owned();
        let stage = Self { warder, token, _folder: folder };
        stage.http().put("/api/v1/mounts/bad").json(&json!({"plugin": "misbehave"})).send()?.expect_status(204)?;
        Ok(stage)
    }

    pub(crate) fn http(&self) -> Http {
        self.warder.stranger().with_token(&self.token)
    }

    /// The sum of all series of a metric that have these words.
    pub(crate) fn metric(&self, name: &str, words: &str) -> Result<f64> {
        let text = self.warder.stranger().get("/metrics").send()?.expect_status(200)?.text();
        let series = text.lines().filter(|line| line.starts_with(name) && line.contains(words));
        series
            .map(|line| line.rsplit(' ').next().unwrap_or_default().parse::<f64>())
            .sum::<std::result::Result<f64, _>>()
            .map_err(|why| Failure::new(name, why))
    }
}

fn config(folder: &Path, endpoint: &str, more: &str) -> Result<String> {
    let plugin = Guest::Misbehave.path()?;
    let digest = ring::digest::digest(&ring::digest::SHA256, &fs::read(&plugin)?);
    let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!(
        "[listener]\naddress = \"127.0.0.1:0\"\ntls_disable = true\n\
         [storage]\ntype = \"memory\"\n[seal]\ntype = \"dev\"\n\
         [audit.main]\ntype = \"file\"\npath = \"{}/audit.log\"\n\
         [plugins.misbehave]\nfile = \"{}\"\nsha256 = \"{digest}\"\n\
         [log]\nlevel = \"info,warder=debug\"\nformat = \"json\"\n\
         [telemetry]\nendpoint = \"{endpoint}\"\ninterval = \"300ms\"\n{more}\n",
        folder.display(),
        plugin.display()
    ))
}

/// A request by HTTP/1.1 with this `traceparent`, and the one of its answer.
pub(crate) fn traced(stage: &Stage, method: &str, target: &str, parent: &str, body: Option<Value>) -> Result<String> {
    let http = stage.http();
    let mut call = http.call(method, target).header("traceparent", parent);
    if let Some(body) = body {
        call = call.json(&body);
    }
    let reply = call.send()?;
    assert!(reply.status < 300 || reply.status == 500, "{} {}", reply.status, reply.text());
    let answered = reply.header("traceparent").ok_or("no traceparent in the answer")?;
    Ok(answered.to_owned())
}
