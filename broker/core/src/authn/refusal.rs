//! Why a token operation was refused, in the words that clients of the compatible API match.

use super::MAX_CREDENTIAL_BYTES;
use crate::error::{Error, ErrorKind};

/// Why a token operation was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such token, for the calls that name another's.
    #[error("bad token")]
    BadToken,
    /// A batch token with something that it cannot have.
    #[error("batch tokens cannot have {0}")]
    BatchField(&'static str),
    /// Batch tokens have no children.
    #[error("batch tokens cannot create more tokens")]
    BatchParent,
    /// Batch tokens end by themselves.
    #[error("batch tokens cannot be renewed")]
    BatchRenewal,
    /// Batch tokens end by themselves.
    #[error("batch tokens cannot be revoked")]
    BatchRevocation,
    /// Root is stored.
    #[error("batch tokens cannot be root tokens")]
    BatchRoot,
    /// Too much in it for a header.
    #[error("a batch token with these policies and metadata would be longer than {MAX_CREDENTIAL_BYTES} bytes")]
    BatchTooLarge,
    /// Counted tokens have no children.
    #[error("restricted use token cannot generate child tokens")]
    CountedParent,
    /// A token's text that callers may not choose.
    #[error(
        "custom token ID must be 1 to 128 printable ASCII characters without spaces or '.' \
         (so without an 's.' or 'hvs.' prefix)"
    )]
    CustomId,
    /// That text is in use.
    #[error("cannot create a token with a duplicate ID")]
    DuplicateId,
    /// Aliases need token roles.
    #[error("'entity_alias' is only allowed in combination with token role")]
    EntityAlias,
    /// A root token that ends cannot make one that does not.
    #[error("expiring root tokens cannot create non-expiring root tokens")]
    ExpiringRoot,
    /// A policy that only Warder itself gives.
    #[error("cannot assign an internal policy (response-wrapping, control-group)")]
    InternalPolicy,
    /// No token has that accessor.
    #[error("invalid accessor")]
    InvalidAccessor,
    /// Needs more rights than the caller has.
    #[error("root or sudo privileges required to {0}")]
    NeedsSudo(&'static str),
    /// The token cannot be renewed.
    #[error("lease is not renewable")]
    NotRenewable,
    /// There is nothing to renew.
    #[error("token not found")]
    NotFound,
    /// Over its longest life.
    #[error("past the max TTL, cannot renew")]
    PastMax,
    /// More rights than the parent has.
    #[error("child policies must be subset of parent")]
    PolicySubset,
    /// Others kept changing the same token.
    #[error("the token was changed by others too often while it was being written: try again")]
    Raced,
    /// Root comes from root.
    #[error("root tokens may not be created without parent token being root")]
    RootFromRoot,
    /// There is nothing to orphan.
    #[error("token to revoke not found")]
    RevokeNotFound,
    /// Too many or too long.
    #[error("{field}: {limit}")]
    TooMuch {
        /// The parameter.
        field: &'static str,
        /// The bound, in words.
        limit: &'static str,
    },
    /// The one answer to every credential that does not work.
    #[error("no token, or one that is unknown, expired or revoked")]
    Unauthenticated,
}

impl Refusal {
    const fn kind(self) -> ErrorKind {
        match self {
            Self::BadToken => ErrorKind::PermissionDenied,
            Self::Raced => ErrorKind::Conflict,
            Self::Unauthenticated => ErrorKind::Unauthenticated,
            _ => ErrorKind::InvalidRequest,
        }
    }

    const fn field(self) -> Option<&'static str> {
        match self {
            Self::BatchField(field) | Self::TooMuch { field, .. } => Some(field),
            Self::CustomId | Self::DuplicateId => Some("id"),
            Self::EntityAlias => Some("entity_alias"),
            Self::BatchRoot | Self::InternalPolicy | Self::PolicySubset | Self::RootFromRoot => Some("policies"),
            Self::InvalidAccessor => Some("accessor"),
            _ => None,
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let error = Self::new(refusal.kind(), refusal.to_string());
        match refusal.field() {
            Some(field) => error.at(field),
            None => error,
        }
    }
}
