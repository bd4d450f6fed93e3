//! How many requests are under way in the whole process. What is more than is borne is shed at
//! once, before any work: it is counted and not recorded, because the record is the larger part of
//! the work that is saved.
//!
//! Operators' requests (`sys/`) have room of their own, so that they get in.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use crate::{
    error::{Error, ErrorKind, Result},
    request::Address,
};

/// Operators' requests at once.
const OPERATORS: usize = 256;
/// When to come again.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(1);

/// The count.
pub(super) struct Load {
    requests: Arc<Room>,
    operators: Arc<Room>,
    shed: AtomicU64,
}

struct Room {
    most: usize,
    inside: AtomicUsize,
}

/// One request under way.
pub(super) struct UnderWay(Arc<Room>);

impl Load {
    pub(super) fn new(most: usize) -> Self {
        let room = |most| Arc::new(Room { most, inside: AtomicUsize::new(0) });
        Self { requests: room(most), operators: room(OPERATORS), shed: AtomicU64::new(0) }
    }

    /// Counts a request until the value is dropped.
    ///
    /// # Errors
    /// `overloaded`.
    pub(super) fn enter(&self, address: &Address) -> Result<UnderWay> {
        let operators = matches!(address, Address::Canonical(path) if path.as_str().starts_with("sys/"));
        let room = if operators { &self.operators } else { &self.requests };
        match room.inside.fetch_add(1, Ordering::AcqRel) < room.most {
            true => Ok(UnderWay(room.clone())),
            false => {
                room.inside.fetch_sub(1, Ordering::AcqRel);
                Err(self.shed())
            }
        }
    }

    /// Refuses when a request of no operator would be.
    pub(super) fn check(&self) -> Result<()> {
        if self.under_way() < self.requests.most { Ok(()) } else { Err(self.shed()) }
    }

    /// Requests under way, those of operators apart.
    pub(super) fn under_way(&self) -> usize {
        self.requests.inside.load(Ordering::Acquire)
    }

    /// Requests shed since the start.
    pub(super) fn count(&self) -> u64 {
        self.shed.load(Ordering::Relaxed)
    }

    fn shed(&self) -> Error {
        self.shed.fetch_add(1, Ordering::Relaxed);
        Error::new(ErrorKind::Overloaded, "more requests are under way than are borne: try again").after(AGAIN)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::Path;

    #[test]
    fn what_is_too_much_is_shed_and_operators_get_in() {
        let load = Load::new(2);
        let address = |path: &str| Address::Canonical(Path::parse(path).unwrap());
        let (secret, sys) = (address("secret/data/a"), address("sys/mounts"));
        let _one = load.enter(&secret).unwrap();
        let two = load.enter(&secret).unwrap();
        for refused in [load.enter(&secret).map(|_| ()), load.check()] {
            let refused = refused.unwrap_err();
            assert_eq!((refused.kind, refused.retry_seconds()), (ErrorKind::Overloaded, Some(1)));
        }
        let operators: Vec<_> = (0..OPERATORS).map(|_| load.enter(&sys).unwrap()).collect();
        assert!(load.enter(&sys).is_err(), "bounded as well");
        drop((two, operators));
        load.check().unwrap();
        load.enter(&secret).unwrap();
        assert_eq!((load.under_way(), load.count()), (1, 3));
    }
}
