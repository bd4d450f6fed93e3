//! What is told, to whom, and that it is the same whatever door was written through.

use serde_json::json;
use warder_testkit::{Result, Warder};

use crate::events::{Events, put, token, write_policy};

#[test]
fn writes_through_every_door_are_told_alike() -> Result {
    let warder = Warder::dev().start()?;
    let http = warder.http();
    let (watch, first) = Events::open(&http, "?prefix=app/", "root", &[])?;
    assert_eq!((first.name.as_str(), first.id), ("ready", first.data["revision"].as_u64()));
    put(&http, "app/db")?;
    put(&http, "apple")?;
    http.post("/v1/secret/data/app/db").json(&json!({"data": {"a": 2}})).send()?.expect_status(200)?;
    let patch = http.call("PATCH", "/api/v1/secrets/app/db").header("Content-Type", "application/merge-patch+json");
    patch.body(r#"{"b":1}"#).send()?.expect_status(200)?;
    http.delete("/v1/secret/data/app/db").send()?.expect_status(204)?;
    http.post("/v1/secret/undelete/app/db").json(&json!({"versions": [3]})).send()?.expect_status(204)?;
    http.delete("/api/v1/secrets/app/db?versions=2,1").send()?.expect_status(204)?;
    http.delete("/api/v1/secrets/app/db?versions=1&destroy=true").send()?.expect_status(204)?;
    http.post("/v1/secret/metadata/app/db").json(&json!({"max_versions": 5})).send()?.expect_status(204)?;
    http.delete("/v1/secret/metadata/app/db").send()?.expect_status(204)?;
    let changes = watch.changes(9)?;
    let said: Vec<String> = changes.iter().map(super::events::Event::said).collect();
    assert_eq!(
        said,
        [
            "created app/db [1]",
            "updated app/db [2]",
            "updated app/db [3]",
            "deleted app/db [3]",
            "undeleted app/db [3]",
            "deleted app/db [1,2]",
            "destroyed app/db [1]",
            "metadata app/db []",
            "destroyed app/db []",
        ]
    );
    assert!(changes.iter().map(|change| change.id).is_sorted_by(|a, b| a < b));
    assert!(changes.iter().all(|change| change.id == change.data["revision"].as_u64()));
    assert_eq!((&changes[0].data["version"], changes[5].data.get("version")), (&json!(1), None));
    Ok(())
}

#[test]
fn a_watcher_learns_of_what_it_may_read_or_list_and_of_nothing_else() -> Result {
    let warder = Warder::dev().start()?;
    let http = warder.http();
    let policy = "path \"secret/data/a/*\" { capabilities = [\"read\"] }\n\
                  path \"secret/data/a/no\" { capabilities = [\"deny\"] }\n\
                  path \"secret/metadata/l/*\" { capabilities = [\"list\"] }";
    let [weak, _] = token(&http, policy, "1h")?;
    let (_, refused) = Events::open(&http, "?prefix=b", &weak, &[])?;
    assert_eq!(refused.text("code"), "permission_denied");
    let (watch, _) = Events::open(&http, "", &weak, &[])?;
    for path in ["a/x", "b/x", "a/no", "l/d/z", "a/y"] {
        put(&http, path)?;
    }
    let paths =
        |events: Vec<crate::events::Event>| events.iter().map(|e| e.text("path").to_owned()).collect::<Vec<_>>();
    assert_eq!(paths(watch.changes(3)?), ["a/x", "l/d/z", "a/y"]);
    write_policy(&http, "path \"secret/data/b/*\" { capabilities = [\"read\"] }")?;
    for path in ["a/x", "b/x", "b/y"] {
        put(&http, path)?;
    }
    assert_eq!(paths(watch.changes(2)?), ["b/x", "b/y"], "a changed policy holds for the next change");
    Ok(())
}

#[test]
fn a_mount_that_goes_is_told_above_and_below_it() -> Result {
    let warder = Warder::dev().start()?;
    let http = warder.http();
    http.put("/api/v1/mounts/team").json(&json!({"plugin": "kv"})).send()?.expect_status(204)?;
    let mut watches = Vec::new();
    for prefix in ["", "team/", "team/deep"] {
        watches.push(Events::open(&http, &format!("?prefix={prefix}"), "root", &[])?.0);
    }
    put(&http, "team/deep/s")?;
    http.delete("/api/v1/mounts/team").send()?.expect_status(204)?;
    for watch in &watches {
        let said: Vec<String> = watch.changes(2)?.iter().map(crate::events::Event::said).collect();
        assert_eq!(said, ["created team/deep/s [1]", "unmounted team/ []"]);
    }
    Ok(())
}

#[test]
fn what_makes_no_sense_is_refused_by_name() -> Result {
    let warder = Warder::dev().start()?;
    let http = warder.http();
    let (deep, long) = (format!("?prefix={}", "a/".repeat(33)), format!("?prefix={}", "a".repeat(1025)));
    for (query, field) in [
        ("?prefix=../x", "prefix"),
        ("?prefix=a/%2e%2e/b", "prefix"),
        ("?prefix=/a", "prefix"),
        ("?prefix=a//b", "prefix"),
        ("?prefix=a%00b", "prefix"),
        ("?prefix=a&prefix=b", "prefix"),
        ("?prefix=%ff", "query"),
        (deep.as_str(), "prefix"),
        (long.as_str(), "prefix"),
        ("?from=x", "from"),
        ("?from=-1", "from"),
        ("?from=99999999999999999999", "from"),
        ("?other=1", "other"),
    ] {
        let refused = http.get(&format!("/api/v1/watch{query}")).send()?.expect_status(400)?.json()?;
        assert_eq!((&refused["code"], &refused["field"]), (&json!("invalid_request"), &json!(field)), "{query}");
    }
    let refused = http.get("/api/v1/watch").header("Last-Event-ID", "x").send()?.expect_status(400)?.json()?;
    assert_eq!(refused["field"], "Last-Event-ID");
    Ok(())
}
