//! Bounds of each mount: so many plugin calls at once, so many requests that wait for one. A mount
//! that is full refuses at once, and no other mount notices.
//!
//! Fairness: whoever waits is let through in turns by who asks, not by how often; and when all
//! places are taken, a newcomer gets that of the last who waits for the one with the most, if that
//! leaves the other no worse off.
//!
//! Invariants: nobody waits outside of a place; a call that was given up leaves nothing behind.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use crate::{
    error::{Error, ErrorKind, Result},
    route::{Bounds, Mount},
};

/// Gates that are remembered; beyond, those that nobody is at are forgotten.
const REMEMBERED: usize = 1024;
/// When to come again: calls are short, and a stuck one is ended within seconds.
const AGAIN: Duration = Duration::from_secs(1);

/// The gates of all mounts.
pub(super) struct Gates {
    usual: Bounds,
    hasher: RandomState,
    mounts: RwLock<HashMap<Arc<str>, Arc<Gate>>>,
    refused: AtomicU64,
}

/// The gate of one mount.
struct Gate(Mutex<State>);

#[derive(Default)]
struct State {
    /// As of the last request.
    bounds: Bounds,
    /// Calls under way.
    running: usize,
    /// Places, by who has them.
    places: HashMap<u64, usize>,
    /// Those who wait for a call, by who asks.
    waiting: HashMap<u64, VecDeque<Turn>>,
    /// Who asks next.
    order: VecDeque<u64>,
}

/// Tells somebody who waits that it may call, or must give up its place.
type Turn = oneshot::Sender<Result<(), Pushed>>;

/// A newcomer has the place.
struct Pushed;

/// A place in a mount: it calls or waits for a call.
pub(super) struct Place {
    gate: Arc<Gate>,
    asker: u64,
    mount: Arc<Mount>,
}

/// One call under way.
pub(super) struct Running(Arc<Gate>);

/// Somebody who waits; dropped, nobody waits.
struct Waiter<'a> {
    gate: &'a Arc<Gate>,
    asker: u64,
    turn: oneshot::Receiver<Result<(), Pushed>>,
}

impl Gates {
    pub(super) fn new(usual: Bounds) -> Self {
        Self { usual, hasher: RandomState::new(), mounts: RwLock::default(), refused: AtomicU64::new(0) }
    }

    /// A place in the mount for whoever asks.
    ///
    /// # Errors
    /// `overloaded` when there is none.
    pub(super) fn enter(&self, mount: &Arc<Mount>, asker: &str) -> Result<Place> {
        let (gate, asker) = (self.gate(mount), self.hasher.hash_one(asker));
        let entered = gate.lock().enter(mount.bounds.or(self.usual), asker);
        match entered {
            true => Ok(Place { gate, asker, mount: mount.clone() }),
            false => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                Err(full(mount))
            }
        }
    }

    /// Calls under way, requests that wait, requests refused since the start.
    pub(super) fn counts(&self) -> [u64; 3] {
        let mut counts = [0, 0, self.refused.load(Ordering::Relaxed)];
        for gate in self.mounts.read().unwrap_or_else(PoisonError::into_inner).values() {
            let state = gate.lock();
            counts[0] += state.running as u64;
            counts[1] += state.waiting.values().map(VecDeque::len).sum::<usize>() as u64;
        }
        counts
    }

    fn gate(&self, mount: &Mount) -> Arc<Gate> {
        if let Some(gate) = self.mounts.read().unwrap_or_else(PoisonError::into_inner).get(&mount.uuid) {
            return gate.clone();
        }
        let mut mounts = self.mounts.write().unwrap_or_else(PoisonError::into_inner);
        if mounts.len() >= REMEMBERED {
            mounts.retain(|_, gate| Arc::strong_count(gate) > 1);
        }
        mounts.entry(mount.uuid.clone()).or_insert_with(|| Arc::new(Gate(Mutex::default()))).clone()
    }
}

impl Place {
    /// Waits for its turn to call.
    ///
    /// # Errors
    /// `deadline_exceeded`; `overloaded` when a newcomer got the place.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the turn.
    pub(super) async fn call(&self, until: Instant) -> Result<Running> {
        let running = || Running(self.gate.clone());
        let Some(turn) = self.gate.lock().begin(self.asker) else { return Ok(running()) };
        let mut waiter = Waiter { gate: &self.gate, asker: self.asker, turn };
        match timeout_at(until, &mut waiter.turn).await {
            Ok(Ok(Ok(()))) => Ok(running()),
            Ok(_) => Err(full(&self.mount)),
            Err(_) => {
                let words = "other calls of this mount took the whole time of this one: try again";
                Err(named(Error::new(ErrorKind::DeadlineExceeded, words), &self.mount))
            }
        }
    }
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn enter(&mut self, bounds: Bounds, asker: u64) -> bool {
        self.bounds = bounds;
        let all: usize = self.places.values().sum();
        // The one that is pushed out leaves its place when it hears of it.
        if all >= bounds.calls + bounds.queue && !self.push_out(asker) {
            return false;
        }
        *self.places.entry(asker).or_default() += 1;
        true
    }

    fn push_out(&mut self, newcomer: u64) -> bool {
        let places = |asker: &u64| self.places.get(asker).copied().unwrap_or_default();
        let Some(most) = self.waiting.keys().copied().max_by_key(places) else { return false };
        if places(&most) <= places(&newcomer) + 1 {
            return false;
        }
        // Those who wait hear of it one by one: never more of them than there are places over.
        while let Some(turn) = self.waiting.get_mut(&most).and_then(VecDeque::pop_back) {
            if turn.send(Err(Pushed)).is_ok() {
                self.tidy(most);
                return true;
            }
        }
        self.tidy(most);
        false
    }

    /// Begins a call, or waits for a turn.
    fn begin(&mut self, asker: u64) -> Option<oneshot::Receiver<Result<(), Pushed>>> {
        if self.running < self.bounds.calls {
            self.running += 1;
            return None;
        }
        let (turn, told) = oneshot::channel();
        let queue = self.waiting.entry(asker).or_default();
        if queue.is_empty() {
            self.order.push_back(asker);
        }
        queue.push_back(turn);
        Some(told)
    }

    /// A call ended: others begin, one of each who asks in turn.
    fn end(&mut self) {
        self.running = self.running.saturating_sub(1);
        while self.running < self.bounds.calls {
            let Some(asker) = self.order.pop_front() else { return };
            let Some(queue) = self.waiting.get_mut(&asker) else { continue };
            let turn = queue.pop_front();
            if queue.is_empty() {
                self.waiting.remove(&asker);
            } else {
                self.order.push_back(asker);
            }
            if turn.is_some_and(|turn| turn.send(Ok(())).is_ok()) {
                self.running += 1;
            }
        }
    }

    /// Forgets who has nobody waiting.
    fn tidy(&mut self, asker: u64) {
        if self.waiting.get(&asker).is_some_and(VecDeque::is_empty) {
            self.waiting.remove(&asker);
            self.order.retain(|other| *other != asker);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        if let Some(places) = state.places.get_mut(&self.asker) {
            *places -= 1;
            if *places == 0 {
                state.places.remove(&self.asker);
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.lock().end();
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        self.turn.close();
        // Its turn came when nobody waited for it any more. One that was taken is not there.
        if let Ok(Ok(())) = self.turn.try_recv() {
            state.end();
        }
        if let Some(queue) = state.waiting.get_mut(&self.asker) {
            queue.retain(|turn| !turn.is_closed());
        }
        state.tidy(self.asker);
    }
}

fn full(mount: &Mount) -> Error {
    let words = "as many calls of this mount are under way and waiting as may be: try again";
    named(Error::new(ErrorKind::Overloaded, words).after(AGAIN), mount)
}

fn named(error: Error, mount: &Mount) -> Error {
    error.in_plugin(mount.scope.plugin.as_str(), mount.path.as_str())
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").finish_non_exhaustive()
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Timestamp, port::backend::MountScope, secret::Secret};

    fn mount(uuid: &str, calls: usize, queue: usize) -> Arc<Mount> {
        let scope = MountScope { path: "a/".into(), plugin: "p".into(), fingerprint_key: Secret::from("") };
        Arc::new(Mount {
            path: "a/".into(),
            uuid: uuid.into(),
            accessor: String::new(),
            description: String::new(),
            options: std::collections::BTreeMap::default(),
            bounds: crate::route::OwnBounds { calls: Some(calls), queue: Some(queue) },
            lockout: crate::route::Lockout::default(),
            created: Timestamp(0),
            scope: Arc::new(scope),
        })
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[tokio::test]
    async fn a_full_mount_refuses_at_once_and_its_neighbour_does_not() {
        let gates = Gates::new(Bounds::default());
        let (small, other) = (mount("1", 1, 1), mount("2", 1, 1));
        let (first, second) = (gates.enter(&small, "a").unwrap(), gates.enter(&small, "a").unwrap());
        let refused = gates.enter(&small, "a").unwrap_err();
        assert_eq!((refused.kind, refused.retry_seconds()), (ErrorKind::Overloaded, Some(1)));
        assert_eq!(refused.mount.as_deref(), Some("a/"));
        gates.enter(&other, "a").unwrap().call(soon()).await.unwrap();
        let running = first.call(soon()).await.unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(10), second.call(soon())).await.is_err());
        assert_eq!(gates.counts(), [1, 0, 1], "who gave up does not wait");
        drop((running, first));
        second.call(soon()).await.unwrap();
        gates.enter(&small, "a").unwrap();
    }

    #[tokio::test]
    async fn nobody_waits_longer_than_it_has() {
        let gates = Gates::new(Bounds { calls: 1, queue: 9 });
        let mount = Arc::new(Mount { bounds: crate::route::OwnBounds::default(), ..Mount::clone(&mount("1", 1, 1)) });
        let (first, second) = (gates.enter(&mount, "a").unwrap(), gates.enter(&mount, "a").unwrap());
        let running = first.call(soon()).await.unwrap();
        let late = second.call(Instant::now() + Duration::from_millis(5)).await.unwrap_err();
        assert_eq!(late.kind, ErrorKind::DeadlineExceeded);
        drop(running);
        second.call(soon()).await.unwrap();
        assert_eq!(gates.counts(), [0, 0, 0]);
    }

    /// Who got its turn, in order, of these who wait behind a call; each ends at once.
    async fn turns(gates: &Gates, mount: &Arc<Mount>, askers: &[&'static str]) -> Vec<&'static str> {
        let first = gates.enter(mount, "first").unwrap();
        let running = first.call(soon()).await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut waiting = Vec::new();
        for &asker in askers {
            let (place, order) = (gates.enter(mount, asker), order.clone());
            waiting.push(tokio::spawn(async move {
                let Ok(place) = place else { return order.lock().unwrap().push("refused") };
                match place.call(soon()).await {
                    Ok(_running) => order.lock().unwrap().push(asker),
                    Err(_) => order.lock().unwrap().push("pushed"),
                }
            }));
            // Each waits before the next one comes.
            tokio::task::yield_now().await;
        }
        drop(running);
        for one in waiting {
            one.await.unwrap();
        }
        Arc::try_unwrap(order).unwrap().into_inner().unwrap()
    }

    #[tokio::test]
    async fn turns_go_by_who_asks_and_a_newcomer_gets_a_place() {
        let gates = Gates::new(Bounds::default());
        let got = turns(&gates, &mount("1", 1, 9), &["a", "a", "a", "b", "b", "c"]).await;
        assert_eq!(got, ["a", "b", "c", "a", "b", "a"]);
        let got = turns(&gates, &mount("2", 1, 3), &["a", "a", "a", "b", "a"]).await;
        assert_eq!(got, ["pushed", "refused", "a", "b", "a"]);
    }
}
