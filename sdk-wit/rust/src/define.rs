//! What a plugin says of itself: a constant, so that no request pays for building it.

use crate::{Error, Host, Lease, Operation, RawCall, Reply, Result, Target, Timestamp};

/// Serves one verb of one route.
pub type Handler = fn(&Host, RawCall) -> Result<Reply>;
/// Says whether something is at a target: decides between create and update.
pub type Exists = fn(&Host, &Target) -> Result<bool>;

/// Secrets engine or auth method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountKind {
    /// Logs people and machines in.
    Auth,
    /// Serves secrets.
    Secrets,
}

/// A whole plugin.
#[derive(Clone, Copy, Debug)]
pub struct Plugin {
    /// Name in catalogs, e.g. `kv`.
    pub name: &'static str,
    /// Semantic version.
    pub version: &'static str,
    /// What it serves.
    pub kind: MountKind,
    /// For people.
    pub doc: &'static str,
    /// All routes.
    pub routes: &'static [Route],
    /// How the native API reaches them.
    pub secret_routes: &'static [SecretRoute],
    /// Background tasks.
    pub tasks: &'static [Task],
    /// Renews a lease.
    pub renew: Option<fn(&Host, &Lease) -> Result<u32>>,
    /// Revokes a lease.
    pub revoke: Option<fn(&Host, &Lease) -> Result<()>>,
}

impl Plugin {
    /// A secrets engine. `version` is semantic: `env!("CARGO_PKG_VERSION")`.
    #[must_use]
    pub const fn secrets(name: &'static str, version: &'static str, doc: &'static str) -> Self {
        Self::new(MountKind::Secrets, name, version, doc)
    }

    /// An auth method.
    #[must_use]
    pub const fn auth(name: &'static str, version: &'static str, doc: &'static str) -> Self {
        Self::new(MountKind::Auth, name, version, doc)
    }

    const fn new(kind: MountKind, name: &'static str, version: &'static str, doc: &'static str) -> Self {
        let (routes, secret_routes, tasks) = (&[], &[], &[]);
        Self { name, version, kind, doc, routes, secret_routes, tasks, renew: None, revoke: None }
    }

    /// All routes; the first whose pattern matches a path serves it.
    #[must_use]
    pub const fn routes(self, routes: &'static [Route]) -> Self {
        Self { routes, ..self }
    }

    /// How `/api/v1/secrets/{path}` reaches the routes.
    #[must_use]
    pub const fn secret_routes(self, secret_routes: &'static [SecretRoute]) -> Self {
        Self { secret_routes, ..self }
    }

    /// Background tasks.
    #[must_use]
    pub const fn tasks(self, tasks: &'static [Task]) -> Self {
        Self { tasks, ..self }
    }

    /// Renews a lease: the seconds granted.
    #[must_use]
    pub const fn renew(self, renew: fn(&Host, &Lease) -> Result<u32>) -> Self {
        Self { renew: Some(renew), ..self }
    }

    /// Revokes a lease; idempotent: ok when already gone.
    #[must_use]
    pub const fn revoke(self, revoke: fn(&Host, &Lease) -> Result<()>) -> Self {
        Self { revoke: Some(revoke), ..self }
    }

    /// The route with this pattern, as the host names it in a target.
    fn route(&self, target: &Target) -> Result<&'static Route> {
        let found = self.routes.iter().find(|route| route.pattern == target.route);
        found.ok_or_else(|| Error::unsupported(format!("{} has no route {}", self.name, target.route)))
    }

    pub(crate) fn exists(&self, host: &Host, target: &Target) -> Result<bool> {
        let exists = self.route(target)?.exists;
        exists.ok_or_else(|| Error::unsupported("this route does not tell create from update"))?(host, target)
    }

    pub(crate) fn handle(&self, host: &Host, call: RawCall) -> Result<Reply> {
        let route = self.route(&call.target)?;
        match route.handler(call.operation) {
            Some(handler) => handler(host, call),
            None => Err(Error::unsupported(format!("{} does not take {}", route.pattern, call.operation.word()))),
        }
    }
}

/// A background task.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    /// Unique in the plugin.
    pub name: &'static str,
    /// Period.
    pub every_seconds: u32,
    /// What it does.
    pub run: fn(&Host, Timestamp) -> Result<()>,
}

impl Task {
    /// Runs `run` about every so many seconds, on one node, without a caller.
    #[must_use]
    pub const fn new(name: &'static str, every_seconds: u32, run: fn(&Host, Timestamp) -> Result<()>) -> Self {
        Self { name, every_seconds, run }
    }
}

/// One route: a pattern, its parameters, and a handler per verb.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Below the mount.
    pub pattern: &'static str,
    /// For people.
    pub doc: &'static str,
    /// Parameters of all verbs.
    pub fields: &'static [Field],
    /// Served without a token.
    pub public: bool,
    /// Needs `sudo`.
    pub privileged: bool,
    /// The host mints a lease first.
    pub issues_lease: bool,
    /// Tells create from update.
    pub exists: Option<Exists>,
    /// Serves reads.
    pub read: Option<Handler>,
    /// Serves lists.
    pub list: Option<Handler>,
    /// Serves creates and updates.
    pub write: Option<Handler>,
    /// Serves merge patches.
    pub patch: Option<Handler>,
    /// Serves deletes.
    pub delete: Option<Handler>,
    /// Serves rotations.
    pub rotate: Option<Handler>,
}

impl Route {
    /// A route below the mount: `creds/{role}` captures one segment, a last `{path...}` the
    /// rest (at least one segment). Captures and fields share one namespace.
    #[must_use]
    pub const fn at(pattern: &'static str, doc: &'static str) -> Self {
        Self {
            pattern,
            doc,
            fields: &[],
            public: false,
            privileged: false,
            issues_lease: false,
            exists: None,
            read: None,
            list: None,
            write: None,
            patch: None,
            delete: None,
            rotate: None,
        }
    }

    /// Its parameters, for all verbs.
    #[must_use]
    pub const fn fields(self, fields: &'static [Field]) -> Self {
        Self { fields, ..self }
    }

    /// Served without a token: logins, CRLs.
    #[must_use]
    pub const fn public(self) -> Self {
        Self { public: true, ..self }
    }

    /// Needs the `sudo` capability.
    #[must_use]
    pub const fn privileged(self) -> Self {
        Self { privileged: true, ..self }
    }

    /// The host mints and persists a lease before the handler runs.
    #[must_use]
    pub const fn issues_lease(self) -> Self {
        Self { issues_lease: true, ..self }
    }

    /// Tells create from update; without it every write is an update.
    #[must_use]
    pub const fn exists(self, exists: Exists) -> Self {
        Self { exists: Some(exists), ..self }
    }

    /// Serves reads.
    #[must_use]
    pub const fn read(self, handler: Handler) -> Self {
        Self { read: Some(handler), ..self }
    }

    /// Serves lists (`enumerate`).
    #[must_use]
    pub const fn list(self, handler: Handler) -> Self {
        Self { list: Some(handler), ..self }
    }

    /// Serves creates and updates.
    #[must_use]
    pub const fn write(self, handler: Handler) -> Self {
        Self { write: Some(handler), ..self }
    }

    /// Serves merge patches.
    #[must_use]
    pub const fn patch(self, handler: Handler) -> Self {
        Self { patch: Some(handler), ..self }
    }

    /// Serves deletes.
    #[must_use]
    pub const fn delete(self, handler: Handler) -> Self {
        Self { delete: Some(handler), ..self }
    }

    /// Serves rotations.
    #[must_use]
    pub const fn rotate(self, handler: Handler) -> Self {
        Self { rotate: Some(handler), ..self }
    }

    pub(crate) const fn handler(&self, operation: Operation) -> Option<Handler> {
        use Operation::{Create, Delete, List, Patch, Read, Rotate, Update};
        match operation {
            Create | Update => self.write,
            Delete => self.delete,
            List => self.list,
            Patch => self.patch,
            Read => self.read,
            Rotate => self.rotate,
        }
    }
}

/// What a field may hold, after the host has checked and coerced it. A `null` that the caller
/// wrote arrives as `null` in every kind; a field left out is absent, or its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// `true`, `false`, or those words as text.
    Boolean,
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// Any JSON.
    Document,
    /// Whole seconds, given as a number or as `1h30m`; may be negative.
    Duration,
    /// A whole number (64 bits, signed), or its decimal text.
    Integer,
    /// A string; numbers and booleans are taken as their text.
    Text,
    /// Strings; a comma-separated text is split and trimmed, numbers are taken as their text.
    TextList,
    /// String to string; numbers and booleans are taken as their text.
    TextMap,
}

/// One parameter of a route: a member of the body, or a query parameter.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Member of the body, or query parameter.
    pub name: &'static str,
    /// What it may hold.
    pub kind: FieldKind,
    /// For people.
    pub doc: &'static str,
    /// Refused without it.
    pub required: bool,
    /// JSON text when left out.
    pub default: Option<&'static str>,
    /// Handed over sealed.
    pub sensitive: bool,
    /// Storing it grants an endpoint.
    pub endpoint: bool,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $function:ident => $kind:ident),+ $(,)?) => {
        $($(#[$doc])*
        #[must_use]
        pub const fn $function(name: &'static str, doc: &'static str) -> Self {
            Self::new(name, FieldKind::$kind, doc)
        })+
    };
}

impl Field {
    /// A field of this kind.
    #[must_use]
    pub const fn new(name: &'static str, kind: FieldKind, doc: &'static str) -> Self {
        Self { name, kind, doc, required: false, default: None, sensitive: false, endpoint: false }
    }

    kinds! {
        /// See [`FieldKind::Boolean`].
        boolean => Boolean,
        /// See [`FieldKind::Document`].
        document => Document,
        /// See [`FieldKind::Duration`].
        duration => Duration,
        /// See [`FieldKind::Integer`].
        integer => Integer,
        /// See [`FieldKind::Text`].
        text => Text,
        /// See [`FieldKind::TextList`].
        text_list => TextList,
        /// See [`FieldKind::TextMap`].
        text_map => TextMap,
    }

    /// See [`FieldKind::Choice`].
    #[must_use]
    pub const fn choice(name: &'static str, words: &'static [&'static str], doc: &'static str) -> Self {
        Self::new(name, FieldKind::Choice(words), doc)
    }

    /// The host refuses requests without it. Applies to every verb of the route.
    #[must_use]
    pub const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// JSON text that stands in when the field is left out.
    #[must_use]
    pub const fn default(self, json: &'static str) -> Self {
        Self { default: Some(json), ..self }
    }

    /// Taken out of the request by the host and handed over sealed: [`Call::secret`](crate::Call::secret).
    #[must_use]
    pub const fn sensitive(self) -> Self {
        Self { sensitive: true, ..self }
    }

    /// A URL or `host:port`: storing it grants the mount that endpoint.
    #[must_use]
    pub const fn endpoint(self) -> Self {
        Self { endpoint: true, ..self }
    }
}

/// What the native API asks of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretView {
    /// Destroy the versions named by the field `versions` for good.
    Destroy,
    /// Names under a folder.
    Listing,
    /// Soft-delete the versions named by the field `versions`.
    Remove,
    /// Restore the versions named by the field `versions`.
    Undelete,
    /// Read, write, patch; delete removes the latest version.
    Value,
    /// Versions and what is known of them, no values.
    Versions,
}

/// Maps a view of `/api/v1/secrets/{pattern}` onto a route with the same captures.
#[derive(Clone, Copy, Debug)]
pub struct SecretRoute {
    /// What is asked.
    pub view: SecretView,
    /// Path below the mount in the native API.
    pub pattern: &'static str,
    /// Pattern of the route that answers.
    pub route: &'static str,
    /// Pointer to the secret in bodies and answers.
    pub value_at: &'static str,
    /// Pointer to what is known of it.
    pub about_at: Option<&'static str>,
    /// Pointer to the expected version in bodies.
    pub check_at: Option<&'static str>,
}

impl SecretRoute {
    /// `pattern` is the path below the mount as the native API names it.
    #[must_use]
    pub const fn new(view: SecretView, pattern: &'static str, route: &'static str) -> Self {
        Self { view, pattern, route, value_at: "", about_at: None, check_at: None }
    }

    /// Where the secret stands in bodies and answers (RFC 6901).
    #[must_use]
    pub const fn value_at(self, pointer: &'static str) -> Self {
        Self { value_at: pointer, ..self }
    }

    /// Where an answer says what is known of the secret.
    #[must_use]
    pub const fn about_at(self, pointer: &'static str) -> Self {
        Self { about_at: Some(pointer), ..self }
    }

    /// Where a body takes the expected version.
    #[must_use]
    pub const fn check_at(self, pointer: &'static str) -> Self {
        Self { check_at: Some(pointer), ..self }
    }
}
