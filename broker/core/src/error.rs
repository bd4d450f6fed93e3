//! The one error that crosses a port. Rooms keep their own small enums and turn them into this
//! at their edge; doors turn it into HTTP or gRPC.
//!
//! Invariant: `detail` may be shown to the caller and never holds secret material; `source` is
//! for the log only.

use std::{borrow::Cow, error, fmt, time::Duration};

use crate::request::Operations;

/// What went wrong, as a closed list: [`ErrorKind::code`] is the word on every wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No audit sink took the record: nothing was done or shown.
    AuditUnavailable,
    /// State does not allow it (already exists, lost a race too often).
    Conflict,
    /// The deadline passed.
    DeadlineExceeded,
    /// Warder's own fault.
    Internal,
    /// The caller's input is wrong.
    InvalidRequest,
    /// The path exists but does not take this operation.
    MethodNotAllowed,
    /// Absent, or not visible.
    NotFound,
    /// More is under way than is borne: nothing was done, try later.
    Overloaded,
    /// Known, but not allowed.
    PermissionDenied,
    /// A condition of the request did not hold (check-and-set, `If-Match`).
    PreconditionFailed,
    /// A limit of the caller: try later.
    RateLimited,
    /// The barrier is sealed.
    Sealed,
    /// No space left on the storage device.
    StorageFull,
    /// Over a size limit.
    TooLarge,
    /// No credential, or one that is unknown.
    Unauthenticated,
    /// Storage, plugin or upstream cannot answer now.
    Unavailable,
    /// `init` has not been run.
    Uninitialized,
    /// The body's media type is not taken here.
    UnsupportedMediaType,
    /// The upstream broke its protocol, or data failed its integrity check.
    UpstreamProtocol,
    /// The upstream refused the content.
    UpstreamRejected,
}

impl ErrorKind {
    /// Every kind, in the order of the enum.
    pub const ALL: [Self; 20] = [
        Self::AuditUnavailable,
        Self::Conflict,
        Self::DeadlineExceeded,
        Self::Internal,
        Self::InvalidRequest,
        Self::MethodNotAllowed,
        Self::NotFound,
        Self::Overloaded,
        Self::PermissionDenied,
        Self::PreconditionFailed,
        Self::RateLimited,
        Self::Sealed,
        Self::StorageFull,
        Self::TooLarge,
        Self::Unauthenticated,
        Self::Unavailable,
        Self::Uninitialized,
        Self::UnsupportedMediaType,
        Self::UpstreamProtocol,
        Self::UpstreamRejected,
    ];

    /// The stable word for it on the wire (`code` in problem+json, `reason` in `ErrorInfo`).
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::AuditUnavailable => "audit_unavailable",
            Self::Conflict => "conflict",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Internal => "internal",
            Self::InvalidRequest => "invalid_request",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::NotFound => "not_found",
            Self::Overloaded => "overloaded",
            Self::PermissionDenied => "permission_denied",
            Self::PreconditionFailed => "precondition_failed",
            Self::RateLimited => "rate_limited",
            Self::Sealed => "sealed",
            Self::StorageFull => "storage_full",
            Self::TooLarge => "too_large",
            Self::Unauthenticated => "unauthenticated",
            Self::Unavailable => "unavailable",
            Self::Uninitialized => "uninitialized",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::UpstreamProtocol => "upstream_protocol",
            Self::UpstreamRejected => "upstream_rejected",
        }
    }
}

/// An error at a port: what the caller may read, and, apart from it, why for the log.
#[derive(Debug)]
pub struct Error {
    /// The closed kind.
    pub kind: ErrorKind,
    /// One sentence for the caller: no secret material.
    pub detail: Cow<'static, str>,
    /// The field of the request at fault, as the caller wrote it.
    pub field: Option<String>,
    /// The plugin at fault.
    pub plugin: Option<Box<str>>,
    /// The mount it happened in.
    pub mount: Option<Box<str>>,
    /// What was asked took place all the same: it must not be repeated blindly.
    pub done: bool,
    /// What the path takes, where it was asked for something else.
    pub takes: Operations,
    /// Earliest sensible retry.
    pub retry_after: Option<Duration>,
    /// For the log only.
    pub source: Option<Box<dyn error::Error + Send + Sync>>,
}

/// Result at a port.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of this kind with words for the caller.
    #[must_use]
    pub fn new(kind: ErrorKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            field: None,
            plugin: None,
            mount: None,
            done: false,
            takes: Operations::default(),
            retry_after: None,
            source: None,
        }
    }

    /// The caller's input is wrong at `field`.
    #[must_use]
    pub fn invalid(field: impl Into<String>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidRequest, detail).at(field)
    }

    /// Our own fault; the caller reads a constant, the log gets the source.
    #[must_use]
    pub fn internal(source: impl Into<Box<dyn error::Error + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Internal, "internal error; the log has the reason under this request id").because(source)
    }

    /// The uniform denial: says nothing about why.
    #[must_use]
    pub fn denied() -> Self {
        Self::new(ErrorKind::PermissionDenied, "permission denied")
    }

    /// The barrier is sealed.
    #[must_use]
    pub fn sealed() -> Self {
        Self::new(ErrorKind::Sealed, "warder is sealed: unseal it first")
    }

    /// Names the field at fault.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Names the plugin and mount at fault.
    #[must_use]
    pub fn in_plugin(mut self, plugin: impl Into<Box<str>>, mount: impl Into<Box<str>>) -> Self {
        self.plugin = Some(plugin.into());
        self.mount = Some(mount.into());
        self
    }

    /// Attaches the cause for the log.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Says when a later attempt can do better.
    #[must_use]
    pub const fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Earliest sensible retry in whole seconds, rounded up: who waits so long does not come early.
    #[must_use]
    pub fn retry_seconds(&self) -> Option<u64> {
        let after = self.retry_after?;
        Some((after.as_secs() + u64::from(after.subsec_nanos() > 0)).max(1))
    }

    /// The whole chain in one line, for the log.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut next = error::Error::source(self);
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.code(), self.detail)
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn error::Error + 'static))
    }
}
