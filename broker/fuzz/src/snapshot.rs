//! Snapshots, as files that somebody hands in. First byte `p`: bytes as they come. `t`: the inside of one,
//! packed here, so that a changed byte gets past the packing. Else a sound one is made of the parts, then one
//! byte of its inside is changed, or its end cut off.
//!
//! Nothing is accepted whose checksums are not those of what is in it; what was made is accepted, and not
//! once it is changed.

use std::{fmt::Write as _, io::Write as _};

use flate2::{Compression, write::GzEncoder};
use ring::digest::{SHA256, digest};
use warder_store::snapshot::{About, verify};

use crate::parts;

const BLOCK: usize = 512;

/// Feeds one input.
pub fn run(mut data: &[u8]) {
    match parts::byte(&mut data) {
        b'p' => _ = verify(data),
        b't' => inside(data),
        by => changed(by, data),
    }
}

/// What is accepted says its own checksums.
fn inside(tar: &[u8]) {
    let Ok(About { records, state_bytes, .. }) = verify(&*packed(tar)) else { return };
    let meta = file(tar, "meta.json");
    let state = file(tar, "state.bin");
    assert_eq!(state.len() as u64, state_bytes);
    assert!(records <= state_bytes, "a record has bytes");
    assert_eq!(file(tar, "SHA256SUMS"), sums(meta, state).as_bytes());
}

fn changed(by: u8, mut data: &[u8]) {
    let at = usize::from(parts::byte(&mut data)) << 8 | usize::from(parts::byte(&mut data));
    let (mut state, mut records, mut number) = (Vec::new(), 0, 0_u64);
    while !data.is_empty() && number < 8 {
        // Keys come in order.
        number += 1;
        let (key, value) = (format!("k/{number}"), parts::bytes(&mut data));
        record(&mut state, &key, value);
        records += 1;
    }
    for key in ["keyring", "seal"] {
        record(&mut state, &format!("l/{key}"), b"");
        records += 1;
    }
    let mut tar = snapshot(&state, records);
    // Without a seal and a keyring it is none.
    assert!(verify(&*packed(&tar)).is_err());
    let mut sound = Vec::new();
    record(&mut sound, "barrier/keyring", b"x");
    record(&mut sound, "barrier/seal", b"y");
    sound.extend_from_slice(&state);
    tar = snapshot(&sound, records + 2);
    let about = verify(&*packed(&tar)).expect("a snapshot as it is written");
    assert_eq!((about.records, about.state_bytes), (records + 2, sound.len() as u64));
    assert!(verify(&*[&packed(&tar)[..], &[by]].concat()).is_err(), "something follows its end");
    let at = at % tar.len();
    if by == 0 {
        tar.truncate(at);
    } else {
        tar[at] ^= by;
        // What the mark of a keyring looks like is not known without it.
        let mark = tar.len() - 3 * BLOCK..tar.len() - 2 * BLOCK;
        if mark.contains(&at) && mark.start + MARK.len() > at {
            return;
        }
    }
    // A header is what it was written as, to the last byte: but for the time, which its checksum covers.
    assert!(verify(&*packed(&tar)).is_err(), "changed at {at} by {by}");
}

const MARK: &[u8] = b"mark";

fn snapshot(state: &[u8], records: u64) -> Vec<u8> {
    let meta = format!(
        r#"{{"format":1,"version":"0","created_at":"2026-11-22T00:00:00Z","revision":7,"records":{records},"state_bytes":{}}}"#,
        state.len()
    );
    let mut tar = Vec::new();
    add(&mut tar, "meta.json", meta.as_bytes());
    add(&mut tar, "state.bin", state);
    add(&mut tar, "SHA256SUMS", sums(meta.as_bytes(), state).as_bytes());
    add(&mut tar, "SHA256SUMS.sealed", MARK);
    tar.extend_from_slice(&[0; 2 * BLOCK]);
    tar
}

fn record(state: &mut Vec<u8>, key: &str, value: &[u8]) {
    state.extend_from_slice(&u32::try_from(key.len()).unwrap().to_be_bytes());
    state.extend_from_slice(&u32::try_from(value.len()).unwrap().to_be_bytes());
    state.extend_from_slice(&1_u64.to_be_bytes());
    state.extend_from_slice(key.as_bytes());
    state.extend_from_slice(value);
}

/// A file of a tar, as ARCHITECTURE.md has it.
fn add(tar: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000600\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", bytes.len()));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend_from_slice(&block);
    tar.extend_from_slice(bytes);
    tar.resize(tar.len().next_multiple_of(BLOCK), 0);
}

/// The bytes of a file of a tar that was accepted.
fn file<'a>(mut tar: &'a [u8], wanted: &str) -> &'a [u8] {
    loop {
        let (head, rest) = tar.split_at(BLOCK);
        let size = std::str::from_utf8(&head[124..135]).unwrap();
        let size = usize::from_str_radix(size.trim_matches(['\0', ' ']), 8).unwrap();
        if head.starts_with(wanted.as_bytes()) && head[wanted.len()] == 0 {
            return &rest[..size];
        }
        tar = &rest[size.next_multiple_of(BLOCK)..];
    }
}

fn sums(meta: &[u8], state: &[u8]) -> String {
    let hex = |bytes: &[u8]| {
        digest(&SHA256, bytes).as_ref().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    };
    format!("{}  meta.json\n{}  state.bin\n", hex(meta), hex(state))
}

fn packed(tar: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(tar).unwrap();
    out.finish().unwrap()
}
