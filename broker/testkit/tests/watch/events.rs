//! `curl -N` on a watch, and what it printed.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::Duration,
};

use serde_json::{Value, json};
use warder_testkit::{Failure, Http, Result};

/// Longer than anything here takes; a hang ends the test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// One event; a comment has no name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: Option<u64>,
    pub(crate) data: Value,
}

impl Event {
    pub(crate) fn text(&self, member: &str) -> &str {
        self.data[member].as_str().unwrap_or_default()
    }

    /// Kind, path and versions in one line.
    pub(crate) fn said(&self) -> String {
        format!("{} {} {}", self.text("kind"), self.text("path"), self.data["versions"])
    }
}

/// A watch; ends with the value.
pub(crate) struct Events {
    child: Child,
    events: Receiver<Event>,
}

impl Events {
    /// Watches with this query, token and other headers, and takes the first event, whatever it is.
    pub(crate) fn open(http: &Http, query: &str, token: &str, headers: &[String]) -> Result<(Self, Event)> {
        let mut command = Command::new("curl");
        command.args(["-sN", "--path-as-is", "-H", &format!("Authorization: Bearer {token}")]);
        headers.iter().for_each(|header| _ = command.args(["-H", header]));
        command.arg(format!("http://{}/api/v1/watch{query}", http.address()));
        let mut child = command.stdout(Stdio::piped()).spawn().map_err(|why| Failure::new("curl", why))?;
        let (told, events) = channel();
        let lines = BufReader::new(child.stdout.take().ok_or("curl has an output")?).lines();
        std::thread::spawn(move || {
            let mut event = Event::default();
            for line in lines.map_while(std::result::Result::ok) {
                match line.split_once(": ") {
                    _ if line.is_empty() => _ = told.send(std::mem::take(&mut event)),
                    _ if line.starts_with('{') => {
                        // A refusal, which is no stream.
                        let data = serde_json::from_str(&line).unwrap_or_default();
                        _ = told.send(Event { name: "refused".to_owned(), id: None, data });
                    }
                    Some(("event", name)) => name.clone_into(&mut event.name),
                    Some(("id", id)) => event.id = id.parse().ok(),
                    Some(("data", data)) => event.data = serde_json::from_str(data).unwrap_or_default(),
                    _ => {}
                }
            }
        });
        let this = Self { child, events };
        let first = this.next()?.ok_or("a watch says something")?;
        Ok((this, first))
    }

    /// The next event but for heartbeats; none when the watch is over.
    pub(crate) fn next(&self) -> Result<Option<Event>> {
        loop {
            match self.events.recv_timeout(PATIENCE) {
                Ok(event) if event.name.is_empty() => {}
                Ok(event) => return Ok(Some(event)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => return Err(format!("nothing within {PATIENCE:?}").into()),
            }
        }
    }

    /// The next so many changes.
    pub(crate) fn changes(&self, count: usize) -> Result<Vec<Event>> {
        (0..count)
            .map(|_| match self.next()? {
                Some(event) if event.name == "change" => Ok(event),
                other => Err(format!("not a change: {other:?}").into()),
            })
            .collect()
    }

    /// The word that the watch ends with; what comes before is left out.
    pub(crate) fn end(&self) -> Result<String> {
        loop {
            let event = self.next()?.ok_or("it ended without a word")?;
            if event.name == "end" {
                assert!(self.next()?.is_none(), "something after the end");
                return Ok(event.text("code").to_owned());
            }
        }
    }

    /// The next heartbeat.
    pub(crate) fn beat(&self) -> Result<u64> {
        loop {
            let event = self.events.recv_timeout(PATIENCE).map_err(|why| Failure::new("a heartbeat", why))?;
            if event.name.is_empty() {
                return Ok(event.id.unwrap_or_default());
            }
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Stores a value through the native door.
pub(crate) fn put(http: &Http, path: &str) -> Result {
    let reply = http.put(&format!("/api/v1/secrets/{path}")).json(&json!({"a": 1})).send()?;
    assert!(reply.status < 300, "{}", reply.text());
    Ok(())
}

/// A token with one policy of its own; text and accessor.
pub(crate) fn token(http: &Http, policy: &str, ttl: &str) -> Result<[String; 2]> {
    write_policy(http, policy)?;
    let wanted = json!({"policies": ["watcher"], "ttl": ttl});
    let made = http.post("/api/v1/auth/tokens").json(&wanted).send()?.expect_status(201)?.json()?;
    Ok(["token", "accessor"].map(|name| made[name].as_str().unwrap_or_default().to_owned()))
}

/// What the tokens of [`token`] may do.
pub(crate) fn write_policy(http: &Http, policy: &str) -> Result {
    http.put("/api/v1/policies/watcher").json(&json!({"policy": policy})).send()?.expect_status(204)?;
    Ok(())
}
