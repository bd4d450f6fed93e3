//! The short way of a record: its caller writes it, and no thread is woken.
//!
//! Most records wait for no disk (reads, and what closes an effect). For those a quick sink's
//! append is one system call, which costs less than handing the record to another thread and
//! being woken by it. The worker takes over whenever that may not hold: it has something to do
//! already, the sink failed, or an append that should have been quick was not.
//!
//! Invariant: one caller at a time is inside a sink, whatever the number of sinks, so a sink that
//! hangs without a warning holds one thread of the server, and no other follows it there.

use std::{
    hint,
    sync::{Arc, Mutex, MutexGuard},
};

use super::{Audit, desk::Desk, entry::Record, lane::Lane, line::write_content};

/// How often to look whether another caller is done: a few microseconds altogether.
const LOOKS: u32 = 100;
/// How often to let others run and look again, before the record is left to the workers.
const TRIES: u32 = 16;
/// Bytes of a common record; longer ones grow.
const COMMON_BYTES: usize = 1024;

/// The sinks that took a record at once.
#[derive(Clone, Copy, Default)]
pub(super) struct Written(u64);

impl Written {
    /// Sinks that can be told apart; those behind them are left to their workers.
    const MOST: usize = u64::BITS as usize;

    pub(super) const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) const fn has(self, at: usize) -> bool {
        at < Self::MOST && self.0 >> at & 1 == 1
    }
}

impl Audit {
    /// Writes the record to every sink that takes it at once.
    pub(super) async fn at_once(&self, record: &Record) -> Written {
        let drafts = if record.before_effect() { Vec::new() } else { self.drafts(record) };
        for _ in 0..TRIES {
            if !drafts.iter().any(|draft| self.lanes[draft.sink].takes_at_once()) {
                break;
            }
            if let Some(_pen) = soon(&self.pen) {
                return self.write(record, &drafts);
            }
            tokio::task::yield_now().await;
        }
        Written::default()
    }

    /// What the record will be to each sink, made before anybody else has to wait for it.
    fn drafts(&self, record: &Record) -> Vec<Draft> {
        let quick = self.lanes.iter().enumerate().take(Written::MOST).filter(|(_, lane)| lane.takes_at_once());
        let draft = |(sink, lane): (usize, &Arc<Lane>)| {
            let mut content = Vec::with_capacity(COMMON_BYTES);
            write_content(&mut content, lane.keys().as_deref(), record);
            Draft { sink, content }
        };
        quick.map(draft).collect()
    }

    fn write(&self, record: &Record, drafts: &[Draft]) -> Written {
        let mut written = Written::default();
        for Draft { sink, content } in drafts {
            let (lane, worker) = (&self.lanes[*sink], &self.workers[*sink]);
            // The caller before may have met trouble.
            let desk = lane.takes_at_once().then(|| worker.desk.try_lock().ok()).flatten();
            if desk.is_some_and(|mut desk| put(&mut desk, lane, record, content)) {
                written.0 |= 1 << sink;
            }
        }
        written
    }
}

/// A record's content as one sink is to have it.
struct Draft {
    sink: usize,
    content: Vec<u8>,
}

fn put(desk: &mut Desk, lane: &Lane, record: &Record, content: &[u8]) -> bool {
    if !desk.is_ready() || !desk.put(record, content) {
        return false;
    }
    match desk.append(false) {
        Ok(()) => lane.took(1),
        Err(ref error) => {
            lane.refused(1, error);
            return false;
        }
    }
    true
}

/// The lock, if it is free within a few microseconds.
fn soon(lock: &Mutex<()>) -> Option<MutexGuard<'_, ()>> {
    (0..LOOKS).find_map(|_| {
        let free = lock.try_lock().ok();
        if free.is_none() {
            hint::spin_loop();
        }
        free
    })
}
