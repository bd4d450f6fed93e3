//! The connections of all listeners together.
//!
//! There is room for so many. When it is taken, whoever comes next gets the place of the connection that
//! has been silent for longest: one without an open request, be it before its first or between two.
//! Where a request is open on each, newcomers wait. Invariant: who is busy is never sent away for others.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::seat::Seat;

/// After which another one is asked to leave, when the first does not.
const AGAIN: Duration = Duration::from_millis(500);

/// All connections.
pub(crate) struct Crowd {
    room: Arc<Semaphore>,
    seats: Mutex<HashMap<u64, Arc<Seat>>>,
    next: AtomicU64,
}

impl Crowd {
    /// Room for so many.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        let (room, seats) = (Arc::new(Semaphore::new(most)), Mutex::default());
        Arc::new(Self { room, seats, next: AtomicU64::new(0) })
    }

    /// A place for one more, when there is one; none: never again.
    ///
    /// # Cancel safety
    /// Somebody may have been asked to leave in vain.
    pub(crate) async fn enter(self: &Arc<Self>) -> Option<Seated> {
        let permit = loop {
            if let Ok(permit) = self.room.clone().try_acquire_owned() {
                break permit;
            }
            self.make_room();
            if let Ok(permit) = timeout(AGAIN, self.room.clone().acquire_owned()).await {
                break permit.ok()?;
            }
        };
        let (number, seat) = (self.next.fetch_add(1, Ordering::Relaxed), Seat::new());
        self.seats().insert(number, seat.clone());
        Some(Seated { seat, number, crowd: self.clone(), _permit: permit })
    }

    /// Asks the one to leave that has been silent for longest, if any is.
    pub(crate) fn make_room(&self) {
        let seats = self.seats();
        let silent = seats.values().filter_map(|seat| Some((seat.silence()?, seat)));
        if let Some((_, seat)) = silent.max_by_key(|(silence, _)| *silence) {
            seat.ask_to_leave();
        }
    }

    fn seats(&self) -> MutexGuard<'_, HashMap<u64, Arc<Seat>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place that is taken; free again when it drops.
pub(crate) struct Seated {
    pub(crate) seat: Arc<Seat>,
    number: u64,
    crowd: Arc<Crowd>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Seated {
    fn drop(&mut self) {
        self.crowd.seats().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_longest_silent_makes_room_and_who_is_busy_stays() {
        let crowd = Crowd::new(3);
        let [busy, first, second] = [crowd.enter().await, crowd.enter().await, crowd.enter().await];
        let [busy, first, second] = [busy.unwrap(), first.unwrap(), second.unwrap()];
        let open = busy.seat.open();
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(first.seat.open());
        let leaving = tokio::spawn(async move {
            second.seat.asked_to_leave().await;
            drop(second);
        });
        let third = crowd.enter().await.unwrap();
        leaving.await.unwrap();
        let _kept = (third.seat.open(), first.seat.open());
        let waiting = timeout(Duration::from_secs(60), crowd.enter()).await;
        assert!(waiting.is_err(), "all are busy");
        drop(open);
        let asked = busy.seat.clone();
        let leaving = tokio::spawn(async move {
            asked.asked_to_leave().await;
            drop(busy);
        });
        assert!(crowd.enter().await.is_some());
        leaving.await.unwrap();
    }
}
