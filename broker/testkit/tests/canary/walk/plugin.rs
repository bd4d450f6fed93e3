//! A plugin that misbehaves while it holds a secret: traps, panics, half-made transactions.

use serde_json::json;
use warder_testkit::{Failure, Result};

use super::Walk;

/// What it does, and whether it is refused.
const DEEDS: [(&str, bool); 12] = [
    ("behave", false),
    ("panic", true),
    ("panic-midway", true),
    ("exit", true),
    ("recurse", true),
    ("recurse-shadow", true),
    ("memory", true),
    ("error-midway", true),
    ("bad-pointer", true),
    ("stdout", true),
    ("escape", false),
    ("no such deed", true),
];

pub(super) fn walk(walk: &mut Walk<'_>) -> Result {
    let http = walk.http.clone();
    let mounted = http.get("/api/v1/mounts").send()?.json()?;
    if mounted.get("bad/").is_none() {
        walk.ask(http.put("/api/v1/mounts/bad").json(&json!({ "plugin": "misbehave" })), 204, &[])?;
    }
    for (deed, refused) in DEEDS {
        let value = walk.value(&format!("held while a plugin does: {deed}"));
        let call = http.post(&format!("/v1/bad/do/{}", deed.replace(' ', "%20")));
        let call = call.json(&json!({"doc": {"password": value}, "note": value}));
        let place = call.curl();
        let reply = walk.send(call, &[])?;
        if (reply.status >= 400) != refused {
            return Err(Failure::new(place, format!("status {}: {}", reply.status, reply.text())));
        }
    }
    Ok(())
}
