//! `watch`: changes of secrets as they happen, one line each, over as many connections as it takes.

use clap::Args;
use serde_json::{Value, json};
use warder_client::{Event, proto::SecretChange};
use warder_core::clock::Timestamp;

use super::{
    Shared, client,
    failure::Failure,
    output::{self, Format},
};

/// What a watcher does who was told that it lagged.
const LOST: &str = "changes were lost: read again what matters, later ones follow";

/// Show changes of secrets as they happen.
#[derive(Args, Debug)]
#[command(after_help = "Prints one line a change: revision, what happened, path, versions; never a value. Connects \
    again by itself and misses nothing, or says that it did. Asks over gRPC: a proxy on the way must pass HTTP/2.\n\n\
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
        let mut watch = client::grpc(shared)?.watch(self.prefix);
        if let Some(revision) = self.from {
            watch = watch.from(revision);
        }
        let mut begun = false;
        loop {
            match watch.try_next().await {
                Ok(event) => show(&event, shared.output)?,
                Err(error) if begun && error.is_temporary() => {
                    output::done(&format!("{}; connecting again", Failure::from(&error).words()));
                }
                Err(error) => return Err(Failure::from(&error)),
            }
            begun = true;
        }
    }
}

fn show(event: &Event, format: Format) -> Result<(), Failure> {
    match event {
        Event::Change(change) => output::bytes(line("change", told(change), format).as_bytes()),
        Event::Lagged { revision } => {
            let data = json!({"revision": revision, "detail": LOST});
            output::bytes(line("lagged", data, format).as_bytes())
        }
        _ => Ok(()),
    }
}

/// A change as `GET /api/v1/watch` writes it.
fn told(change: &SecretChange) -> Value {
    let kind = change.kind().as_str_name().trim_start_matches("SECRET_CHANGE_KIND_").to_lowercase();
    let mut data = json!({
        "revision": change.revision, "kind": kind, "path": change.path, "versions": change.versions,
    });
    if let Some(version) = change.version {
        data["version"] = version.into();
    }
    if let Some(at) = &change.at {
        let (seconds, nanos) =
            (u64::try_from(at.seconds).unwrap_or_default(), u64::try_from(at.nanos).unwrap_or_default());
        data["at"] = Timestamp(seconds * 1000 + nanos / 1_000_000).rfc3339().into();
    }
    data
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

#[cfg(test)]
mod tests {
    use warder_client::proto::SecretChangeKind;

    use super::*;

    #[test]
    fn a_change_is_one_line() {
        let mut change =
            SecretChange { revision: 7, path: "a/\u{1b}b".to_owned(), versions: vec![1, 2], ..Default::default() };
        change.set_kind(SecretChangeKind::Deleted);
        assert_eq!(line("change", told(&change), Format::Table), "7  deleted  a/\\u{1b}b  v1 v2\n");
        change.at = Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 5_000_000 });
        change.version = Some(2);
        let told: Value = serde_json::from_str(&line("change", told(&change), Format::Json)).unwrap();
        let expected = json!({
            "event": "change", "revision": 7, "kind": "deleted", "path": "a/\u{1b}b", "version": 2, "versions": [1, 2],
            "at": "2023-11-14T22:13:20.005Z",
        });
        assert_eq!(told, expected);
        assert!(line("lagged", json!({"revision": 9}), Format::Table).starts_with("9  lagged"));
    }
}
