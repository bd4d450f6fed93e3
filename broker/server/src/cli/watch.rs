//! `watch`: changes of secrets as they happen, one line each, over as many connections as it takes.

use std::time::Duration;

use clap::Args;
use http::{Method, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::{
    Shared,
    client::{Ask, Client, Driving, query},
    failure::Failure,
    output::{self, Format},
};

/// Silence after which a connection counts as lost: the server's heartbeats are far more frequent.
const SILENCE: Duration = Duration::from_mins(11);
/// Between two attempts to connect again: at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Largest event.
const MAX_EVENT: usize = 64 << 10;

/// Show changes of secrets as they happen.
#[derive(Args, Debug)]
#[command(after_help = "Prints one line a change: revision, what happened, path, versions; never a value. Connects \
    again by itself and misses nothing, or says that it did.\n\n\
    Examples:\n  warder watch database/\n  warder watch --from 120 --output json")]
pub(crate) struct Watch {
    /// A secret, or a folder with all below it; everything unless given.
    #[arg(default_value = "")]
    prefix: String,
    /// Continues after this revision.
    #[arg(long, value_name = "REVISION")]
    from: Option<u64>,
}

impl Watch {
    pub(super) async fn run(self, shared: &Shared) -> Result<(), Failure> {
        let client = Client::new(shared)?;
        let mut from = self.from;
        let mut pause = PAUSES.0;
        let mut begun = false;
        loop {
            let ended = match self.open(&client, from).await {
                Ok((body, driving)) => {
                    (begun, pause) = (true, PAUSES.0);
                    let ended = follow(body, shared.output, &mut from).await;
                    driving.abort();
                    ended
                }
                Err(refused) => Err(refused),
            };
            match ended {
                Err(failure) if !begun || !failure.may_pass() => return Err(failure),
                Err(failure) => output::done(&format!("{}; connecting again", failure.words())),
                Ok(()) => output::done("the connection ended; connecting again"),
            }
            sleep(pause).await;
            pause = PAUSES.1.min(pause * 2);
        }
    }

    async fn open(&self, client: &Client, from: Option<u64>) -> Result<(Incoming, Driving), Failure> {
        let parameters = [("prefix", Some(self.prefix.clone())), ("from", from.map(|from| from.to_string()))];
        let ask = Ask::new(Method::GET, format!("watch{}", query(&parameters)));
        client.open(ask.header(header::ACCEPT, "text/event-stream")).await
    }
}

/// Prints what comes until the connection ends; `from` follows.
async fn follow(mut body: Incoming, format: Format, from: &mut Option<u64>) -> Result<(), Failure> {
    let mut events = Events::default();
    loop {
        let frame = timeout(SILENCE, body.frame()).await;
        let frame = frame.map_err(|_| Failure::unreachable("the server has gone silent"))?;
        let Some(frame) = frame else { return Ok(()) };
        let frame = frame.map_err(|e| Failure::unreachable(format!("the connection broke: {e}")))?;
        let Ok(data) = frame.into_data() else { continue };
        events.take(&data)?;
        while let Some(event) = events.next() {
            *from = event.id.or(*from);
            show(&event, format)?;
        }
    }
}

fn show(event: &Event, format: Format) -> Result<(), Failure> {
    let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
    match event.name.as_str() {
        "change" | "lagged" => output::bytes(line(&event.name, data, format).as_bytes()),
        "end" => Err(Failure::ended(&data)),
        _ => Ok(()),
    }
}

/// One change in one line.
fn line(name: &str, mut data: Value, format: Format) -> String {
    if format != Format::Table {
        data["event"] = name.into();
        return format!("{}{data}\n", if format == Format::Yaml { "--- " } else { "" });
    }
    let text = |member: &str| data.get(member).map(output::plain).unwrap_or_default();
    let versions: Vec<String> =
        data["versions"].as_array().into_iter().flatten().map(|version| format!("v{version}")).collect();
    let what = if name == "lagged" { "lagged: changes were lost, read again".to_owned() } else { text("kind") };
    let words = [text("revision"), what, output::printable(&text("path")), versions.join(" ")];
    words.iter().filter(|word| !word.is_empty()).map(String::as_str).collect::<Vec<_>>().join("  ") + "\n"
}

/// One event.
#[derive(Debug, Default, PartialEq, Eq)]
struct Event {
    name: String,
    id: Option<u64>,
    data: String,
}

/// Bytes that become events: blocks of lines with an empty line after each.
#[derive(Default)]
struct Events(Vec<u8>);

impl Events {
    fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.0.extend_from_slice(bytes);
        let last = self.0.rsplit(|byte| *byte == b'\n').next().map_or(0, <[u8]>::len);
        if last > MAX_EVENT {
            return Err(Failure::other("the server's events are too large"));
        }
        Ok(())
    }

    fn next(&mut self) -> Option<Event> {
        let end = self.0.windows(2).position(|two| two == b"\n\n")?;
        let block = String::from_utf8_lossy(&self.0[..end]).into_owned();
        self.0.drain(..end + 2);
        let mut event = Event::default();
        for line in block.lines() {
            match line.split_once(": ") {
                Some(("event", name)) => name.clone_into(&mut event.name),
                Some(("id", id)) => event.id = id.parse().ok(),
                Some(("data", data)) => data.clone_into(&mut event.data),
                _ => {}
            }
        }
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_come_out_whole_however_their_bytes_come_in() {
        let text = b"event: ready\nid: 5\nretry: 1000\ndata: {\"revision\":5}\n\n: heartbeat\nid: 9\n\nevent: change\nid: 10\ndata: {}\n\nevent";
        for size in [1, 7, text.len()] {
            let mut events = Events::default();
            let mut all = Vec::new();
            for part in text.chunks(size) {
                events.take(part).unwrap();
                all.extend(std::iter::from_fn(|| events.next()));
            }
            let seen: Vec<_> = all.iter().map(|event| (event.name.as_str(), event.id)).collect();
            assert_eq!(seen, [("ready", Some(5)), ("", Some(9)), ("change", Some(10))]);
        }
        assert!(Events::default().take(&vec![b'x'; MAX_EVENT + 1]).is_err());
    }

    #[test]
    fn a_change_is_one_line() {
        let change = json!({"revision": 7, "kind": "deleted", "path": "a/\u{1b}b", "versions": [1, 2]});
        assert_eq!(line("change", change.clone(), Format::Table), "7  deleted  a/\\u{1b}b  v1 v2\n");
        let told: Value = serde_json::from_str(&line("change", change, Format::Json)).unwrap();
        assert_eq!((&told["event"], &told["revision"]), (&"change".into(), &7.into()));
        assert!(line("lagged", json!({"revision": 9}), Format::Table).starts_with("9  lagged"));
    }
}
