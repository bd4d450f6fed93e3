//! A real log in the hands of somebody who can write files: what `warder audit verify` finds.
//!
//! The oracle knows nothing of hashes. It knows the lines as they were: a log is good as long as
//! each line is the one that followed, whole, and the first line that is not is the bad one.

use std::process::Output;

use serde_json::json;
use warder_core::audit::verify::{Reason, VerifyError, verify};
use warder_testkit::{Random, Result, Suite};

use crate::{
    doors::{DOORS, Door},
    house::{self, House, Place},
};

/// A log as the server left it.
fn real_log() -> Result<Vec<u8>> {
    let mut house = House::start(&[("main", Place::Folder)])?;
    for door in DOORS {
        house.write(door, "a", &json!({"password": "hunter2", "n": 7}))?;
        house.read(door, "a")?;
        house.read(door, "a")?;
        house.read(door, "nothing")?;
    }
    house.http().post("/api/v1/auth/tokens").json(&json!({"ttl": "1h"})).send()?.expect_status(201)?;
    house.stranger().get("/api/v1/secrets/a").send()?.expect_status(401)?;
    house.write(Door::Native, "b", &json!({}))?;
    assert!(house.stop()?.success());
    let log = house.log("main")?;
    assert!(lines(&log).len() >= 25, "{}", lines(&log).len());
    Ok(log)
}

fn lines(log: &[u8]) -> Vec<&[u8]> {
    log.split_inclusive(|byte| *byte == b'\n').collect()
}

/// The line that a byte is in, from 0.
fn line_of(log: &[u8], at: usize) -> usize {
    log[..at].iter().filter(|byte| **byte == b'\n').count()
}

/// Where a line begins.
fn line_start(original: &[&[u8]], line: usize) -> usize {
    original[..line].iter().map(|line| line.len()).sum()
}

/// Line and record of the first bad one; none when all that is there is as it was.
fn first_bad(original: &[&[u8]], log: &[u8]) -> Option<(u64, u64)> {
    let mut expected = None;
    for (at, line) in lines(log).iter().enumerate() {
        let found = original.iter().position(|known| known == line);
        if found.is_none() || expected.is_some_and(|expected| found != Some(expected)) {
            return Some((at as u64 + 1, expected.map_or(0, |expected| expected as u64 + 1)));
        }
        expected = found.map(|found| found + 1);
    }
    None
}

/// Verification says what the oracle says.
fn judge(original: &[&[u8]], log: &[u8], what: &str) {
    let said = verify(log).map_err(|error| (error.line, error.seq));
    match first_bad(original, log) {
        Some(bad) => assert_eq!(said.map(|_| ()), Err(bad), "{what}"),
        None => assert_eq!(said.map(|verified| verified.records), Ok(lines(log).len() as u64), "{what}"),
    }
}

#[test]
fn every_changed_byte_is_found_in_its_record() -> Result {
    let suite = Suite::new("audit", "tampering::every_changed_byte_is_found_in_its_record", 41);
    let mut random = suite.random();
    let log = real_log()?;
    let original = lines(&log);
    let mut altered = log.clone();
    for at in 0..log.len() {
        let line = line_of(&log, at);
        let seq = if line == 0 { 0 } else { line as u64 + 1 };
        let from = line_start(&original, line.saturating_sub(1));
        for _ in 0..suite.pick(1, 20) {
            altered[at] = other(&mut random, log[at]);
            let what = format!("byte {at} of line {line} became {}", altered[at]);
            // The line and the one before it, for every byte; the whole log for some.
            judge(&original, &altered[from..], &what);
            if random.below(40) == 0 {
                let error = verify(&altered[..]).expect_err("a changed byte");
                assert_eq!((error.line, error.seq), (line as u64 + 1, seq), "{what}");
            }
        }
        altered[at] = log[at];
    }
    Ok(())
}

#[test]
fn every_removed_doubled_swapped_or_moved_line_is_found() -> Result {
    let log = real_log()?;
    let original = lines(&log);
    for at in 0..original.len() {
        let mut removed = original.clone();
        removed.remove(at);
        judge(&original, &removed.concat(), &format!("without line {at}"));
        let mut doubled = original.clone();
        doubled.insert(at, original[at]);
        assert!(first_bad(&original, &doubled.concat()).is_some());
        judge(&original, &doubled.concat(), &format!("line {at} twice"));
        for other in (0..original.len()).filter(|other| *other != at) {
            let mut swapped = original.clone();
            swapped.swap(at, other);
            assert!(first_bad(&original, &swapped.concat()).is_some());
            judge(&original, &swapped.concat(), &format!("{at} and {other} swapped"));
            let mut moved = original.clone();
            let line = moved.remove(at);
            moved.insert(other, line);
            judge(&original, &moved.concat(), &format!("{at} moved to {other}"));
        }
    }
    Ok(())
}

#[test]
fn every_line_of_another_log_and_every_cut_is_found() -> Result {
    let (log, another) = (real_log()?, real_log()?);
    let original = lines(&log);
    for (at, foreign) in lines(&another).into_iter().enumerate() {
        let mut replaced = original.clone();
        replaced[at.min(original.len() - 1)] = foreign;
        judge_foreign(&original, &replaced, at.min(original.len() - 1));
        let mut inserted = original.clone();
        inserted.insert(at.min(original.len()), foreign);
        judge_foreign(&original, &inserted, at.min(original.len()));
    }
    for cut in 0..log.len() {
        let from = line_start(&original, line_of(&log, cut).saturating_sub(1));
        judge(&original, &log[from..cut], &format!("cut at {cut}"));
    }
    Ok(())
}

/// A whole record of another log at the head is where a log may begin: its successor is the bad
/// one. One that has the right number in the middle is known by what it says came before it, or
/// by what comes after it.
fn judge_foreign(original: &[&[u8]], log: &[&[u8]], at: usize) {
    let error = verify(&log.concat()[..]).expect_err("a record of another log");
    let line = if at == 0 { 2 } else { at as u64 + 1 };
    assert_eq!(error.line, line, "foreign record at {at}: {error}");
    assert_eq!(
        error.seq,
        if at == 0 { 2 } else { original.len().min(at) as u64 + 1 },
        "foreign record at {at}: {error}"
    );
}

#[test]
fn whatever_is_done_to_a_log_at_random_the_first_bad_record_is_named() -> Result {
    let suite = Suite::new("audit", "tampering::whatever_is_done_to_a_log_at_random_the_first_bad_record_is_named", 42);
    let mut random = suite.random();
    let log = real_log()?;
    let original = lines(&log);
    for case in 0..suite.pick(5_000, 500_000) {
        let mut altered = log.clone();
        let edits: Vec<String> = (0..=random.below(3)).map(|_| edit(&mut random, &mut altered)).collect();
        judge(&original, &altered, &format!("case {case}: {edits:?}"));
    }
    Ok(())
}

/// Changes something, and says what.
fn edit(random: &mut Random, log: &mut Vec<u8>) -> String {
    let at = below(random, log.len().max(1));
    let rest = log.len() - at.min(log.len());
    let length = below(random, rest.min(400) + 1);
    let mut rows: Vec<Vec<u8>> = lines(log).into_iter().map(<[u8]>::to_vec).collect();
    let (one, two) = (below(random, rows.len().max(1)), below(random, rows.len().max(1)));
    let done = match random.below(8) {
        _ if rows.is_empty() => "nothing left",
        0 => return flipped(random, log, at),
        1 => return drained(log, at, length),
        2 => {
            let piece = log[at..at + length].to_vec();
            let to = below(random, log.len());
            log.splice(to..to, piece);
            return format!("{length} bytes of {at} copied to {to}");
        }
        3 => {
            log.truncate(at);
            return format!("cut at {at}");
        }
        4 => {
            rows.remove(one);
            "removed"
        }
        5 => {
            let row = rows[one].clone();
            rows.insert(two, row);
            "copied"
        }
        6 => {
            rows.swap(one, two);
            "swapped"
        }
        _ => {
            rows.insert(one, b"\n".to_vec());
            "an empty line"
        }
    };
    *log = rows.concat();
    format!("{done}: lines {one} and {two}")
}

fn flipped(random: &mut Random, log: &mut [u8], at: usize) -> String {
    log[at] = other(random, log[at]);
    format!("byte {at} changed")
}

fn drained(log: &mut Vec<u8>, at: usize, length: usize) -> String {
    log.drain(at..at + length);
    format!("{length} bytes at {at} removed")
}

fn below(random: &mut Random, bound: usize) -> usize {
    usize::try_from(random.below(bound as u64)).unwrap_or_default()
}

/// Any byte but this one.
fn other(random: &mut Random, byte: u8) -> u8 {
    byte ^ u8::try_from(1 + random.below(255)).unwrap_or(1)
}

#[test]
fn the_command_says_what_verification_says_and_ends_with_one() -> Result {
    let suite = Suite::new("audit", "tampering::the_command_says_what_verification_says_and_ends_with_one", 43);
    let mut random = suite.random();
    let log = real_log()?;
    let whole = house::verified(&log)?;
    let count = lines(&log).len() as u64;
    assert_eq!((&whole["records"], &whole["first_seq"], &whole["last_seq"]), (&json!(count), &json!(1), &json!(count)));
    for _ in 0..suite.pick(20, 400) {
        let mut altered = log.clone();
        let what = edit(&mut random, &mut altered);
        match verify(&altered[..]) {
            Ok(verified) => assert_eq!(house::verified(&altered)?, serde_json::to_value(verified)?, "{what}"),
            Err(error) => refused(&house::verify(&altered)?, &error, &what),
        }
    }
    let removed = lines(&log).into_iter().enumerate().filter(|(at, _)| *at != 6).map(|(_, line)| line);
    let removed: Vec<u8> = removed.collect::<Vec<_>>().concat();
    let error = VerifyError { line: 7, seq: 7, reason: Reason::Misplaced { found: 8 } };
    assert_eq!(verify(&removed[..]), Err(error.clone()));
    let words = "line 7, record 7: record 8 stands here: records were removed, added or reordered";
    assert_eq!(error.to_string(), words);
    refused(&house::verify(&removed)?, &error, "a line removed");
    Ok(())
}

fn refused(output: &Output, error: &VerifyError, what: &str) {
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{what}: {words}");
    assert!(words.ends_with(&format!(": {error}\n")), "{what}: {words}");
    assert!(output.stdout.is_empty(), "{what}");
}
