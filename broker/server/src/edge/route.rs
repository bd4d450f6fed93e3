//! The table of routes: one list that the dispatcher, the tests and the documents read.
//!
//! A pattern is literal text with at most one capture: `{name}` takes one segment, `{path...}`
//! takes all that is left (a literal may follow: `{path...}/versions`). The first pattern that
//! fits a path owns it, for every method; so `.../versions` cannot be shadowed by a secret.

use std::{pin::Pin, sync::Arc, sync::LazyLock};

use warder_core::{
    request::{Operation, Operations},
    sys,
};

use super::{Edge, Inbound, health, openapi, problem::Refusal, reply::Reply, rest, vault};

/// What a handler leaves behind.
pub(crate) type Outcome = Result<Reply, Refusal>;
type Handling = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// One method of one pattern.
pub struct Route {
    /// HTTP method.
    pub method: &'static str,
    /// Path pattern.
    pub pattern: &'static str,
    /// Answered without a token.
    pub public: bool,
    /// One sentence for people.
    pub doc: &'static str,
    pub(crate) run: fn(Arc<Edge>, Inbound) -> Handling,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.pattern)
    }
}

/// Every route of every door, in the order in which patterns are tried.
#[must_use]
pub fn routes() -> &'static [Route] {
    ROUTES
}

macro_rules! routes {
    ($($access:ident $method:literal $pattern:literal $handler:path, $doc:literal;)*) => {
        &[$(Route {
            method: $method,
            pattern: $pattern,
            public: routes!(@public $access),
            doc: $doc,
            run: |edge, inbound| Box::pin($handler(edge, inbound)),
        }),*]
    };
    (@public open) => { true };
    (@public token) => { false };
}

static ROUTES: &[Route] = routes! {
    open  "GET"    "/health" health::ready, "Whether secrets can be read: 200, 503 sealed, 501 not initialized";
    open  "HEAD"   "/health" health::ready, "The same without a body";
    open  "GET"    "/livez" health::live, "Whether the process answers at all";
    open  "HEAD"   "/livez" health::live, "The same without a body";
    open  "GET"    "/metrics" health::metrics, "Prometheus text";

    open  "GET"    "/api/v1/openapi.json" openapi::native, "This description; with a token also of the mounts that it reaches";

    token "GET"    "/api/v1/secrets" rest::secrets::list_root, "Names at the top (?list=true)";
    token "GET"    "/api/v1/secrets/" rest::secrets::list_root, "Names at the top (?list=true)";
    token "POST"   "/api/v1/secrets:batch" rest::batch::batch, "Read several secrets, each decided by itself";
    token "GET"    "/api/v1/secrets/{path...}/versions" rest::secrets::versions, "Versions, no values";
    token "POST"   "/api/v1/secrets/{path...}/undelete" rest::secrets::undelete, "Restore soft-deleted versions";
    token "POST"   "/api/v1/secrets/{path...}/rotate" rest::secrets::rotate, "Have the backend make a new value";
    token "GET"    "/api/v1/secrets/{path...}" rest::secrets::read, "Read a secret, or list a folder (?list=true)";
    token "PUT"    "/api/v1/secrets/{path...}" rest::secrets::put, "Store a new version";
    token "PATCH"  "/api/v1/secrets/{path...}" rest::secrets::patch, "Merge into the current version";
    token "DELETE" "/api/v1/secrets/{path...}" rest::secrets::delete, "Delete the latest or named versions";

    token "GET"    "/api/v1/watch" rest::watch::watch, "Changes below a prefix, as Server-Sent Events";

    open  "POST"   "/api/v1/auth/login" rest::auth::login, "Log in by a method";
    token "GET"    "/api/v1/auth/self" rest::auth::show_self, "What this token is";
    token "POST"   "/api/v1/auth/renew" rest::auth::renew_self, "Renew this token";
    token "POST"   "/api/v1/auth/revoke" rest::auth::revoke_self, "Revoke this token and its children";
    token "POST"   "/api/v1/auth/tokens" rest::auth::create, "Create a child token";
    token "GET"    "/api/v1/auth/tokens" rest::auth::list, "Accessors of all tokens";
    token "POST"   "/api/v1/auth/tokens/{accessor}/renew" rest::auth::renew, "Renew a token by its accessor";
    token "GET"    "/api/v1/auth/tokens/{accessor}" rest::auth::show, "What a token is, by its accessor";
    token "DELETE" "/api/v1/auth/tokens/{accessor}" rest::auth::revoke, "Revoke a token by its accessor";

    token "GET"    "/api/v1/policies" rest::policies::list, "Names of policies";
    token "POST"   "/api/v1/policies:explain" rest::policies::explain, "Which rule decides, and why";
    token "GET"    "/api/v1/policies/{name}" rest::policies::read, "One policy";
    token "PUT"    "/api/v1/policies/{name}" rest::policies::write, "Write a policy (HCL or JSON)";
    token "DELETE" "/api/v1/policies/{name}" rest::policies::delete, "Remove a policy";

    token "GET"    "/api/v1/leases" rest::leases::list, "Leases below a prefix of paths";
    token "DELETE" "/api/v1/leases" rest::leases::revoke_prefix, "Revoke all leases below a prefix";
    token "POST"   "/api/v1/leases/{lease_id...}/renew" rest::leases::renew, "Give a lease more time";
    token "GET"    "/api/v1/leases/{lease_id...}" rest::leases::read, "What is known of a lease";
    token "DELETE" "/api/v1/leases/{lease_id...}" rest::leases::revoke, "Revoke a lease: done when it is answered";

    token "GET"    "/api/v1/limits" rest::limits::list, "Names of rate limits";
    token "GET"    "/api/v1/limits/{name}" rest::limits::read, "One rate limit";
    token "PUT"    "/api/v1/limits/{name}" rest::limits::write, "Set a rate limit";
    token "DELETE" "/api/v1/limits/{name}" rest::limits::delete, "Lift a rate limit";

    token "GET"    "/api/v1/locked-users" rest::limits::locked, "Names that are locked because logins failed";
    token "DELETE" "/api/v1/locked-users/{path...}" rest::limits::unlock, "Unlock a name: {accessor}/{name}";

    token "GET"    "/api/v1/mounts" rest::sys::mounts, "All mounts";
    token "GET"    "/api/v1/mounts/{path...}" rest::sys::mount, "One mount";
    token "PUT"    "/api/v1/mounts/{path...}" rest::sys::enable, "Bind a plugin to a path: 204, as for every write without news";
    token "PATCH"  "/api/v1/mounts/{path...}" rest::sys::tune, "Change a mount's description and options";
    token "DELETE" "/api/v1/mounts/{path...}" rest::sys::disable, "Remove a mount and all it holds";
    token "GET"    "/api/v1/plugins" rest::sys::plugins, "Plugins that can be mounted";
    token "GET"    "/api/v1/audit" rest::sys::audit, "Audit sinks and how they do";

    open  "GET"    "/api/v1/sys/status" rest::sys::status, "Where the seal stands";
    open  "POST"   "/api/v1/sys/init" rest::sys::init, "Make the keys: once";
    open  "POST"   "/api/v1/sys/unseal" rest::sys::unseal, "Give one key share";
    token "POST"   "/api/v1/sys/seal" rest::sys::seal, "Close the barrier";
    token "POST"   "/api/v1/sys/rotate" rest::sys::rotate, "Encrypt what is written from now on under a new key";
    token "GET"    "/api/v1/sys/key-status" rest::sys::key_status, "The keys, and how far old values were moved";
    token "GET"    "/api/v1/sys/generate-root" rest::quorum::root, "How far making a root token has come";
    token "POST"   "/api/v1/sys/generate-root" rest::quorum::begin_root, "Begin making a root token";
    token "DELETE" "/api/v1/sys/generate-root" rest::quorum::end_root, "Give up making a root token";
    token "POST"   "/api/v1/sys/generate-root/shares" rest::quorum::root_share, "Give one key share for it";
    token "GET"    "/api/v1/sys/rekey" rest::quorum::rekey, "How far making new key shares has come";
    token "POST"   "/api/v1/sys/rekey" rest::quorum::begin_rekey, "Begin making new key shares";
    token "DELETE" "/api/v1/sys/rekey" rest::quorum::end_rekey, "Give up making new key shares";
    token "POST"   "/api/v1/sys/rekey/shares" rest::quorum::rekey_share, "Give one of the old key shares for it";
    token "GET"    "/api/v1/sys/rekey/verify" rest::quorum::verification, "How many of the new shares were given back";
    token "POST"   "/api/v1/sys/rekey/verify" rest::quorum::verify, "Give one of the new key shares back";
    token "DELETE" "/api/v1/sys/rekey/verify" rest::quorum::verify_again, "Begin to give them back again";
    token "GET"    "/api/v1/sys/snapshot" rest::snapshot::save, "The whole store as a file";
    token "POST"   "/api/v1/sys/restore" rest::snapshot::restore, "Put a snapshot back (?dry_run=true looks only, ?force=true takes another keyring's)";

    open  "GET"    "/v1/sys/health" vault::sys::health, "Vault: health";
    open  "HEAD"   "/v1/sys/health" vault::sys::health, "Vault: health without a body";
    open  "GET"    "/v1/sys/seal-status" vault::sys::seal_status, "Vault: where the seal stands";
    open  "GET"    "/v1/sys/init" vault::sys::initialized, "Vault: whether it is initialized";
    open  "PUT"    "/v1/sys/init" vault::sys::init, "Vault: make the keys";
    open  "POST"   "/v1/sys/init" vault::sys::init, "Vault: make the keys";
    open  "PUT"    "/v1/sys/unseal" vault::sys::unseal, "Vault: give one key share";
    open  "POST"   "/v1/sys/unseal" vault::sys::unseal, "Vault: give one key share";
    open  "GET"    "/v1/sys/leader" vault::sys::leader, "Vault: who leads";
    open  "GET"    "/v1/sys/internal/specs/openapi" openapi::vault, "Vault: this description, paths below /v1";
    token "GET"    "/v1/sys/storage/raft/snapshot" vault::snapshot::save, "Vault: the whole store as a file";
    token "PUT"    "/v1/sys/storage/raft/snapshot" vault::snapshot::restore, "Vault: put it back (?dry_run=true looks only)";
    token "POST"   "/v1/sys/storage/raft/snapshot" vault::snapshot::restore, "Vault: put it back (?dry_run=true looks only)";
    token "PUT"    "/v1/sys/storage/raft/snapshot-force" vault::snapshot::force, "Vault: put back that of another keyring";
    token "POST"   "/v1/sys/storage/raft/snapshot-force" vault::snapshot::force, "Vault: put back that of another keyring";
    token "GET"    "/v1/{path...}" vault::read, "Vault: read, or list (?list=true)";
    token "LIST"   "/v1/{path...}" vault::list, "Vault: list";
    token "PUT"    "/v1/{path...}" vault::update, "Vault: create or update";
    token "POST"   "/v1/{path...}" vault::update, "Vault: create or update";
    token "PATCH"  "/v1/{path...}" vault::patch, "Vault: merge patch";
    token "DELETE" "/v1/{path...}" vault::delete, "Vault: delete";
};

/// The route for a method and a decoded path, and what its capture took.
///
/// # Errors
/// 404 when no pattern fits, 405 with `Allow` when the pattern does not take the method.
pub(crate) fn find(method: &str, path: &str) -> Result<(&'static Route, String), Refusal> {
    let Some((at, capture)) = PATTERNS.iter().enumerate().find_map(|(at, pattern)| Some((at, pattern.take(path)?)))
    else {
        return Err(Refusal::no_route());
    };
    let pattern = ROUTES[at].pattern;
    let mut same = ROUTES.iter().filter(|route| route.pattern == pattern);
    let of = |method| same.clone().find(|route| route.method == method);
    // HEAD is GET whose body stays here (RFC 9110, section 9.3.2); Vault's own door has none.
    let implied = (method == "HEAD" && !pattern.starts_with("/v1/")).then(|| of("GET")).flatten();
    match of(method).or(implied) {
        // Vault's media type of a PATCH is no matter where nothing takes one.
        Some(_) if method == "PATCH" && own(pattern, capture).is_some_and(|own| !own.has(Operation::Patch)) => {
            Err(Refusal::method(own(pattern, capture).map_or_else(String::new, vault::methods)))
        }
        Some(route) => Ok((route, capture.to_owned())),
        None if let Some(own) = own(pattern, capture) => Err(Refusal::method(vault::methods(own))),
        None => {
            let first = same.next().map_or("", |route| route.method).to_owned();
            Err(Refusal::method(same.fold(first, |all, route| format!("{all}, {}", route.method))))
        }
    }
}

/// The methods of a route's pattern beside its own.
pub(crate) fn others(route: &Route) -> String {
    let same = ROUTES.iter().filter(|other| other.pattern == route.pattern && other.method != route.method);
    same.map(|other| other.method).collect::<Vec<_>>().join(", ")
}

/// What the broker's own path takes, if it is one: the same for everybody, whatever is mounted.
fn own(pattern: &str, capture: &str) -> Option<Operations> {
    let path = Some(capture).filter(|_| pattern == "/v1/{path...}")?;
    sys::find(path.strip_suffix('/').unwrap_or(path)).map(|matched| matched.operations())
}

struct Pattern {
    prefix: &'static str,
    capture: Capture,
    suffix: &'static str,
}

enum Capture {
    Nothing,
    Rest,
    Segment,
}

static PATTERNS: LazyLock<Vec<Pattern>> = LazyLock::new(|| ROUTES.iter().map(|r| Pattern::new(r.pattern)).collect());

impl Pattern {
    fn new(text: &'static str) -> Self {
        let Some((prefix, rest)) = text.split_once('{') else {
            return Self { prefix: text, capture: Capture::Nothing, suffix: "" };
        };
        let (name, suffix) = rest.split_once('}').unwrap_or((rest, ""));
        let capture = if name.ends_with("...") { Capture::Rest } else { Capture::Segment };
        Self { prefix, capture, suffix }
    }

    /// What the capture takes from `path`, if the pattern fits.
    fn take<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(self.prefix)?;
        match self.capture {
            Capture::Nothing => rest.is_empty().then_some(rest),
            Capture::Rest => rest.strip_suffix(self.suffix).filter(|taken| !taken.is_empty()),
            Capture::Segment => {
                rest.strip_suffix(self.suffix).filter(|taken| !taken.is_empty() && !taken.contains('/'))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn paths_find_their_route() {
        for (method, path, pattern, capture) in [
            ("GET", "/health", "/health", ""),
            ("GET", "/api/v1/secrets", "/api/v1/secrets", ""),
            ("HEAD", "/api/v1/secrets/a", "/api/v1/secrets/{path...}", "a"),
            ("HEAD", "/api/v1/mounts", "/api/v1/mounts", ""),
            ("GET", "/api/v1/secrets/", "/api/v1/secrets/", ""),
            ("GET", "/api/v1/secrets/a", "/api/v1/secrets/{path...}", "a"),
            ("GET", "/api/v1/secrets/a/b/", "/api/v1/secrets/{path...}", "a/b/"),
            ("GET", "/api/v1/secrets/versions", "/api/v1/secrets/{path...}", "versions"),
            ("GET", "/api/v1/secrets/a/versions", "/api/v1/secrets/{path...}/versions", "a"),
            ("POST", "/api/v1/secrets/a/undelete", "/api/v1/secrets/{path...}/undelete", "a"),
            ("POST", "/api/v1/secrets/a/b/rotate", "/api/v1/secrets/{path...}/rotate", "a/b"),
            ("GET", "/api/v1/auth/tokens/x", "/api/v1/auth/tokens/{accessor}", "x"),
            ("POST", "/api/v1/auth/tokens/x/renew", "/api/v1/auth/tokens/{accessor}/renew", "x"),
            ("POST", "/api/v1/policies:explain", "/api/v1/policies:explain", ""),
            ("POST", "/api/v1/secrets:batch", "/api/v1/secrets:batch", ""),
            ("LIST", "/v1/secret/metadata/", "/v1/{path...}", "secret/metadata/"),
        ] {
            let (route, taken) = find(method, path).unwrap();
            assert_eq!((route.pattern, &*taken), (pattern, capture), "{method} {path}");
        }
    }

    #[test]
    fn unknown_paths_and_methods_are_told_apart() {
        for (method, path, code) in [
            ("GET", "/", 404),
            ("GET", "/api/v1", 404),
            ("PUT", "/api/v1/secrets", 405),
            ("GET", "/api/v1/secrets:batch", 405),
            ("PUT", "/api/v1/watch", 405),
            ("GET", "/api/v1/secrets/a/rotate", 405),
            ("HEAD", "/v1/secret/data/a", 405),
            ("GET", "/api/v2/secrets/a", 404),
            ("GET", "/api/v1/policies/a/b", 404),
            ("POST", "/health", 405),
            ("PUT", "/api/v1/secrets/a/versions", 405),
            ("GET", "/api/v1/secrets/a/undelete", 405),
            ("TRACE", "/v1/secret/data/a", 405),
            ("PATCH", "/v1/sys/mounts", 405),
        ] {
            let refused = find(method, path).unwrap_err().native("r");
            assert_eq!(refused.status(), code, "{method} {path}");
            assert_eq!(refused.headers().contains_key("allow"), code == 405);
        }
    }

    #[test]
    fn a_path_of_the_broker_says_what_it_takes_itself() {
        for (method, path, allow) in [
            ("PATCH", "/v1/sys/mounts", "GET"),
            ("OPTIONS", "/v1/auth/token/create", "POST, PUT"),
            ("OPTIONS", "/v1/auth/token/accessors/", "GET, LIST"),
            ("OPTIONS", "/v1/secret/data/a", "GET, LIST, PUT, POST, PATCH, DELETE"),
        ] {
            let refused = find(method, path).unwrap_err().vault();
            assert_eq!(refused.headers()["allow"], allow, "{method} {path}");
        }
    }

    #[test]
    fn no_route_is_listed_twice() {
        let mut seen = HashSet::new();
        assert!(routes().iter().all(|route| seen.insert((route.method, route.pattern))));
    }
}
