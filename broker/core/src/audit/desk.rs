//! A sink with its chain and its buffer: where lines are made and handed over. The sink's worker
//! writes here, and callers whose record waits for no disk (see `quick.rs`).
//!
//! Invariant: the chain moves only when the sink took the records.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{chain::Chain, lane::Lane, line::Formatter, verify::MAX_LINE_BYTES};
use crate::{clock::Timestamp, port::sink::Sink};

/// A group takes no further record once it is this long.
const MAX_GROUP_BYTES: usize = 1 << 20;

/// The sink, its chain and its buffer.
pub(super) struct Desk {
    lane: Arc<Lane>,
    sink: Box<dyn Sink>,
    /// None until the sink has told where its chain stands.
    chain: Option<Chain>,
    /// Where the chain stands when the sink takes what is in the buffer.
    next: Chain,
    /// The last append failed: the sink must be reopened before the next one.
    broken: bool,
    formatter: Formatter,
    /// How many of the records that the sink did not take its lines have told.
    told: u64,
    /// The same, once the sink took what is in the buffer.
    tells: u64,
    buffer: Vec<u8>,
}

/// Waits for the desk. A panic while somebody held it left it whole: the sink's are caught.
pub(super) fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    pub(super) fn new(lane: Arc<Lane>, sink: Box<dyn Sink>) -> Self {
        Self {
            lane,
            sink,
            chain: None,
            next: Chain::default(),
            broken: false,
            formatter: Formatter::default(),
            told: 0,
            tells: 0,
            buffer: Vec::new(),
        }
    }

    /// Makes sure that the sink can take records: reopened after a failure, chain known.
    pub(super) fn ready(&mut self) -> io::Result<()> {
        if self.broken {
            self.inside(|sink| sink.reopen())?;
            let found = self.inside(last_link)?;
            // Of a refused group, whole records may stand there: the chain goes on behind them.
            // What stands further back was cut or replaced: the chain shows it by not fitting.
            let further = |found: &Chain| self.chain.is_none_or(|known| found.seq > known.seq);
            self.chain = found.filter(further).or(self.chain);
            self.broken = false;
        }
        if self.chain.is_none() {
            self.chain = Some(self.inside(last_link)?.unwrap_or_default());
        }
        Ok(())
    }

    /// Whether records can be put down without asking the sink anything first.
    pub(super) const fn is_ready(&self) -> bool {
        !self.broken && self.chain.is_some()
    }

    /// Learns the chain's end at the start; a failure shows at once and is tried again later.
    pub(super) fn resume(&mut self) {
        if let Err(error) = self.ready() {
            self.lane.refused(0, &error);
        }
    }

    pub(super) fn reopen_if_asked(&mut self) {
        if self.lane.take_reopen()
            && let Err(error) = self.inside(|sink| sink.reopen())
        {
            self.lane.explain(format!("cannot be reopened, the old one stays in use: {error}"));
        }
    }

    /// Puts a record's line into the buffer; false when it is longer than a line may be.
    pub(super) fn put(&mut self, time: Timestamp, content: &[u8]) -> bool {
        let start = self.buffer.len();
        if start == 0 {
            self.next = self.chain.unwrap_or_default();
            self.tells = self.lane.failures();
            self.formatter.missed = self.tells.saturating_sub(self.told);
        }
        let (before, missed) = (self.next, self.formatter.missed);
        self.formatter.write(&mut self.buffer, &mut self.next, time, content);
        let fits = self.buffer.len() - start <= MAX_LINE_BYTES;
        if !fits {
            self.buffer.truncate(start);
            (self.next, self.formatter.missed) = (before, missed);
        }
        fits
    }

    /// Whether another record may be put to those that are there.
    pub(super) const fn has_room(&self) -> bool {
        self.buffer.len() < MAX_GROUP_BYTES
    }

    /// Hands over what was put down.
    pub(super) fn append(&mut self, before_effect: bool) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let buffer = std::mem::take(&mut self.buffer);
        let began = self.lane.now();
        let taken = self.inside(|sink| sink.append(&buffer, before_effect));
        self.buffer = buffer;
        self.buffer.clear();
        self.buffer.shrink_to(MAX_GROUP_BYTES);
        if !before_effect {
            self.lane.judge(began);
        }
        match taken {
            Ok(()) => (self.chain, self.told) = (Some(self.next), self.tells),
            Err(_) => self.broken = true,
        }
        taken
    }

    /// Calls the sink under the eyes of the callers; its panic is an error like any other.
    fn inside<T>(&mut self, call: impl FnOnce(&mut dyn Sink) -> io::Result<T>) -> io::Result<T> {
        self.lane.enter();
        let sink = &mut *self.sink;
        let result = catch_unwind(AssertUnwindSafe(|| call(sink)));
        self.lane.leave();
        result.unwrap_or_else(|_| Err(io::Error::other("the sink panicked")))
    }
}

fn last_link(sink: &mut dyn Sink) -> io::Result<Option<Chain>> {
    let line = sink.last_line()?;
    let link = line.map(|line| Chain::after(&line)).transpose();
    link.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}
