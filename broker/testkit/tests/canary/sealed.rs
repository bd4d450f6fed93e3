//! What is left of secrets in the memory of a sealed broker.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use warder_testkit::{Failure, Http, Result, Suite};

use crate::{
    broker::{Broker, Keys, Over},
    marks::Marks,
    places,
    search::{Search, nothing},
    walk::Walk,
};

/// For connections and tasks to end after the answer that says `sealed`.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_sealed_broker_has_no_secret_in_memory() -> Result {
    let suite = Suite::new("canary", "sealed::a_sealed_broker_has_no_secret_in_memory", 20_261_123);
    let mut marks = Marks::new(suite.random());
    for over in [Over::Plain, Over::Tls] {
        let broker = Broker::start(over)?;
        let keys = broker.initialize(&mut marks)?;
        let name = format!("{over:?}");
        Walk::new(&broker, &keys, &name, "first", &mut marks, &mut Vec::new()).everywhere()?;
        let busy: Vec<(String, Http)> = (0..4)
            .map(|number| {
                (marks.value(&format!("{name}: on its way {number}")), broker.stranger().with_token(&keys.root_token))
            })
            .collect();
        let search = searching(&mut marks, &broker, &keys)?;
        open_memory(&search, &broker)?;
        let stop = &AtomicBool::new(false);
        thread::scope(|scope| -> Result {
            let threads: Vec<_> =
                busy.iter().map(|(value, http)| scope.spawn(move || busy_with(http, value, stop))).collect();
            let root = broker.stranger().with_token(&keys.root_token);
            let sealed = match over {
                Over::Plain => root.post("/api/v1/sys/seal").send()?.expect_status(204).map(|_| ()),
                Over::Tls => sealed_by_hand(&broker, &keys),
            };
            stop.store(true, Ordering::Relaxed);
            threads.into_iter().for_each(|thread| _ = thread.join());
            sealed
        })?;
        // Its connections are still open on this side.
        forgotten(&search, &broker)?;
        drop(busy);
    }
    Ok(())
}

/// Writes and reads until told, or until the door is shut.
fn busy_with(http: &Http, value: &str, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        _ = http.put("/api/v1/secrets/busy").json(&json!({ "password": value })).send();
        _ = http.get("/api/v1/secrets/busy").send();
    }
}

fn sealed_by_hand(broker: &Broker, keys: &Keys) -> Result {
    let output = broker.command(Some(&keys.root_token), &["operator", "seal"], "")?;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(Failure::from(words)) }
}

/// For all that was sent, and the keys.
fn searching(marks: &mut Marks, broker: &Broker, keys: &Keys) -> Result<Search> {
    marks.given("the root key", &keys.root());
    for (at, key) in broker.opened(keys)?.terms.iter().enumerate() {
        marks.given(&format!("the key of term {}", at + 1), key);
    }
    Search::new(marks.all())
}

/// An open broker has its keys, or else nothing would be proved afterwards.
fn open_memory(search: &Search, broker: &Broker) -> Result {
    let open = places::memory(search, broker.pid())?;
    for kind in ["the root key", "the key of term 1"] {
        if !open.iter().any(|find| find.kind == kind) {
            return Err(Failure::from(format!("{kind} was not found in the memory of an open broker")));
        }
    }
    Ok(())
}

fn forgotten(search: &Search, broker: &Broker) -> Result {
    let start = Instant::now();
    loop {
        let left = places::memory(search, broker.pid())?;
        if left.is_empty() || start.elapsed() > PATIENCE {
            return nothing(&left);
        }
    }
}
