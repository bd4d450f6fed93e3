//! Failed logins by mount and name.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{clock::Timestamp, route::Lockout};

/// Names that are remembered.
const MOST: usize = 8192;
/// Bytes of a name that tell it from others.
const NAME_BYTES: usize = 128;

/// Names whose logins failed.
#[derive(Default)]
pub struct Names {
    all: Mutex<HashMap<Key, Failures>>,
    lockouts: AtomicU64,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    /// Accessor of the mount.
    mount: String,
    /// In lower case: whether a plugin tells `A` from `a` is not known here.
    name: String,
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    /// When it is forgotten, or open again.
    until: Timestamp,
    locked: bool,
}

/// A name that is locked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Locked {
    /// Accessor of the mount.
    pub mount: String,
    /// The name.
    pub name: String,
}

impl Names {
    /// How long logging in by this name stays locked.
    #[must_use]
    pub fn locked(&self, mount: &str, name: &str, now: Timestamp) -> Option<Duration> {
        let failures = *self.all().get(&Key::new(mount, name))?;
        Some(now.until(failures.until)).filter(|left| failures.locked && !left.is_zero())
    }

    /// Counts a failed login; says whether it locked the name.
    pub fn failed(&self, mount: &str, name: &str, rules: &Lockout, now: Timestamp) -> bool {
        if rules.disabled {
            return false;
        }
        let (key, mut all) = (Key::new(mount, name), self.all());
        if all.len() >= MOST && !all.contains_key(&key) {
            forget(&mut all, now);
        }
        let fresh = Failures { count: 0, until: now, locked: false };
        let failures = all.entry(key).or_insert(fresh);
        if failures.until <= now {
            *failures = fresh;
        }
        failures.count = failures.count.saturating_add(1);
        let locks = !failures.locked && failures.count >= rules.threshold;
        failures.locked |= locks;
        self.lockouts.fetch_add(locks.into(), Ordering::Relaxed);
        if !failures.locked {
            failures.until = now.after(rules.reset);
        } else if locks {
            failures.until = now.after(rules.duration);
        }
        locks
    }

    /// A login went well: its name's failures are forgotten.
    pub fn succeeded(&self, mount: &str, name: &str) {
        self.all().remove(&Key::new(mount, name));
    }

    /// Opens a name again; says whether it was locked.
    pub fn unlock(&self, mount: &str, name: &str, now: Timestamp) -> bool {
        let removed = self.all().remove(&Key::new(mount, name));
        removed.is_some_and(|failures| failures.locked && failures.until > now)
    }

    /// Names locked since the start.
    pub fn lockouts(&self) -> u64 {
        self.lockouts.load(Ordering::Relaxed)
    }

    /// All that are locked, sorted.
    #[must_use]
    pub fn list(&self, now: Timestamp) -> Vec<Locked> {
        let all = self.all();
        let locked = all.iter().filter(|(_, failures)| failures.locked && failures.until > now);
        let mut locked: Vec<_> =
            locked.map(|(key, _)| Locked { mount: key.mount.clone(), name: key.name.clone() }).collect();
        locked.sort();
        locked
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Key, Failures>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Key {
    fn new(mount: &str, name: &str) -> Self {
        let mut name = name.to_lowercase();
        name.truncate(name.floor_char_boundary(NAME_BYTES));
        Self { mount: mount.to_owned(), name }
    }
}

/// Makes room: those that are over, or else the one with the fewest failures, a locked one last.
fn forget(all: &mut HashMap<Key, Failures>, now: Timestamp) {
    all.retain(|_, failures| failures.until > now);
    if all.len() >= MOST {
        let least = all.iter().min_by_key(|(_, failures)| (failures.locked, failures.count, failures.until));
        let least = least.map(|(key, _)| key.clone());
        least.iter().for_each(|key| _ = all.remove(key));
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn at(minutes: u32) -> Timestamp {
        Timestamp(1_000_000).after(MINUTE * minutes)
    }

    #[test]
    fn five_failures_lock_a_name_for_a_quarter_of_an_hour_and_no_other() {
        let (names, rules) = (Names::default(), Lockout::default());
        let failed: Vec<bool> = (0..6).map(|n| names.failed("m", "alice", &rules, at(n))).collect();
        assert_eq!(failed, [false, false, false, false, true, false]);
        assert_eq!(names.locked("m", "Alice", at(6)), Some(MINUTE * 13), "not lengthened by more failures");
        assert_eq!((names.locked("m", "bob", at(6)), names.locked("n", "alice", at(6))), (None, None));
        assert_eq!(names.list(at(6)), [Locked { mount: "m".to_owned(), name: "alice".to_owned() }]);
        assert_eq!((names.locked("m", "alice", at(19)), names.list(at(19))), (None, vec![]));
        assert!(!names.failed("m", "alice", &rules, at(19)), "it begins anew");
    }

    #[test]
    fn failures_are_forgotten_after_a_good_login_a_while_or_by_an_operator() {
        let (names, rules) = (Names::default(), Lockout { threshold: 2, ..Lockout::default() });
        assert!(!names.failed("m", "a", &rules, at(0)));
        names.succeeded("m", "a");
        assert!(!names.failed("m", "a", &rules, at(0)));
        assert!(!names.failed("m", "a", &rules, at(15)), "15 minutes after the last");
        assert!(names.failed("m", "a", &rules, at(16)));
        assert!(names.unlock("m", "A", at(16)) && !names.unlock("m", "a", at(16)));
        assert_eq!(names.locked("m", "a", at(16)), None);
        let rules = Lockout { disabled: true, ..rules };
        assert!((0..9).all(|_| !names.failed("m", "a", &rules, at(16))));
    }

    #[test]
    fn invented_names_use_up_no_memory_and_free_no_locked_one() {
        let (names, rules) = (Names::default(), Lockout { threshold: 2, ..Lockout::default() });
        for _ in 0..2 {
            names.failed("m", "alice", &rules, at(0));
        }
        for n in 0..3 * MOST {
            names.failed("m", &format!("{n}-{}", "x".repeat(2000)), &rules, at(0));
        }
        assert_eq!(names.all().len(), MOST);
        assert!(names.all().keys().all(|key| key.name.len() <= NAME_BYTES));
        assert!(names.locked("m", "alice", at(0)).is_some());
    }
}
