//! The one place that turns an [`ErrorKind`] into gRPC: a code, and a `google.rpc.Status` whose
//! `reason` is the word that REST calls `code`.
//!
//! Invariant: every kind has one row, and `proto/warder/v1/secrets.proto` says the same; nothing
//! but an error's public half reaches the caller.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use warder_core::error::{Error, ErrorKind};
use warder_proto::v1;

use super::super::problem::Refusal;

/// `ErrorInfo.domain`.
const DOMAIN: &str = "warder";

/// The code of an error.
pub(super) const fn code(error: &Error) -> Code {
    // Never UNAVAILABLE for what was done: clients repeat that by themselves.
    if error.done { Code::Internal } else { of_kind(error.kind) }
}

/// The code of a kind.
const fn of_kind(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::AuditUnavailable => Code::Unavailable,
        ErrorKind::Conflict => Code::Aborted,
        ErrorKind::DeadlineExceeded => Code::DeadlineExceeded,
        ErrorKind::Internal => Code::Internal,
        ErrorKind::InvalidRequest => Code::InvalidArgument,
        ErrorKind::MethodNotAllowed => Code::Unimplemented,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::Overloaded => Code::Unavailable,
        ErrorKind::PermissionDenied => Code::PermissionDenied,
        ErrorKind::PreconditionFailed => Code::FailedPrecondition,
        ErrorKind::RateLimited => Code::ResourceExhausted,
        ErrorKind::Sealed => Code::Unavailable,
        ErrorKind::StorageFull => Code::ResourceExhausted,
        ErrorKind::TooLarge => Code::ResourceExhausted,
        ErrorKind::Unauthenticated => Code::Unauthenticated,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::Uninitialized => Code::Unavailable,
        ErrorKind::UnsupportedMediaType => Code::InvalidArgument,
        // Not UNAVAILABLE: clients repeat that by themselves, and nobody knows what was done.
        ErrorKind::UpstreamProtocol => Code::Internal,
        ErrorKind::UpstreamRejected => Code::FailedPrecondition,
    }
}

/// A refusal as gRPC shows it.
pub(super) fn of(refusal: &Refusal, code: Code, request_id: &str) -> Status {
    let error = refusal.error();
    let metadata: HashMap<String, String> = metadata(refusal, request_id).collect();
    let mut details = ErrorDetails::with_error_info(error.kind.code(), DOMAIN, metadata);
    if let Some(name) = &error.field {
        details.add_bad_request_violation(field(name), error.detail.clone());
    }
    if let Some(after) = error.retry_after {
        details.set_retry_info(Some(after));
    }
    Status::with_error_details(code, error.detail.clone(), details)
}

/// A refusal as one result among others.
pub(super) fn as_message(refusal: &Refusal, request_id: &str) -> v1::Refusal {
    let error = refusal.error();
    v1::Refusal {
        code: code(error).into(),
        reason: error.kind.code().to_owned(),
        detail: error.detail.clone().into_owned(),
        metadata: metadata(refusal, request_id).collect(),
        field: error.field.as_deref().map(|name| field(name).to_owned()),
        retry_after_seconds: error.retry_seconds(),
    }
}

/// `ErrorInfo.metadata`.
fn metadata<'a>(refusal: &'a Refusal, request_id: &'a str) -> impl Iterator<Item = (String, String)> + 'a {
    let error = refusal.error();
    let named = [
        ("request_id", Some(request_id)),
        ("plugin", error.plugin.as_deref()),
        ("mount", error.mount.as_deref()),
        ("done", error.done.then_some("true")),
    ];
    let known = refusal.members().iter().map(|(name, text)| (*name, Some(text.trim_matches('"'))));
    named.into_iter().chain(known).filter_map(|(name, text)| Some((name.to_owned(), text?.to_owned())))
}

/// What the broker and the REST door call a field, as a message of `warder.v1` calls it.
fn field(name: &str) -> &str {
    match name {
        "Authorization" => "authorization",
        "If-Match" => "expected_version",
        "X-Vault-Token" => "x-vault-token",
        "block_interval" => "block_interval_seconds",
        "body" => "json",
        "from" => "from_revision",
        "increment" => "increment_seconds",
        "interval" => "interval_seconds",
        "ttl" => "ttl_seconds",
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The table of the API's documentation, read from the document itself.
    #[test]
    fn codes_are_the_documented_ones() {
        let document = include_str!("../../../../../proto/warder/v1/secrets.proto");
        let table: String = document.lines().filter(|line| line.starts_with("//   | ")).collect();
        for kind in ErrorKind::ALL {
            let code = format!("{:?}", of_kind(kind));
            let row = document.lines().find(|line| {
                let cells: Vec<&str> = line.split('|').map(str::trim).collect();
                let name = cells.get(1).unwrap_or(&"").replace('_', "");
                name.eq_ignore_ascii_case(&code) && cells[2].split([',', ';']).any(|word| word.trim() == kind.code())
            });
            assert!(row.is_some(), "{} is not documented as {code}: {table}", kind.code());
        }
    }

    #[test]
    fn what_was_done_is_never_unavailable() {
        for kind in ErrorKind::ALL {
            let mut error = Error::new(kind, "it was done");
            error.done = true;
            assert_eq!(code(&error), Code::Internal, "{kind:?}");
            let refusal = Refusal::from(error);
            let status = of(&refusal, code(refusal.error()), "r-1");
            let info = status.get_error_details().error_info().cloned().unwrap();
            assert_eq!((&*info.reason, &*info.metadata["done"]), (kind.code(), "true"));
        }
    }

    #[test]
    fn a_status_has_reason_field_and_retry() {
        let mut error = Error::invalid("If-Match", "expected a version").in_plugin("kv", "secret/");
        error.retry_after = Some(Duration::from_secs(3));
        let refusal = Refusal::from(error).member("version", "3").member("deletion_time", "\"2026-11-22T03:36:50Z\"");
        let status = of(&refusal, Code::InvalidArgument, "r-1");
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!((&*info.reason, &*info.domain), ("invalid_request", "warder"));
        for (name, text) in [
            ("request_id", "r-1"),
            ("plugin", "kv"),
            ("mount", "secret/"),
            ("version", "3"),
            ("deletion_time", "2026-11-22T03:36:50Z"),
        ] {
            assert_eq!(info.metadata[name], text);
        }
        let violation = &details.bad_request().unwrap().field_violations[0];
        assert_eq!((&*violation.field, &*violation.description), ("expected_version", "expected a version"));
        assert_eq!(details.retry_info().unwrap().retry_delay, Some(Duration::from_secs(3)));
        assert_eq!(status.message(), "expected a version");
    }
}
