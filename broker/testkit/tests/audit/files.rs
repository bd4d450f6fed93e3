//! What may stand where a log should: nothing any more, another thing, a folder that went.

use std::{fs, os::unix::fs::symlink, process::Stdio};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use warder_testkit::{Failure, Result, temp_dir};

use crate::{
    doors::{DOORS, Said},
    house::{House, Place, ended, serve, verified},
};

/// Writes at every door.
fn served(house: &House) -> Result {
    for door in DOORS {
        assert_eq!(house.write(door, "a", &json!({}))?, Said::Done, "{door:?}");
    }
    Ok(())
}

fn pipe(path: &std::path::Path) -> Result {
    mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).map_err(|e| Failure::new("make a pipe", e))
}

#[test]
fn what_is_no_regular_file_is_refused_at_the_start_without_waiting_for_it() -> Result {
    let folder = temp_dir()?;
    let here = |name: &str| folder.path().join(name);
    pipe(&here("pipe"))?;
    fs::create_dir(here("folder"))?;
    fs::write(here("real"), "")?;
    symlink(here("real"), here("link"))?;
    symlink("/dev/full", here("full"))?;
    for (path, what) in [
        (here("pipe"), "a device, pipe or socket"),
        ("/dev/full".into(), "a device, pipe or socket"),
        (here("folder"), "a directory"),
        (here("link"), "a symbolic link"),
        (here("full"), "a symbolic link"),
    ] {
        let config = here("warder.toml");
        let text = format!(
            "listener = {{ address = \"127.0.0.1:0\", tls_disable = true }}\nstorage.type = \"memory\"\n\
             audit.main = {{ type = \"file\", path = \"{}\" }}\n",
            path.display()
        );
        fs::write(&config, text)?;
        let mut child = serve(&config, None).stdout(Stdio::null()).stderr(fs::File::create(here("stderr"))?).spawn()?;
        assert_eq!(ended(&mut child)?.code(), Some(1), "{}", path.display());
        let words = fs::read_to_string(here("stderr"))?;
        let expected = format!("audit sink main: {} is {what}; an audit log is a regular file", path.display());
        assert!(words.contains(&expected), "{words}");
    }
    Ok(())
}

#[test]
fn a_log_that_cannot_be_reopened_goes_on_where_it_was_and_says_so() -> Result {
    let mut house = House::start(&[("main", Place::Folder)])?;
    let (log, away) = (house.file("main"), house.folder().join("away"));
    served(&house)?;
    let before = house.verified("main")?["records"].as_u64();
    fs::rename(&log, &away)?;
    for (what, words) in [("pipe", "a device, pipe or socket"), ("folder", "a directory")] {
        if what == "pipe" {
            pipe(&log)?
        } else {
            fs::create_dir(&log)?
        }
        house.rotate()?;
        house.until("told", |house| {
            Ok(house.status("main")?["last_error"].as_str().is_some_and(|told| told.contains(words)))
        })?;
        served(&house)?;
        assert!(house.healthy("main")?, "the old one takes records");
        if what == "pipe" { fs::remove_file(&log)? } else { fs::remove_dir(&log)? }
    }
    assert!(verified(&fs::read(&away)?)?["records"].as_u64() > before);
    house.rotate()?;
    house.until("reopened", |house| {
        served(house)?;
        Ok(log.exists() && fs::metadata(&log)?.len() > 0)
    })?;
    let (old, new) = (verified(&fs::read(&away)?)?, house.verified("main")?);
    assert_eq!(new["first_seq"].as_u64(), old["last_seq"].as_u64().map(|seq| seq + 1));
    Ok(())
}

#[test]
fn a_folder_that_went_and_came_back_is_found_by_the_next_rotation() -> Result {
    let mut house = House::start(&[("main", Place::Folder)])?;
    let (folder, away) = (house.folder().join("log"), house.folder().join("away"));
    fs::rename(&folder, &away)?;
    house.rotate()?;
    house.until("told", |house| {
        let told = &house.status("main")?["last_error"];
        Ok(told.as_str().is_some_and(|told| told.contains("cannot be reopened, the old one stays in use")))
    })?;
    served(&house)?;
    fs::rename(&away, &folder)?;
    house.rotate()?;
    served(&house)?;
    assert_eq!(house.verified("main")?["first_seq"], 1);
    Ok(())
}

#[test]
fn a_log_that_was_removed_is_made_anew_and_its_chain_goes_on() -> Result {
    let house = House::start(&[("main", Place::Folder)])?;
    served(&house)?;
    let before = house.verified("main")?["last_seq"].as_u64();
    fs::remove_file(house.file("main"))?;
    served(&house)?;
    assert_eq!(house.verified("main")?["first_seq"].as_u64(), before.map(|seq| seq + 1), "no record went into nothing");
    Ok(())
}

#[test]
fn rotation_in_the_middle_of_writing_loses_no_record() -> Result {
    let mut house = House::start(&[("main", Place::Folder)])?;
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let http = house.http();
            std::thread::spawn(move || -> Result {
                for _ in 0..40 {
                    let reply = http.put(&format!("/api/v1/secrets/rotation/{writer}")).json(&json!({})).send()?;
                    assert!(matches!(reply.status, 200 | 201), "{}", reply.text());
                }
                Ok(())
            })
        })
        .collect();
    let mut logs = Vec::new();
    for turn in 0..5 {
        let old = house.folder().join(format!("old-{turn}"));
        fs::rename(house.file("main"), &old)?;
        house.rotate()?;
        house.until("rotated", |house| Ok(house.file("main").exists()))?;
        served(&house)?;
        logs.push(old);
    }
    for writer in writers {
        writer.join().expect("a writer panicked")?;
    }
    logs.push(house.file("main"));
    assert!(house.stop()?.success());
    let mut next = 1;
    for log in &logs {
        let verified: Value = verified(&fs::read(log)?)?;
        assert_eq!(verified["first_seq"].as_u64(), Some(next), "{}", log.display());
        next = verified["last_seq"].as_u64().unwrap_or_default() + 1;
    }
    let whole: Vec<u8> = logs.iter().map(fs::read).collect::<Result<Vec<_>, _>>()?.concat();
    assert_eq!(verified(&whole)?["first_seq"], 1, "the parts make one chain");
    Ok(())
}
