//! What the router's routes and the broker's own paths take and answer: a row each. Summaries stand
//! in the router; the shapes that rows name stand in `schema`, their parameters in `parameter`.

/// One operation.
pub(super) struct Row {
    /// As in the router; `LIST` for listings of `/v1`.
    pub(super) method: &'static str,
    /// As in the router, or as the broker's table of paths has it.
    pub(super) pattern: &'static str,
    /// What generated clients call it.
    pub(super) id: &'static str,
    /// For people; rows of the router's routes have it there.
    pub(super) doc: &'static str,
    /// Names of `parameter::all`.
    pub(super) query: &'static [&'static str],
    pub(super) headers: &'static [&'static str],
    /// Media type and schema.
    pub(super) body: &'static [(&'static str, &'static str)],
    pub(super) body_required: bool,
    /// Statuses that are no refusal, with their schema; `A|B` is either, none is no body; a status of
    /// one digit is all that begin with it.
    pub(super) ok: &'static [(u16, &'static str)],
    /// Refusals beside those that every operation of its kind can give.
    pub(super) errors: &'static [u16],
    /// Answers have an `ETag`.
    pub(super) tagged: bool,
    /// Says more to a caller with a token.
    pub(super) optional: bool,
    /// Media type of answers.
    pub(super) media: &'static str,
}

const JSON: &str = "application/json";
const GZIP: &str = "application/gzip";
const MERGE: &str = "application/merge-patch+json";

const fn row(method: &'static str, pattern: &'static str, id: &'static str, ok: &'static [(u16, &'static str)]) -> Row {
    Row {
        method,
        pattern,
        id,
        doc: "",
        query: &[],
        headers: &[],
        body: &[],
        body_required: true,
        ok,
        errors: &[],
        tagged: false,
        optional: false,
        media: JSON,
    }
}

impl Row {
    const fn query(mut self, query: &'static [&'static str]) -> Self {
        self.query = query;
        self
    }

    const fn headers(mut self, headers: &'static [&'static str]) -> Self {
        self.headers = headers;
        self
    }

    const fn body(mut self, body: &'static [(&'static str, &'static str)]) -> Self {
        self.body = body;
        self
    }

    /// A body that may be left out.
    const fn may_have(mut self, body: &'static [(&'static str, &'static str)]) -> Self {
        self.body = body;
        self.body_required = false;
        self
    }

    const fn errors(mut self, errors: &'static [u16]) -> Self {
        self.errors = errors;
        self
    }

    const fn tagged(mut self) -> Self {
        self.tagged = true;
        self
    }

    const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    const fn media(mut self, media: &'static str) -> Self {
        self.media = media;
        self
    }

    const fn doc(mut self, doc: &'static str) -> Self {
        self.doc = doc;
        self
    }
}

const PAGE: &[&str] = &["collection", "after", "limit"];
const READ: &[&str] = &["version", "field", "refresh", "list", "after", "limit"];
/// What a plugin may make of a request: nothing there, not taken, refused by or lost at its upstream.
const PLUGIN: &[u16] = &[404, 405, 422, 502];
const WRITE: &[u16] = &[404, 405, 409, 412, 422, 502];
/// What the plugin may make of the end of a lease, or of a longer one.
const ISSUER: &[u16] = &[404, 405, 409, 412, 413, 422, 502];
const ROOT: &[(u16, &str)] = &[(200, "RootAttempt")];
/// Nothing is under way, or something is already; a seal without shares.
const QUORUM: &[u16] = &[409, 412];
/// Before anything is decided.
const UNSEAL: &[u16] = &[409, 500, 503];
/// The caller says which status stands for which state.
const HEALTH: &[(u16, &str)] = &[
    (2, "VaultHealth"),
    (3, "VaultHealth"),
    (4, "VaultHealth"),
    (5, "VaultHealth"),
    (400, "VaultHealth|Errors"),
    (414, "VaultHealth|Errors"),
    (431, "VaultHealth|Errors"),
];
const STATUS: &[&str] = &["activecode", "sealedcode", "uninitcode"];

/// The routes of the router.
pub(super) static ROWS: &[Row] = &[
    row("GET", "/health", "health", &[(200, "Health"), (501, "Health"), (503, "Health")]),
    row("HEAD", "/health", "health.head", &[(200, ""), (501, ""), (503, "")]),
    row("GET", "/livez", "live", &[(200, "Live")]),
    row("HEAD", "/livez", "live.head", &[(200, "")]),
    row("GET", "/metrics", "metrics", &[(200, "Text")])
        .media("text/plain; version=0.0.4; charset=utf-8")
        .errors(&[500]),
    row("GET", "/api/v1/openapi.json", "openapi", &[(200, "Document")]).query(&["mount"]).optional().errors(&[404]),
    // Secrets.
    row("GET", "/api/v1/secrets", "secrets.top", &[(200, "Names")])
        .query(&["listing", "after", "limit", "refresh"])
        .errors(PLUGIN),
    row("GET", "/api/v1/secrets/", "secrets.root", &[(200, "Names")])
        .query(&["listing", "after", "limit", "refresh"])
        .errors(PLUGIN),
    row("POST", "/api/v1/secrets:batch", "secrets.batch", &[(200, "Results")])
        .query(&["refresh"])
        .body(&[(JSON, "Reads")]),
    row("GET", "/api/v1/secrets/{path...}/versions", "secrets.versions", &[(200, "Versions")])
        .query(&["refresh"])
        .errors(PLUGIN),
    row("POST", "/api/v1/secrets/{path...}/undelete", "secrets.undelete", &[(200, "Undeleted")])
        .body(&[(JSON, "Undelete")])
        .errors(WRITE),
    row("POST", "/api/v1/secrets/{path...}/rotate", "secrets.rotate", &[(200, "Written")])
        .may_have(&[(JSON, "Rotate")])
        .tagged()
        .errors(WRITE),
    row("GET", "/api/v1/secrets/{path...}", "secrets.read", &[(200, "Secret|FieldOfSecret|Names"), (304, "")])
        .query(READ)
        .headers(&["If-Changed"])
        .tagged()
        .errors(PLUGIN),
    row("PUT", "/api/v1/secrets/{path...}", "secrets.write", &[(200, "Written"), (201, "Written")])
        .headers(&["If-Match", "If-None-Match"])
        .body(&[(JSON, "Value")])
        .tagged()
        .errors(WRITE),
    row("PATCH", "/api/v1/secrets/{path...}", "secrets.patch", &[(200, "Written"), (201, "Written")])
        .headers(&["If-Match", "If-None-Match"])
        .body(&[(MERGE, "Value")])
        .tagged()
        .errors(WRITE),
    row("DELETE", "/api/v1/secrets/{path...}", "secrets.delete", &[(204, "")])
        .query(&["versions", "destroy"])
        .errors(WRITE),
    row("GET", "/api/v1/watch", "secrets.watch", &[(200, "Text")])
        .query(&["prefix", "from"])
        .headers(&["Last-Event-ID"])
        .media("text/event-stream"),
    // Tokens.
    row("POST", "/api/v1/auth/login", "auth.login", &[(200, "Issued")])
        .body(&[(JSON, "Login")])
        .errors(&[401, 429, 500, 502, 503, 504, 507]),
    row("GET", "/api/v1/auth/self", "auth.self", &[(200, "Token")]),
    row("POST", "/api/v1/auth/renew", "auth.renew", &[(200, "Renewed")]).may_have(&[(JSON, "Renew")]).errors(&[409]),
    row("POST", "/api/v1/auth/revoke", "auth.revoke", &[(204, "")]),
    row("POST", "/api/v1/auth/tokens", "tokens.create", &[(201, "Issued")])
        .may_have(&[(JSON, "NewToken")])
        .errors(&[409]),
    row("GET", "/api/v1/auth/tokens", "tokens.list", &[(200, "Names")]).query(PAGE),
    row("POST", "/api/v1/auth/tokens/{accessor}/renew", "tokens.renew", &[(200, "Renewed")])
        .may_have(&[(JSON, "Renew")])
        .errors(&[404, 409]),
    row("GET", "/api/v1/auth/tokens/{accessor}", "tokens.read", &[(200, "Token")]).errors(&[404]),
    row("DELETE", "/api/v1/auth/tokens/{accessor}", "tokens.revoke", &[(204, "")]).errors(&[404]),
    // Policies.
    row("GET", "/api/v1/policies", "policies.list", &[(200, "Names")]).query(PAGE),
    row("POST", "/api/v1/policies:explain", "policies.explain", &[(200, "Explained")]).body(&[(JSON, "Explain")]),
    row("GET", "/api/v1/policies/{name}", "policies.read", &[(200, "Policy")]).errors(&[404]),
    row("PUT", "/api/v1/policies/{name}", "policies.write", &[(204, "")]).body(&[
        (JSON, "NewPolicy"),
        ("application/hcl", "Text"),
        ("text/plain", "Text"),
    ]),
    row("DELETE", "/api/v1/policies/{name}", "policies.delete", &[(204, "")]),
    // Mounts and the rest.
    row("GET", "/api/v1/mounts", "mounts.list", &[(200, "Mounts")]),
    row("GET", "/api/v1/mounts/{path...}", "mounts.read", &[(200, "Mount")]).errors(&[404]),
    row("PUT", "/api/v1/mounts/{path...}", "mounts.enable", &[(204, "")]).body(&[(JSON, "NewMount")]).errors(&[409]),
    row("PATCH", "/api/v1/mounts/{path...}", "mounts.tune", &[(204, "")])
        .may_have(&[(JSON, "TuneMount"), (MERGE, "TuneMount")])
        .errors(&[404, 409]),
    row("DELETE", "/api/v1/mounts/{path...}", "mounts.disable", &[(204, "")]).errors(&[404]),
    row("GET", "/api/v1/locked-users", "locked-users.list", &[(200, "LockedUsers")]),
    row("DELETE", "/api/v1/locked-users/{path...}", "locked-users.unlock", &[(204, "")]),
    row("GET", "/api/v1/leases", "leases.list", &[(200, "Names")]).query(&[
        "collection",
        "lease_prefix",
        "after",
        "limit",
    ]),
    row("DELETE", "/api/v1/leases", "leases.revoke-prefix", &[(204, "")])
        .query(&["lease_path", "force"])
        .errors(ISSUER),
    row("POST", "/api/v1/leases/{lease_id...}/renew", "leases.renew", &[(200, "Leased")])
        .may_have(&[(JSON, "Renew")])
        .errors(ISSUER),
    row("GET", "/api/v1/leases/{lease_id...}", "leases.read", &[(200, "Lease")]).errors(&[404]),
    row("DELETE", "/api/v1/leases/{lease_id...}", "leases.revoke", &[(204, "")]).errors(ISSUER),
    row("GET", "/api/v1/limits", "limits.list", &[(200, "Names")]).query(PAGE),
    row("GET", "/api/v1/limits/{name}", "limits.read", &[(200, "Limit")]).errors(&[404]),
    row("PUT", "/api/v1/limits/{name}", "limits.write", &[(204, "")]).body(&[(JSON, "NewLimit")]).errors(&[409]),
    row("DELETE", "/api/v1/limits/{name}", "limits.delete", &[(204, "")]).errors(&[404]),
    row("GET", "/api/v1/plugins", "plugins.list", &[(200, "Plugins")]),
    row("GET", "/api/v1/audit", "audit.sinks", &[(200, "Sinks")]),
    row("GET", "/api/v1/sys/status", "sys.status", &[(200, "Status")]),
    row("POST", "/api/v1/sys/init", "sys.init", &[(200, "Keys")]).body(&[(JSON, "Init")]).errors(UNSEAL),
    row("POST", "/api/v1/sys/unseal", "sys.unseal", &[(200, "Status")]).body(&[(JSON, "Unseal")]).errors(UNSEAL),
    row("POST", "/api/v1/sys/seal", "sys.seal", &[(204, "")]),
    row("POST", "/api/v1/sys/rotate", "sys.rotate", &[(204, "")]),
    row("GET", "/api/v1/sys/key-status", "sys.key-status", &[(200, "KeyStatus")]),
    row("GET", "/api/v1/sys/generate-root", "sys.generate-root.status", ROOT),
    row("POST", "/api/v1/sys/generate-root", "sys.generate-root.begin", ROOT)
        .may_have(&[(JSON, "NewRoot")])
        .errors(QUORUM),
    row("DELETE", "/api/v1/sys/generate-root", "sys.generate-root.cancel", &[(204, "")]),
    row("POST", "/api/v1/sys/generate-root/shares", "sys.generate-root.share", ROOT)
        .body(&[(JSON, "KeyShare")])
        .errors(QUORUM),
    row("GET", "/api/v1/sys/rekey", "sys.rekey.status", &[(200, "RekeyAttempt")]),
    row("POST", "/api/v1/sys/rekey", "sys.rekey.begin", &[(200, "RekeyAttempt")])
        .body(&[(JSON, "NewShares")])
        .errors(QUORUM),
    row("DELETE", "/api/v1/sys/rekey", "sys.rekey.cancel", &[(204, "")]),
    row("POST", "/api/v1/sys/rekey/shares", "sys.rekey.share", &[(200, "RekeyAttempt|MadeShares")])
        .body(&[(JSON, "KeyShare")])
        .errors(QUORUM),
    row("GET", "/api/v1/sys/rekey/verify", "sys.rekey.verify.status", &[(200, "RekeyVerification")]).errors(&[409]),
    row("POST", "/api/v1/sys/rekey/verify", "sys.rekey.verify", &[(200, "RekeyVerification|RekeyVerified")])
        .body(&[(JSON, "KeyShare")])
        .errors(QUORUM),
    row("DELETE", "/api/v1/sys/rekey/verify", "sys.rekey.verify.again", &[(204, "")]).errors(&[409]),
    row("GET", "/api/v1/sys/snapshot", "sys.snapshot", &[(200, "Snapshot")]).media(GZIP).errors(&[413]),
    row("POST", "/api/v1/sys/restore", "sys.restore", &[(200, "Found")])
        .query(&["dry_run", "force"])
        .body(&[(GZIP, "Snapshot"), ("application/octet-stream", "Snapshot")])
        .errors(&[412, 504, 507]),
    // Vault's.
    row("GET", "/v1/sys/health", "vault.health", HEALTH).query(STATUS),
    row("HEAD", "/v1/sys/health", "vault.health.head", &[(2, ""), (3, ""), (4, ""), (5, "")]).query(STATUS),
    row("GET", "/v1/sys/seal-status", "vault.seal-status", &[(200, "VaultStatus")]),
    row("GET", "/v1/sys/init", "vault.initialized", &[(200, "VaultInitialized")]),
    row("PUT", "/v1/sys/init", "vault.init.put", &[(200, "Keys")]).body(&[(JSON, "VaultInit")]).errors(&[500, 503]),
    row("POST", "/v1/sys/init", "vault.init", &[(200, "Keys")]).body(&[(JSON, "VaultInit")]).errors(&[500, 503]),
    row("PUT", "/v1/sys/unseal", "vault.unseal.put", &[(200, "VaultStatus")])
        .body(&[(JSON, "Unseal")])
        .errors(&[500, 503]),
    row("POST", "/v1/sys/unseal", "vault.unseal", &[(200, "VaultStatus")])
        .body(&[(JSON, "Unseal")])
        .errors(&[500, 503]),
    row("GET", "/v1/sys/leader", "vault.leader", &[(200, "VaultLeader")]).errors(&[503]),
    row("GET", "/v1/sys/internal/specs/openapi", "vault.openapi", &[(200, "Document")])
        .query(&["mount"])
        .optional()
        .errors(&[404]),
    row("GET", "/v1/sys/storage/raft/snapshot", "vault.snapshot", &[(200, "Snapshot")]).media(GZIP).errors(&[413, 503]),
    row("PUT", "/v1/sys/storage/raft/snapshot", "vault.snapshot.restore.put", RESTORED)
        .query(&["dry_run"])
        .body(&[(GZIP, "Snapshot")])
        .errors(RESTORING),
    row("POST", "/v1/sys/storage/raft/snapshot", "vault.snapshot.restore", RESTORED)
        .query(&["dry_run"])
        .body(&[(GZIP, "Snapshot")])
        .errors(RESTORING),
    row("PUT", "/v1/sys/storage/raft/snapshot-force", "vault.snapshot.force.put", RESTORED)
        .query(&["dry_run"])
        .body(&[(GZIP, "Snapshot")])
        .errors(RESTORING),
    row("POST", "/v1/sys/storage/raft/snapshot-force", "vault.snapshot.force", RESTORED)
        .query(&["dry_run"])
        .body(&[(GZIP, "Snapshot")])
        .errors(RESTORING),
    row("GET", "/v1/{path...}", "vault.read", &[(200, "Envelope")]).errors(&[404, 405, 502]),
    row("LIST", "/v1/{path...}", "vault.list", &[(200, "Envelope")]).errors(&[404, 405, 502]),
    row("PUT", "/v1/{path...}", "vault.write.put", &[(200, "Envelope"), (204, "")])
        .may_have(&[(JSON, "Fields")])
        .errors(&[404, 405, 502]),
    row("POST", "/v1/{path...}", "vault.write", &[(200, "Envelope"), (204, "")])
        .may_have(&[(JSON, "Fields")])
        .errors(&[404, 405, 502]),
    row("PATCH", "/v1/{path...}", "vault.patch", &[(200, "Envelope"), (204, "")])
        .body(&[(MERGE, "Fields")])
        .errors(&[404, 405, 502]),
    row("DELETE", "/v1/{path...}", "vault.delete", &[(200, "Envelope"), (204, "")]).errors(&[404, 405, 502]),
];

/// Put back, or looked at.
const RESTORED: &[(u16, &str)] = &[(200, "Restoring"), (204, "")];
const RESTORING: &[u16] = &[413, 500, 503, 504, 507];

/// A write of the broker's own paths, by both methods.
macro_rules! writes {
    ($pattern:literal, $id:literal, $ok:expr, $doc:literal $(, $with:ident($value:expr))*) => {
        [
            row("POST", $pattern, $id, $ok).doc($doc)$(.$with($value))*,
            row("PUT", $pattern, concat!($id, ".put"), $ok).doc($doc)$(.$with($value))*,
        ]
    };
}

const fn reads(pattern: &'static str, id: &'static str, doc: &'static str) -> Row {
    row("GET", pattern, id, ENVELOPE).doc(doc)
}

const fn lists(pattern: &'static str, id: &'static str, doc: &'static str) -> Row {
    row("LIST", pattern, id, ENVELOPE).doc(doc).errors(&[404, 405])
}

const fn deletes(pattern: &'static str, id: &'static str, doc: &'static str) -> Row {
    row("DELETE", pattern, id, NOTHING).doc(doc)
}

const ENVELOPE: &[(u16, &str)] = &[(200, "Envelope")];
const NOTHING: &[(u16, &str)] = &[(204, "")];

/// The broker's own paths below `/v1`, as its table has them. Rows of several methods stand together.
static OWN: &[&[Row]] = &[
    &[lists("auth/token/accessors", "vault.tokens", "Accessors of all tokens")],
    &writes!(
        "auth/token/create",
        "vault.token.create",
        ENVELOPE,
        "Create a child token",
        may_have(&[(JSON, "VaultNewToken")])
    ),
    &writes!(
        "auth/token/create-orphan",
        "vault.token.create-orphan",
        ENVELOPE,
        "Create a token without a parent",
        may_have(&[(JSON, "VaultNewToken")])
    ),
    &writes!("auth/token/lookup", "vault.token.lookup", ENVELOPE, "What a token is", body(&[(JSON, "OfToken")])),
    &writes!(
        "auth/token/lookup-accessor",
        "vault.token.lookup-accessor",
        ENVELOPE,
        "What a token is, by its accessor",
        body(&[(JSON, "OfAccessor")])
    ),
    &[reads("auth/token/lookup-self", "vault.token.self", "What this token is")],
    &writes!(
        "auth/token/lookup-self",
        "vault.token.lookup-self",
        ENVELOPE,
        "What this token is",
        may_have(&[(JSON, "OfSelf")])
    ),
    &writes!("auth/token/renew", "vault.token.renew", ENVELOPE, "Renew a token", body(&[(JSON, "OfToken")])),
    &writes!(
        "auth/token/renew-accessor",
        "vault.token.renew-accessor",
        ENVELOPE,
        "Renew a token by its accessor",
        body(&[(JSON, "OfAccessor")])
    ),
    &writes!(
        "auth/token/renew-self",
        "vault.token.renew-self",
        ENVELOPE,
        "Renew this token",
        may_have(&[(JSON, "OfSelf")])
    ),
    &writes!(
        "auth/token/revoke",
        "vault.token.revoke",
        NOTHING,
        "Revoke a token and its children",
        body(&[(JSON, "OfToken")])
    ),
    &writes!(
        "auth/token/revoke-accessor",
        "vault.token.revoke-accessor",
        NOTHING,
        "Revoke a token by its accessor",
        body(&[(JSON, "OfAccessor")])
    ),
    &writes!(
        "auth/token/revoke-orphan",
        "vault.token.revoke-orphan",
        NOTHING,
        "Revoke a token and leave its children",
        body(&[(JSON, "OfToken")])
    ),
    &writes!(
        "auth/token/revoke-self",
        "vault.token.revoke-self",
        NOTHING,
        "Revoke this token and its children",
        may_have(&[(JSON, "OfSelf")])
    ),
    &[reads("sys/audit", "vault.audit", "Audit sinks and how they do")],
    &writes!(
        "sys/capabilities",
        "vault.capabilities",
        ENVELOPE,
        "What a token may do with paths",
        body(&[(JSON, "CapabilitiesOfToken")])
    ),
    &writes!(
        "sys/capabilities-accessor",
        "vault.capabilities-accessor",
        ENVELOPE,
        "What a token may do with paths, by its accessor",
        body(&[(JSON, "CapabilitiesOfAccessor")])
    ),
    &writes!(
        "sys/capabilities-self",
        "vault.capabilities-self",
        ENVELOPE,
        "What this token may do with paths",
        body(&[(JSON, "CapabilitiesOfSelf")])
    ),
    &[reads("sys/internal/ui/mounts/{path...}", "vault.mount-of", "The mount that serves a path")],
    &[reads("sys/leases", "vault.leases.stuck", "Leases whose revocation failed often")],
    &[reads("sys/leases/count", "vault.leases.count", "How many leases there are")],
    &[lists("sys/leases/lookup", "vault.leases", "Leases at the top")],
    &writes!(
        "sys/leases/lookup",
        "vault.lease.lookup",
        ENVELOPE,
        "What is known of a lease",
        body(&[(JSON, "OfLease")])
    ),
    &[lists("sys/leases/lookup/{prefix...}", "vault.leases.below", "Leases below a path")],
    &writes!(
        "sys/leases/renew",
        "vault.lease.renew",
        ENVELOPE,
        "Give a lease more time",
        body(&[(JSON, "OfLease")]),
        errors(&[405, 409, 502])
    ),
    &writes!(
        "sys/leases/renew/{lease_id...}",
        "vault.lease.renew-path",
        ENVELOPE,
        "Give a lease more time",
        may_have(&[(JSON, "Fields")]),
        errors(&[405, 409, 502])
    ),
    &writes!(
        "sys/leases/revoke",
        "vault.lease.revoke",
        NOTHING,
        "Revoke a lease",
        body(&[(JSON, "OfLease")]),
        errors(&[405, 409, 502])
    ),
    &writes!(
        "sys/leases/revoke/{lease_id...}",
        "vault.lease.revoke-path",
        NOTHING,
        "Revoke a lease",
        may_have(&[(JSON, "Fields")]),
        errors(&[405, 409, 502])
    ),
    &writes!(
        "sys/leases/revoke-force/{prefix...}",
        "vault.leases.force",
        NOTHING,
        "Forget the leases below a path, revoked or not",
        may_have(&[(JSON, "Fields")])
    ),
    &writes!(
        "sys/leases/revoke-prefix/{prefix...}",
        "vault.leases.revoke-prefix",
        NOTHING,
        "Revoke the leases below a path",
        may_have(&[(JSON, "Fields")]),
        errors(&[405, 409, 502])
    ),
    &[reads("sys/locked-users", "vault.locked-users", "Names that are locked because logins failed")],
    &writes!(
        "sys/locked-users/{mount_accessor}/unlock/{name...}",
        "vault.locked-users.unlock",
        NOTHING,
        "Unlock a name"
    ),
    &[reads("sys/mounts", "vault.mounts", "All mounts")],
    &[
        reads("sys/mounts/{path...}", "vault.mount.read", "One mount").errors(&[404]),
        deletes("sys/mounts/{path...}", "vault.mount.disable", "Remove a mount and all it holds").errors(&[404]),
    ],
    &writes!(
        "sys/mounts/{path...}",
        "vault.mount.enable",
        NOTHING,
        "Bind a plugin to a path",
        body(&[(JSON, "VaultNewMount")])
    ),
    &[reads("sys/plugins", "vault.plugins", "Plugins that can be mounted")],
    &[lists("sys/policies/acl", "vault.policies", "Names of policies")],
    &[
        reads("sys/policies/acl/{name...}", "vault.policy.read", "One policy").errors(&[404]),
        deletes("sys/policies/acl/{name...}", "vault.policy.delete", "Remove a policy"),
    ],
    &writes!(
        "sys/policies/acl/{name...}",
        "vault.policy.write",
        NOTHING,
        "Write a policy",
        body(&[(JSON, "VaultNewPolicy")])
    ),
    &writes!(
        "sys/policies/explain",
        "vault.policy.explain",
        ENVELOPE,
        "Which rule decides, and why",
        body(&[(JSON, "VaultExplain")])
    ),
    &[lists("sys/quotas/rate-limit", "vault.rate-limits", "Names of rate limits")],
    &[
        reads("sys/quotas/rate-limit/{name}", "vault.rate-limit.read", "One rate limit").errors(&[404]),
        deletes("sys/quotas/rate-limit/{name}", "vault.rate-limit.delete", "Remove a rate limit").errors(&[404]),
    ],
    &writes!(
        "sys/quotas/rate-limit/{name}",
        "vault.rate-limit.write",
        NOTHING,
        "Set a rate limit",
        body(&[(JSON, "RateLimit")])
    ),
    &[reads("sys/key-status", "vault.key-status", "The keys, and how far old values were moved")],
    &writes!("sys/rotate", "vault.rotate", NOTHING, "Encrypt what is written from now on under a new key"),
    &writes!("sys/rotate/keyring", "vault.rotate.keyring", NOTHING, "The same"),
    &[
        reads("sys/generate-root/attempt", "vault.generate-root.status", "How far making a root token has come"),
        deletes("sys/generate-root/attempt", "vault.generate-root.cancel", "Give up making a root token"),
    ],
    &writes!(
        "sys/generate-root/attempt",
        "vault.generate-root.begin",
        ENVELOPE,
        "Begin making a root token",
        may_have(&[(JSON, "Fields")])
    ),
    &writes!(
        "sys/generate-root/update",
        "vault.generate-root.share",
        ENVELOPE,
        "Give one key share for it",
        body(&[(JSON, "ShareOf")])
    ),
    &[
        reads(
            "sys/generate-root-token/attempt",
            "vault.generate-root-token.status",
            "How far making a root token has come",
        ),
        deletes("sys/generate-root-token/attempt", "vault.generate-root-token.cancel", "Give up making a root token"),
    ],
    &writes!(
        "sys/generate-root-token/attempt",
        "vault.generate-root-token.begin",
        ENVELOPE,
        "Begin making a root token",
        may_have(&[(JSON, "Fields")])
    ),
    &writes!(
        "sys/generate-root-token/update",
        "vault.generate-root-token.share",
        ENVELOPE,
        "Give one key share for it",
        body(&[(JSON, "ShareOf")])
    ),
    &[
        reads("sys/rekey/init", "vault.rekey.status", "How far making new key shares has come"),
        deletes("sys/rekey/init", "vault.rekey.cancel", "Give up making new key shares"),
    ],
    &writes!(
        "sys/rekey/init",
        "vault.rekey.begin",
        ENVELOPE,
        "Begin making new key shares",
        may_have(&[(JSON, "Fields")])
    ),
    &writes!(
        "sys/rekey/update",
        "vault.rekey.share",
        ENVELOPE,
        "Give one key share for it",
        body(&[(JSON, "ShareOf")])
    ),
    &[
        reads("sys/rekey/verify", "vault.rekey.verify.status", "How far verifying the new shares has come"),
        deletes("sys/rekey/verify", "vault.rekey.verify.again", "Begin to verify them again"),
    ],
    &writes!(
        "sys/rekey/verify",
        "vault.rekey.verify",
        ENVELOPE,
        "Give one of the new shares back",
        body(&[(JSON, "ShareOf")])
    ),
    &[
        reads("sys/rotate/root/init", "vault.rotate.root.status", "How far making new key shares has come"),
        deletes("sys/rotate/root/init", "vault.rotate.root.cancel", "Give up making new key shares"),
    ],
    &writes!(
        "sys/rotate/root/init",
        "vault.rotate.root.begin",
        ENVELOPE,
        "Begin making new key shares",
        may_have(&[(JSON, "Fields")])
    ),
    &writes!(
        "sys/rotate/root/update",
        "vault.rotate.root.share",
        ENVELOPE,
        "Give one key share for it",
        body(&[(JSON, "ShareOf")])
    ),
    &[
        reads("sys/rotate/root/verify", "vault.rotate.root.verify.status", "How far verifying the new shares has come"),
        deletes("sys/rotate/root/verify", "vault.rotate.root.verify.again", "Begin to verify them again"),
    ],
    &writes!(
        "sys/rotate/root/verify",
        "vault.rotate.root.verify",
        ENVELOPE,
        "Give one of the new shares back",
        body(&[(JSON, "ShareOf")])
    ),
    &writes!("sys/seal", "vault.seal", NOTHING, "Close the barrier"),
];

/// The rows of the broker's own paths.
pub(super) fn own() -> impl Iterator<Item = &'static Row> {
    OWN.iter().copied().flatten()
}
