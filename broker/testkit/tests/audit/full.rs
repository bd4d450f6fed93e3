//! A full disk under a sink: a real tmpfs, filled to its last page.

use std::{
    fs,
    io::{ErrorKind, Write},
    path::PathBuf,
};

use serde_json::{Value, json};
use warder_testkit::{Result, Suite};

use crate::{
    delivery::every_record_is_accounted_for,
    doors::{DOORS, Door, Said},
    house::{House, Place},
};

/// Takes all that is left of the disk.
fn fill(house: &House) -> Result<PathBuf> {
    let path = house.disk().join("filler");
    let mut file = fs::File::create(&path)?;
    loop {
        match file.write_all(&[0; 4096]) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(path),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The first try may meet a sink that is not offered anything for a moment.
fn recover(house: &mut House) -> Result {
    house.until("recovered", |house| Ok(house.write(Door::Native, "after", &json!({}))? == Said::Done))
}

#[test]
fn while_the_disk_of_one_sink_is_full_another_one_serves_every_door() -> Result {
    let mut house = House::start(&[("main", Place::Folder), ("small", Place::Disk)])?;
    let filler = fill(&house)?;
    house.until("full", |house| {
        for door in DOORS {
            assert_eq!(house.write(door, "with/one", &json!({}))?, Said::Done);
            assert_eq!(house.read(door, "with/one")?, Said::Done);
        }
        Ok(!house.healthy("small")?)
    })?;
    let shown = house.status("small")?;
    assert!(shown["last_error"].as_str().is_some_and(|words| words.contains("No space left")), "{shown}");
    house.verified("small")?;
    fs::remove_file(filler)?;
    house.until("well again", |house| Ok(house.status("small")?["healthy"] == true))?;
    every_record_is_accounted_for(&mut house, "small")?;
    every_record_is_accounted_for(&mut house, "main")?;
    assert_eq!(house.metric("warder_audit_refusals_total")?, 0);
    Ok(())
}

/// A write that is refused was either not begun, and says so, or was done without leave to show
/// its answer, and says that. Which one depends on the record that the disk had no room for.
#[test]
fn when_the_only_disk_is_full_a_refusal_tells_the_truth_about_the_effect() -> Result {
    let suite = Suite::new("audit", "full::when_the_only_disk_is_full_a_refusal_tells_the_truth_about_the_effect", 20);
    let mut random = suite.random();
    let mut house = House::start(&[("small", Place::Disk)])?;
    let (mut done, mut nothing) = (0, 0);
    for round in 0..suite.pick(25, 500) {
        let filler = fill(&house)?;
        let path = format!("round/{round}");
        let mut written = 0;
        let words = loop {
            let value: serde_json::Map<String, Value> =
                (0..random.below(12)).map(|n| (n.to_string(), json!(n))).collect();
            match house.write(*random.one_of(&DOORS), &path, &Value::Object(value))? {
                Said::Done => written += 1,
                Said::Refused(words) => break words,
                Said::Absent => panic!("a write found nothing"),
            }
            assert!(written < 100, "the disk is full and takes records");
        };
        assert!(!house.healthy("small")?);
        fs::remove_file(filler)?;
        recover(&mut house)?;
        let was_done = version(&house, &path)? == written + 1;
        assert!(was_done || version(&house, &path)? == written, "{path}");
        assert_eq!(words.contains("nothing was done"), !was_done, "{path}: {words}");
        assert_eq!(words.contains("it was done"), was_done, "{path}: {words}");
        if was_done {
            done += 1
        } else {
            nothing += 1
        }
        if house.log("small")?.len() > 100 << 10 {
            fs::rename(house.file("small"), house.disk().join("old"))?;
            house.rotate()?;
            house.until("rotated", |house| Ok(house.file("small").exists()))?;
            let old = fs::read(house.disk().join("old"))?;
            crate::house::verified(&old)?;
        }
    }
    assert!(done > 0 && nothing > 0, "{done} were done, {nothing} were not: both must be seen");
    house.verified("small")?;
    Ok(())
}

/// The current version; 0 when there is none.
fn version(house: &House, path: &str) -> Result<u64> {
    let reply = house.http().get(&format!("/api/v1/secrets/{path}")).send()?;
    match reply.status {
        404 => Ok(0),
        _ => Ok(reply.expect_status(200)?.json()?["version"].as_u64().unwrap_or_default()),
    }
}
