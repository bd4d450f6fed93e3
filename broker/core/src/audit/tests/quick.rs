//! Records that their callers write themselves.

use std::{
    pin::{Pin, pin},
    task::{Context, Waker},
};

use super::*;
use crate::audit::verify::verify;

/// Waits until the worker has nothing to do, so that callers need not leave their records to it.
fn idle(audit: &Audit) {
    let started = std::time::Instant::now();
    while !audit.lanes.iter().all(|lane| lane.takes_at_once()) {
        assert!(started.elapsed() < PATIENCE, "the workers become idle");
        std::thread::yield_now();
    }
}

fn effect(id: &str) -> Record {
    Record::open(&Entry { effects: true, ..entry(id) })
}

#[test]
fn a_record_that_waits_for_no_disk_is_written_by_its_caller() {
    let sink = SinkDouble::quick();
    let audit = audit(&sink);
    idle(&audit);
    for i in 0..10 {
        block(audit.record(open(&i.to_string()))).unwrap();
    }
    assert_eq!((sink.appends(), sink.by_workers()), (10, 0));
    assert_eq!((verify(&sink.bytes()[..]).unwrap().records, audit.sinks()[0].records), (10, 10));
}

#[test]
fn one_that_announces_an_effect_is_left_to_the_worker() {
    let sink = SinkDouble::quick();
    let audit = audit(&sink);
    idle(&audit);
    block(audit.record(effect("1"))).unwrap();
    block(audit.record(effect("2"))).unwrap();
    idle(&audit);
    block(audit.record(open("3"))).unwrap();
    assert_eq!((sink.appends(), sink.by_workers()), (3, 2));
    assert_eq!(verify(&sink.bytes()[..]).unwrap().records, 3);
}

/// Polls once, as a server does before the next caller's turn.
fn begin(record: Pin<&mut impl Future<Output = Result<()>>>) {
    assert!(record.poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

#[test]
fn callers_that_record_at_the_same_time_share_one_append() {
    let sink = SinkDouble::quick();
    let audit = audit(&sink);
    idle(&audit);
    let mut records: Vec<_> = (0..10).map(|i| Box::pin(audit.record(open(&i.to_string())))).collect();
    records.iter_mut().for_each(|record| begin(record.as_mut()));
    for record in records {
        block(record).unwrap();
    }
    assert_eq!((sink.appends(), sink.by_workers()), (1, 0));
    assert_eq!(verify(&sink.bytes()[..]).unwrap().records, 10);
}

#[test]
fn the_record_of_a_caller_who_hung_up_is_written() {
    let sink = SinkDouble::quick();
    let audit = audit(&sink);
    idle(&audit);
    {
        let mut record = pin!(audit.record(open("1")));
        begin(record.as_mut());
        assert_eq!(sink.appends(), 0);
    }
    assert_eq!(sink.records()[0]["id"], "1");
}

#[test]
fn what_a_caller_took_along_into_a_sink_that_hangs_goes_to_the_other_sink_once() {
    let (hanging, quick) = (SinkDouble::quick(), SinkDouble::quick());
    let audit = start(&[(config("hanging"), &hanging), (config("quick"), &quick)]);
    idle(&audit);
    let gate = hanging.hang();
    let mut taken_along = pin!(audit.record(open("taken along")));
    begin(taken_along.as_mut());
    std::thread::scope(|scope| {
        let held = scope.spawn(|| block(audit.record(open("held"))));
        gate.entered();
        block(taken_along).unwrap();
        assert_eq!(quick.records().len(), 1);
        drop(gate);
        held.join().unwrap().unwrap();
    });
    assert_eq!(quick.records().iter().map(|record| &record["id"]).collect::<Vec<_>>(), ["taken along", "held"]);
    assert_eq!(hanging.records().len(), 2);
}

#[test]
fn many_callers_and_the_worker_make_one_chain() {
    let sink = SinkDouble::quick();
    let audit = audit(&sink);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let audit = &audit;
            scope.spawn(move || {
                for i in 0..200 {
                    let id = format!("{thread}-{i}");
                    let record = if i % 16 == thread { effect(&id) } else { open(&id) };
                    block(audit.record(record)).unwrap();
                }
            });
        }
    });
    assert_eq!(verify(&sink.bytes()[..]).unwrap().records, 800);
}

#[test]
fn a_sink_that_refuses_is_asked_once_a_record() {
    let (refusing, slow) = (SinkDouble::quick(), SinkDouble::default());
    let audit = start(&[(config("refusing"), &refusing), (config("slow"), &slow)]);
    while !audit.lanes[0].takes_at_once() {
        std::thread::yield_now();
    }
    refusing.refuse(true);
    block(audit.record(open("1"))).unwrap();
    assert_eq!(audit.sinks()[0].failures, 1);
    assert!(!audit.sinks()[0].healthy);
    assert_eq!(slow.records().len(), 1);
    let alone = SinkDouble::quick();
    let audit = start(&[(config("alone"), &alone)]);
    idle(&audit);
    alone.refuse(true);
    assert!(is_unavailable(&block(audit.record(open("1")))));
    assert_eq!(audit.sinks()[0].failures, 1);
}

#[test]
fn a_sink_that_hangs_holds_one_caller_and_the_others_go_around() {
    let (hanging, quick) = (SinkDouble::quick(), SinkDouble::quick());
    let impatient = SinkConfig { deadline: Duration::from_millis(20), ..config("hanging") };
    let audit = start(&[(impatient, &hanging), (config("quick"), &quick)]);
    idle(&audit);
    let gate = hanging.hang();
    std::thread::scope(|scope| {
        let held = scope.spawn(|| block(audit.record(open("held"))));
        gate.entered();
        for i in 0..10 {
            block(audit.record(open(&i.to_string()))).unwrap();
        }
        assert_eq!(quick.records().len(), 10);
        while audit.sinks()[0].healthy {
            std::thread::yield_now();
        }
        drop(gate);
        held.join().unwrap().unwrap();
    });
    // It was slow once: for a while the worker alone goes there.
    assert!(!audit.lanes[0].takes_at_once());
    drop(audit);
    assert!(verify(&hanging.bytes()[..]).is_ok() && verify(&quick.bytes()[..]).unwrap().records == 11);
}
