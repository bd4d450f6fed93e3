//! Where Warder's KV v2 differs from OpenBao's on purpose. Keep it short: each row is a promise
//! not kept, and each has its reason.

use super::{seen::Seen, step::Step};

/// A difference that is accepted.
pub(super) struct Accepted {
    /// Why.
    pub(super) reason: &'static str,
    /// Whether this is it: the request, OpenBao's answer, Warder's answer.
    pub(super) holds: fn(&Step, &Seen, &Seen) -> bool,
}

/// All of them.
pub(super) const TABLE: [Accepted; 1] = [Accepted {
    reason: "a body or field of the wrong type: OpenBao's words name Go types, Warder's the expectation",
    holds: |_, wanted, got| {
        wanted.status == 400
            && got.status == 400
            && wanted.says("error converting input|failed to decode JSON input")
            && got.errors() == 1
    },
}];
