//! Who hears what when sinks refuse, hang, fill up and recover.

use std::sync::atomic::Ordering;

use super::*;
use crate::audit::verify::verify;

/// Lets spawned tasks run until each waits for its confirmation.
async fn settle() {
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
}

async fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let poll = async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, poll).await.unwrap_or_else(|_| panic!("{what}"));
}

#[test]
fn without_a_sink_every_record_is_refused() {
    let error = block(start(&[]).record(open("1"))).unwrap_err();
    assert_eq!(error.to_string(), "audit_unavailable: no audit sink took the record, so nothing was done or shown");
}

#[test]
fn a_hanging_sink_stalls_nobody() {
    let (hanging, quick) = (SinkDouble::default(), SinkDouble::default());
    let gate = hanging.hang();
    let impatient = SinkConfig { deadline: Duration::from_millis(20), ..config("hanging") };
    let audit = start(&[(impatient, &hanging), (config("quick"), &quick)]);
    block(async {
        for i in 0..50 {
            audit.record(open(&i.to_string())).await.unwrap();
        }
        gate.entered();
        assert_eq!((quick.records().len(), hanging.records().len()), (50, 0));
        until("overdue", || !audit.sinks()[0].healthy).await;
        let skipped_from = audit.sinks()[0].queued;
        for i in 50..60 {
            audit.record(open(&i.to_string())).await.unwrap();
        }
        let status = &audit.sinks()[0];
        assert_eq!(status.queued, skipped_from, "an overdue sink is offered nothing");
        assert_eq!(status.last_error.as_deref(), Some("no answer within 20ms"));
        assert!(audit.sinks()[1].healthy);
    });
    drop(gate);
}

#[test]
fn a_sink_that_comes_back_writes_what_it_was_offered_and_is_healthy() {
    let (hanging, quick) = (SinkDouble::default(), SinkDouble::default());
    let gate = hanging.hang();
    let impatient = SinkConfig { deadline: Duration::from_millis(20), ..config("hanging") };
    let audit = start(&[(impatient, &hanging), (config("quick"), &quick)]);
    block(async {
        for i in 0..5 {
            audit.record(open(&i.to_string())).await.unwrap();
        }
        gate.entered();
        until("overdue", || !audit.sinks()[0].healthy).await;
        drop(gate);
        until("recovered", || audit.sinks()[0].healthy && audit.sinks()[0].queued == 0).await;
        until("written", || hanging.records().len() == 5).await;
    });
    assert_eq!(verify(&hanging.bytes()[..]).unwrap().records, 5);
}

#[test]
fn alone_and_hanging_it_refuses_after_its_deadline_and_then_at_once() {
    let hanging = SinkDouble::default();
    let gate = hanging.hang();
    let impatient = SinkConfig { deadline: Duration::from_millis(20), ..config("hanging") };
    let audit = start(&[(impatient, &hanging)]);
    block(async {
        assert!(is_unavailable(&audit.record(open("1")).await));
        gate.entered();
        until("overdue", || !audit.sinks()[0].healthy).await;
        assert!(is_unavailable(&audit.record(open("2")).await));
        assert_eq!(audit.sinks()[0].queued, 0, "the second was not even offered");
    });
    drop(gate);
}

#[test]
fn a_refusing_sink_fails_the_record_only_when_no_other_takes_it() {
    let (refusing, quick) = (SinkDouble::default(), SinkDouble::default());
    refusing.refuse(true);
    block(async {
        let alone = start(&[(config("refusing"), &refusing)]);
        assert!(is_unavailable(&alone.record(open("1")).await));
        assert_eq!(alone.sinks()[0].last_error.as_deref(), Some("told to refuse"));
        let both = start(&[(config("refusing"), &refusing), (config("quick"), &quick)]);
        for i in 0..10 {
            both.record(open(&i.to_string())).await.unwrap();
        }
        until("marked", || !both.sinks()[0].healthy).await;
        assert_eq!((both.sinks()[1].records, both.sinks()[1].failures), (10, 0));
    });
    assert_eq!((refusing.records().len(), quick.records().len()), (0, 10));
}

#[test]
fn a_sink_that_recovers_is_found_reopened_and_its_chain_has_no_gap() {
    let sink = SinkDouble::default();
    let audit = audit(&sink);
    block(async {
        audit.record(open("1")).await.unwrap();
        sink.refuse(true);
        assert!(is_unavailable(&audit.record(open("lost")).await));
        assert!(is_unavailable(&audit.record(open("skipped")).await));
        sink.refuse(false);
        retried(&audit, "2").await;
        assert!(audit.sinks()[0].healthy);
    });
    assert_eq!(sink.0.reopens.load(Ordering::SeqCst), 1);
    assert_eq!(verify(&sink.bytes()[..]).unwrap().last_seq, 2);
    assert!(!sink.text().contains("lost"));
}

#[test]
fn what_a_sink_missed_is_told_by_its_next_record() {
    let sink = SinkDouble::default();
    let audit = audit(&sink);
    block(async {
        audit.record(open("1")).await.unwrap();
        sink.refuse(true);
        for _ in 0..3 {
            assert!(is_unavailable(&audit.record(open("lost")).await));
        }
        sink.refuse(false);
        retried(&audit, "2").await;
        audit.record(open("3")).await.unwrap();
    });
    let missed: Vec<_> = sink.records().iter().map(|record| record["missed"].as_u64()).collect();
    assert_eq!(missed, [None, Some(audit.sinks()[0].failures), None]);
    assert!(missed[1] >= Some(3));
    assert!(sink.text().contains(r#"","missed":"#), "behind the links");
}

/// The story of a file whose disk failed: the refused group could not be taken back, its whole
/// records stayed, and the next one took a number that was there already.
#[test]
fn the_chain_goes_on_behind_refused_records_that_the_sink_holds_all_the_same() {
    let sink = SinkDouble::default();
    let audit = audit(&sink);
    block(async {
        audit.record(open("1")).await.unwrap();
        sink.0.lying.store(true, Ordering::SeqCst);
        assert!(is_unavailable(&audit.record(open("held")).await));
        sink.0.lying.store(false, Ordering::SeqCst);
        retried(&audit, "2").await;
    });
    assert!(sink.text().contains("held"));
    assert_eq!(verify(&sink.bytes()[..]).unwrap().last_seq, 3);
}

#[test]
fn a_log_that_was_cut_while_its_sink_was_failing_does_not_fit_together() {
    let sink = SinkDouble::default();
    let audit = audit(&sink);
    block(async {
        for id in ["1", "2", "3"] {
            audit.record(open(id)).await.unwrap();
        }
        sink.refuse(true);
        assert!(is_unavailable(&audit.record(open("lost")).await));
        let first = sink.text().lines().next().unwrap().len() + 1;
        sink.0.bytes.lock().unwrap().truncate(first);
        sink.refuse(false);
        retried(&audit, "4").await;
    });
    assert_eq!(verify(&sink.bytes()[..]).unwrap_err().line, 2);
}

#[test]
fn a_full_queue_refuses_at_once_and_keeps_what_it_holds() {
    let sink = SinkDouble::default();
    let gate = sink.hang();
    let audit = start(&[(SinkConfig { queue: 1, ..config("small") }, &sink)]);
    block(async {
        let [first, second] = ["1", "2"].map(|id| {
            let audit = Arc::clone(&audit);
            async move { audit.record(open(id)).await }
        });
        let first = tokio::spawn(first);
        settle().await;
        gate.entered();
        let second = tokio::spawn(second);
        settle().await;
        assert!(is_unavailable(&audit.record(open("3")).await));
        let status = &audit.sinks()[0];
        assert_eq!(status.last_error.as_deref(), Some("its queue of 1 records is full"));
        assert!(status.healthy && status.failures == 1 && status.queued == 1);
        drop(gate);
        first.await.unwrap().unwrap();
        second.await.unwrap().unwrap();
    });
    assert_eq!(sink.records().len(), 2);
}

#[test]
fn one_append_serves_everybody_that_waits() {
    let sink = SinkDouble::default();
    let gate = sink.hang();
    let audit = audit(&sink);
    block(async {
        let mut callers = Vec::new();
        for i in 0..101 {
            let audit = Arc::clone(&audit);
            callers.push(tokio::spawn(async move { audit.record(open(&i.to_string())).await }));
            if i == 0 {
                settle().await;
                gate.entered();
            }
        }
        settle().await;
        gate.let_one_through();
        gate.let_one_through();
        for caller in callers {
            caller.await.unwrap().unwrap();
        }
    });
    assert_eq!((sink.appends(), sink.records().len()), (2, 101));
    drop(gate);
}

#[test]
fn nobody_is_confirmed_before_the_append_returned() {
    let sink = SinkDouble::default();
    let gate = sink.hang();
    let audit = audit(&sink);
    block(async {
        let running = Arc::clone(&audit);
        let caller = tokio::spawn(async move { running.record(open("1")).await });
        settle().await;
        gate.entered();
        settle().await;
        assert!(!caller.is_finished());
        gate.let_one_through();
        caller.await.unwrap().unwrap();
    });
    drop(gate);
}

#[test]
fn a_panicking_sink_is_a_refusing_one() {
    let sink = SinkDouble::default();
    let audit = audit(&sink);
    sink.0.panicking.store(true, Ordering::SeqCst);
    block(async {
        assert!(is_unavailable(&audit.record(open("1")).await));
        assert_eq!(audit.sinks()[0].last_error.as_deref(), Some("the sink panicked"));
        sink.0.panicking.store(false, Ordering::SeqCst);
        retried(&audit, "2").await;
    });
}

#[test]
fn a_caller_that_goes_away_leaves_its_record() {
    let sink = SinkDouble::default();
    let gate = sink.hang();
    let audit = audit(&sink);
    block(async {
        let running = Arc::clone(&audit);
        let caller = tokio::spawn(async move { running.record(open("gone")).await });
        settle().await;
        gate.entered();
        caller.abort();
        drop(gate);
        audit.record(open("next")).await.unwrap();
    });
    assert_eq!(sink.records().len(), 2);
}

#[test]
fn the_end_of_the_log_waits_for_slower_sinks() {
    let (slow, quick) = (SinkDouble::default(), SinkDouble::default());
    let gate = slow.hang();
    let audit = start(&[(config("slow"), &slow), (config("quick"), &quick)]);
    block(async {
        for i in 0..20 {
            audit.record(open(&i.to_string())).await.unwrap();
        }
    });
    gate.entered();
    assert_eq!(slow.records().len(), 0);
    drop(gate);
    drop(audit);
    assert_eq!(verify(&slow.bytes()[..]).unwrap().records, 20);
}

#[test]
fn reopening_reaches_every_sink_and_the_chain_goes_on() {
    let (a, b) = (SinkDouble::default(), SinkDouble::default());
    let audit = start(&[(config("a"), &a), (config("b"), &b)]);
    block(async {
        audit.record(open("1")).await.unwrap();
        audit.reopen();
        until("reopened", || [&a, &b].iter().all(|sink| sink.0.reopens.load(Ordering::SeqCst) == 1)).await;
        audit.record(open("2")).await.unwrap();
    });
    drop(audit);
    assert_eq!(verify(&a.bytes()[..]).unwrap().last_seq, 2);
}

#[test]
fn configurations_that_cannot_work_are_refused() {
    let cases = [
        (vec![config("")], "audit sink name \"\" is empty or taken"),
        (vec![config("a"), config("a")], "audit sink name \"a\" is empty or taken"),
        (vec![SinkConfig { queue: 0, ..config("a") }], "audit sink \"a\" needs a queue of at least 1"),
        (vec![SinkConfig { deadline: Duration::ZERO, ..config("a") }], "and a deadline over 0"),
    ];
    for (configs, words) in cases {
        let sinks = configs.into_iter().map(|c| (c, Box::new(SinkDouble::default()) as Box<dyn Sink>)).collect();
        let Err(error) = Audit::start(sinks, Arc::new(ManualClock::new(NOW))) else { panic!("{words}") };
        assert!(error.kind == ErrorKind::InvalidRequest && error.detail.contains(words), "{error}");
    }
}

#[test]
fn status_says_what_an_operator_needs() {
    let sink = SinkDouble::default();
    let audit = audit(&sink);
    block(audit.record(open("1"))).unwrap();
    let status = serde_json::to_value(audit.sinks()).unwrap();
    let expected = serde_json::json!([{
        "name": "memory", "type": "double", "healthy": true, "queued": 0, "records": 1, "failures": 0, "last_error": null
    }]);
    assert_eq!(status, expected);
}
