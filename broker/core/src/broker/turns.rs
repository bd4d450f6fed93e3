//! Turns of writers: those of one path go one after the other.
//!
//! A mount has queues of its own: a plugin that takes its time holds up no writer of another mount.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, PoisonError, RwLock},
};

use tokio::sync::Mutex;

/// Writers of one path wait in one of so many queues of its mount.
const QUEUES: usize = 1024;

type Queues = Arc<[Arc<Mutex<()>>]>;

/// The queues of all mounts that were written to.
#[derive(Default)]
pub(super) struct Turns(RwLock<HashMap<String, Queues>>);

impl Turns {
    /// The queue of this path of this mount.
    pub(super) fn of(&self, mount: &str, captures: &[(String, String)]) -> Arc<Mutex<()>> {
        let mut hasher = DefaultHasher::new();
        captures.hash(&mut hasher);
        let at = usize::try_from(hasher.finish() % QUEUES as u64).unwrap_or_default();
        self.queues(mount)[at].clone()
    }

    fn queues(&self, mount: &str) -> Queues {
        if let Some(queues) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(mount) {
            return queues.clone();
        }
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.entry(mount.to_owned()).or_insert_with(|| (0..QUEUES).map(|_| Arc::default()).collect()).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_mount_waits_for_another() {
        let turns = Turns::default();
        let path = |text: &str| [("path".to_owned(), text.to_owned())];
        let held: Vec<_> = (0..4 * QUEUES).map(|n| turns.of("slow", &path(&n.to_string())).try_lock_owned()).collect();
        assert!(held.iter().filter(|turn| turn.is_ok()).count() > QUEUES / 2);
        assert!((0..QUEUES).all(|n| turns.of("other", &path(&n.to_string())).try_lock().is_ok()));
        assert!(Arc::ptr_eq(&turns.of("other", &path("a")), &turns.of("other", &path("a"))));
    }
}
