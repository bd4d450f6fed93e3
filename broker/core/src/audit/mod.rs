//! Audit: no record, no request. `broker` calls [`Audit::record`] before any effect and before an
//! answer's bytes leave; nobody else writes records.
//!
//! Invariant: `record` returns `Ok` only when at least one sink took the record; a value never
//! reaches a sink in the clear; each sink's records form an unbroken chain.
//!
//! Each sink has one worker thread, one bounded queue, one salt and one chain. The worker takes
//! all that is queued, formats it, appends it as one buffer and then confirms every waiter, so
//! the cost of a durable append is shared by all callers that wait for it. A record that waits for
//! no disk goes a shorter way when the worker has nothing to do: see `quick.rs`. A sink that refuses,
//! hangs past its deadline or has a full queue fails that record only for itself; it is then
//! skipped, and offered one record now and then until it takes one.
//!
//! # The record
//! One JSON object a line. Members in this order; those that do not apply are absent:
//!
//! | member | holds |
//! |---|---|
//! | `time` | RFC 3339, UTC, milliseconds: of the request (`open`, `hit`), of the answer (`close`) |
//! | `seq` | 1, 2, 3, ... in this sink |
//! | `prev` | lower-case hex SHA-256 of the previous line without its newline; 64 zeros when `seq` is 1 |
//! | `missed` | how many records this sink did not confirm since its line before; absent when none |
//! | `type` | `open` before effects, `close` before the answer leaves, `hit`: both in one, for a cached answer |
//! | `id` | request id, the same in `open` and `close` |
//! | `door` | `native`, `vault`; absent for what happened without a request |
//! | `operation` | `create`, `delete`, `list`, `patch`, `read`, `rotate`, `update`; `expire`, `revoke`: of a lease, by the broker itself; `watch`: from the opening of a watch to its end |
//! | `path` | canonical path, or as asked when it was not resolved |
//! | `mount`, `plugin` | what it resolved to |
//! | `remote_address` | address of the caller; absent on a unix socket |
//! | `proxy_address` | address of the proxy that asked for the caller, when one did |
//! | `auth` | `token`* as presented; of a known caller: `accessor`*, `display_name`, `policies`, `token_type`, `entity_id` |
//! | `request` | members of body and query, every leaf* |
//! | `response` | data of the answer, every leaf* |
//! | `issued` | a token made by this request: `token`*, `accessor`*, `policies`, `token_type`, `entity_id` |
//! | `lease` | a lease issued or renewed by this request: `id`*, `ttl_seconds`, `renewable` |
//! | `error` | `code`, `detail` |
//! | `hash` | lower-case hex SHA-256 of this line's bytes before `,"hash":` |
//!
//! `*` stands as `hmac-sha256:<hex>` under the sink's salt ([`hmac_text`] makes the same from a
//! value that an operator wants to find), or as `hmac-sha256:sealed` while there is no salt.
//! A string is hashed as its unescaped UTF-8, a number or boolean as its JSON text; `null`,
//! member names and shapes stay. What is no JSON, has more than 4,096 leaves or would take more
//! than 1 MiB is hashed as a whole.
//!
//! `init`, `unseal`, `seal`, login failures and denied requests are records like any other.

mod chain;
mod desk;
mod digest;
mod entry;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod lane;
mod line;
mod quick;
mod slip;
#[cfg(test)]
mod tests;
pub mod verify;
mod worker;

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, mpsc},
    task::Poll,
    thread::Thread,
    time::{Duration, Instant},
};

pub use digest::{AnswerDigest, hmac_text};
pub use entry::{Entry, Outcome, Record};
pub use lane::{SinkConfig, SinkStatus};
use tokio::sync::oneshot;
pub use verify::MAX_LINE_BYTES;

use crate::{
    clock::Clock,
    error::{Error, ErrorKind, Result},
    port::sink::Sink,
    secret::Secret,
};
use desk::Desk;
use digest::Keys;
use entry::Pending;
use lane::Lane;
use quick::{Tray, Waiting};
use slip::Written;
use worker::Worker;

/// The audit log: all sinks, each behind its own worker.
pub struct Audit {
    lanes: Vec<Arc<Lane>>,
    workers: Vec<Running>,
    clock: Arc<dyn Clock>,
    started: Instant,
    /// Records that their callers write.
    tray: Tray,
}

struct Running {
    desk: Arc<Mutex<Desk>>,
    orders: mpsc::SyncSender<worker::Order>,
    thread: Thread,
    ended: Mutex<mpsc::Receiver<()>>,
}

impl Audit {
    /// Starts one worker per sink. Without any sink every record is refused.
    ///
    /// # Errors
    /// `invalid_request` for an empty or repeated name, a queue of 0 or a deadline of 0;
    /// `internal` when a thread cannot be started.
    pub fn start(sinks: Vec<(SinkConfig, Box<dyn Sink>)>, clock: Arc<dyn Clock>) -> Result<Arc<Self>> {
        lane::check(sinks.iter().map(|(config, _)| config))?;
        let started = Instant::now();
        let mut audit = Self { lanes: Vec::new(), workers: Vec::new(), clock, started, tray: Tray::default() };
        for (config, sink) in sinks {
            let (orders, received) = mpsc::sync_channel(config.queue);
            let lane = Arc::new(Lane::new(config, sink.is_quick(), started));
            let desk = Arc::new(Mutex::new(Desk::new(Arc::clone(&lane), sink)));
            let (thread, ended) =
                Worker::spawn(Arc::clone(&lane), Arc::clone(&desk), received).map_err(Error::internal)?;
            audit.lanes.push(lane);
            audit.workers.push(Running { desk, orders, thread, ended: Mutex::new(ended) });
        }
        Ok(Arc::new(audit))
    }

    /// Sets each sink's salt by its name: called after unseal. An empty salt would let anybody
    /// guess values, so it counts as none.
    pub fn set_salt(&self, salts: &dyn Fn(&str) -> Secret) {
        for lane in &self.lanes {
            let salt = salts(lane.name());
            lane.set_keys((!salt.is_empty()).then(|| Arc::new(Keys::new(&salt))));
        }
    }

    /// Forgets the salts: called when sealing.
    pub fn clear_salt(&self) {
        for lane in &self.lanes {
            lane.set_keys(None);
        }
    }

    /// Offers the record to every sink and waits until the first one took it.
    ///
    /// # Errors
    /// `audit_unavailable` when every sink refused it, hung past its deadline or was skipped; its
    /// words are those for a record before an effect.
    ///
    /// # Cancel safety
    /// A record once offered is written even when nobody waits any more.
    pub async fn record(&self, record: Record) -> Result<()> {
        let recording = self.begin(record);
        recording.let_others_begin().await;
        recording.taken().await
    }

    /// The first half of [`Audit::record`], which waits for nothing: for callers with a bound of
    /// their own on the second half, who need no timer when that is over at once.
    pub fn begin(&self, mut record: Record) -> Recording<'_> {
        record.stamp(self.clock.now());
        let on_the_way = self.at_once(&record);
        Recording { audit: self, record, on_the_way }
    }

    /// Offers a record to the sinks that do not have it and waits for any of them.
    async fn deliver(&self, record: Record, on_the_way: Option<Waiting<'_>>) -> Result<()> {
        let written = on_the_way.as_ref().map(Waiting::written).unwrap_or_default();
        let (pending, confirmed) = Pending::new(record, self.lanes.len() - written.count());
        let patience = self.offer(&pending, written);
        drop(pending);
        let waking = Waking(self);
        if written.taken() {
            return Ok(());
        }
        // Whoever else is ready runs first and gives its record too: one waking serves them all,
        // and a worker that sleeps and wakes for each record would cost more than the record.
        tokio::task::yield_now().await;
        drop(waking);
        let patience = patience.max(self.patience(written)).ok_or_else(unavailable)?;
        match tokio::time::timeout(patience, taken(on_the_way, confirmed)).await {
            Ok(true) => Ok(()),
            _ => Err(unavailable()),
        }
    }

    /// How long a record may take that was offered to these sinks; none when it was to none.
    fn patience(&self, written: Written) -> Option<Duration> {
        let offered = self.lanes.iter().enumerate().filter(|(at, _)| written.offered(*at));
        offered.map(|(_, lane)| lane.deadline()).max()
    }

    /// How each sink is doing.
    #[must_use]
    pub fn sinks(&self) -> Vec<SinkStatus> {
        self.lanes.iter().map(|lane| lane.status(lane.now())).collect()
    }

    /// Asks every worker to reopen its sink before its next append (log rotation).
    pub fn reopen(&self) {
        for (lane, worker) in self.lanes.iter().zip(&self.workers) {
            lane.ask_reopen();
            // A full queue wakes the worker as well.
            let _ = worker.orders.try_send(worker::Order::Wake);
            lane.nudge(&worker.thread);
        }
    }

    /// Queues it for every sink but those that have it. The longest deadline among the sinks whose
    /// queue took it; none when no queue did.
    fn offer(&self, pending: &Arc<Pending>, but: Written) -> Option<Duration> {
        let mut patience = None;
        for (at, (lane, worker)) in self.lanes.iter().zip(&self.workers).enumerate() {
            if but.offered(at) {
                continue;
            }
            if lane.admits(lane.now()) && lane.enqueue(&worker.orders, pending) {
                patience = patience.max(Some(lane.deadline()));
            } else {
                pending.refuse();
            }
        }
        patience
    }
}

/// A record that is on its way to the sinks.
#[must_use = "nothing may happen before it was taken"]
pub struct Recording<'a> {
    audit: &'a Audit,
    record: Record,
    on_the_way: Option<Waiting<'a>>,
}

impl Recording<'_> {
    /// Lets whoever else is ready run first: its record may go the same way as this one.
    pub async fn let_others_begin(&self) {
        if self.on_the_way.is_some() {
            tokio::task::yield_now().await;
        }
    }

    /// Waits until the first sink took it.
    ///
    /// # Errors
    /// As [`Audit::record`] has them.
    ///
    /// # Cancel safety
    /// As [`Audit::record`] has it.
    pub async fn taken(self) -> Result<()> {
        let Self { audit, record, mut on_the_way } = self;
        if let Some(waiting) = &mut on_the_way {
            let written = waiting.soon().await;
            if written.taken() && written.count() == audit.lanes.len() {
                return Ok(());
            }
        }
        Box::pin(audit.deliver(record, on_the_way)).await
    }
}

/// Whether a sink takes the record, be it from a caller who had begun with it or from a worker.
async fn taken(mut on_the_way: Option<Waiting<'_>>, confirmed: oneshot::Receiver<bool>) -> bool {
    let mut confirmed = Some(confirmed);
    poll_fn(|context| {
        if let Some(Poll::Ready(written)) = on_the_way.as_mut().map(|way| Pin::new(way).poll(context)) {
            if written.taken() {
                return Poll::Ready(true);
            }
            on_the_way = None;
        }
        if let Some(Poll::Ready(answer)) = confirmed.as_mut().map(|way| Pin::new(way).poll(context)) {
            if answer == Ok(true) {
                return Poll::Ready(true);
            }
            confirmed = None;
        }
        if on_the_way.is_none() && confirmed.is_none() { Poll::Ready(false) } else { Poll::Pending }
    })
    .await
}

/// Wakes the workers when it is dropped, and so even when the caller hangs up in between.
struct Waking<'a>(&'a Audit);

impl Drop for Waking<'_> {
    fn drop(&mut self) {
        for (lane, worker) in self.0.lanes.iter().zip(&self.0.workers) {
            lane.nudge(&worker.thread);
        }
    }
}

/// Lets every worker write what is queued, each for at most its deadline.
impl Drop for Audit {
    fn drop(&mut self) {
        // Without its sender a worker ends, once it is awake to see that.
        let (threads, ended): (Vec<_>, Vec<_>) =
            self.workers.drain(..).map(|worker| (worker.thread, worker.ended)).unzip();
        for (lane, thread) in self.lanes.iter().zip(&threads) {
            lane.nudge(thread);
        }
        for (lane, ended) in self.lanes.iter().zip(ended) {
            // Disconnected: it ended. Timed out: it hangs, and is left behind.
            let _ = ended.into_inner().unwrap_or_else(PoisonError::into_inner).recv_timeout(lane.deadline());
        }
    }
}

fn unavailable() -> Error {
    let mut error =
        Error::new(ErrorKind::AuditUnavailable, "no audit sink took the record, so nothing was done or shown");
    error.retry_after = Some(Duration::from_secs(1));
    error
}
