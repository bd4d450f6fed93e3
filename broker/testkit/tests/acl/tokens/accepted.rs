//! Where Warder's tokens differ from OpenBao's on purpose. Keep it short: each row is a promise
//! not kept, and each has its reason.

use serde_json::Value;

use super::seen::Seen;

/// A difference that is accepted.
pub(super) struct Accepted {
    /// Why.
    pub(super) reason: &'static str,
    /// In which rows of the table; in any when empty.
    pub(super) steps: &'static [&'static str],
    /// Whether this is it: OpenBao's answer, Warder's answer.
    pub(super) holds: fn(&Seen, &Seen) -> bool,
}

impl Accepted {
    pub(super) fn covers(&self, step: &str, wanted: &Seen, got: &Seen) -> bool {
        (self.steps.is_empty() || self.steps.contains(&step)) && (self.holds)(wanted, got)
    }
}

/// All of them. (That Warder's tokens begin with `hvs.` and `hvb.` as Vault's do, and OpenBao's with
/// `s.` and `b.`, is no row: the texts of tokens are not compared.)
pub(super) const TABLE: &[Accepted] = &[
    Accepted {
        reason: "OpenBao frames some errors (\"1 error occurred:\"), Warder none but refusals; \
                 Warder names the field in front of the same words",
        steps: &[],
        holds: |wanted, got| {
            let (theirs, ours) = (wanted.unframed(), got.unframed());
            let unnamed = ours.split_once(": ").map(|(_, rest)| rest);
            wanted.status == got.status && !theirs.is_empty() && (theirs == ours || Some(&*theirs) == unnamed)
        },
    },
    Accepted {
        reason: "mistakes in fields: OpenBao's words are those of its parser or of one rule, Warder's name \
                 the field and the expectation, never the value",
        steps: &[
            "ttl that is no duration",
            "ttl below zero",
            "uses below zero",
            "an internal policy",
            "a type that is none",
            "a chosen text with s.",
            "a chosen text with hvs.",
            "a chosen text with a dot",
            "a body that is no object",
            "a body that is no JSON",
            "batch with uses",
            "batch with a period",
            "batch with an explicit max",
            "renew without a token",
            "renew without an accessor",
            "renew with a bad increment",
            "lookup without an accessor",
            "capabilities of no path",
            "revoke without a token",
            "revoke without an accessor",
            "revoke-orphan without a token",
        ],
        holds: |wanted, got| wanted.status == 400 && got.status == 400 && !got.errors().is_empty(),
    },
    Accepted {
        reason: "every refusal of the door has one wording, also where OpenBao says \"bad token\"",
        steps: &[
            "lookup of an unknown token",
            "an accessor is no token",
            "lookup of a revoked token",
            "an expired token is not found",
        ],
        holds: |wanted, got| {
            wanted.is_denied()
                && got.is_denied()
                && wanted.errors() == "bad token"
                && got.unframed() == "permission denied"
        },
    },
    Accepted {
        reason: "asking what an unknown token may do is refused as looking it up is, not an invalid request",
        steps: &["capabilities of an unknown token"],
        holds: |wanted, got| wanted.status == 400 && got.is_denied(),
    },
    Accepted {
        reason: "a lookup that names no token is a mistake; OpenBao looks up the caller",
        steps: &["lookup without a token"],
        holds: |wanted, got| wanted.status == 200 && got.errors() == "missing field: token",
    },
    Accepted {
        reason: "revoking an accessor of nothing is a mistake, so that nobody takes it for done; OpenBao warns",
        steps: &["revoke by accessor twice"],
        holds: |wanted, got| wanted.status == 200 && got.status == 400 && got.errors() == "invalid accessor",
    },
    Accepted {
        reason: "a batch token's text cannot be chosen: Warder says so, OpenBao ignores the wish",
        steps: &["batch with a chosen text"],
        holds: |wanted, got| wanted.status == 200 && got.status == 400,
    },
    Accepted {
        reason: "one string of policies is split at commas, as Vault's command line writes them; to OpenBao \
                 it is one name",
        steps: &["policies as text"],
        holds: |wanted, got| {
            let differs = &["/auth/policies", "/auth/token_policies", "/warnings"];
            wanted.without(differs) == got.without(differs)
                && got.body["auth"]["policies"] == serde_json::json!(["boss", "default", "reader"])
        },
    },
    Accepted {
        reason: "policies given as an empty text ask for none; OpenBao gives all that the parent has",
        steps: &["policies as empty text"],
        holds: |wanted, got| {
            let policies = |seen: &Seen| seen.body["auth"]["policies"].clone();
            (policies(wanted), policies(got)) == (serde_json::json!(["root"]), serde_json::json!(["default"]))
        },
    },
    Accepted {
        reason: "a token without policies shows them as an empty list; OpenBao leaves token_policies out",
        steps: &["default and none of it"],
        holds: |wanted, got| {
            got.body["auth"]["token_policies"] == serde_json::json!([])
                && wanted.without(&["/auth/token_policies"]) == got.without(&["/auth/token_policies"])
        },
    },
    Accepted {
        reason: "warnings speak of durations as Vault does (768h0m0s, Period), not as OpenBao (768h, period)",
        steps: &[
            "ttl over the system's",
            "period and explicit max",
            "period over the system's",
            "explicit max",
            "explicit max below ttl",
            "renew beyond the explicit max",
            "renew beyond the system's max",
        ],
        holds: |wanted, got| {
            let spoken = |seen: &Seen| seen.warnings().replace("h0m0s", "h").replace("Period", "period");
            !wanted.warnings().is_empty()
                && spoken(wanted) == spoken(got)
                && wanted.without(&["/warnings"]) == got.without(&["/warnings"])
        },
    },
    Accepted {
        reason: "Warder warns that it capped the explicit max TTL, as Vault does; OpenBao caps in silence",
        steps: &["explicit max over the system's"],
        holds: |wanted, got| {
            got.warnings().contains("value is being capped")
                && wanted.without(&["/warnings"]) == got.without(&["/warnings"])
        },
    },
    Accepted {
        reason: "Warder hashes every token with its HMAC, so there is nothing to warn about a chosen text",
        steps: &["a chosen text", "sudo chooses texts", "a chosen text after its end", "a chosen text again"],
        holds: |wanted, got| {
            wanted.warnings().contains("SHA1 hashing")
                && got.body["warnings"] == Value::Null
                && wanted.without(&["/warnings"]) == got.without(&["/warnings"])
        },
    },
    Accepted {
        reason: "Warder does not warn of fields that it does not know",
        steps: &["a field nobody knows"],
        holds: |wanted, got| wanted.without(&["/warnings"]) == got.without(&["/warnings"]),
    },
    Accepted {
        reason: "on its last use a token has no uses left; OpenBao shows its mark for that, -1",
        steps: &["the last use"],
        holds: |wanted, got| {
            let uses = |seen: &Seen| seen.body["data"]["num_uses"].as_i64();
            (uses(wanted), uses(got)) == (Some(-1), Some(0))
                && wanted.without(&["/data/num_uses"]) == got.without(&["/data/num_uses"])
        },
    },
];
