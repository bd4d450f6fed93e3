//! The shapes of requests and answers, by the names that rows use. What the encoders beside the
//! doors write is compared with them on every answer of the schemathesis suite, where an answer with
//! a member that is not here fails as well.
//!
//! Requests say themselves whether they take other members; answers may grow some.

use serde_json::{Map, Value, json};
use warder_core::{error::ErrorKind, request::Operation};

use super::{super::batch::MAX_READS, fields::SPAN, operation::reference};

/// All of them.
pub(super) fn all() -> Map<String, Value> {
    let groups =
        [common(), secrets(), tokens(), policies(), mounts(), sys(), quorum(), vault(), limits(), vault_requests()];
    groups.into_iter().flatten().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

type Group = Vec<(&'static str, Value)>;

fn to(name: &str) -> Value {
    reference("schemas", name)
}

/// An object; names that end in `?` may be absent.
fn object(properties: Value) -> Value {
    let mut known = Map::new();
    let mut required = Vec::new();
    if let Value::Object(properties) = properties {
        for (name, schema) in properties {
            let bare = name.trim_end_matches('?');
            if bare == name {
                required.push(json!(bare));
            }
            known.insert(bare.to_owned(), schema);
        }
    }
    json!({ "type": "object", "required": required, "properties": known })
}

/// What a request carries: this and nothing else.
fn only(properties: Value) -> Value {
    let mut schema = object(properties);
    schema["additionalProperties"] = json!(false);
    schema
}

/// What a request carries; other members are passed over, as Vault does.
fn open(properties: Value) -> Value {
    let mut schema = object(properties);
    schema["additionalProperties"] = json!(true);
    schema
}

/// An answer that may have warnings.
fn answer(properties: Value) -> Value {
    let mut schema = object(properties);
    schema["properties"]["warnings"] = json!({ "type": "array", "items": { "type": "string" } });
    schema
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn flag() -> Value {
    json!({ "type": "boolean" })
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn texts() -> Value {
    json!({ "type": "array", "items": text() })
}

fn map() -> Value {
    json!({ "type": "object", "additionalProperties": text() })
}

fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn maybe(schema: &Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

/// Seconds, or text such as `1h30m`.
fn span(empty: bool) -> Value {
    let pattern = if empty { format!("^{SPAN}?$") } else { format!("^{SPAN}$") };
    json!({ "type": ["integer", "string", "null"], "minimum": 0, "maximum": u64::MAX, "pattern": pattern })
}

fn common() -> Group {
    let codes: Vec<&str> = ErrorKind::ALL.iter().map(|kind| kind.code()).collect();
    let problem = object(json!({
        "type": { "type": "string", "format": "uri" },
        "title": text(),
        "status": { "type": "integer", "minimum": 400, "maximum": 599 },
        "detail": text(),
        "code": { "type": "string", "enum": codes },
        "request_id": text(),
        "field?": text(),
        "plugin?": text(),
        "mount?": text(),
        "done?": { "const": true, "description": "It took place all the same." },
        "retry_after_seconds?": { "type": "integer", "minimum": 1 },
        "version?": version(),
        "deletion_time?": time(),
        "destroyed?": flag(),
    }));
    vec![
        ("Problem", problem),
        (
            "Names",
            answer(
                json!({ "keys": texts(), "next": { "type": ["string", "null"], "description": "Where a full page goes on: the next `after`." } }),
            ),
        ),
        ("Text", text()),
        (
            "Document",
            json!({ "type": "object", "additionalProperties": true, "required": ["openapi", "info", "paths"] }),
        ),
        ("Live", object(json!({ "status": { "const": "live" } }))),
        (
            "Health",
            object(json!({
                "status": { "type": "string", "enum": ["ready", "sealed", "uninitialized"] },
                "initialized": flag(),
                "sealed": flag(),
                "version": text(),
                "time": time(),
            })),
        ),
    ]
}

/// Whole numbers from KV; other plugins may have words.
fn version() -> Value {
    json!({ "type": ["integer", "string"] })
}

fn secrets() -> Group {
    let versions = json!({ "type": "array", "minItems": 1, "maxItems": 100, "items": { "type": ["integer", "string"], "minimum": 1, "maximum": 9_999_999_999_u64, "pattern": "^[1-9][0-9]{0,9}$" } });
    // Each is judged by itself, in its place of the answer.
    let read =
        only(json!({ "path": text(), "version?": { "type": ["integer", "null"], "minimum": 0, "maximum": u64::MAX } }));
    vec![
        ("Value", json!({ "type": "object", "additionalProperties": true, "description": "The secret itself." })),
        (
            "Secret",
            answer(json!({
                "path": text(),
                "data": { "description": "The secret: from KV a JSON object." },
                "version?": version(),
                "created_at?": time(),
                "deletion_time?": time(),
                "metadata": { "type": "object", "additionalProperties": true },
                "lease?": object(leased()),
            })),
        ),
        ("FieldOfSecret", answer(json!({ "path": text(), "field": text(), "value": {}, "version?": version() }))),
        ("Written", answer(json!({ "path": text(), "version?": version(), "created_at?": time() }))),
        ("Leased", answer(leased())),
        (
            "Lease",
            answer(json!({
                "id": text(),
                "path": text(),
                "state": { "type": "string", "enum": ["confirmed", "pending", "revoking"] },
                "issued_at": time(),
                "expires_at": time(),
                "max_expires_at": time(),
                "renewed_at?": time(),
                "ttl_seconds": count(),
                "renewable": flag(),
                "revoke_attempts?": count(),
                "revoke_error?": text(),
                "next_attempt_at?": time(),
            })),
        ),
        (
            "OfLease",
            open(json!({
                "lease_id": { "type": "string", "minLength": 1 },
                "increment?": span(false),
                "sync?": { "enum": [true, false, null, "true", "false", "1", "0", ""] },
            })),
        ),
        ("Versions", open(json!({ "path": text() }))),
        (
            "Rotate",
            only(
                json!({ "params?": { "type": "object", "additionalProperties": true, "description": "What the plugin takes." } }),
            ),
        ),
        ("Undelete", only(json!({ "versions": versions }))),
        (
            "Undeleted",
            answer(json!({ "path": text(), "versions": { "type": "array", "items": { "type": "integer" } } })),
        ),
        ("Reads", only(json!({ "reads": { "type": "array", "minItems": 1, "maxItems": MAX_READS, "items": read } }))),
        (
            "Results",
            object(
                json!({ "results": { "type": "array", "items": { "anyOf": [to("Secret"), object(json!({ "error": to("Problem") }))] } } }),
            ),
        ),
    ]
}

/// A lease that was issued or renewed.
fn leased() -> Value {
    json!({ "id": text(), "ttl_seconds": count(), "renewable": flag(), "expires_at": time() })
}

fn tokens() -> Group {
    let issued = json!({
        "accessor": text(),
        "policies": texts(),
        "ttl_seconds": count(),
        "renewable": flag(),
        "entity_id": maybe(&text()),
        "metadata": map(),
    });
    let name = super::parameter::path_schema();
    let mut with_token = issued.clone();
    with_token["token"] = text();
    vec![
        ("Login", open(json!({ "method": name, "mount?": name }))),
        ("Issued", answer(with_token)),
        ("Renewed", answer(issued)),
        ("Renew", only(json!({ "increment?": span(false) }))),
        ("NewToken", only(new_token(true))),
        (
            "Token",
            answer(json!({
                "accessor": text(),
                "kind": { "type": "string", "enum": ["batch", "service"] },
                "display_name": text(),
                "policies": texts(),
                "entity_id": maybe(&text()),
                "metadata": map(),
                "path": text(),
                "created_at": time(),
                "expires_at": maybe(&time()),
                "renewed_at?": time(),
                "ttl_seconds": { "type": "integer", "minimum": 0, "description": "Zero, with `expires_at` null: it does not expire." },
                "creation_ttl_seconds": count(),
                "explicit_max_ttl_seconds": count(),
                "period_seconds?": count(),
                "renewable": flag(),
                "orphan": flag(),
                "num_uses": count(),
            })),
        ),
    ]
}

fn new_token(native: bool) -> Value {
    let scalar = json!({ "type": ["string", "number", "boolean"] });
    let switch = json!({ "enum": [true, false, null, "true", "false", "1", "0"] });
    let metadata = json!({ "type": ["object", "null"], "maxProperties": 64, "additionalProperties": scalar });
    let mut members = json!({
        "id?": { "type": ["string", "null"], "description": "The token's own text; needs sudo." },
        "policies?": { "type": ["array", "string", "null"], "maxItems": 256, "items": scalar },
        "ttl?": span(true),
        "lease?": span(true),
        "period?": span(true),
        "explicit_max_ttl?": span(true),
        "num_uses?": { "type": ["integer", "string", "null"], "minimum": 0, "maximum": u32::MAX, "pattern": "^[0-9]{0,9}$" },
        "renewable?": switch,
        "display_name?": { "type": ["string", "number", "boolean", "null"], "maxLength": 256 },
        "meta?": metadata,
        "no_parent?": switch,
        "no_default_policy?": switch,
        "type?": { "enum": [null, "", "default", "default-service", "service", "batch", "default-batch"] },
        "entity_alias?": { "enum": [null, ""] },
    });
    if native {
        members["orphan?"] = flag();
        members["metadata?"] = metadata;
    }
    members
}

fn policies() -> Group {
    let operations = [
        Operation::Create,
        Operation::Delete,
        Operation::List,
        Operation::Patch,
        Operation::Read,
        Operation::Rotate,
        Operation::Update,
    ];
    let operation = json!({ "type": "string", "enum": operations.map(Operation::word) });
    let decision = object(json!({
        "allowed": flag(),
        "capabilities": texts(),
        "reason": text(),
        "policies": texts(),
        "rule": maybe(&text()),
        "matched_by": { "enum": ["exact", "prefix", "segment", null] },
        "missing": texts(),
    }));
    let explain = json!({
        "path": super::parameter::path_schema(),
        "operation": operation,
        "policies?": { "type": ["array", "null"], "items": text() },
        "token?": maybe(&text()),
        "fields?": { "type": "object", "additionalProperties": true },
    });
    vec![
        ("Policy", answer(json!({ "name": text(), "policy": text(), "updated_at?": maybe(&time()) }))),
        ("NewPolicy", only(json!({ "policy": { "type": "string", "minLength": 1, "description": "HCL or JSON." } }))),
        ("Explain", only(explain.clone())),
        ("VaultExplain", open(explain)),
        (
            "Explained",
            answer(json!({ "path": text(), "operation": operation, "policies": texts(), "decision": decision })),
        ),
    ]
}

fn mounts() -> Group {
    let options = json!({ "type": ["object", "null"], "additionalProperties": text() });
    let by = |name: &str| {
        let mut members = json!({ "description?": text(), "options?": options });
        members[name] = text();
        members
    };
    let either = |name: &str, other: &str| {
        let mut members = by(name);
        members[format!("{other}?")] = json!(false);
        members
    };
    vec![
        (
            "Mount",
            answer(json!({
                "type": text(),
                "plugin": text(),
                "description": text(),
                "accessor": text(),
                "uuid": text(),
                "options": map(),
                "created_at": time(),
                "path?": text(),
            })),
        ),
        ("Mounts", json!({ "type": "object", "additionalProperties": to("Mount") })),
        ("NewMount", json!({ "oneOf": [only(by("plugin")), only(by("type"))] })),
        ("VaultNewMount", json!({ "oneOf": [open(either("type", "plugin")), open(either("plugin", "type"))] })),
        (
            "TuneMount",
            only(json!({
                "description?": maybe(&text()),
                "options?": { "type": ["object", "null"], "additionalProperties": maybe(&text()) },
            })),
        ),
        (
            "LockedUsers",
            answer(
                json!({ "locked": { "type": "array", "items": object(json!({ "accessor": text(), "name": text() })) } }),
            ),
        ),
        ("Plugins", answer(json!({ "plugins": map() }))),
        (
            "Sinks",
            answer(json!({ "sinks": { "type": "array", "items": object(json!({
            "name": text(),
            "type": text(),
            "healthy": flag(),
            "queued": count(),
            "records": count(),
            "failures": count(),
            "last_error": maybe(&text()),
        })) } })),
        ),
    ]
}

fn sys() -> Group {
    let shares = json!({ "type": "integer", "minimum": 1, "maximum": 255 });
    vec![
        (
            "KeyStatus",
            answer(json!({
                "term": count(),
                "installed_at": maybe(&time()),
                "encryptions": count(),
                "oldest_term": count(),
                "terms": count(),
                "rewrap": object(json!({ "pending": flag(), "checked": count(), "moved": count(), "broken": count() })),
            })),
        ),
        (
            "Status",
            object(json!({
                "initialized": flag(),
                "sealed": flag(),
                "seal": text(),
                "threshold": count(),
                "shares": count(),
                "progress": count(),
                "nonce": text(),
                "version": text(),
            })),
        ),
        ("Init", only(json!({ "shares": shares, "threshold": shares }))),
        ("ShareOf", open(json!({ "nonce": text(), "key": text() }))),
        ("Snapshot", json!({ "type": "string", "format": "binary" })),
        ("Found", found()),
        ("Restoring", object(json!({ "data": found() }))),
        ("VaultInit", open(json!({ "secret_shares": shares, "secret_threshold": shares }))),
        (
            "Unseal",
            json!({ "anyOf": [
            open(json!({ "key": { "type": "string", "description": "A key share, hex or base64." }, "reset?": { "const": false } })),
            open(json!({ "reset": { "const": true, "description": "Start the attempt again." } })),
        ] }),
        ),
        ("Keys", object(json!({ "keys": texts(), "keys_base64": texts(), "root_token": text() }))),
    ]
}

/// What a snapshot says of itself.
fn found() -> Value {
    object(json!({
        "revision": count(),
        "records": count(),
        "state_bytes": count(),
        "created_at": text(),
        "same_keyring": flag(),
        "authentic": flag(),
        "restored": flag(),
    }))
}

/// What those do who hold key shares.
fn quorum() -> Group {
    let shares = json!({ "type": "integer", "minimum": 1, "maximum": 255 });
    let otp = json!({ "anyOf": [{ "type": "string", "minLength": 28, "maxLength": 28 }, { "enum": [null, ""] }] });
    let attempt = |more: Value| {
        let mut members =
            json!({ "started": flag(), "nonce": text(), "progress": count(), "complete": { "const": false } });
        for (name, schema) in more.as_object().into_iter().flatten() {
            members[name] = schema.clone();
        }
        answer(members)
    };
    vec![
        (
            "RootAttempt",
            attempt(json!({
                "required": count(),
                "complete": flag(),
                "encoded_token": { "type": "string", "description": "The token, xor the one-time password, in base64." },
                "otp": { "type": "string", "description": "The one-time password, where the server made it: once." },
                "otp_length": count(),
            })),
        ),
        (
            "RekeyAttempt",
            attempt(json!({
                "shares": count(),
                "threshold": count(),
                "required": count(),
                "verification_required": flag(),
                "verification_nonce": text(),
            })),
        ),
        (
            "MadeShares",
            answer(json!({
                "complete": { "const": true },
                "nonce": text(),
                "keys": texts(),
                "keys_base64": texts(),
                "verification_required": flag(),
                "verification_nonce": text(),
            })),
        ),
        ("RekeyVerification", attempt(json!({ "shares": count(), "threshold": count() }))),
        ("RekeyVerified", answer(json!({ "complete": { "const": true }, "nonce": text() }))),
        ("NewRoot", only(json!({ "otp?": otp }))),
        ("NewShares", only(json!({ "shares": shares, "threshold": shares, "verify?": flag() }))),
        ("KeyShare", only(json!({ "nonce": text(), "key": { "type": "string", "description": "Hex or base64." } }))),
    ]
}

fn vault() -> Group {
    let auth = object(json!({
        "client_token": text(),
        "accessor": text(),
        "policies": texts(),
        "token_policies": texts(),
        "metadata": maybe(&map()),
        "lease_duration": count(),
        "renewable": flag(),
        "entity_id": text(),
        "token_type": { "type": "string", "enum": ["batch", "service"] },
        "orphan": flag(),
        "mfa_requirement": { "type": "null" },
        "num_uses": count(),
    }));
    let envelope = open(json!({
        "request_id": text(),
        "lease_id": text(),
        "renewable": flag(),
        "lease_duration": count(),
        "data": { "description": "What the path has to say; null where it is nothing." },
        "wrap_info": { "type": "null" },
        "warnings": maybe(&texts()),
        "auth": maybe(&auth),
    }));
    vec![
        ("Envelope", envelope),
        ("Errors", object(json!({ "errors": texts() }))),
        (
            "VaultHealth",
            object(json!({
                "initialized": flag(),
                "sealed": flag(),
                "standby": flag(),
                "performance_standby": flag(),
                "replication_performance_mode": text(),
                "replication_dr_mode": text(),
                "server_time_utc": count(),
                "version": text(),
            })),
        ),
        (
            "VaultStatus",
            object(json!({
                "type": text(),
                "initialized": flag(),
                "sealed": flag(),
                "t": count(),
                "n": count(),
                "progress": count(),
                "nonce": text(),
                "version": text(),
                "build_date": text(),
                "migration": flag(),
                "recovery_seal": flag(),
                "storage_type": text(),
            })),
        ),
        ("VaultInitialized", object(json!({ "initialized": flag() }))),
        (
            "VaultLeader",
            object(json!({
                "ha_enabled": flag(),
                "is_self": flag(),
                "active_time": time(),
                "leader_address": text(),
                "leader_cluster_address": text(),
                "performance_standby": flag(),
                "performance_standby_last_remote_wal": count(),
            })),
        ),
    ]
}

fn limits() -> Group {
    let number = json!({ "type": "number", "minimum": 0 });
    let grouping = json!({ "type": "string", "enum": ["ip", "none", "token_then_ip"] });
    let mut members = json!({
        "rate": { "type": ["number", "string"], "exclusiveMinimum": 0, "maximum": 1e9, "pattern": "^[1-9][0-9]{0,8}(\\.[0-9]{1,9})?$" },
        "path?": text(),
        "interval?": span(false),
        "block_interval?": span(false),
        "group_by?": grouping,
    });
    let native = only(members.clone());
    members["role?"] = json!({ "const": "" });
    vec![
        (
            "Limit",
            answer(json!({
                "name": text(),
                "path": text(),
                "rate": number,
                "interval_seconds": number,
                "block_interval_seconds": number,
                "group_by": grouping,
            })),
        ),
        ("NewLimit", native),
        ("RateLimit", open(members)),
    ]
}

fn vault_requests() -> Group {
    let paths = || ("paths", json!({ "anyOf": [texts(), text()] }));
    let increment = || ("increment?", span(false));
    // Not by changing a `Value` that a closure took: rustc 1.95 frees it twice in release builds.
    let of = |what: Option<&str>, more: (&str, Value)| {
        let named = what.map(|what| (what, text())).into_iter().chain([more]);
        open(Value::Object(named.map(|(name, schema)| (name.to_owned(), schema)).collect()))
    };
    vec![
        ("Fields", json!({ "type": "object", "additionalProperties": true, "description": "What the path takes." })),
        ("VaultNewToken", open(new_token(false))),
        ("OfToken", of(Some("token"), increment())),
        ("OfAccessor", of(Some("accessor"), increment())),
        ("OfSelf", of(None, increment())),
        ("CapabilitiesOfToken", of(Some("token"), paths())),
        ("CapabilitiesOfAccessor", of(Some("accessor"), paths())),
        ("CapabilitiesOfSelf", of(None, paths())),
        ("VaultNewPolicy", open(json!({ "policy": { "type": "string", "minLength": 1 } }))),
    ]
}
