//! A double of an OpenTelemetry collector: decodes what it gets with the official message types and
//! keeps it. Where results are shown it is named as a double; a real one is not among the parts.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    failure::{Failure, Result},
    parts::Parts,
    process::Process,
};

/// For what must arrive on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running double; ends with the value.
#[derive(Debug)]
pub struct Collector {
    process: Process,
    folder: PathBuf,
    scheme: &'static str,
}

impl Collector {
    /// Starts one that keeps what it gets in `folder`, which must be there.
    ///
    /// # Errors
    /// When its parts are missing or it does not come up.
    pub fn start(folder: &Path) -> Result<Self> {
        Self::run(folder, "http", &[])
    }

    /// The same over TLS, with the PEM files of a certificate and its key.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with_tls(folder: &Path, certificate: &Path, key: &Path) -> Result<Self> {
        Self::run(folder, "https", &[certificate, key])
    }

    fn run(folder: &Path, scheme: &'static str, pair: &[&Path]) -> Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("doubles/collector.py");
        let mut command = Command::new(Parts::find().grpc("python")?);
        let process = Process::spawn("the double of a collector", command.arg(script).arg(folder).args(pair))?;
        let collector = Self { process, folder: folder.to_owned(), scheme };
        collector.process.wait_for(PATIENCE, |said| said.contains("\nhttp ").then_some(()))?;
        Ok(collector)
    }

    /// Where it takes OTLP over `grpc` or `http`.
    ///
    /// # Errors
    /// When it did not say.
    pub fn endpoint(&self, over: &str) -> Result<String> {
        let said = self.process.stdout();
        let address = said.lines().find_map(|line| line.strip_prefix(over)?.strip_prefix(' '));
        let address = address.ok_or_else(|| Failure::from(format!("no address for {over} in {said}")))?;
        Ok(format!("{}://{address}", self.scheme))
    }

    /// Every request so far: `signal`, `over`, `headers`, and the `message` as JSON.
    ///
    /// # Errors
    /// When what it wrote cannot be read.
    pub fn requests(&self) -> Result<Vec<Value>> {
        let text = match fs::read_to_string(self.folder.join("requests.jsonl")) {
            Ok(text) => text,
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(why) => return Err(why.into()),
        };
        // The last line may be under way.
        let whole = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
        whole.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    /// All spans, metrics or log lines so far, each with its `resource` beside its own members.
    ///
    /// # Errors
    /// As [`Self::requests`].
    pub fn all(&self, signal: &str) -> Result<Vec<Value>> {
        let [resources, scopes, items] = match signal {
            "traces" => ["resourceSpans", "scopeSpans", "spans"],
            "metrics" => ["resourceMetrics", "scopeMetrics", "metrics"],
            _ => ["resourceLogs", "scopeLogs", "logRecords"],
        };
        let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
        let mut all = Vec::new();
        for request in self.requests()?.iter().filter(|request| request["signal"] == signal) {
            for resource in list(&request["message"], resources) {
                for mut item in list(&resource, scopes).iter().flat_map(|scope| list(scope, items)) {
                    item["resource"] = resource["resource"].clone();
                    all.push(item);
                }
            }
        }
        Ok(all)
    }

    /// Waits until something has arrived.
    ///
    /// # Errors
    /// When it does not; the words tell what did.
    pub fn wait<T>(&self, what: &str, find: impl Fn(&Self) -> Result<Option<T>>) -> Result<T> {
        let start = Instant::now();
        loop {
            if let Some(found) = find(self)? {
                return Ok(found);
            }
            if start.elapsed() > PATIENCE {
                let words = format!("{what} did not arrive, but {:#?}", self.requests()?);
                return Err(Failure::new(words, self.process.stderr()));
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }
}

/// An attribute of a span, a metric's point or a log line, by its name.
#[must_use]
pub fn attribute<'a>(item: &'a Value, name: &str) -> Option<&'a Value> {
    let found = item["attributes"].as_array()?.iter().find(|pair| pair["key"] == name)?;
    found["value"].as_object()?.values().next()
}
