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

    /// For the few paths of `sys` that answer every valid token and filter by themselves.
    pub const fn any_token(identity: Arc<Identity>, path: Path, operation: Operation) -> Self {
        Self { identity: Some(identity), path, operation }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{authz::Policy, error::ErrorKind, identity::TokenKind, request::Fields};

    fn ask(text: &str, path: &str) -> Result<Permit> {
        let acl = Acl::new(&[Arc::new(Policy::parse("p", text).unwrap())]);
        let fields = Fields::default();
        let question =
            Question { operation: Operation::Read, path: "a/b", fields: &fields, privileged: false, wrap_ttl: None };
        authorize(&acl, identity(), &question, Path::parse(path).unwrap())
    }

    fn identity() -> Arc<Identity> {
        Arc::new(Identity {
            digest: "d".into(),
            holder: "d".into(),
            accessor: "a".into(),
            policies: vec!["p".into()],
            display_name: "token".into(),
            path: "auth/token/create".into(),
            metadata: BTreeMap::new(),
            entity_id: None,
            kind: TokenKind::Service,
            counted: false,
            orphan: false,
            expires: None,
            recorded: Arc::default(),
        })
    }

    #[test]
    fn a_permit_tells_who_may_do_what_on_what() {
        let permit = ask("path \"a/*\" { capabilities = [\"read\"] }", "a/b").unwrap();
        assert_eq!((permit.path().as_str(), permit.operation()), ("a/b", Operation::Read));
        assert_eq!(permit.identity().map(|who| who.digest.as_str()), Some("d"));
    }

    #[test]
    fn a_refusal_says_nothing_about_why() {
        for text in ["", "path \"a/b\" { capabilities = [\"list\"] }", "path \"a/b\" { policy = \"deny\" }"] {
            let error = ask(text, "a/b").unwrap_err();
            assert_eq!(error.kind, ErrorKind::PermissionDenied);
            assert_eq!((&*error.detail, error.source.is_none()), ("permission denied", true));
        }
    }

    #[test]
    fn a_permit_is_never_for_another_path_than_was_asked_about() {
        let error = ask("path \"*\" { capabilities = [\"read\"] }", "a/c").unwrap_err();
        assert_eq!(error.kind, ErrorKind::Internal);
    }

    #[test]
    fn a_public_permit_names_nobody() {
        let permit = Permit::public(Path::parse("sys/health").unwrap(), Operation::Read);
        assert!(permit.identity().is_none());
    }
}
