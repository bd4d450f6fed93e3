//! One value for each of a few groups of threads, so that threads that only read do not pass the
//! same cache lines to and fro: a lock or a count of references that two of them touch in each
//! request costs more than what it guards.

use std::{
    fmt,
    sync::{
        PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Groups of threads.
const SHARDS: usize = 16;

/// The values.
pub(crate) struct Shards<T>(Box<[Shard<T>; SHARDS]>);

/// Alone on its cache lines (two, which processors fetch together).
#[derive(Default)]
#[repr(align(128))]
struct Shard<T>(RwLock<T>);

impl<T: Default> Default for Shards<T> {
    fn default() -> Self {
        Self(Box::new(std::array::from_fn(|_| Shard::default())))
    }
}

impl<T> Shards<T> {
    /// The value of this thread's group.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0[mine()].0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, to be changed.
    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0[mine()].0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes every value, one after another.
    pub(crate) fn each(&self, mut change: impl FnMut(&mut T)) {
        for shard in &*self.0 {
            change(&mut shard.0.write().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

/// This thread's group.
fn mine() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
    }
    MINE.with(|mine| *mine)
}

impl<T> fmt::Debug for Shards<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shards").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_have_values_of_their_own_and_a_change_of_all_reaches_them() {
        let shards = Shards::<usize>::default();
        *shards.write() = 7;
        let other = || std::thread::scope(|scope| scope.spawn(|| *shards.read()).join().unwrap());
        assert_eq!((*shards.read(), other()), (7, 0));
        shards.each(|value| *value += 1);
        assert_eq!((*shards.read(), other()), (8, 1));
    }
}
