//! Decisions in words, for people and for the audit of denials. Names parameters, never values.

use serde::Serialize;

use super::acl::{Refusal, Verdict};
use super::policy::Capabilities;
use crate::request::Operation;

/// Which rule decided and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The decision.
    pub allowed: bool,
    /// What the deciding rule grants, sorted; `["root"]`, or `["deny"]` when nothing.
    pub capabilities: Vec<&'static str>,
    /// One sentence.
    pub reason: String,
    /// The policies that the deciding rule is from; when it allows, those that grant it.
    pub policies: Vec<String>,
    /// The path of the deciding rule, with its wildcards.
    pub rule: Option<String>,
    /// How the rule met the path.
    pub matched_by: Option<MatchedBy>,
    /// Capabilities that would have been needed.
    pub missing: Vec<&'static str>,
}

/// How a rule met a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MatchedBy {
    /// Its text is the path.
    Exact,
    /// It ends in `*`.
    Prefix,
    /// It has `+` segments.
    Segment,
}

impl Explanation {
    pub(super) fn of(operation: Operation, verdict: &Verdict<'_>) -> Self {
        let granted = verdict.found.as_ref().map(|found| found.grant.capabilities).unwrap_or_default();
        Self {
            allowed: verdict.refusal.is_none(),
            capabilities: if verdict.root { vec!["root"] } else { granted.names() },
            reason: reason(operation, verdict),
            policies: policies(operation, verdict),
            rule: verdict.found.as_ref().map(|found| found.grant.path.clone()),
            matched_by: verdict.found.as_ref().map(|found| found.by),
            missing: missing(operation, verdict.refusal),
        }
    }
}

fn reason(operation: Operation, verdict: &Verdict<'_>) -> String {
    let word = operation.word();
    let Some(refusal) = verdict.refusal else {
        return if verdict.root { "root may do everything".into() } else { format!("the rule grants {word}") };
    };
    match refusal {
        Refusal::CapabilityMissing => {
            format!("the rule does not grant {}", Capabilities::needed_for(operation).names().join(", "))
        }
        Refusal::Denied => "the rule denies everything".into(),
        Refusal::NoRule => "no rule of the caller's policies matches the path".into(),
        Refusal::ParameterDenied(name) => format!("the rule denies the parameter {name:?}"),
        Refusal::ParameterMissing(name) => format!("the rule requires the parameter {name:?}"),
        Refusal::ParameterNotAllowed(name) => format!("the rule does not allow the parameter {name:?}"),
        Refusal::ParametersAllDenied => "the rule denies all parameters".into(),
        Refusal::SudoMissing => format!("the rule grants {word} but the path also needs sudo"),
        Refusal::ValueDenied(name) => format!("the rule denies this value of the parameter {name:?}"),
        Refusal::ValueNotAllowed(name) => format!("the rule does not allow this value of the parameter {name:?}"),
        Refusal::WrappingOutOfRange => "the wrapping TTL is outside of the rule's range".into(),
        Refusal::WrappingRequired => "the rule requires response wrapping".into(),
    }
}

fn policies(operation: Operation, verdict: &Verdict<'_>) -> Vec<String> {
    let Some(found) = &verdict.found else {
        return if verdict.root { vec!["root".to_owned()] } else { Vec::new() };
    };
    let decisive = match verdict.refusal {
        None => Capabilities::needed_for(operation),
        Some(Refusal::Denied) => Capabilities::DENY,
        Some(_) => Capabilities::default(),
    };
    let sources = found.grant.sources.iter().filter(|(_, granted)| granted.has(decisive));
    let mut names: Vec<String> = sources.map(|(name, _)| name.to_string()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn missing(operation: Operation, refusal: Option<Refusal<'_>>) -> Vec<&'static str> {
    match refusal {
        Some(Refusal::CapabilityMissing | Refusal::NoRule) => Capabilities::needed_for(operation).names(),
        Some(Refusal::SudoMissing) => vec!["sudo"],
        _ => Vec::new(),
    }
}
