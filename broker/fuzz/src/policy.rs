//! Policies: text in either notation, then a second text, a path and a body.
//!
//! A text that parses says the same when its tree is written as JSON; the order of policies does
//! not matter; a decision and its explanation agree; what is allowed below a folder is reachable.

use std::sync::Arc;

use warder_core::{
    authz::{Acl, Decision, MAX_TEXT_BYTES, Policy, Question, fuzzing},
    path::Path,
    request::{Fields, Operation},
};

use crate::parts;

/// Feeds one input.
pub fn run(mut data: &[u8]) {
    let (Some(text), Some(other)) = (parts::text(&mut data), parts::text(&mut data)) else { return };
    let (Some(path), body) = (parts::text(&mut data), parts::bytes(&mut data)) else { return };
    let policies: Vec<Arc<Policy>> = [("a", text), ("b", other)].into_iter().filter_map(parsed).collect();
    let Ok(path) = Path::parse(path) else { return };
    let fields = Fields::from_json(body).unwrap_or_default();
    decide(&policies, &path, &fields);
}

fn parsed((name, text): (&str, &str)) -> Option<Arc<Policy>> {
    let policy = match Policy::parse(name, text) {
        Ok(policy) => policy,
        Err(error) => {
            assert!((1..=text.matches('\n').count() + 1).contains(&error.line) && error.column > 0, "{error}");
            assert!(error.words.len() <= 2048, "{} bytes of words", error.words.len());
            return None;
        }
    };
    if text.trim_start().starts_with('{') {
        assert!(serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok(), "what serde_json refuses is accepted");
    }
    as_json(name, text, &policy);
    Some(Arc::new(policy))
}

/// HCL counts one level of nesting less than JSON, and JSON's escapes are longer.
fn as_json(name: &str, text: &str, policy: &Policy) {
    let json = fuzzing::as_json(text).expect("what parses has a tree");
    match Policy::parse(name, &json) {
        Ok(again) => assert_eq!(fuzzing::rules(&again), fuzzing::rules(policy), "{json}"),
        Err(error) => {
            let excused = json.len() > MAX_TEXT_BYTES || error.words.contains("nested deeper");
            assert!(excused, "{error}: {json}");
        }
    }
}

fn decide(policies: &[Arc<Policy>], path: &Path, fields: &Fields) {
    let acl = Acl::new(policies);
    let reversed = Acl::new(&policies.iter().rev().cloned().collect::<Vec<_>>());
    let capabilities = acl.capabilities(path.as_str());
    for operation in OPERATIONS {
        for privileged in [false, true] {
            let question = Question { operation, path: path.as_str(), fields, privileged, wrap_ttl: None };
            let allowed = acl.decide(&question) == Decision::Allowed;
            assert_eq!(acl.explain(&question).allowed, allowed, "{operation:?} of {path}");
            assert_eq!(reversed.decide(&question) == Decision::Allowed, allowed, "{operation:?} of {path}, reversed");
            assert!(!allowed || acl.explain(&question).rule.is_some(), "allowed by no rule");
            assert!(!allowed || !privileged || has(&acl, operation, path, "sudo"), "privileged without sudo");
            assert!(!allowed || folders(path.as_str()).all(|folder| acl.reaches(folder)), "{path} is out of reach");
        }
        let list =
            Question { operation: Operation::List, path: path.as_str(), fields, privileged: false, wrap_ttl: None };
        assert!(acl.decide(&list) == Decision::Denied || capabilities.contains(&"list"), "{capabilities:?}");
    }
}

fn has(acl: &Acl, operation: Operation, path: &Path, word: &str) -> bool {
    let fields = Fields::default();
    let question = Question { operation, path: path.as_str(), fields: &fields, privileged: false, wrap_ttl: None };
    acl.explain(&question).capabilities.contains(&word)
}

/// Every folder above a path.
fn folders(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..=at])
}

const OPERATIONS: [Operation; 7] = [
    Operation::Create,
    Operation::Delete,
    Operation::List,
    Operation::Patch,
    Operation::Read,
    Operation::Rotate,
    Operation::Update,
];
