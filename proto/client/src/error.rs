//! Why a call failed, in the server's words or in this crate's own.

use std::{collections::BTreeMap, error, fmt, time::Duration};

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::wire::Broken;

/// `ErrorInfo.domain` of the server.
const DOMAIN: &str = "warder";

/// A call that failed. Holds no secret.
#[derive(Clone, Debug)]
pub struct Error {
    code: String,
    grpc: Code,
    message: String,
    metadata: BTreeMap<String, String>,
    violations: Vec<Violation>,
    retry_after: Option<Duration>,
    outcome: Outcome,
}

/// A field of the request that is at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field, as the message names it.
    pub field: String,
    /// What was expected.
    pub description: String,
}

/// What is known of the effect of a call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The server says that it was done.
    Done,
    /// Nothing was done.
    Nothing,
    /// Nobody knows.
    Unknown,
}

impl Error {
    pub(crate) fn new(code: &str, grpc: Code, message: impl Into<String>, outcome: Outcome) -> Self {
        let (metadata, violations) = (BTreeMap::new(), Vec::new());
        Self { code: code.to_owned(), grpc, message: message.into(), metadata, violations, retry_after: None, outcome }
    }

    /// The client was put together wrongly.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new("usage", Code::InvalidArgument, message, Outcome::Nothing)
    }

    /// The time was up.
    pub(crate) fn late(deadline: Duration, sent: bool) -> Self {
        let outcome = if sent { Outcome::Unknown } else { Outcome::Nothing };
        let words = format!("no answer within {} ms", deadline.as_millis());
        Self::new("deadline_exceeded", Code::DeadlineExceeded, words, outcome)
    }

    /// The server's word for it (`ErrorInfo.reason`), such as `not_found`. Four are this crate's:
    /// `unreachable` (nothing was sent), `interrupted` (the connection, or something between, ended
    /// the call), `login` (the hook failed) and `usage`. `deadline_exceeded` is either's.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The code of gRPC.
    #[must_use]
    pub const fn grpc_code(&self) -> Code {
        self.grpc
    }

    /// One sentence for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The id that the server's logs and audit records have.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.metadata("request_id")
    }

    /// What else the server said, by name: `plugin`, `mount`, `version`, `deletion_time`, `destroyed`.
    #[must_use]
    pub fn metadata(&self, name: &str) -> Option<&str> {
        self.metadata.get(name).map(String::as_str)
    }

    /// The fields at fault.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// After which a later attempt can do better.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Whether what was asked was, or may have been, done: look before you write again.
    #[must_use]
    pub const fn may_be_done(&self) -> bool {
        !matches!(self.outcome, Outcome::Nothing)
    }

    pub(crate) const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Whether the same call may do better in a moment.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self.code.as_str() {
            "interrupted" | "unreachable" => true,
            "rate_limited" => self.retry_after.is_some(),
            "uninitialized" => false,
            _ => self.grpc == Code::Unavailable,
        }
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info().filter(|info| info.domain == DOMAIN);
        let Some(info) = info else { return untold(&status) };
        let done = info.metadata.get("done").is_some_and(|done| done == "true");
        let violations = details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default();
        Self {
            metadata: info.metadata.clone().into_iter().collect(),
            violations: violations
                .iter()
                .map(|bad| Violation { field: bad.field.clone(), description: bad.description.clone() })
                .collect(),
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
            ..Self::new(&info.reason, status.code(), status.message(), outcome(status.code(), done))
        }
    }
}

/// The server's promise of its codes: `warder/v1/secrets.proto`.
const fn outcome(code: Code, done: bool) -> Outcome {
    match code {
        _ if done => Outcome::Done,
        Code::Internal | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown | Code::DataLoss => Outcome::Unknown,
        _ => Outcome::Nothing,
    }
}

/// Not the server's own words: the connection's, or a proxy's.
fn untold(status: &Status) -> Error {
    let broken = error::Error::source(status).and_then(|source| source.downcast_ref::<Broken>());
    if broken.is_some_and(|broken| !broken.sent) {
        return Error::new("unreachable", Code::Unavailable, status.message(), Outcome::Nothing);
    }
    let code = if status.code() == Code::DeadlineExceeded { "deadline_exceeded" } else { "interrupted" };
    Error::new(code, status.code(), status.message(), Outcome::Unknown)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        match self.request_id() {
            Some(id) => write!(f, " (request {id})"),
            None => Ok(()),
        }
    }
}

impl error::Error for Error {}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic_types::ErrorDetails;

    use super::*;

    fn told(code: Code, reason: &str, metadata: &[(&str, &str)]) -> Error {
        let metadata: HashMap<String, String> =
            metadata.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let mut details = ErrorDetails::with_error_info(reason, DOMAIN, metadata);
        details.set_retry_info(Some(Duration::from_secs(3)));
        details.add_bad_request_violation("path", "expected a path");
        Status::with_error_details(code, "words", details).into()
    }

    #[test]
    fn a_status_of_the_server_is_told_whole() {
        let error = told(Code::InvalidArgument, "invalid_request", &[("request_id", "r-1"), ("mount", "secret/")]);
        assert_eq!(
            (error.code(), error.grpc_code(), error.message()),
            ("invalid_request", Code::InvalidArgument, "words")
        );
        assert_eq!((error.request_id(), error.metadata("mount")), (Some("r-1"), Some("secret/")));
        let wanted = Violation { field: "path".to_owned(), description: "expected a path".to_owned() };
        assert_eq!((error.violations(), error.retry_after()), (&[wanted][..], Some(Duration::from_secs(3))));
        assert_eq!(error.to_string(), "invalid_request: words (request r-1)");
        assert!(!error.may_be_done() && !error.is_temporary());
    }

    #[test]
    fn what_may_have_been_done_is_told_apart() {
        for (error, done, temporary) in [
            (told(Code::Unavailable, "audit_unavailable", &[]), false, true),
            (told(Code::Unavailable, "sealed", &[]), false, true),
            (told(Code::Unavailable, "uninitialized", &[]), false, false),
            (told(Code::Internal, "audit_unavailable", &[("done", "true")]), true, false),
            (told(Code::Internal, "internal", &[]), true, false),
            (told(Code::DeadlineExceeded, "deadline_exceeded", &[]), true, false),
            (told(Code::ResourceExhausted, "rate_limited", &[]), false, true),
            (told(Code::ResourceExhausted, "too_large", &[]), false, false),
            (Status::unavailable("a proxy's").into(), true, true),
            (Status::internal("h2 broke").into(), true, true),
            (Error::late(Duration::ZERO, false), false, false),
        ] {
            assert_eq!((error.may_be_done(), error.is_temporary()), (done, temporary), "{error:?}");
        }
    }
}
