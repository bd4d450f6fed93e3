//! The one error of handlers and host calls; the contract's `types.error`.

use std::fmt;

/// A result whose error goes back to the caller.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whose fault it is, and so which status the caller sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Already exists: 409.
    Conflict,
    /// Refused, by the plugin or by the upstream: 403.
    Denied,
    /// Checksum or signature mismatch: 502.
    Integrity,
    /// The caller's fault: 400.
    InvalidRequest,
    /// Over a limit: 413, or 400.
    LimitExceeded,
    /// Absent: 404.
    NotFound,
    /// Anything else: 500.
    Other(String),
    /// A check-and-set did not match: 412 (400 on the Vault-compatible door).
    Precondition,
    /// Too often; feeds the limiter, never the breaker: 429.
    Throttled,
    /// Timeout, refused, 5xx; feeds the breaker, allows stale answers: 503.
    Unavailable,
    /// Not something this route does: 405.
    Unsupported,
}

impl ErrorKind {
    fn word(&self) -> &str {
        match self {
            Self::Conflict => "conflict",
            Self::Denied => "denied",
            Self::Integrity => "integrity",
            Self::InvalidRequest => "invalid request",
            Self::LimitExceeded => "limit exceeded",
            Self::NotFound => "not found",
            Self::Other(word) => word,
            Self::Precondition => "precondition",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Unsupported => "unsupported",
        }
    }
}

/// Why there is no answer. `detail` may be shown to the caller: never put secret material in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Whose fault it is.
    pub kind: ErrorKind,
    /// For the caller to read.
    pub detail: String,
    /// The upstream's machine code, e.g. `ResourceNotFoundException`.
    pub code: Option<String>,
    /// When to try again.
    pub retry_after_ms: Option<u32>,
    /// `Some(true)`: surely nothing changed upstream; `None`: unknown, reconcile first.
    pub not_applied: Option<bool>,
}

impl Error {
    /// An error of this kind.
    #[must_use]
    pub fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), code: None, retry_after_ms: None, not_applied: None }
    }

    /// The caller's input is wrong: say which field and what was expected.
    #[must_use]
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidRequest, detail)
    }

    /// Absent. On a read or a list answer [`nothing`](crate::nothing) instead.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, detail)
    }

    /// Already exists.
    #[must_use]
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, detail)
    }

    /// A check-and-set did not match.
    #[must_use]
    pub fn precondition(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Precondition, detail)
    }

    /// Refused.
    #[must_use]
    pub fn denied(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Denied, detail)
    }

    /// Not something this route does.
    #[must_use]
    pub fn unsupported(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, detail)
    }

    /// The upstream cannot answer now.
    #[must_use]
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, detail)
    }

    /// The plugin's own fault.
    #[must_use]
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Other("internal".to_owned()), detail)
    }

    /// Adds the upstream's machine code.
    #[must_use]
    pub fn with_code(self, code: impl Into<String>) -> Self {
        Self { code: Some(code.into()), ..self }
    }

    /// Adds when to try again, in milliseconds.
    #[must_use]
    pub fn retry_after_ms(self, ms: u32) -> Self {
        Self { retry_after_ms: Some(ms), ..self }
    }

    /// Adds that surely nothing changed upstream.
    #[must_use]
    pub fn nothing_changed(self) -> Self {
        Self { not_applied: Some(true), ..self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.word(), self.detail)
    }
}

impl std::error::Error for Error {}
