//! Prometheus text, version 0.0.4, such that `promtool check metrics` has nothing to say.

use std::fmt::Write as _;

use prometheus::{Encoder as _, TextEncoder};
use warder_core::error::Error;

use super::{BUCKETS, MILLISECONDS, Metrics};

/// Vault's names for times of requests: name, what it is, bounds.
pub(super) const VAULT_HISTOGRAMS: [(&str, &str, &[f64]); 4] = [
    ("vault_core_handle_request_latency_seconds", "Time to answer a request", &BUCKETS),
    ("vault_core_handle_request", "Milliseconds to answer a request", &MILLISECONDS),
    ("vault_token_create", "Milliseconds to create a token", &MILLISECONDS),
    ("vault_token_lookup", "Milliseconds to look up a token that was asked for", &MILLISECONDS),
];

/// A gauge that OpenTelemetry cannot tell while it is without an end.
pub(super) const EXPIRY: (&str, &str) =
    ("vault_token_expiry_seconds", "Time until the next token ends; +Inf while none will");

impl Metrics {
    /// All of it as text.
    ///
    /// # Errors
    /// `internal` when a registry cannot be encoded.
    pub(crate) fn text(&self) -> Result<String, Error> {
        let [own, vault] = &self.registries;
        let mut text = encoded(own)?;
        // Counters end in `_total`, the rule says. These cannot, or nobody would find them.
        text.push_str(&encoded(vault)?.replace(" counter\n", " untyped\n"));
        VAULT_HISTOGRAMS.iter().for_each(|(name, words, bounds)| untouched(&mut text, name, words, bounds));
        let (name, words) = EXPIRY;
        if !told(&text, name) {
            let _ = writeln!(text, "# HELP {name} {words}\n# TYPE {name} gauge\n{name} +Inf");
        }
        Ok(text)
    }
}

fn told(text: &str, name: &str) -> bool {
    text.contains(&format!("# TYPE {name} "))
}

fn encoded(registry: &prometheus::Registry) -> Result<String, Error> {
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text).map_err(Error::internal)?;
    String::from_utf8(text).map_err(Error::internal)
}

/// A histogram that nothing was recorded in is absent; alerts need the zeroes.
fn untouched(text: &mut String, name: &str, words: &str, bounds: &[f64]) {
    if told(text, name) {
        return;
    }
    // Writing to a String cannot fail.
    let _ = writeln!(text, "# HELP {name} {words}\n# TYPE {name} histogram");
    for bound in bounds {
        let _ = writeln!(text, "{name}_bucket{{le=\"{bound}\"}} 0");
    }
    let _ = writeln!(text, "{name}_bucket{{le=\"+Inf\"}} 0\n{name}_sum 0\n{name}_count 0");
}
