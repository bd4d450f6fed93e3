//! What the plugin does, and what must come of it.

/// One deed: the path below `do/`, the code of the problem, and words that its detail must have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deed {
    pub(crate) path: &'static str,
    pub(crate) code: &'static str,
    pub(crate) words: &'static str,
}

const fn deed(path: &'static str, code: &'static str, words: &'static str) -> Deed {
    Deed { path, code, words }
}

const TIME: &str = "used more than its 1 s of processor time";
const MEMORY: &str = "used more than its 64 MiB of memory";
const STACK: &str = "overflowed its stack";
const RULE: &str = "broke a rule of its sandbox";
const ACROSS: &str = "moved more across its sandbox in one call than its bound";
const WRITTEN: &str = "over its limit of 8388608 bytes written by one call";
const ANSWER: &str = "answered with a status or a content type that no answer can have";

/// Every way to misbehave. Those that take the whole second of processor time come first.
pub(crate) const DEEDS: &[Deed] = &[
    // Endless loops, floods of host calls and of the log.
    deed("loop", "deadline_exceeded", TIME),
    deed("call-flood", "deadline_exceeded", TIME),
    deed("store-flood", "deadline_exceeded", TIME),
    deed("log-loop", "deadline_exceeded", TIME),
    deed("stderr-loop", "deadline_exceeded", TIME),
    deed("loop-midway", "deadline_exceeded", TIME),
    deed("exists-loop", "deadline_exceeded", TIME),
    // Host calls that take long by nature.
    deed("slow", "too_large", "one call may hash or verify 8 passwords"),
    // Memory.
    deed("memory", "internal", MEMORY),
    deed("memory-midway", "internal", MEMORY),
    deed("double", "too_large", "one call may make 32 MiB of sealed values"),
    // Both stacks, and the host's.
    deed("recurse", "internal", STACK),
    deed("recurse-shadow", "internal", STACK),
    deed("deep-seal", "invalid_request", "nested deeper than 64 levels"),
    deed("deep-plain", "invalid_request", "nested deeper than 64 levels"),
    deed("deep-compose", "invalid_request", "nested deeper than 64 levels"),
    deed("deep-answer", "upstream_protocol", "the plugin's answer is not what it declared"),
    deed("deep-splice", "upstream_protocol", "the plugin's answer is not what it declared"),
    // What crosses the sandbox.
    deed("big-answer", "too_large", ACROSS),
    deed("big-argument", "too_large", ACROSS),
    deed("big-names", "too_large", ACROSS),
    // The store.
    deed("big-write", "too_large", "over its limit of 2097152 bytes in one stored value"),
    deed("big-writes", "too_large", WRITTEN),
    deed("big-secrets", "too_large", WRITTEN),
    // A bad end, with and without writes before.
    deed("panic", "internal", "panicked"),
    deed("panic-midway", "internal", "panicked"),
    deed("exists-panic", "internal", "panicked"),
    deed("exit", "internal", "called exit"),
    deed("stdout", "internal", "called wasi:cli/stdout"),
    deed("write-then-lie", "upstream_protocol", "the plugin's answer is not what it declared"),
    deed("write-then-odd", "internal", ANSWER),
    deed("status/42", "internal", ANSWER),
    deed("header", "internal", ANSWER),
    deed("bad-pointer", "upstream_protocol", "the plugin's answer is not what it declared"),
    // Handles.
    deed("handles", "too_large", "one call may hold no more handles"),
    deed("key-handles", "too_large", "one call may hold no more handles"),
    deed("http-handles", "internal", RULE),
    deed("forge/4711", "internal", RULE),
    deed("forge-all", "internal", RULE),
    deed("forge-kind", "internal", RULE),
    deed("forge-gone", "internal", RULE),
    deed("forge-twice", "internal", RULE),
    // An oracle with no error channel.
    deed("fingerprint-mixed", "internal", "asked for the fingerprint"),
];

impl Deed {
    /// Status of `/api/v1` and of `/v1`.
    pub(crate) fn status(&self) -> u16 {
        match self.code {
            "deadline_exceeded" => 504,
            "invalid_request" => 400,
            "too_large" => 413,
            "upstream_protocol" => 502,
            _ => 500,
        }
    }

    /// Mistakes of the caller are told without plugin and mount.
    pub(crate) fn names_its_plugin(&self) -> bool {
        self.code != "invalid_request"
    }
}
