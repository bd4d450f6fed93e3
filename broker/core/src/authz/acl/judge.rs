//! Whether the winning rule grants what is asked.

use super::{Acl, Question, find::Found, grant::Grant, parameters};
use crate::{authz::policy::Capabilities, request::Operation};

/// The decision with its grounds; borrowed, so that it costs nothing to make.
pub(in crate::authz) struct Verdict<'a> {
    pub(in crate::authz) root: bool,
    pub(in crate::authz) found: Option<Found<'a>>,
    pub(in crate::authz) refusal: Option<Refusal<'a>>,
}

/// Why not. Parameters are named, their values never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::authz) enum Refusal<'a> {
    CapabilityMissing,
    Denied,
    NoRule,
    ParameterDenied(&'a str),
    ParameterMissing(&'a str),
    ParameterNotAllowed(&'a str),
    ParametersAllDenied,
    SudoMissing,
    ValueDenied(&'a str),
    ValueNotAllowed(&'a str),
    WrappingOutOfRange,
    WrappingRequired,
}

impl Acl {
    pub(super) fn judge<'a>(&'a self, question: &Question<'a>) -> Verdict<'a> {
        if self.root {
            return Verdict { root: true, found: None, refusal: None };
        }
        let found = self.find(question.operation, question.path);
        let refusal = match &found {
            None => Some(Refusal::NoRule),
            Some(found) => refusal(found.grant, question),
        };
        Verdict { root: false, found, refusal }
    }
}

fn refusal<'a>(grant: &'a Grant, question: &Question<'a>) -> Option<Refusal<'a>> {
    if grant.capabilities.has(Capabilities::DENY) {
        return Some(Refusal::Denied);
    }
    if !grant.capabilities.has(Capabilities::needed_for(question.operation)) {
        return Some(Refusal::CapabilityMissing);
    }
    if question.privileged && !grant.capabilities.has(Capabilities::SUDO) {
        return Some(Refusal::SudoMissing);
    }
    wrapping(grant, question).or_else(|| match question.operation {
        Operation::Delete | Operation::List => None,
        Operation::Create | Operation::Patch | Operation::Read | Operation::Rotate | Operation::Update => {
            parameters::refusal(grant, question.fields)
        }
    })
}

fn wrapping<'a>(grant: &Grant, question: &Question<'_>) -> Option<Refusal<'a>> {
    if grant.min_wrapping_ttl.is_none() && grant.max_wrapping_ttl.is_none() {
        return None;
    }
    let Some(ttl) = question.wrap_ttl else { return Some(Refusal::WrappingRequired) };
    let short = grant.min_wrapping_ttl.is_some_and(|min| ttl < min);
    let long = grant.max_wrapping_ttl.is_some_and(|max| ttl > max);
    (short || long).then_some(Refusal::WrappingOutOfRange)
}
