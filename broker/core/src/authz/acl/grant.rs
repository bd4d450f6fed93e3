//! What all policies together say about one path.

use std::{collections::btree_map::Entry, sync::Arc, time::Duration};

use crate::authz::policy::{Capabilities, Parameters, Rule};

/// A path's rules, merged.
#[derive(Debug)]
pub(in crate::authz) struct Grant {
    /// With its wildcards.
    pub(in crate::authz) path: String,
    pub(in crate::authz) capabilities: Capabilities,
    pub(super) allowed: Parameters,
    pub(super) denied: Parameters,
    pub(super) required: Vec<String>,
    pub(super) min_wrapping_ttl: Option<Duration>,
    pub(super) max_wrapping_ttl: Option<Duration>,
    /// The policies that have this path, and what each says.
    pub(in crate::authz) sources: Vec<(Arc<str>, Capabilities)>,
}

impl Grant {
    pub(super) fn new(policy: &Arc<str>, rule: &Rule) -> Self {
        Self {
            path: rule.path.clone(),
            capabilities: rule.capabilities,
            allowed: rule.allowed.clone(),
            denied: rule.denied.clone(),
            required: rule.required.clone(),
            min_wrapping_ttl: rule.min_wrapping_ttl,
            max_wrapping_ttl: rule.max_wrapping_ttl,
            sources: vec![(Arc::clone(policy), rule.capabilities)],
        }
    }

    /// Adds another policy's rule for the same path. `deny` swallows every capability; parameter
    /// conditions are Vault's: each policy's list adds to the others, even where another policy
    /// has no condition.
    pub(super) fn merge(&mut self, policy: &Arc<str>, rule: &Rule) {
        self.sources.push((Arc::clone(policy), rule.capabilities));
        self.capabilities = self.capabilities | rule.capabilities;
        merge_values(&mut self.allowed, &rule.allowed);
        merge_values(&mut self.denied, &rule.denied);
        for name in &rule.required {
            if !self.required.contains(name) {
                self.required.push(name.clone());
            }
        }
        self.min_wrapping_ttl = smaller(self.min_wrapping_ttl, rule.min_wrapping_ttl);
        self.max_wrapping_ttl = smaller(self.max_wrapping_ttl, rule.max_wrapping_ttl);
    }
}

/// An empty list means every value, so it absorbs the other.
fn merge_values(into: &mut Parameters, from: &Parameters) {
    for (name, values) in from {
        match into.entry(name.clone()) {
            Entry::Vacant(entry) => _ = entry.insert(values.clone()),
            Entry::Occupied(mut entry) if values.is_empty() => entry.get_mut().clear(),
            Entry::Occupied(entry) if entry.get().is_empty() => {}
            Entry::Occupied(mut entry) => entry.get_mut().extend_from_slice(values),
        }
    }
}

fn smaller(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}
