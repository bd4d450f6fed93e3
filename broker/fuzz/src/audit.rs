//! Audit logs. First byte `v`: bytes for `verify`. Else a log is made of the parts as a worker
//! writes it, then one byte of it is changed, or its end cut off: `verify` names that record.

use std::sync::Arc;

use warder_core::{
    audit::{
        Entry, Outcome, Record, fuzzing,
        verify::{Reason, verify},
    },
    clock::Timestamp,
    error::ErrorKind,
    port::backend::MountScope,
    request::{Door, Fields},
    secret::Secret,
};

use crate::parts;

/// Feeds one input.
pub fn run(mut data: &[u8]) {
    match parts::byte(&mut data) {
        b'v' => foreign(data),
        by => tampered(by, data),
    }
}

fn foreign(data: &[u8]) {
    let lines = data.split_inclusive(|byte| *byte == b'\n').count() as u64;
    match verify(data) {
        Ok(verified) => {
            assert_eq!((verified.records, data.last().copied()), (lines, (lines > 0).then_some(b'\n')));
            assert_eq!(lines == 0, verified.last_seq == 0);
            assert!(lines == 0 || verified.last_seq - verified.first_seq + 1 == lines);
        }
        Err(error) => assert!((1..=lines).contains(&error.line), "{error}"),
    }
    let _ = fuzzing::continues(data);
}

fn tampered(by: u8, mut data: &[u8]) {
    let at = usize::from(parts::byte(&mut data)) << 8 | usize::from(parts::byte(&mut data));
    let mut records = Vec::new();
    while !data.is_empty() && records.len() < 8 {
        records.extend(record(parts::byte(&mut data), parts::bytes(&mut data)));
    }
    let mut log = fuzzing::log(&records);
    let verified = verify(log.as_slice()).expect("a log as it was written");
    assert_eq!((verified.records, verified.last_seq), (records.len() as u64, records.len() as u64));
    for line in log.split_inclusive(|byte| *byte == b'\n') {
        assert!(serde_json::from_slice::<serde_json::Value>(line).is_ok(), "a record is JSON");
        assert!(fuzzing::continues(line), "a record can be continued");
    }
    if at >= log.len() {
        return;
    }
    let line = log[..at].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
    if by == 0 {
        log.truncate(at);
        let whole = log.is_empty() || log.ends_with(b"\n");
        let found = verify(log.as_slice());
        assert_eq!(found.is_ok(), whole);
        assert!(found.err().is_none_or(|error| (error.line, error.reason) == (line, Reason::Unterminated)));
    } else {
        log[at] ^= by;
        assert_eq!(verify(log.as_slice()).expect_err("a changed byte").line, line, "byte {at}");
    }
}

fn record(kind: u8, part: &[u8]) -> Option<Record> {
    let text = std::str::from_utf8(part).ok()?;
    let mut entry = Entry::new(text, Timestamp(u64::from(kind) << 32), "update", text);
    entry.door = (kind & 1 == 1).then_some(Door::Vault);
    entry.mount = (kind & 2 == 2).then(|| Arc::new(scope(text)));
    entry.token = (kind & 4 == 4).then(|| Secret::from(text));
    entry.fields = Fields::from_json(part).ok().map(Arc::new);
    let failed = Outcome::Failed { kind: ErrorKind::Internal, detail: text.to_owned().into() };
    Some(match kind >> 4 & 3 {
        0 => Record::open(&entry),
        1 => Record::close(&entry, Outcome::done(Some(Secret::from(part)))),
        2 => Record::combined(entry, failed),
        _ => Record::combined(entry, Outcome::done(None)),
    })
}

fn scope(text: &str) -> MountScope {
    MountScope { path: text.to_owned(), plugin: text.to_owned(), fingerprint_key: Secret::from("") }
}
