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
    sync::{Mutex, MutexGuard},
};

use super::{Audit, Running, desk::Desk, entry::Record, lane::Lane, line::write_content};

/// How often to look whether another caller is done, microseconds altogether.
const LOOKS: u32 = 100;
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
    pub(super) fn at_once(&self, record: &Record) -> Written {
        let mut written = Written::default();
        if record.before_effect() || !self.lanes.iter().any(|lane| lane.takes_at_once()) {
            return written;
        }
        let mut content = Vec::with_capacity(COMMON_BYTES);
        for (at, (lane, worker)) in self.lanes.iter().zip(&self.workers).enumerate().take(Written::MOST) {
            if lane.takes_at_once() && self.write(lane, worker, record, &mut content) {
                written.0 |= 1 << at;
            }
        }
        written
    }

    fn write(&self, lane: &Lane, worker: &Running, record: &Record, content: &mut Vec<u8>) -> bool {
        content.clear();
        write_content(content, lane.keys().as_deref(), record);
        let Some(_pen) = soon(&self.pen) else { return false };
        // Looked at again with the pen in hand: the caller before may have met trouble.
        if !lane.takes_at_once() {
            return false;
        }
        let Ok(mut desk) = worker.desk.try_lock() else { return false };
        put(&mut desk, lane, record, content)
    }
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
