//! Every way to tamper with 50 records, and what verification says.

use super::*;
use crate::audit::{
    MAX_LINE_BYTES,
    chain::{Chain, HASH_MEMBER, TAIL},
    verify::{Known, Reason, Verified, VerifyError, verify, verify_with},
};

fn lines(log: &[u8]) -> Vec<&[u8]> {
    log.split_inclusive(|byte| *byte == b'\n').collect()
}

fn refusal(log: &[u8]) -> VerifyError {
    verify(log).expect_err("this log was tampered with")
}

#[test]
fn an_intact_log_is_verified() {
    let log = log_of_50();
    let last_hash = ring::digest::digest(&ring::digest::SHA256, lines(&log)[49].trim_ascii_end());
    let last_hash = last_hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(verify(&log[..]), Ok(Verified { records: 50, first_seq: 1, last_seq: 50, last_hash }));
}

/// All eight bits of each byte in its line and the one before it; one of them in the whole log.
#[test]
fn every_flipped_bit_is_found_in_its_record() {
    let log = log_of_50();
    let lines = lines(&log);
    let mut start = 0;
    for (i, line) in lines.iter().enumerate() {
        let from = start - if i > 0 { lines[i - 1].len() } else { 0 };
        let bad_line = if i > 0 { 2 } else { 1 };
        for at in start..start + line.len() {
            let mut altered = log.clone();
            for bit in 0..8 {
                altered[at] ^= 1 << bit;
                assert_eq!(refusal(&altered[from..]).line, bad_line, "byte {at} bit {bit}");
                if bit == at % 8 {
                    let error = refusal(&altered);
                    assert_eq!(error.line, i as u64 + 1, "byte {at} bit {bit}");
                    assert_eq!(error.seq, if i == 0 { 0 } else { i as u64 + 1 });
                }
                altered[at] ^= 1 << bit;
            }
        }
        start += line.len();
    }
}

#[test]
fn every_swap_is_found_at_its_first_record() {
    let log = log_of_50();
    for i in 0..50 {
        for j in i + 1..50 {
            let mut swapped = lines(&log);
            swapped.swap(i, j);
            let error = refusal(&swapped.concat());
            // A log may begin anywhere: the second line tells that this one does not.
            assert_eq!(error.line, i.max(1) as u64 + 1, "{i} and {j}");
            assert!(matches!(error.reason, Reason::Misplaced { .. }));
        }
    }
}

#[test]
fn every_removed_record_is_found() {
    let log = log_of_50();
    for i in 0..50 {
        let mut rest = lines(&log);
        rest.remove(i);
        let verdict = verify(&rest.concat()[..]);
        match i {
            0 => assert_eq!(verdict.map(|v| v.first_seq), Ok(2)),
            49 => assert_eq!(verdict.map(|v| v.last_seq), Ok(49)),
            _ => {
                let seq = i as u64 + 1;
                let expected = VerifyError { line: seq, seq, reason: Reason::Misplaced { found: seq + 1 } };
                assert_eq!(verdict, Err(expected));
            }
        }
    }
}

#[test]
fn every_inserted_copy_is_found() {
    let log = log_of_50();
    for at in 0..=50 {
        for copied in 0..50 {
            let mut more = lines(&log);
            let copy = more[copied];
            more.insert(at, copy);
            let first_bad = if at == 0 || at == copied { at + 1 } else { at };
            assert_eq!(refusal(&more.concat()).line, first_bad as u64 + 1, "{copied} at {at}");
        }
    }
}

#[test]
fn every_truncation_inside_a_record_is_found() {
    let log = log_of_50();
    let ends: Vec<usize> = lines(&log)
        .iter()
        .scan(0, |end, line| {
            *end += line.len();
            Some(*end)
        })
        .collect();
    for cut in 0..log.len() {
        let whole = ends.iter().filter(|end| **end <= cut).count() as u64;
        let verdict = verify(&log[..cut]);
        if cut == 0 || ends.contains(&cut) {
            assert_eq!(verdict.map(|v| v.records), Ok(whole));
        } else {
            let error = verdict.expect_err("cut inside a record");
            assert_eq!((error.line, error.reason), (whole + 1, Reason::Unterminated), "cut at {cut}");
        }
    }
}

#[test]
fn bytes_cut_out_of_the_middle_are_found() {
    let log = log_of_50();
    let mut start = 0;
    for (i, line) in lines(&log).iter().enumerate() {
        for length in 1..line.len() {
            let cut = [&log[..start + 1], &log[start + 1 + length..]].concat();
            // With its newline gone and its beginning left, the line runs into the next one.
            assert_eq!(refusal(&cut).line, i as u64 + 1, "{length} bytes of record {i}");
        }
        start += line.len();
    }
}

#[test]
fn a_forged_record_with_a_fresh_hash_breaks_its_successor() {
    let log = log_of_50();
    let mut forged = lines(&log).into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>();
    let old = forged[19].clone();
    let mut content = old[..old.len() - TAIL - 1].to_vec();
    let at = content.windows(4).position(|w| w == b"read").unwrap();
    content[at..at + 4].copy_from_slice(b"list");
    let mut chain = Chain { seq: 19, hash: Default::default() };
    chain.close(&mut content, 0);
    assert!(content.windows(HASH_MEMBER.len()).any(|w| w == HASH_MEMBER) && content != old);
    forged[19] = content;
    assert_eq!(refusal(&forged.concat()), VerifyError { line: 21, seq: 21, reason: Reason::Detached });
}

#[test]
fn lines_over_the_limit_are_refused_without_being_read_whole() {
    let endless = io::BufReader::new(io::repeat(b'x'));
    assert_eq!(verify(endless), Err(VerifyError { line: 1, seq: 0, reason: Reason::TooLong }));
    let longest = [vec![b'x'; MAX_LINE_BYTES], vec![b'\n']].concat();
    assert_eq!(refusal(&longest).reason, Reason::Malformed);
}

#[test]
fn a_first_record_with_a_predecessor_and_a_later_one_without_are_refused() {
    for (seq, hash) in [(0, [1; 32]), (4, [0; 32])] {
        let mut line = b"{".to_vec();
        let mut chain = Chain { seq, hash };
        chain.write_links(&mut line);
        chain.close(&mut line, 0);
        assert_eq!(refusal(&line), VerifyError { line: 1, seq: seq + 1, reason: Reason::Detached });
    }
}

/// A record as an earlier check would have told of it.
fn known(log: &[u8], count: usize) -> Known {
    let earlier = verify(&lines(log)[..count].concat()[..]).unwrap();
    format!("{}:{}", earlier.last_seq, earlier.last_hash).parse().unwrap()
}

#[test]
fn a_known_record_is_found_where_it_was_or_right_before_the_log() {
    let log = log_of_50();
    for count in 1..=50 {
        for first in 0..=count.min(49) {
            let rest = lines(&log)[first..].concat();
            assert_eq!(verify_with(&rest[..], Some(known(&log, count))), verify(&rest[..]), "{count} from {first}");
        }
    }
}

#[test]
fn a_log_without_the_known_record_was_cut() {
    let log = log_of_50();
    let known_20 = known(&log, 20);
    let missing = Reason::Missing { known: 20 };
    for end in 0..20 {
        let error = verify_with(&lines(&log)[..end].concat()[..], Some(known_20)).unwrap_err();
        let seq = if end == 0 { 0 } else { end as u64 + 1 };
        assert_eq!(error, VerifyError { line: end as u64 + 1, seq, reason: missing });
    }
    for first in 21..50 {
        let error = verify_with(&lines(&log)[first..].concat()[..], Some(known_20)).unwrap_err();
        assert_eq!((error.line, error.reason), (1, missing), "from {first}");
    }
}

#[test]
fn a_log_that_was_made_anew_is_not_the_known_one() {
    let log = log_of_50();
    let mut forged = Vec::new();
    let mut chain = Chain::default();
    for _ in 0..50 {
        let start = forged.len();
        forged.push(b'{');
        chain.write_links(&mut forged);
        chain.close(&mut forged, start);
    }
    assert!(verify(&forged[..]).is_ok(), "a chain without a key is no signature");
    for count in 1..=50 {
        let error = verify_with(&forged[..], Some(known(&log, count))).unwrap_err();
        let count = count as u64;
        assert_eq!(error, VerifyError { line: count, seq: count, reason: Reason::Replaced { known: count } });
    }
    let behind = lines(&forged)[20..].concat();
    let error = verify_with(&behind[..], Some(known(&log, 20))).unwrap_err();
    assert_eq!((error.line, error.reason), (1, Reason::Replaced { known: 20 }));
}

#[test]
fn a_known_record_is_a_number_and_a_hash() {
    let hash = "0f".repeat(32);
    for text in ["", "1", ":", "0:", &hash, &format!("0:{hash}"), &format!("1:{}", hash.to_uppercase()), "1:00"] {
        assert!(text.parse::<Known>().is_err(), "{text}");
    }
    assert!(format!("1:{hash}").parse::<Known>().is_ok());
}
