//! The thread that owns a sink: takes all that is queued, appends it once, confirms everybody.
//!
//! Invariant: the chain moves only when the sink took the records; a waiter hears `Ok` only then.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
    thread::{self, Thread},
    time::Instant,
};

use super::{
    chain::Chain,
    entry::Pending,
    lane::{Lane, Moment},
    line::Formatter,
    verify::MAX_LINE_BYTES,
};
use crate::port::sink::Sink;

/// Most records in one append.
const MAX_GROUP_RECORDS: usize = 1024;
/// A group takes no further record once it is this long.
const MAX_GROUP_BYTES: usize = 1 << 20;

/// What a worker is asked to do.
pub(super) enum Order {
    /// Look whether there is something to do apart from records.
    Wake,
    /// Write this record.
    Write(Arc<Pending>),
}

/// The sink, its chain and its buffer.
pub(super) struct Worker {
    lane: Arc<Lane>,
    sink: Box<dyn Sink>,
    orders: Receiver<Order>,
    started: Instant,
    /// None until the sink has told where its chain stands.
    chain: Option<Chain>,
    /// The last append failed: the sink must be reopened before the next one.
    broken: bool,
    formatter: Formatter,
    /// How many of the records that the sink did not take its lines have told.
    told: u64,
    group: Vec<Arc<Pending>>,
    buffer: Vec<u8>,
    /// Only ever dropped: its end tells that the worker ended.
    _alive: SyncSender<()>,
}

impl Worker {
    /// Starts the thread; the receiver disconnects when it ends.
    pub(super) fn spawn(
        lane: Arc<Lane>,
        sink: Box<dyn Sink>,
        orders: Receiver<Order>,
        started: Instant,
    ) -> io::Result<(Thread, Receiver<()>)> {
        let (alive, ended) = sync_channel(1);
        let name = format!("audit-{}", lane.name());
        let worker = Self {
            lane,
            sink,
            orders,
            started,
            chain: None,
            broken: false,
            formatter: Formatter::default(),
            told: 0,
            group: Vec::new(),
            buffer: Vec::new(),
            _alive: alive,
        };
        let thread = thread::Builder::new().name(name).spawn(move || worker.run())?;
        Ok((thread.thread().clone(), ended))
    }

    fn run(mut self) {
        self.resume();
        while let Some(order) = self.wait() {
            self.reopen_if_asked();
            if let Order::Write(first) = order {
                self.write_group(first);
                // The group may have swallowed the wake that belongs to the request to reopen.
                self.reopen_if_asked();
            }
        }
    }

    /// The next order; none once nobody can give any. Sleeps until [`Lane::nudge`], which callers
    /// put off for a moment so that one waking serves many of them.
    fn wait(&self) -> Option<Order> {
        loop {
            match self.orders.try_recv() {
                Ok(order) => return Some(order),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) if self.lane.may_sleep() => thread::park(),
                // Said first, looked again after: an order between the two is not slept through.
                Err(TryRecvError::Empty) => self.lane.sleepy(),
            }
        }
    }

    fn write_group(&mut self, first: Arc<Pending>) {
        if let Err(error) = self.ready() {
            self.take(first);
            self.drain();
            return self.refuse(&error);
        }
        let before = self.chain.unwrap_or_default();
        let failures = self.lane.failures();
        self.formatter.missed = failures.saturating_sub(self.told);
        let after = self.format(first, before);
        match self.append() {
            Ok(()) => {
                self.chain = Some(after);
                self.told = failures - self.formatter.missed;
                self.confirm();
            }
            Err(error) => {
                self.broken = true;
                self.refuse(&error);
            }
        }
    }

    /// Formats queued records into the buffer until a limit of the group; gives the chain's new end.
    fn format(&mut self, first: Arc<Pending>, mut chain: Chain) -> Chain {
        let keys = self.lane.keys();
        let mut next = Some(first);
        while let Some(pending) = next {
            let start = self.buffer.len();
            let before = chain;
            self.formatter.write(&mut self.buffer, &mut chain, keys.as_deref(), &pending.record);
            if self.buffer.len() - start > MAX_LINE_BYTES {
                self.buffer.truncate(start);
                chain = before;
                self.lane.dequeued();
                self.lane.left_out("a record is longer than 16 MiB");
                pending.refuse();
            } else {
                self.take(pending);
            }
            next = self.next();
        }
        chain
    }

    /// The next queued record that this group still has room for.
    fn next(&self) -> Option<Arc<Pending>> {
        if self.group.len() >= MAX_GROUP_RECORDS || self.buffer.len() >= MAX_GROUP_BYTES {
            return None;
        }
        loop {
            match self.orders.try_recv().ok()? {
                Order::Wake => {}
                Order::Write(pending) => return Some(pending),
            }
        }
    }

    fn take(&mut self, pending: Arc<Pending>) {
        self.lane.dequeued();
        self.group.push(pending);
    }

    fn drain(&mut self) {
        while let Some(pending) = self.next() {
            self.take(pending);
        }
    }

    /// Makes sure that the sink can take records: reopened after a failure, chain known.
    fn ready(&mut self) -> io::Result<()> {
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

    /// Learns the chain's end at the start; a failure shows at once and is tried again later.
    fn resume(&mut self) {
        if let Err(error) = self.ready() {
            self.lane.refused(0, Moment::since(self.started), &error);
        }
    }

    fn reopen_if_asked(&mut self) {
        if self.lane.take_reopen()
            && let Err(error) = self.inside(|sink| sink.reopen())
        {
            self.lane.explain(format!("cannot be reopened, the old one stays in use: {error}"));
        }
    }

    fn append(&mut self) -> io::Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        let before_effect = self.group.iter().any(|pending| pending.record.before_effect());
        let taken = if buffer.is_empty() { Ok(()) } else { self.inside(|sink| sink.append(&buffer, before_effect)) };
        self.buffer = buffer;
        self.buffer.clear();
        self.buffer.shrink_to(MAX_GROUP_BYTES);
        taken
    }

    /// Calls the sink under the eyes of the callers; its panic is an error like any other.
    fn inside<T>(&mut self, call: impl FnOnce(&mut dyn Sink) -> io::Result<T>) -> io::Result<T> {
        self.lane.enter(Moment::since(self.started));
        let sink = &mut *self.sink;
        let result = catch_unwind(AssertUnwindSafe(|| call(sink)));
        self.lane.leave();
        result.unwrap_or_else(|_| Err(io::Error::other("the sink panicked")))
    }

    fn confirm(&mut self) {
        self.lane.took(self.group.len());
        for pending in self.group.drain(..) {
            pending.confirm();
        }
    }

    fn refuse(&mut self, error: &io::Error) {
        self.lane.refused(self.group.len(), Moment::since(self.started), error);
        for pending in self.group.drain(..) {
            pending.refuse();
        }
    }
}

fn last_link(sink: &mut dyn Sink) -> io::Result<Option<Chain>> {
    let line = sink.last_line()?;
    let link = line.map(|line| Chain::after(&line)).transpose();
    link.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}
