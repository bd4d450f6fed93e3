//! A server whose watches have bounds that a test reaches.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::PathBuf,
};

use serde_json::{Value, json};
use warder_testkit::{Failure, Http, Result, TempDir, Warder, temp_dir};

use crate::events::{Event, PATIENCE};

/// `warder serve` in memory, opened, with a port and a unix socket.
pub(crate) struct Stage {
    pub(crate) warder: Warder,
    pub(crate) token: String,
    folder: TempDir,
}

impl Stage {
    /// With these lines of configuration.
    pub(crate) fn set(lines: &str) -> Result<Self> {
        let folder = temp_dir()?;
        let (file, at) = (folder.path().join("warder.toml"), folder.path().display());
        let text = format!(
            "{lines}\n[listener]\naddress = \"127.0.0.1:0\"\ntls_disable = true\n[listener.local]\n\
             address = \"unix:{at}/w.sock\"\n[storage]\ntype = \"memory\"\n[seal]\ntype = \"dev\"\n[audit.main]\n\
             type = \"file\"\npath = \"{at}/audit.log\"\nsync = \"never\"\n"
        );
        fs::write(&file, text)?;
        let warder = Warder::serve(&file).start()?;
        let one = json!({"shares": 1, "threshold": 1});
        let made = warder.stranger().post("/api/v1/sys/init").json(&one).send()?.expect_status(200)?.json()?;
        let token = made["root_token"].as_str().ok_or("no root token")?.to_owned();
        Ok(Self { warder, token, folder })
    }

    pub(crate) fn http(&self) -> Http {
        self.warder.stranger().with_token(&self.token)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("w.sock")
    }

    /// The audit log's records of watches.
    pub(crate) fn recorded(&self) -> Result<Vec<Value>> {
        let text = fs::read_to_string(self.folder.path().join("audit.log"))?;
        let records: std::result::Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
        let records = records.map_err(|why| Failure::new("a record", why))?;
        Ok(records.into_iter().filter(|record| record["operation"] == "watch").collect())
    }

    /// Waits until so many watch.
    pub(crate) fn watchers(&self, count: u64) -> Result {
        let begun = std::time::Instant::now();
        let line = format!("warder_feed_watchers {count}");
        while !self.http().get("/metrics").send()?.text().lines().any(|had| had == line) {
            if begun.elapsed() > PATIENCE {
                return Err(format!("not {count} watchers after {PATIENCE:?}").into());
            }
            std::thread::park_timeout(std::time::Duration::from_millis(20));
        }
        Ok(())
    }
}

/// A watch over HTTP/1.1 that is read by hand, or not at all.
pub(crate) struct Slow(BufReader<UnixStream>);

impl Slow {
    /// Opens a watch, and reads its first event.
    pub(crate) fn open(stage: &Stage, prefix: &str) -> Result<(Self, Event)> {
        let mut stream = UnixStream::connect(stage.socket())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "GET /api/v1/watch?prefix={prefix} HTTP/1.1\r\nHost: w\r\nAuthorization: Bearer {}\r\n\r\n",
            stage.token
        )?;
        let mut slow = Self(BufReader::new(stream));
        let first = slow.next()?.ok_or("a watch says something")?;
        Ok((slow, first))
    }

    /// The next event but for heartbeats; none: the connection is over.
    pub(crate) fn next(&mut self) -> Result<Option<Event>> {
        let (mut event, mut line) = (Event::default(), String::new());
        loop {
            line.clear();
            // Cut in the middle is over as well.
            if self.0.read_line(&mut line).map_err(|why| Failure::new("read a watch", why))? == 0 {
                return Ok(None);
            }
            // What frames the chunks of HTTP/1.1 is no field of an event.
            match line.trim_end_matches(['\r', '\n']).split_once(": ") {
                Some(("event", name)) => name.clone_into(&mut event.name),
                Some(("id", id)) if !event.name.is_empty() => event.id = id.parse().ok(),
                Some(("data", data)) => {
                    event.data = serde_json::from_str(data).unwrap_or_default();
                    return Ok(Some(event));
                }
                _ => {}
            }
        }
    }
}
