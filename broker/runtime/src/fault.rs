//! Faults: what a capability answers a guest, and what a guest's end becomes for the caller.
//!
//! Invariant: public words are constants, names and bounds, or the plugin's own `detail`
//! (bounded and cleaned); backtraces and stderr go to the log through `source` only.

use std::time::Duration;

use warder_core::{
    error::{Error, ErrorKind},
    port::usage,
};
use wasmtime::{Trap, component::ResourceTableError};

pub(crate) use crate::bind::warder::plugin::types::{Error as WitError, ErrorKind as WitKind};
use crate::{bind, host::Host, limits::Exceeded};

/// Longest `detail` of a plugin that a caller gets to read, in bytes.
const DETAIL_BYTES: usize = 1024;

/// Longest account of a fault in the log, backtrace included, bytes.
const LOG_BYTES: usize = 8192;

/// What a host call ends in when it does not succeed.
#[expect(unreachable_pub, reason = "generated code re-exports it")]
#[derive(Debug)]
pub enum Fault {
    /// An answer: the guest may go on.
    Answer(WitError),
    /// The end of the sandbox.
    Trap(wasmtime::Error),
}

/// What a guest did that ends it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Misuse {
    /// `describe` must be pure.
    #[error("called the host while describing itself")]
    Impure,
    /// Tokens are not taken yet.
    #[error("granted a token, which this version does not take")]
    Grant,
    /// A raw answer that is none of HTTP.
    #[error("answered with a status or a content type that no answer can have")]
    Raw,
    /// `wasi:cli/exit`.
    #[error("called exit")]
    Exit,
    /// A WASI function that Warder does not offer.
    #[error("called {0}, which does nothing here")]
    Wasi(String),
    /// No error channel, and no truthful answer.
    #[error("asked for the fingerprint of a value that it had a hand in making")]
    Fingerprint,
}

/// An error of this kind for the guest.
pub(crate) fn answer(kind: WitKind, detail: impl Into<String>) -> Fault {
    Fault::Answer(WitError { kind, detail: detail.into(), code: None, retry_after_ms: None, not_applied: Some(true) })
}

/// The guest's input is wrong.
pub(crate) fn invalid(detail: impl Into<String>) -> Fault {
    answer(WitKind::InvalidRequest, detail)
}

/// A bound of the call.
pub(crate) fn limit(detail: impl Into<String>) -> Fault {
    answer(WitKind::LimitExceeded, detail)
}

/// This version does not do it.
pub(crate) fn unsupported(detail: impl Into<String>) -> Fault {
    answer(WitKind::Unsupported, detail)
}

impl From<Error> for Fault {
    /// The guest's own mistakes are answers; storage that fails ends the call as itself.
    fn from(error: Error) -> Self {
        match error.kind {
            ErrorKind::InvalidRequest => invalid(error.detail),
            ErrorKind::TooLarge => limit(error.detail),
            _ => Self::Trap(wasmtime::Error::new(error)),
        }
    }
}

impl From<wasmtime::Error> for Fault {
    fn from(error: wasmtime::Error) -> Self {
        Self::Trap(error)
    }
}

impl From<ResourceTableError> for Fault {
    fn from(error: ResourceTableError) -> Self {
        match error {
            ResourceTableError::Full => limit("one call may hold no more handles"),
            other => Self::Trap(other.into()),
        }
    }
}

impl From<warder_core::json::JsonError> for Fault {
    fn from(error: warder_core::json::JsonError) -> Self {
        invalid(error.to_string())
    }
}

impl bind::warder::plugin::types::Host for Host {
    fn convert_error(&mut self, fault: Fault) -> wasmtime::Result<WitError> {
        match fault {
            Fault::Answer(error) => Ok(error),
            Fault::Trap(error) => Err(error),
        }
    }
}

/// A guest's error as the caller gets it.
pub(crate) fn of_plugin(error: WitError) -> Error {
    let fallback = |words: &'static str| if error.detail.is_empty() { words.to_owned() } else { clean(&error.detail) };
    let (kind, detail) = match &error.kind {
        WitKind::InvalidRequest => (ErrorKind::InvalidRequest, fallback("the plugin refused the request")),
        WitKind::NotFound => (ErrorKind::NotFound, fallback("nothing is there")),
        WitKind::Conflict => (ErrorKind::Conflict, fallback("it already exists")),
        WitKind::Precondition => (ErrorKind::PreconditionFailed, fallback("check-and-set did not match")),
        WitKind::Denied => (ErrorKind::PermissionDenied, fallback("the plugin denied it")),
        WitKind::Unsupported => (ErrorKind::MethodNotAllowed, fallback("the plugin does not do this")),
        WitKind::Throttled => (ErrorKind::RateLimited, fallback("the upstream asks for less")),
        WitKind::Unavailable => (ErrorKind::Unavailable, fallback("the upstream cannot answer now")),
        WitKind::Integrity => (ErrorKind::UpstreamProtocol, fallback("data failed its integrity check")),
        WitKind::LimitExceeded => (ErrorKind::TooLarge, fallback("over a limit")),
        WitKind::Other(_) => (ErrorKind::Internal, fallback("the plugin met an error that it has no kind for")),
    };
    let mut out = Error::new(kind, detail);
    out.retry_after = error.retry_after_ms.map(|ms| Duration::from_millis(ms.into()));
    out.source = log_words(&error).map(Into::into);
    out
}

/// What the caller does not read: the upstream's code, and the word of an `other`.
fn log_words(error: &WitError) -> Option<String> {
    let other = if let WitKind::Other(word) = &error.kind { Some(clean(word)) } else { None };
    match (other, error.code.as_deref().map(clean)) {
        (None, None) => None,
        (word, code) => Some(format!("kind {}, code {}", word.unwrap_or_default(), code.unwrap_or_default())),
    }
}

/// At most [`DETAIL_BYTES`], without control characters.
pub(crate) fn clean(text: &str) -> String {
    bounded(text, DETAIL_BYTES)
}

/// At most `limit` bytes of `text`, control characters as spaces.
pub(crate) fn bounded(text: &str, limit: usize) -> String {
    let end = text.floor_char_boundary(limit);
    text[..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The end of a sandbox as the caller gets it: `plugin kv in mount secret/ panicked`.
/// Storage that failed is no fault of the plugin.
pub(crate) fn of_sandbox(
    error: wasmtime::Error,
    last_words: Option<&str>,
    scope: Scope<'_>,
) -> (Error, Option<usage::Fault>) {
    let error = match error.downcast::<Error>() {
        Ok(storage) => return (scope.named(storage), None),
        Err(other) => other,
    };
    let (kind, fault, reason) = reason(&error);
    let words = last_words.map(|words| format!("stderr: {words}; ")).unwrap_or_default();
    (scope.error(kind, &reason).because(bounded(&format!("{words}{error:?}"), LOG_BYTES)), Some(fault))
}

fn reason(error: &wasmtime::Error) -> (ErrorKind, usage::Fault, String) {
    if let Some(bound) = error.downcast_ref::<Exceeded>() {
        // Too much at once is over soon; too much in one call will be too much again.
        let kind = if matches!(bound, Exceeded::Share(_)) { ErrorKind::Unavailable } else { ErrorKind::Internal };
        return (kind, usage::Fault::Memory, bound.to_string());
    }
    if let Some(misuse) = error.downcast_ref::<Misuse>() {
        return (ErrorKind::Internal, usage::Fault::Misuse, misuse.to_string());
    }
    let words = match error.downcast_ref::<Trap>() {
        Some(Trap::UnreachableCodeReached) => "panicked",
        Some(Trap::StackOverflow) => "overflowed its stack",
        Some(Trap::MemoryOutOfBounds) => "overflowed its stack or left its memory",
        Some(_) => "broke a rule of its sandbox",
        None if error.root_cause().to_string().contains("hostcalls has been exhausted") => {
            let reason = "moved more across its sandbox in one call than its bound";
            return (ErrorKind::TooLarge, usage::Fault::HostCalls, reason.to_owned());
        }
        None => "broke a rule of its sandbox",
    };
    (ErrorKind::Internal, usage::Fault::Trap, words.to_owned())
}

/// Whose fault it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    /// Plugin name.
    pub(crate) plugin: &'a str,
    /// Mount path.
    pub(crate) mount: &'a str,
}

impl Scope<'_> {
    /// `plugin kv in mount secret/ <reason>`.
    pub(crate) fn error(self, kind: ErrorKind, reason: &str) -> Error {
        self.named(Error::new(kind, format!("plugin {} in mount {} {reason}", self.plugin, self.mount)))
    }

    /// The same error, with plugin and mount named.
    pub(crate) fn named(self, error: Error) -> Error {
        error.in_plugin(self.plugin, self.mount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wit(kind: WitKind) -> WitError {
        WitError { kind, detail: String::new(), code: None, retry_after_ms: Some(1500), not_applied: None }
    }

    #[test]
    fn every_kind_of_the_contract_has_one_kind_in_core() {
        for (kind, expected) in [
            (WitKind::InvalidRequest, ErrorKind::InvalidRequest),
            (WitKind::NotFound, ErrorKind::NotFound),
            (WitKind::Conflict, ErrorKind::Conflict),
            (WitKind::Precondition, ErrorKind::PreconditionFailed),
            (WitKind::Denied, ErrorKind::PermissionDenied),
            (WitKind::Unsupported, ErrorKind::MethodNotAllowed),
            (WitKind::Throttled, ErrorKind::RateLimited),
            (WitKind::Unavailable, ErrorKind::Unavailable),
            (WitKind::Integrity, ErrorKind::UpstreamProtocol),
            (WitKind::LimitExceeded, ErrorKind::TooLarge),
            (WitKind::Other("x".into()), ErrorKind::Internal),
        ] {
            let error = of_plugin(wit(kind));
            assert_eq!((error.kind, error.retry_after), (expected, Some(Duration::from_millis(1500))));
            assert!(!error.detail.is_empty());
        }
    }

    #[test]
    fn details_are_bounded_and_lose_control_characters() {
        let detail = format!("a\n\u{1b}[31mb{}", "\u{1f512}".repeat(1000));
        let error = of_plugin(WitError { detail, ..wit(WitKind::Denied) });
        assert!(error.detail.starts_with("a  [31mb") && error.detail.len() <= DETAIL_BYTES);
    }
}
