//! The one place that turns an [`ErrorKind`] into HTTP, for both doors.
//!
//! Invariant: every kind has one row; no other file of Warder holds a status for an error.

use http::StatusCode;
use warder_core::error::ErrorKind;

/// How one kind of error looks outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Status of `/api/v1`.
    pub native: StatusCode,
    /// Status of `/v1`.
    pub vault: StatusCode,
    /// Title of the problem: the same for every problem of this kind.
    pub title: &'static str,
}

/// The row of a kind.
#[must_use]
pub const fn of(kind: ErrorKind) -> Row {
    use StatusCode as S;
    let (native, vault, title) = match kind {
        ErrorKind::AuditUnavailable => {
            (S::SERVICE_UNAVAILABLE, S::INTERNAL_SERVER_ERROR, "No audit sink took the record")
        }
        ErrorKind::Conflict => (S::CONFLICT, S::BAD_REQUEST, "Conflict"),
        ErrorKind::DeadlineExceeded => (S::GATEWAY_TIMEOUT, S::GATEWAY_TIMEOUT, "Deadline exceeded"),
        ErrorKind::Internal => (S::INTERNAL_SERVER_ERROR, S::INTERNAL_SERVER_ERROR, "Internal error"),
        ErrorKind::InvalidRequest => (S::BAD_REQUEST, S::BAD_REQUEST, "Invalid request"),
        ErrorKind::MethodNotAllowed => (S::METHOD_NOT_ALLOWED, S::METHOD_NOT_ALLOWED, "Operation not taken here"),
        ErrorKind::NotFound => (S::NOT_FOUND, S::NOT_FOUND, "Not found"),
        ErrorKind::Overloaded => (S::SERVICE_UNAVAILABLE, S::SERVICE_UNAVAILABLE, "Overloaded"),
        ErrorKind::PermissionDenied => (S::FORBIDDEN, S::FORBIDDEN, "Permission denied"),
        ErrorKind::PreconditionFailed => (S::PRECONDITION_FAILED, S::BAD_REQUEST, "Precondition failed"),
        ErrorKind::RateLimited => (S::TOO_MANY_REQUESTS, S::TOO_MANY_REQUESTS, "Too many requests"),
        ErrorKind::Sealed => (S::SERVICE_UNAVAILABLE, S::SERVICE_UNAVAILABLE, "Sealed"),
        ErrorKind::StorageFull => (S::INSUFFICIENT_STORAGE, S::INSUFFICIENT_STORAGE, "Storage full"),
        ErrorKind::TooLarge => (S::PAYLOAD_TOO_LARGE, S::PAYLOAD_TOO_LARGE, "Too large"),
        ErrorKind::Unauthenticated => (S::UNAUTHORIZED, S::FORBIDDEN, "Not authenticated"),
        ErrorKind::Unavailable => (S::SERVICE_UNAVAILABLE, S::SERVICE_UNAVAILABLE, "Unavailable"),
        ErrorKind::Uninitialized => (S::SERVICE_UNAVAILABLE, S::SERVICE_UNAVAILABLE, "Not initialized"),
        ErrorKind::UnsupportedMediaType => {
            (S::UNSUPPORTED_MEDIA_TYPE, S::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type")
        }
        ErrorKind::UpstreamProtocol => (S::BAD_GATEWAY, S::BAD_GATEWAY, "Upstream broke its protocol"),
        ErrorKind::UpstreamRejected => (S::UNPROCESSABLE_ENTITY, S::BAD_REQUEST, "Upstream refused the content"),
    };
    Row { native, vault, title }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_an_error_status_in_both_doors() {
        for kind in ErrorKind::ALL {
            let row = of(kind);
            assert!(row.native.as_u16() >= 400 && row.vault.as_u16() >= 400, "{kind:?}");
        }
    }

    #[test]
    fn doors_differ_only_where_the_contract_says_so() {
        let differ: Vec<_> = ErrorKind::ALL.into_iter().filter(|k| of(*k).native != of(*k).vault).collect();
        assert_eq!(
            differ,
            [
                ErrorKind::AuditUnavailable,
                ErrorKind::Conflict,
                ErrorKind::PreconditionFailed,
                ErrorKind::Unauthenticated,
                ErrorKind::UpstreamRejected
            ]
        );
    }
}
