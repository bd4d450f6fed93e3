//! Policy texts, HCL 1 or JSON, parsed into rules. `acl` compiles the rules, `store` keeps texts.
//!
//! Invariant: a policy that parses means exactly what its text says: unknown keys, words that
//! are no capability and options that Warder does not enforce are errors with their place.

mod capability;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod hcl;
mod json;
mod rules;
#[cfg(test)]
mod tests;
mod tree;

use std::{collections::BTreeMap, time::Duration};

pub(super) use capability::{Capabilities, NAMES};
use tree::Fault;

/// Longest policy text, in bytes.
pub const MAX_TEXT_BYTES: usize = 1 << 20;
/// Most path blocks in one policy.
pub const MAX_RULES: usize = 10_000;
/// Most segments of all paths with a `+` together: each is a branch of the tree they become.
pub(super) const MAX_SEGMENTS: usize = 1 << 16;
/// Longest path of a rule, in bytes: no request path is longer.
pub const MAX_PATH_BYTES: usize = crate::path::MAX_PATH_BYTES;

/// A parsed policy.
#[derive(Clone, Debug)]
pub struct Policy {
    name: String,
    text: String,
    rules: Vec<Rule>,
}

/// Where and why a policy text was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} column {column}: {words}")]
pub struct PolicyError {
    /// 1-based line.
    pub line: usize,
    /// 1-based column, in characters.
    pub column: usize,
    /// What is wrong there and what was expected.
    pub words: String,
}

/// One path block.
#[derive(Clone, Debug, Default)]
pub(super) struct Rule {
    /// Without leading slash, with its wildcards.
    pub(super) path: String,
    pub(super) capabilities: Capabilities,
    pub(super) allowed: Parameters,
    pub(super) denied: Parameters,
    pub(super) required: Vec<String>,
    pub(super) min_wrapping_ttl: Option<Duration>,
    pub(super) max_wrapping_ttl: Option<Duration>,
}

/// Lower-cased names; an empty list stands for every value.
pub(super) type Parameters = BTreeMap<String, Vec<Constant>>;

/// A value that a policy compares parameters with.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Constant {
    Boolean(bool),
    List(Vec<Self>),
    Number(f64),
    Object(BTreeMap<String, Self>),
    Text(String),
}

impl Policy {
    /// Parses HCL 1, or JSON when the text begins with `{`.
    ///
    /// # Errors
    /// The first mistake with its place.
    ///
    /// ```
    /// use warder_core::authz::Policy;
    /// let error = Policy::parse("p", "path \"a\" {\n  capabilities = [\"raed\"]\n}").unwrap_err();
    /// assert!(error.to_string().starts_with("line 2 column 19: unknown capability \"raed\"; expected one of create, "));
    /// ```
    pub fn parse(name: &str, text: &str) -> Result<Self, PolicyError> {
        if text.len() > MAX_TEXT_BYTES {
            let words = format!("the policy is longer than {MAX_TEXT_BYTES} bytes");
            return Err(PolicyError { line: 1, column: 1, words });
        }
        let members = if text.trim_start().starts_with('{') { json::parse(text) } else { hcl::parse(text) };
        let rules = members.and_then(rules::rules).map_err(|fault| fault.in_text(text))?;
        Ok(Self { name: name.to_owned(), text: text.to_owned(), rules })
    }

    /// The name that tokens refer to it by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn rules(&self) -> &[Rule] {
        &self.rules
    }
}

impl Fault {
    fn in_text(self, text: &str) -> PolicyError {
        let before = text.get(..self.at).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        PolicyError { line, column, words: self.words }
    }
}
