//! Single flight: of many callers that miss the same entry at once, one asks the plugin.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;

use super::Key;

/// Questions under way.
#[derive(Default)]
pub struct Flights(Arc<Mutex<HashMap<Key, watch::Receiver<bool>>>>);

/// Whose turn it is.
pub enum Flight {
    /// Ask, then drop this.
    Lead(Lead),
    /// Another caller asked and kept an answer: look again.
    Landed,
    /// Another caller asked and nothing could be kept: ask for yourself.
    Alone,
}

/// Held while asking; dropping it lets the others go on.
pub struct Lead {
    key: Key,
    flights: Arc<Mutex<HashMap<Key, watch::Receiver<bool>>>>,
    done: watch::Sender<bool>,
}

impl Lead {
    /// Says that an answer was kept, so that the others look instead of asking.
    pub fn kept(&self) {
        self.done.send_replace(true);
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

impl Flights {
    /// Leads, or waits until the leader is done.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the others as they were.
    pub async fn join(&self, key: &Key) -> Flight {
        let mut waiting = {
            let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match flights.get(key) {
                Some(receiver) => receiver.clone(),
                None => {
                    let (done, receiver) = watch::channel(false);
                    flights.insert(key.clone(), receiver);
                    return Flight::Lead(Lead { key: key.clone(), flights: self.0.clone(), done });
                }
            }
        };
        // An error means that the leader is gone; the last value says how it went.
        while waiting.changed().await.is_ok() {}
        if *waiting.borrow() { Flight::Landed } else { Flight::Alone }
    }
}
