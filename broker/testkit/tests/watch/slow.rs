//! Watchers that do not keep up are told that they lagged, or cut; more than there may be are refused;
//! and all of it is recorded.

use serde_json::json;
use warder_testkit::{Failure, Http, Result, Suite};

use crate::{
    events::{Events, put, token},
    stage::{Slow, Stage},
};

/// Long, so that few changes fill a buffer.
pub(crate) fn path() -> String {
    format!("slow/{}", vec!["a".repeat(200); 4].join("/"))
}

/// New versions of one secret until there are so many.
fn write(http: &Http, versions: usize) -> Result {
    (0..versions).try_for_each(|_| put(http, &path()))
}

/// Versions as they are told, each after the one before it, until one that nothing was said about is
/// missing: whether it was said then that some are lost.
pub(crate) fn followed(last: u64, mut next: impl FnMut() -> Result<(String, Option<u64>)>) -> Result<bool> {
    for told in 1..=last {
        match next()? {
            (name, _) if name == "lagged" => return Ok(true),
            (name, version) => assert_eq!((&*name, version), ("change", Some(told)), "and nothing is said to be lost"),
        }
    }
    Ok(false)
}

/// Who does not read is not sent away here.
pub(crate) const PATIENT: &str = "[limits]\nanswer_time = \"10m\"\n[watch]\nhistory = 64\n";

#[test]
fn a_watcher_that_falls_behind_is_told_so_and_goes_on() -> Result {
    let suite = Suite::new("watch", "slow::a_watcher_that_falls_behind_is_told_so_and_goes_on", 1);
    let (versions, stage) = (suite.pick(2_000, 10_000), Stage::set(PATIENT)?);
    let http = stage.http();
    let (mut slow, first) = Slow::open(&stage, "slow")?;
    assert_eq!(first.name, "ready");
    // Meanwhile it reads nothing.
    write(&http, versions)?;
    let mut next = || slow.next()?.ok_or_else(|| Failure::from("it was cut"));
    let (mut lagged, all) = (None, versions as u64);
    let lost = followed(all, || {
        let event = next()?;
        lagged = event.data["revision"].as_u64().filter(|_| event.name == "lagged" && event.id > first.id);
        Ok((event.name.clone(), event.data["version"].as_u64()))
    })?;
    assert!(lost && lagged.is_some(), "{versions} changes fitted into the buffers of a client that reads nothing");
    // What comes after that is told; one that reads is told the same.
    let (quick, _) = Events::open(&http, "?prefix=slow", &stage.token, &[])?;
    put(&http, &path())?;
    let (own, other) = (next()?, quick.changes(1)?.remove(0));
    assert_eq!((own.id, &own.data), (other.id, &other.data));
    assert!(own.data["version"] == all + 1 && own.id > lagged, "{own:?} after {lagged:?}");
    Ok(())
}

#[test]
fn a_watcher_that_never_reads_is_cut() -> Result {
    let stage = Stage::set("[limits]\nanswer_time = \"2s\"\n")?;
    let http = stage.http();
    let (mut slow, _) = Slow::open(&stage, "slow")?;
    let (quick, _) = Events::open(&http, "?prefix=other", &stage.token, &[])?;
    stage.watchers(2)?;
    write(&http, 1_000)?;
    stage.watchers(1)?;
    put(&http, "other")?;
    assert_eq!(quick.changes(1)?[0].text("path"), "other");
    // What lay in the buffers comes, and then the end.
    let mut told = 0;
    while let Ok(Some(_)) = slow.next() {
        told += 1;
    }
    assert!(told < 1_000, "it was told everything");
    let metrics = stage.warder.stranger().get("/metrics").send()?.text();
    assert!(metrics.contains("warder_edge_connections_dropped_total{reason=\"slow\"} 1\n"), "{metrics}");
    Ok(())
}

#[test]
fn more_watchers_than_there_may_be_are_refused_and_there_is_room_again() -> Result {
    let stage = Stage::set("[watch]\nwatchers = 3\ntoken_watchers = 2\n")?;
    let http = stage.http();
    let open = |token: &str| Events::open(&http, "?prefix=a", token, &[]);
    let [other, _] = token(&http, "path \"secret/*\" { capabilities = [\"read\"] }", "1h")?;
    let (one, _) = open(&stage.token)?;
    let (_two, _) = open(&stage.token)?;
    let (_, refused) = open(&stage.token)?;
    assert_eq!((refused.text("code"), &refused.data["status"]), ("rate_limited", &json!(429)));
    assert_eq!(refused.text("detail"), "2 watchers have come with this token already");
    let (_three, ready) = open(&other)?;
    assert_eq!(ready.name, "ready");
    let (_, refused) = open(&other)?;
    assert_eq!(refused.text("detail"), "3 watchers are connected already");
    drop(one);
    stage.watchers(2)?;
    assert_eq!(open(&other)?.1.name, "ready");
    Ok(())
}

#[test]
fn a_watch_is_recorded_when_it_begins_when_it_ends_and_when_it_is_refused() -> Result {
    let stage = Stage::set("")?;
    let http = stage.http();
    let [weak, accessor] = token(&http, "path \"secret/data/a/*\" { capabilities = [\"read\"] }", "1h")?;
    let (gone, _) = Events::open(&http, "?prefix=gone", &stage.token, &["X-Request-Id: gone".to_owned()])?;
    let (revoked, _) = Events::open(&http, "?prefix=a", &weak, &["X-Request-Id: revoked".to_owned()])?;
    let (_, denied) = Events::open(&http, "?prefix=b", &weak, &["X-Request-Id: denied".to_owned()])?;
    assert_eq!(denied.name, "refused");
    drop(gone);
    http.delete(&format!("/api/v1/auth/tokens/{accessor}")).send()?.expect_status(204)?;
    assert_eq!(revoked.end()?, "unauthenticated");
    stage.watchers(0)?;
    // The end of one whose client went away is recorded a moment later.
    let begun = std::time::Instant::now();
    let told = loop {
        let told: Vec<String> = stage
            .recorded()?
            .iter()
            .map(|record| {
                let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
                let code = record["error"]["code"].as_str().or_else(|| record["error"].as_str()).unwrap_or_default();
                format!("{} {} {} {code}", text("id"), text("type"), text("path"))
            })
            .collect();
        if told.iter().any(|line| line.starts_with("gone close")) || begun.elapsed() > crate::events::PATIENCE {
            break told;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    };
    let of = |id: &str| told.iter().filter(|line| line.starts_with(id)).map(String::as_str).collect::<Vec<_>>();
    assert_eq!(of("gone"), ["gone open gone ", "gone close gone "], "{told:?}");
    assert_eq!(of("revoked"), ["revoked open a ", "revoked close a unauthenticated"], "{told:?}");
    assert_eq!(of("denied"), ["denied hit b permission_denied"], "{told:?}");
    Ok(())
}
