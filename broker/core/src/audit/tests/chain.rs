//! The chain in a running log: order, restarts, foreign files.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use super::*;
use crate::audit::{Outcome, verify::verify};

const CALLERS: usize = 64;
const ROUNDS: usize = 10;

/// Every pair of records of which one was confirmed before the other was begun stands in that
/// order, and the lines stand in the order of the chain.
#[test]
fn order_of_records_is_order_of_the_chain_under_64_callers() {
    let sink = SinkDouble::default();
    let audit = audit(&sink);
    let ticks = AtomicU64::new(0);
    let spans = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (audit, ticks, spans) = (&audit, &ticks, &spans);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let entry = entry(&format!("{caller}-{round}"));
                    for (phase, record) in
                        [("open", Record::open(&entry)), ("close", Record::close(&entry, Outcome::done(None)))]
                    {
                        let begun = ticks.fetch_add(1, Ordering::SeqCst);
                        block(audit.record(record)).unwrap();
                        let confirmed = ticks.fetch_add(1, Ordering::SeqCst);
                        spans.lock().unwrap().push((format!("{phase} {caller}-{round}"), begun, confirmed));
                    }
                }
            });
        }
    });
    assert_eq!(verify(&sink.bytes()[..]).unwrap().records as usize, 2 * CALLERS * ROUNDS);
    let places: std::collections::HashMap<String, u64> = sink
        .records()
        .iter()
        .map(|r| (format!("{} {}", r["type"].as_str().unwrap(), r["id"].as_str().unwrap()), r["seq"].as_u64().unwrap()))
        .collect();
    let spans = spans.into_inner().unwrap();
    for (earlier, _, confirmed) in &spans {
        for (later, begun, _) in &spans {
            assert!(confirmed > begun || places[earlier] < places[later], "{earlier} before {later}");
        }
    }
}

#[test]
fn the_chain_continues_after_a_restart() {
    let sink = SinkDouble::default();
    for _ in 0..3 {
        let audit = audit(&sink);
        block(async {
            audit.record(open("a")).await.unwrap();
            audit.record(open("b")).await.unwrap();
        });
    }
    let verified = verify(&sink.bytes()[..]).unwrap();
    assert_eq!((verified.records, verified.first_seq, verified.last_seq), (6, 1, 6));
}

#[test]
fn a_log_that_is_not_ours_is_never_continued() {
    for foreign in ["hello\n", "{\"seq\":7,\"prev\":\"00\"}\n", "\n"] {
        let sink = SinkDouble::default();
        sink.0.bytes.lock().unwrap().extend_from_slice(foreign.as_bytes());
        let audit = audit(&sink);
        assert!(is_unavailable(&block(audit.record(open("1")))));
        let status = &audit.sinks()[0];
        let words = "the last line is not an intact audit record; move the log away or repair it";
        assert!(!status.healthy && status.last_error.as_deref() == Some(words), "{status:?}");
        assert_eq!(sink.text(), foreign);
    }
}

#[test]
fn a_changed_last_record_is_never_continued() {
    let mut log = log_of_50();
    let at = log.len() - 200;
    log[at] ^= 1;
    let sink = SinkDouble::default();
    *sink.0.bytes.lock().unwrap() = log.clone();
    assert!(is_unavailable(&block(audit(&sink).record(open("1")))));
    assert_eq!(sink.bytes(), log);
}

#[test]
fn each_sink_has_a_chain_of_its_own() {
    let (a, b) = (SinkDouble::default(), SinkDouble::default());
    *b.0.bytes.lock().unwrap() = log_of_50();
    let audit = start(&[(config("a"), &a), (config("b"), &b)]);
    block(audit.record(open("x"))).unwrap();
    drop(audit);
    assert_eq!(verify(&a.bytes()[..]).unwrap().last_seq, 1);
    assert_eq!(verify(&b.bytes()[..]).unwrap().last_seq, 51);
}
