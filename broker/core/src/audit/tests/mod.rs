//! Behaviour of the audit log, against a sink double.

mod chain;
mod content;
mod delivery;
mod quick;
mod verification;

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use super::{Audit, Entry, Record, SinkConfig};
use crate::{
    clock::{ManualClock, Timestamp},
    error::{ErrorKind, Result},
    port::sink::Sink,
    secret::Secret,
};

/// Longest that a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);
/// 2026-11-22T03:36:50.123Z
const NOW: Timestamp = Timestamp(1_795_318_610_123);

/// A double of a sink: keeps lines in memory; refuses, panics or hangs when told to.
#[derive(Clone, Default)]
struct SinkDouble(Arc<Double>);

#[derive(Default)]
struct Double {
    bytes: Mutex<Vec<u8>>,
    refusing: AtomicBool,
    /// Refuses what it nevertheless holds.
    lying: AtomicBool,
    panicking: AtomicBool,
    quick: AtomicBool,
    appends: AtomicUsize,
    /// Those of them that a worker's thread made.
    by_workers: AtomicUsize,
    reopens: AtomicUsize,
    gate: Mutex<Option<(Sender<()>, Receiver<()>)>>,
}

/// Holds the double inside its appends: each one says that it began and waits for a word.
struct Gate {
    began: Receiver<()>,
    go: Sender<()>,
}

impl Gate {
    /// Waits until the worker is inside the sink.
    fn entered(&self) {
        self.began.recv_timeout(PATIENCE).expect("the worker appends");
    }

    fn let_one_through(&self) {
        self.go.send(()).expect("the sink is there");
    }
}

impl SinkDouble {
    fn hang(&self) -> Gate {
        let ((began, entered), (go, word)) = (channel(), channel());
        *self.0.gate.lock().unwrap() = Some((began, word));
        Gate { began: entered, go }
    }

    /// A double whose appends wait for nothing.
    fn quick() -> Self {
        let sink = Self::default();
        sink.0.quick.store(true, Ordering::SeqCst);
        sink
    }

    fn refuse(&self, refusing: bool) {
        self.0.refusing.store(refusing, Ordering::SeqCst);
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.bytes.lock().unwrap().clone()
    }

    fn text(&self) -> String {
        String::from_utf8(self.bytes()).unwrap()
    }

    fn records(&self) -> Vec<serde_json::Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn appends(&self) -> usize {
        self.0.appends.load(Ordering::SeqCst)
    }

    fn by_workers(&self) -> usize {
        self.0.by_workers.load(Ordering::SeqCst)
    }
}

impl Sink for SinkDouble {
    fn is_quick(&self) -> bool {
        self.0.quick.load(Ordering::SeqCst)
    }

    fn append(&mut self, lines: &[u8], _: bool) -> io::Result<()> {
        let mut gate = self.0.gate.lock().unwrap();
        let open = gate.as_ref().is_some_and(|(began, word)| began.send(()).is_err() || word.recv().is_err());
        if open {
            *gate = None;
        }
        drop(gate);
        assert!(!self.0.panicking.load(Ordering::SeqCst), "told to panic");
        if self.0.refusing.load(Ordering::SeqCst) {
            return Err(io::Error::other("told to refuse"));
        }
        assert!(lines.ends_with(b"\n"));
        self.0.appends.fetch_add(1, Ordering::SeqCst);
        let worker = std::thread::current().name().is_some_and(|name| name.starts_with("audit-"));
        self.0.by_workers.fetch_add(usize::from(worker), Ordering::SeqCst);
        self.0.bytes.lock().unwrap().extend_from_slice(lines);
        if self.0.lying.load(Ordering::SeqCst) { Err(io::Error::other("told to lie")) } else { Ok(()) }
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.0.reopens.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn last_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.text().lines().last().map(|line| line.as_bytes().to_vec()))
    }
}

/// Tries until the record is taken.
async fn retried(audit: &Audit, id: &str) {
    let retried = async {
        while audit.record(open(id)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, retried).await.expect("the sink is probed");
}

fn block<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

fn config(name: &str) -> SinkConfig {
    SinkConfig { deadline: PATIENCE, ..SinkConfig::new(name, "double") }
}

fn start(sinks: &[(SinkConfig, &SinkDouble)]) -> Arc<Audit> {
    let sinks =
        sinks.iter().map(|(config, sink)| (config.clone(), Box::new((*sink).clone()) as Box<dyn Sink>)).collect();
    Audit::start(sinks, Arc::new(ManualClock::new(NOW))).unwrap()
}

/// One sink with a generous deadline, and a salt.
fn audit(sink: &SinkDouble) -> Arc<Audit> {
    let audit = start(&[(config("memory"), sink)]);
    audit.set_salt(&salt);
    audit
}

fn salt(name: &str) -> Secret {
    Secret::from(format!("salt of {name}"))
}

fn entry(id: &str) -> Entry {
    Entry::new(id, NOW, "read", "secret/data/a")
}

fn open(id: &str) -> Record {
    Record::open(&entry(id))
}

fn is_unavailable(result: &Result<()>) -> bool {
    result.as_ref().is_err_and(|error| error.kind == ErrorKind::AuditUnavailable)
}

/// A log of 50 records as a sink would hold it.
fn log_of_50() -> Vec<u8> {
    let sink = SinkDouble::default();
    block(async {
        let audit = audit(&sink);
        for i in 0..50 {
            audit.record(open(&i.to_string())).await.unwrap();
        }
    });
    sink.bytes()
}
