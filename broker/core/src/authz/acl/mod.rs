//! The compiled rules of one caller's policies, and the decision.
//!
//! The order of matching is OpenBao's (`internal/vault/policy/acl.go`): an exact rule, for lists
//! also without the trailing slash; then the best rule with wildcards, for lists again without
//! the trailing slash. Only the winning rule counts.
//!
//! A decision allocates nothing unless the winning rule lists parameter values.

mod find;
mod grant;
mod judge;
mod parameters;
mod prefixes;
mod segments;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc, time::Duration};

use grant::Grant;
pub(super) use judge::{Refusal, Verdict};
use prefixes::Prefixes;
use segments::Segments;

use super::{explain::Explanation, policy::Policy};
use crate::request::{Fields, Operation};

/// What a caller wants to do.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// `Create` and `Update` told apart.
    pub operation: Operation,
    /// The canonical path, mount first.
    pub path: &'a str,
    /// Body and query.
    pub fields: &'a Fields,
    /// The path needs `sudo` on top: see [`privileged`](super::privileged()).
    pub privileged: bool,
    /// Asked-for response wrapping.
    pub wrap_ttl: Option<Duration>,
}

/// The answer to a [`Question`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The winning rule grants it.
    Allowed,
    /// No rule grants it.
    Denied,
}

/// The rules of some policies, merged and indexed.
#[derive(Debug, Default)]
pub struct Acl {
    root: bool,
    grants: Vec<Grant>,
    /// Places in `grants` by path.
    exact: HashMap<Box<str>, usize>,
    /// Rules that end in `*` and have no `+` segment, without their `*`.
    prefixes: Prefixes,
    /// Rules with `+` segments.
    segments: Segments,
}

impl Acl {
    /// Merges the policies' rules; the order of policies does not matter for decisions.
    #[must_use]
    pub fn new(policies: &[Arc<Policy>]) -> Self {
        let mut acl = Self::default();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for policy in policies {
            let name: Arc<str> = policy.name().into();
            for rule in policy.rules() {
                if let Some(place) = places.get(rule.path.as_str()) {
                    if let Some(grant) = acl.grants.get_mut(*place) {
                        grant.merge(&name, rule);
                    }
                } else {
                    places.insert(&rule.path, acl.grants.len());
                    acl.grants.push(Grant::new(&name, rule));
                }
            }
        }
        acl.index();
        acl
    }

    /// Allows everything.
    #[must_use]
    pub fn root() -> Self {
        Self { root: true, ..Self::default() }
    }

    /// Decides. Linear in the length of the path, not in the number of rules.
    #[must_use]
    pub fn decide(&self, question: &Question<'_>) -> Decision {
        match self.judge(question).refusal {
            None => Decision::Allowed,
            Some(_) => Decision::Denied,
        }
    }

    /// What the winning rule for a path grants, sorted; `["root"]` for root, `["deny"]` for
    /// nothing. As in Vault the path is looked up as a list would be.
    #[must_use]
    pub fn capabilities(&self, path: &str) -> Vec<&'static str> {
        if self.root {
            return vec!["root"];
        }
        self.find(Operation::List, path).map(|found| found.grant.capabilities).unwrap_or_default().names()
    }

    /// Whether some rule grants anything at or below `folder` (which ends in `/`).
    #[must_use]
    pub fn reaches(&self, folder: &str) -> bool {
        let below = |grant: &Grant| grant.capabilities.names() != ["deny"] && find::meets(&grant.path, folder);
        self.root || self.grants.iter().any(below)
    }

    /// Decides, and says which rule decided and why.
    #[must_use]
    pub fn explain(&self, question: &Question<'_>) -> Explanation {
        Explanation::of(question.operation, &self.judge(question))
    }

    fn index(&mut self) {
        let mut prefixes = Vec::new();
        for (place, grant) in self.grants.iter().enumerate() {
            let path = grant.path.as_str();
            if segments::has_segment_wildcard(path) {
                self.segments.insert(path, place);
            } else if let Some(prefix) = path.strip_suffix('*') {
                prefixes.push((prefix.into(), place));
            } else {
                self.exact.insert(path.into(), place);
            }
        }
        self.prefixes = Prefixes::new(prefixes);
        self.segments.seal();
    }
}
