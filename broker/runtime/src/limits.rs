//! Bounds of a sandbox's memory: growing past one is a trap, not an answer that a guest ignores.

use std::sync::Arc;

use wasmtime::ResourceLimiter;

use crate::{
    RuntimeConfig,
    share::{Full, Share, Used},
};

/// Linear memories of one call: the plugin's, and one for an adapter.
pub(crate) const MEMORIES: u32 = 2;

/// A bound that a guest ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Exceeded {
    /// All linear memories together.
    #[error("used more than its {0} of memory")]
    Memory(Size),
    /// All calls of the plugin together.
    #[error("used more than its {0} of memory in all its calls together")]
    Share(Size),
    /// All tables together.
    #[error("used more than its {0} table elements")]
    Tables(usize),
}

/// Bytes, shown in the largest unit that divides them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) usize);

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            n if n >= 1 << 20 && n % (1 << 20) == 0 => write!(f, "{} MiB", n >> 20),
            n if n >= 1 << 10 && n % (1 << 10) == 0 => write!(f, "{} KiB", n >> 10),
            n => write!(f, "{n} bytes"),
        }
    }
}

/// Counts what one store uses.
#[derive(Debug)]
pub(crate) struct Limits {
    memory: usize,
    memory_used: usize,
    shared: Used,
    elements: usize,
    elements_used: usize,
    instances: usize,
}

impl Limits {
    pub(crate) const fn new(config: &RuntimeConfig, share: Arc<Share>) -> Self {
        Self {
            memory: config.memory_bytes,
            memory_used: 0,
            shared: Used::none(share),
            elements: config.table_elements,
            elements_used: 0,
            instances: config.instances,
        }
    }

    /// Bytes of linear memory.
    pub(crate) const fn memory_used(&self) -> usize {
        self.memory_used
    }
}

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        let used = self.memory_used.saturating_add(more);
        if used > self.memory {
            return Err(Exceeded::Memory(Size(self.memory)).into());
        }
        self.shared.grow(more).map_err(|Full(bytes)| Exceeded::Share(Size(bytes)))?;
        self.memory_used = used;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let used = self.elements_used.saturating_add(desired.saturating_sub(current));
        if used > self.elements {
            return Err(Exceeded::Tables(self.elements).into());
        }
        self.elements_used = used;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.instances
    }

    fn memories(&self) -> usize {
        MEMORIES as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_memories_share_one_bound() {
        let config = RuntimeConfig { memory_bytes: 100, ..RuntimeConfig::default() };
        let mut limits = Limits::new(&config, Share::new("kv", &config));
        assert!(limits.memory_growing(0, 60, None).is_ok());
        let error = limits.memory_growing(0, 60, None).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Exceeded::Memory(Size(100))));
        assert!(limits.memory_growing(60, 100, None).is_ok());
    }

    #[test]
    fn sizes_read_as_people_write_them() {
        assert_eq!([Size(64 << 20), Size(1024), Size(1500)].map(|s| s.to_string()), ["64 MiB", "1 KiB", "1500 bytes"]);
    }
}
