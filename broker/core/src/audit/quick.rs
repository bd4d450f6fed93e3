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

/// What became of a record at the sinks that were offered it at once.
#[derive(Clone, Copy, Default)]
pub(super) struct Written {
    /// A bit for each sink that was offered it.
    offered: u64,
    taken: bool,
}

impl Written {
    /// Sinks that can be told apart; those behind them are left to their workers.
    const MOST: usize = u64::BITS as usize;

    /// Sinks that have decided.
    pub(super) const fn decided(self) -> usize {
        self.offered.count_ones() as usize
    }

    /// Whether one of them took it.
    pub(super) const fn taken(self) -> bool {
        self.taken
    }

    pub(super) const fn offered(self, sink: usize) -> bool {
        sink < Self::MOST && self.offered >> sink & 1 == 1
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
            let Some(mut desk) = desk.filter(|desk| desk.is_ready()) else { continue };
            if desk.put(record, content) {
                written.offered |= 1 << sink;
                written.taken |= handed_over(&mut desk, lane);
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

fn handed_over(desk: &mut Desk, lane: &Lane) -> bool {
    let taken = desk.append(false);
    match &taken {
        Ok(()) => lane.took(1),
        Err(error) => lane.refused(1, error),
    }
    taken.is_ok()
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
