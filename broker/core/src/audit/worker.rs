//! The thread behind a sink: takes all that is queued, appends it once, confirms everybody.
//!
//! Invariant: a waiter hears `Ok` only when the sink took its record.

use std::{
    io,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
    thread::{self, Thread},
};

use super::{
    desk::{self, Desk},
    entry::Pending,
    lane::Lane,
    line::write_content,
};

/// Most records in one append.
const MAX_GROUP_RECORDS: usize = 1024;

/// What a worker is asked to do.
pub(super) enum Order {
    /// Look whether there is something to do apart from records.
    Wake,
    /// Write this record.
    Write(Arc<Pending>),
}

/// Takes a sink's orders, on a thread of its own.
pub(super) struct Worker {
    lane: Arc<Lane>,
    desk: Arc<Mutex<Desk>>,
    orders: Receiver<Order>,
    group: Vec<Arc<Pending>>,
    /// Only ever dropped: its end tells that the worker ended.
    _alive: SyncSender<()>,
}

impl Worker {
    /// Starts the thread; the receiver disconnects when it ends.
    pub(super) fn spawn(
        lane: Arc<Lane>,
        desk: Arc<Mutex<Desk>>,
        orders: Receiver<Order>,
    ) -> io::Result<(Thread, Receiver<()>)> {
        let (alive, ended) = sync_channel(1);
        let name = format!("audit-{}", lane.name());
        let worker = Self { lane, desk, orders, group: Vec::new(), _alive: alive };
        let thread = thread::Builder::new().name(name).spawn(move || worker.run())?;
        Ok((thread.thread().clone(), ended))
    }

    fn run(mut self) {
        let desk = Arc::clone(&self.desk);
        desk::lock(&desk).resume();
        while let Some(order) = self.wait() {
            let mut desk = desk::lock(&desk);
            desk.reopen_if_asked();
            if let Order::Write(first) = order {
                self.write_group(&mut desk, first);
                // The group may have swallowed the wake that belongs to the request to reopen.
                desk.reopen_if_asked();
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
                Err(TryRecvError::Empty) if self.lane.idle() => thread::park(),
                // Said first, looked again after: an order between the two is not slept through.
                Err(TryRecvError::Empty) => self.lane.sleepy(),
            }
        }
    }

    fn write_group(&mut self, desk: &mut Desk, first: Arc<Pending>) {
        if let Err(error) = desk.ready() {
            self.take(first);
            self.drain();
            return self.refuse(&error);
        }
        self.gather(desk, first);
        let before_effect = self.group.iter().any(|pending| pending.record.before_effect());
        match desk.append(before_effect) {
            Ok(()) => self.confirm(),
            Err(error) => self.refuse(&error),
        }
    }

    /// Puts queued records on the desk until a limit of the group.
    fn gather(&mut self, desk: &mut Desk, first: Arc<Pending>) {
        let keys = self.lane.keys();
        let mut content = Vec::new();
        let mut next = Some(first);
        while let Some(pending) = next {
            content.clear();
            write_content(&mut content, keys.as_deref(), &pending.record);
            if desk.put(pending.record.moment(), &content) {
                self.take(pending);
            } else {
                self.lane.dequeued();
                self.lane.left_out("a record is longer than 16 MiB");
                pending.refuse();
            }
            next = if desk.has_room() { self.next() } else { None };
        }
    }

    /// The next queued record, when this group still has room for one.
    fn next(&self) -> Option<Arc<Pending>> {
        if self.group.len() >= MAX_GROUP_RECORDS {
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

    fn confirm(&mut self) {
        self.lane.took(self.group.len());
        for pending in self.group.drain(..) {
            pending.confirm();
        }
    }

    fn refuse(&mut self, error: &io::Error) {
        self.lane.refused(self.group.len(), error);
        for pending in self.group.drain(..) {
            pending.refuse();
        }
    }
}
