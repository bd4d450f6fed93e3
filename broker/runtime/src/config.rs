//! The bounds of a call, and of all calls together.

use std::time::Duration;

/// Bounds of the sandbox; each call gets all of them afresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeConfig {
    /// Linear memory of one call, bytes, all memories together. Default 64 MiB.
    pub memory_bytes: usize,
    /// Table elements of one call, all tables together. Default 20,000.
    pub table_elements: usize,
    /// Core instances of one call, and as many tables (memories: two). Default 20.
    pub instances: usize,
    /// Processor time of one call. Default 1 s.
    pub cpu: Duration,
    /// Wall time of one call; the request's own deadline may be shorter. Default 10 s.
    pub wall: Duration,
    /// Bytes that one host call, or the answer, may move across the sandbox. Default 8 MiB.
    pub hostcall_fuel: usize,
    /// Handles (sealed values, keys) that one call may hold at once. Default 4,096.
    pub max_handles: usize,
    /// Bytes of sealed values that one call may make. Default 32 MiB.
    pub sealed_bytes: usize,
    /// Log lines of one call, and as many lines on stderr. Default 64.
    pub log_lines: usize,
    /// Calls that run at once; others wait within their deadline. Default 512, 1 to 8,192.
    pub max_concurrent: u32,
    /// Calls of one plugin that run at once, so that none takes all sandboxes. Default 128.
    pub plugin_concurrent: u32,
    /// Linear memory and sealed values of all calls of one plugin together, bytes. Default 1 GiB.
    pub plugin_memory_bytes: usize,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            table_elements: 20_000,
            instances: 20,
            cpu: Duration::from_secs(1),
            wall: Duration::from_secs(10),
            hostcall_fuel: 8 << 20,
            max_handles: 4096,
            sealed_bytes: 32 << 20,
            log_lines: 64,
            max_concurrent: 512,
            plugin_concurrent: 128,
            plugin_memory_bytes: 1 << 30,
        }
    }
}
