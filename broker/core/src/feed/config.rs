//! Bounds of the feed.

use std::time::Duration;

/// Bounds of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedConfig {
    /// Most watchers at once. 20,000 by default.
    pub watchers: usize,
    /// Most watchers at once that came with one token. 10,000 by default.
    pub token_watchers: usize,
    /// Changes that can still be told. 16,384 by default.
    pub history: usize,
    /// The same in bytes. 16 MiB by default.
    pub history_bytes: usize,
    /// How long a watcher hears nothing before it is told that the watch goes on; whole seconds, at
    /// least one. 15 s by default.
    pub heartbeat: Duration,
}

impl Default for FeedConfig {
    fn default() -> Self {
        Self {
            watchers: 20_000,
            token_watchers: 10_000,
            history: 16_384,
            history_bytes: 16 << 20,
            heartbeat: Duration::from_secs(15),
        }
    }
}
