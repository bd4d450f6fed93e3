//! Proof of being allowed. Routing, cache, leases and plugins take a [`Permit`] and nothing else
//! makes one.

use std::sync::Arc;

use super::acl::{Acl, Decision, Question};
use crate::{
    error::{Error, Result},
    identity::Identity,
    path::Path,
    request::Operation,
};

/// Leave to run one operation on one path.
///
/// ```compile_fail
/// use warder_core::{authz::Permit, path::Path, request::Operation};
/// Permit { identity: None, path: Path::parse("a").unwrap(), operation: Operation::Read };
/// ```
#[derive(Debug)]
#[must_use]
pub struct Permit {
    identity: Option<Arc<Identity>>,
    path: Path,
    operation: Operation,
}

/// Asks `acl` and makes the permit.
///
/// # Errors
/// `permission_denied` with constant words: why is told by [`Acl::explain`] to those who may ask.
/// `internal` when `question.path` and `path` are not the same path, up to a trailing slash.
pub fn authorize(acl: &Acl, identity: Arc<Identity>, question: &Question<'_>, path: Path) -> Result<Permit> {
    if question.path.trim_end_matches('/') != path.as_str().trim_end_matches('/') {
        return Err(Error::internal("a permit was asked for another path than the one in question"));
    }
    match acl.decide(question) {
        Decision::Allowed => Ok(Permit { identity: Some(identity), path, operation: question.operation }),
        Decision::Denied => Err(Error::denied()),
    }
}

impl Permit {
    /// For routes that are served without a token, as their plugin or `sys` declares.
    pub const fn public(path: Path, operation: Operation) -> Self {
        Self { identity: None, path, operation }
    }

    /// Who; none for public routes.
    #[must_use]
    pub const fn identity(&self) -> Option<&Arc<Identity>> {
        self.identity.as_ref()
    }

    /// On what.
    #[must_use]
    pub const fn path(&self) -> &Path {
        &self.path
    }

    /// To do what.
    #[must_use]
    pub const fn operation(&self) -> Operation {
        self.operation
    }
}
