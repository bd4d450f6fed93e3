//! What all calls of one plugin share: its part of the sandboxes, of memory and of the log.
//!
//! Invariant: a plugin that uses up its share holds up its own calls only.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;
use warder_core::port::usage::Footprint;

use crate::RuntimeConfig;

/// Log lines that one plugin may write at once, and how long one comes back after.
const LINES: u32 = 1000;
const LINE_EVERY: Duration = Duration::from_millis(10);

/// One plugin's share of the runtime.
#[derive(Debug)]
pub(crate) struct Share {
    /// Name of the plugin, for logs.
    pub(crate) plugin: Box<str>,
    /// Sandboxes that its calls may have at once.
    pub(crate) slots: Semaphore,
    /// Bytes that its calls use at once.
    memory: AtomicUsize,
    /// The most that this was.
    peak: AtomicUsize,
    memory_limit: usize,
    /// Sandboxes that its calls may have at once.
    most: usize,
    lines: Mutex<Lines>,
}

/// A bucket of log lines.
#[derive(Debug)]
struct Lines {
    left: u32,
    dropped: u64,
    filled: Instant,
}

impl Share {
    pub(crate) fn new(plugin: &str, config: &RuntimeConfig) -> Arc<Self> {
        Arc::new(Self {
            plugin: plugin.into(),
            slots: Semaphore::new(config.plugin_concurrent.min(config.max_concurrent) as usize),
            memory: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            most: config.plugin_concurrent.min(config.max_concurrent) as usize,
            memory_limit: config.plugin_memory_bytes,
            lines: Mutex::new(Lines { left: LINES, dropped: 0, filled: Instant::now() }),
        })
    }

    /// What its calls use now.
    pub(crate) fn footprint(&self) -> Footprint {
        Footprint {
            memory: self.memory.load(Ordering::Relaxed),
            memory_peak: self.peak.load(Ordering::Relaxed),
            running: self.most.saturating_sub(self.slots.available_permits()),
        }
    }

    /// Whether one more line may be written; says how many may not, once lines may again.
    pub(crate) fn may_log(&self) -> bool {
        let dropped = {
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            match lines.take(Instant::now()) {
                Some(dropped) => dropped,
                None => return false,
            }
        };
        if dropped > 0 {
            tracing::warn!(plugin.name = %self.plugin, dropped, "plugin wrote more to the log than its share");
        }
        true
    }
}

impl Lines {
    /// One line, and the lines dropped before it; none when there is none left.
    fn take(&mut self, now: Instant) -> Option<u64> {
        let back = now.saturating_duration_since(self.filled).as_nanos() / LINE_EVERY.as_nanos();
        if back > 0 {
            self.left = u32::try_from(back).unwrap_or(LINES).saturating_add(self.left).min(LINES);
            self.filled = now;
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Some(std::mem::take(&mut self.dropped))
            }
            None => {
                self.dropped += 1;
                None
            }
        }
    }
}

/// Bytes of a plugin's share that one call uses; given back when it drops.
#[derive(Debug)]
pub(crate) struct Used {
    share: Arc<Share>,
    bytes: usize,
}

/// The plugin's calls use as much as they may together, which is this many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full(pub(crate) usize);

impl Used {
    pub(crate) const fn none(share: Arc<Share>) -> Self {
        Self { share, bytes: 0 }
    }

    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        let used = self.share.memory.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if used > self.share.memory_limit {
            self.share.memory.fetch_sub(bytes, Ordering::Relaxed);
            return Err(Full(self.share.memory_limit));
        }
        self.bytes += bytes;
        self.share.peak.fetch_max(used, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Used {
    fn drop(&mut self) {
        self.share.memory.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_share_one_bound_and_give_back() {
        let share = Share::new("kv", &RuntimeConfig { plugin_memory_bytes: 100, ..RuntimeConfig::default() });
        let (mut first, mut second) = (Used::none(share.clone()), Used::none(share));
        assert_eq!(first.grow(60), Ok(()));
        assert_eq!(second.grow(60), Err(Full(100)));
        assert_eq!(second.grow(40), Ok(()));
        drop(first);
        let footprint = second.share.footprint();
        assert_eq!((footprint.memory, footprint.memory_peak), (40, 100));
        assert_eq!(second.grow(60), Ok(()));
    }

    #[test]
    fn lines_come_back_with_time_and_the_lost_ones_are_counted() {
        let start = Instant::now();
        let mut lines = Lines { left: 2, dropped: 0, filled: start };
        assert_eq!([start; 4].map(|now| lines.take(now)), [Some(0), Some(0), None, None]);
        assert_eq!(lines.take(start + LINE_EVERY), Some(2));
        assert_eq!(lines.take(start + LINE_EVERY), None);
        assert_eq!(lines.take(start + LINE_EVERY * 1_000_000), Some(1));
        assert_eq!(lines.left, LINES - 1);
    }
}
