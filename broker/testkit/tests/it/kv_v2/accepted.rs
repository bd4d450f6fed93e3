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
pub(super) const TABLE: [Accepted; 7] = [
    Accepted {
        reason: "a body or field of the wrong type: OpenBao's words name Go types, Warder's the expectation",
        holds: |_, wanted, got| {
            both(400, wanted, got)
                && wanted.says("error converting input|failed to decode JSON input")
                && got.errors() == 1
        },
    },
    Accepted {
        reason: "OpenBao wraps some errors as \"1 error occurred\" in a list; Warder says the error alone",
        holds: |_, wanted, got| wanted.unwrapped().as_ref() == Some(got),
    },
    Accepted {
        reason: "patching what is absent: OpenBao's 404 has no body at all, Warder's says what is absent",
        holds: |step, wanted, got| step.is("PATCH") && wanted.is_bare(404) && got.status == 404 && got.errors() == 1,
    },
    Accepted {
        reason: "a patch of another media type is a 415 that names the right one; OpenBao answers 400 to none at all",
        holds: |step, wanted, got| {
            step.is("PATCH")
                && wanted.says("PATCH requires Content-Type|mime: no media type")
                && got.status == 415
                && got.says("expected application/merge-patch+json")
        },
    },
    Accepted {
        reason: "an object where versions are listed: OpenBao reads it as an empty list",
        holds: |step, wanted, got| {
            step.has("\"versions\":{}")
                && both(400, wanted, got)
                && wanted.says("o version number provided")
                && got.says("versions: expected a list")
        },
    },
    Accepted {
        reason: "reading a folder: absent to OpenBao (or a 500 where a secret has its name); to Warder no route",
        holds: |step, wanted, got| {
            step.is("GET") && step.is_for_folder() && matches!(wanted.status, 404 | 500) && got.says("unsupported path")
        },
    },
    Accepted {
        reason: "patching a secret whose value is null: OpenBao fails with a 500, Warder patches it (RFC 7396)",
        holds: |step, wanted, got| {
            step.is("PATCH") && wanted.status == 500 && wanted.says("resource does not exist") && got.effect()
        },
    },
];

fn both(status: u16, wanted: &Seen, got: &Seen) -> bool {
    wanted.status == status && got.status == status
}
