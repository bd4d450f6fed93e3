//! What calls of plugins cost and how they end: for whoever measures. Nothing here changes a
//! decision, and nothing here is a path, a name or a value of a secret.

use std::time::Duration;

/// Why a plugin's call was ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Longer than its wall time.
    Deadline,
    /// Moved more bytes across its sandbox than it may.
    HostCalls,
    /// More memory or table elements than it may have, or all calls of the plugin together.
    Memory,
    /// Called what it must not, or answered what no plugin may answer.
    Misuse,
    /// Found no free sandbox in its time.
    NoSandbox,
    /// More processor time than it may use.
    Processor,
    /// A trap: a panic, its stack, a rule of the sandbox.
    Trap,
}

impl Fault {
    /// Every fault, in the order of the enum.
    pub const ALL: [Self; 7] =
        [Self::Deadline, Self::HostCalls, Self::Memory, Self::Misuse, Self::NoSandbox, Self::Processor, Self::Trap];

    /// The word for it in metrics and spans.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::HostCalls => "host_calls",
            Self::Memory => "memory",
            Self::Misuse => "misuse",
            Self::NoSandbox => "no_sandbox",
            Self::Processor => "processor",
            Self::Trap => "trap",
        }
    }
}

/// What one exported call used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time on a processor, host calls included. Of its first turn, in which most calls end, the
    /// wall time.
    pub processor: Duration,
    /// Bytes of linear memory and of sealed values at its end; zero when it was torn down.
    pub memory: usize,
    /// Why it was ended from outside.
    pub fault: Option<Fault>,
}

/// What all calls of one plugin use now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Bytes of linear memory and of sealed values.
    pub memory: usize,
    /// The most that this was since the process started.
    pub memory_peak: usize,
    /// Calls that have a sandbox.
    pub running: usize,
}

/// Which export was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Export {
    /// Whether something is there.
    Exists,
    /// The request itself.
    Handle,
    /// More time for a lease.
    Renew,
    /// The end of a lease.
    Revoke,
}

impl Export {
    /// Its name in the contract.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Exists => "exists",
            Self::Handle => "handle",
            Self::Renew => "renew",
            Self::Revoke => "revoke",
        }
    }
}

/// One call that came to an end.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// Plugin name.
    pub plugin: &'a str,
    /// Mount path.
    pub mount: &'a str,
    /// What was called.
    pub export: Export,
    /// `ok`, an error's code, or `cancelled` when its caller's time was up first.
    pub outcome: &'static str,
    /// Time from the call to its end, waiting for a sandbox included.
    pub took: Duration,
    /// What it used.
    pub usage: Usage,
}

/// Told about every call of a plugin. Must not block.
pub trait Calls: Send + Sync + 'static {
    /// A call came to an end.
    fn ended(&self, call: &Ended<'_>);
}
