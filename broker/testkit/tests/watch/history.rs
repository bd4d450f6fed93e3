//! Order, completeness and resuming, while others write.

use std::collections::BTreeMap;

use warder_testkit::{Http, Result, Suite, Warder, temp_dir};

use crate::events::{Event, Events, put};

const WRITERS: usize = 4;

/// Every writer's paths: one of its own and one that all share.
fn write(http: &Http, writer: usize, rounds: usize) -> Result {
    for round in 0..rounds {
        let path = if round % 2 == 0 { "load/shared".to_owned() } else { format!("load/w{writer}") };
        put(http, &path)?;
    }
    Ok(())
}

/// Watches until so many changes came, hanging up after a random number of them each time.
fn watch(http: &Http, mut random: warder_testkit::Random, from: u64, count: usize) -> Result<Vec<Event>> {
    let mut seen: Vec<Event> = Vec::new();
    let mut last = format!("Last-Event-ID: {from}");
    // As a browser does: the address stays, the header says what was told since.
    let query = format!("?prefix=load&from={from}");
    while seen.len() < count {
        let (watch, first) = Events::open(http, &query, "root", &[last])?;
        assert_eq!(first.name, "ready", "{first:?}");
        let most = usize::try_from(random.below(30) + 1).unwrap_or(1).min(count - seen.len());
        seen.extend(watch.changes(most)?);
        last = format!("Last-Event-ID: {}", seen.last().and_then(|event| event.id).unwrap_or_default());
    }
    Ok(seen)
}

#[test]
fn each_change_is_told_once_and_in_order_however_often_a_watcher_comes_back() -> Result {
    let suite =
        Suite::new("watch", "history::each_change_is_told_once_and_in_order_however_often_a_watcher_comes_back", 41);
    let rounds = suite.pick(40, 1_000);
    let warder = Warder::dev().start()?;
    let http = warder.http();
    let (steady, ready) = Events::open(&http, "?prefix=load", "root", &[])?;
    assert_eq!(ready.name, "ready");
    let start = ready.id.unwrap_or_default();
    let (told, resumed) = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let http = http.clone();
                scope.spawn(move || write(&http, writer, rounds))
            })
            .collect();
        let (other, random) = (http.clone(), suite.random());
        let resuming = scope.spawn(move || watch(&other, random, start, WRITERS * rounds));
        let told = steady.changes(WRITERS * rounds);
        writers.into_iter().for_each(|writer| writer.join().unwrap_or(Ok(())).unwrap_or_default());
        (told, resuming.join().unwrap_or_else(|_| Err("the resuming watcher panicked".into())))
    });
    let (told, resumed) = (told?, resumed?);
    let revisions = |events: &[Event]| events.iter().filter_map(|event| event.id).collect::<Vec<_>>();
    assert!(revisions(&told).is_sorted_by(|a, b| a < b));
    assert_eq!(revisions(&resumed), revisions(&told), "no gap and no repetition");
    let mut versions: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for event in &told {
        versions.entry(event.text("path")).or_default().extend(event.data["version"].as_u64());
    }
    for (path, versions) in versions {
        let count = if path == "load/shared" { WRITERS * rounds.div_ceil(2) } else { rounds / 2 };
        assert_eq!(versions, (1..=count as u64).collect::<Vec<_>>(), "{path}");
    }
    Ok(())
}

#[test]
fn what_a_new_process_does_not_know_is_told_as_lost() -> Result {
    let folder = temp_dir()?;
    let warder = Warder::dev().data_dir(folder.path()).start()?;
    put(&warder.http(), "a")?;
    let (watch, _) = Events::open(&warder.http(), "", "root", &[])?;
    put(&warder.http(), "a")?;
    let last = watch.changes(1)?[0].id.unwrap_or_default();
    warder.stop()?;
    let warder = Warder::dev().data_dir(folder.path()).start()?;
    let http = warder.http();
    let (watch, first) = Events::open(&http, &format!("?from={}", last - 1), "root", &[])?;
    assert_eq!(first.name, "lagged");
    assert!(first.id >= Some(last), "{first:?}");
    put(&http, "a")?;
    assert_eq!(watch.changes(1)?[0].said(), "updated a [3]");
    let (_, ahead) = Events::open(&http, "?from=999999", "root", &[])?;
    assert_eq!(ahead.name, "lagged", "a revision that is not there yet cannot be gone on from");
    Ok(())
}
