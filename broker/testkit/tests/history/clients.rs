//! Many clients at once, each on a connection of its own, and a record of what each saw.

use std::{
    collections::BTreeMap,
    sync::{Barrier, Mutex, PoisonError},
    time::Instant,
};

use warder_testkit::{Failure, Random, Reply, Result, Suite, Warder};

use crate::checker::Event;

/// Clients of every load.
pub(crate) const CLIENTS: usize = 64;

/// Events by key.
pub(crate) type Histories<A, R> = BTreeMap<String, Vec<Event<A, R>>>;

/// One client of a load.
pub(crate) struct Client<'a, A, R> {
    pub(crate) number: usize,
    pub(crate) random: Random,
    start: Instant,
    record: &'a Mutex<Histories<A, R>>,
}

impl<A: Clone, R> Client<'_, A, R> {
    /// Does one operation and records it. `act` answers none when the outcome is unknown.
    pub(crate) fn act(&mut self, key: &str, ask: A, act: impl FnOnce(&A) -> Result<Option<R>>) -> Result<Option<R>>
    where
        R: Clone,
    {
        let called = self.now();
        let answer = act(&ask)?;
        let outcome = answer.clone().map(|answer| (self.now(), answer));
        let event = Event { client: self.number, called, ask, outcome };
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        record.entry(key.to_owned()).or_default().push(event);
        Ok(answer)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Runs `work` in [`CLIENTS`] threads that start together, and returns what they recorded.
///
/// # Errors
/// The first error of a client.
pub(crate) fn run<A, R, W>(suite: &Suite, work: W) -> Result<Histories<A, R>>
where
    A: Clone + Send,
    R: Send,
    W: Fn(&mut Client<'_, A, R>) -> Result + Sync,
{
    let (start, gate, record) = (Instant::now(), Barrier::new(CLIENTS), Mutex::default());
    let one = |number: usize| {
        let random = suite.random().fork(number as u64);
        let mut client = Client { number, random, start, record: &record };
        gate.wait();
        work(&mut client).map_err(|why| Failure::new(format_args!("client {number}"), why))
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CLIENTS)
            .map(|number| {
                scope.spawn({
                    let one = &one;
                    move || one(number)
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    Ok(record.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Whether an answer leaves open what happened: out of time, or done and then without a record.
pub(crate) fn leaves_open(reply: &Reply) -> bool {
    reply.status == 504 || reply.status >= 500 && reply.text().contains("no audit sink took the record")
}

/// How often each operation was answered how: `"read value"`.
pub(crate) struct Met(BTreeMap<String, usize>);

/// Counts what happened.
pub(crate) fn met<A, R>(
    histories: &Histories<A, R>,
    ask: fn(&A) -> &'static str,
    answer: fn(&R) -> &'static str,
) -> Met {
    let mut met = BTreeMap::new();
    for event in histories.values().flatten() {
        let words = format!("{} {}", ask(&event.ask), event.answer().map_or("unknown", answer));
        *met.entry(words).or_default() += 1;
    }
    Met(met)
}

impl Met {
    /// # Errors
    /// When one of these never happened, or clients were turned away all the time: a run that met
    /// nothing proves nothing.
    pub(crate) fn needs(&self, needed: &[&str]) -> Result {
        let missing: Vec<_> = needed.iter().filter(|words| !self.0.contains_key(**words)).collect();
        let busy: usize = self.0.iter().filter(|(words, _)| words.ends_with(" busy")).map(|(_, count)| count).sum();
        if missing.is_empty() && busy * 20 <= self.0.values().sum() {
            return Ok(());
        }
        Err(Failure::from(format!("too little happened: missing {missing:?} in {:?}", self.0)))
    }
}

/// # Errors
/// When fewer answers than that came out of memory since the start.
pub(crate) fn needs_cache_hits(warder: &Warder, needed: u32) -> Result {
    let metrics = warder.stranger().get("/metrics").send()?.expect_status(200)?.text();
    let line = metrics.lines().find_map(|line| line.strip_prefix(r#"warder_cache_lookups_total{result="hit"} "#));
    match line.and_then(|count| count.parse::<f64>().ok()) {
        Some(hits) if hits >= f64::from(needed) => Ok(()),
        hits => Err(Failure::from(format!("too few answers came out of memory: {hits:?}"))),
    }
}
