//! Parameters and headers that several operations share, by the name that rows use.

use serde_json::{Map, Value, json};
use warder_core::path::{MAX_PATH_BYTES, MAX_SEGMENTS};

use super::{super::rest::MAX_PAGE, operation::reference};

/// Characters that a path's segment cannot have: slashes, control and invisible ones.
const NOT_IN_SEGMENTS: &str = r"/\x00-\x1F\x7F-\x9F\u00AD\u061C\u180E\u200B-\u200F\u2028-\u202E\u2060-\u206F\uE000-\uF8FF\uFEFF\uFFF0-\uFFFB\uFFFE\uFFFF";

fn segment() -> String {
    // No escape for these is known to all readers of patterns.
    format!("[^{NOT_IN_SEGMENTS}{}-{}]+", '\u{E0000}', '\u{E0FFF}')
}

/// What a path is: one segment, or several with slashes between.
pub(super) fn path_schema() -> Value {
    let segment = segment();
    let more = MAX_SEGMENTS - 1;
    json!({
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_PATH_BYTES,
        "pattern": format!("^{segment}(/{segment}){{0,{more}}}$"),
    })
}

/// One segment of a path.
pub(super) fn segment_schema() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": MAX_PATH_BYTES, "pattern": format!("^{}$", segment()) })
}

/// The parameters of a pattern's captures.
pub(super) fn of_path(pattern: &str) -> Vec<Value> {
    let captures = pattern.split('{').skip(1).filter_map(|part| part.split('}').next());
    captures.map(|name| capture(pattern, name)).collect()
}

fn capture(pattern: &str, name: &str) -> Value {
    match name.strip_suffix("...") {
        Some("name") if pattern.contains("policies") => reference("parameters", "policy"),
        Some(rest) if rest != "path" => {
            one("path", rest, path_schema(), "The rest of the path: slashes are sent as they are.")
        }
        Some(_) => reference("parameters", "path"),
        None if pattern.contains("policies") => reference("parameters", "policy"),
        None => reference("parameters", name),
    }
}

/// How a query says yes, and no.
const TRUE: [&str; 6] = ["true", "1", "t", "T", "TRUE", "True"];
const FALSE: [&str; 6] = ["false", "0", "f", "F", "FALSE", "False"];

/// All of them.
pub(super) fn all() -> Map<String, Value> {
    let words = [TRUE, FALSE].concat();
    let flag = json!({ "type": "string", "enum": words });
    let version = json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX });
    let versions = json!({ "type": "string", "pattern": "^[1-9][0-9]{0,8}(,[1-9][0-9]{0,8}){0,99}$" });
    let policy =
        json!({ "type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[A-Za-z0-9_@-][A-Za-z0-9_.@-]*$" });
    let named =
        json!({ "type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[A-Za-z0-9_-][A-Za-z0-9_.-]*$" });
    let accessor = json!({ "type": "string", "pattern": "^[A-Za-z0-9]{24}$" });
    let tag = json!({ "type": "string", "pattern": "^\"[1-9][0-9]{0,8}\"$" });
    let revision = json!({ "type": "integer", "minimum": 0 });
    let limit = json!({ "type": "integer", "minimum": 1, "maximum": MAX_PAGE });
    let flag_of_force = flag.clone();
    let text = json!({ "type": "string" });
    let named_field = json!({ "type": "string", "minLength": 1 });
    let status = json!({ "type": "integer", "minimum": 200, "maximum": 599 });
    let parameters = [
        ("path", "path", "path", path_schema(), "The rest of the path: slashes are sent as they are."),
        ("accessor", "path", "accessor", accessor, "A token's accessor."),
        ("mount_accessor", "path", "mount_accessor", named.clone(), "A mount's accessor."),
        ("policy", "path", "name", policy, "A policy's name; upper case is taken as lower case."),
        ("name", "path", "name", named, "Its name."),
        ("list", "query", "list", flag.clone(), "`true`: the names under this folder."),
        ("collection", "query", "list", json!({ "type": "string", "enum": TRUE }), "May say that names are asked for."),
        ("listing", "query", "list", json!({ "type": "string", "enum": ["true"] }), "Says that names are asked for."),
        ("after", "query", "after", text.clone(), "List the names after this one."),
        ("limit", "query", "limit", limit, "List at most so many names."),
        ("version", "query", "version", version, "An older version than the latest."),
        ("refresh", "query", "refresh", flag.clone(), "`true`: go around the cache."),
        ("field", "query", "field", named_field, "One field of the secret only."),
        ("versions", "query", "versions", versions, "These versions and not the latest."),
        ("destroy", "query", "destroy", flag.clone(), "`true`: the named versions for good."),
        ("dry_run", "query", "dry_run", flag.clone(), "`true`: look at it only."),
        ("force", "query", "force", flag, "`true`: also one of another root key, which brings its own seal with it."),
        ("prefix", "query", "prefix", text.clone(), "A secret, or a folder with all below it; empty: everything."),
        ("lease_prefix", "query", "prefix", path_schema(), "A path, mount first; the top when left out."),
        ("lease_path", "query", "prefix", path_schema(), "A path, mount first, with all below it."),
        ("force", "query", "force", flag_of_force, "`true`: also those whose plugin fails."),
        ("from", "query", "from", revision.clone(), "Continue after this revision."),
        ("Last-Event-ID", "header", "Last-Event-ID", revision, "The same, as clients send it that connect again."),
        ("mount", "query", "mount", text, "Of all mounts this one only."),
        ("activecode", "query", "activecode", status.clone(), "The status to answer when active."),
        ("sealedcode", "query", "sealedcode", status.clone(), "The status to answer when sealed."),
        ("uninitcode", "query", "uninitcode", status, "The status to answer when not initialized."),
        ("If-Match", "header", "If-Match", tag, "Write only if this is the current version."),
        (
            "If-None-Match",
            "header",
            "If-None-Match",
            json!({ "type": "string", "enum": ["*"] }),
            "Write only if nothing is there.",
        ),
        (
            "If-Changed",
            "header",
            "If-None-Match",
            json!({ "type": "string", "pattern": "^(\\*|\"[1-9][0-9]{0,8}\")$" }),
            "Answer 304 if this is the version still.",
        ),
    ];
    let mut all: Map<String, Value> = parameters
        .into_iter()
        .map(|(name, place, wire, schema, doc)| (name.to_owned(), one(place, wire, schema, doc)))
        .collect();
    // Without it everything would end.
    all["lease_path"]["required"] = json!(true);
    all
}

fn one(place: &str, wire: &str, schema: Value, doc: &str) -> Value {
    let required = place == "path" || schema == json!({ "type": "string", "enum": ["true"] });
    let mut parameter =
        json!({ "name": wire, "in": place, "required": required, "schema": schema, "description": doc });
    if place == "path" && parameter["schema"] == path_schema() {
        parameter["x-warder-rest"] = json!(true);
    }
    parameter
}

/// Headers of answers.
pub(super) fn headers() -> Map<String, Value> {
    let text = json!({ "type": "string" });
    let seconds = json!({ "type": "integer", "minimum": 1 });
    let headers = [
        ("X-Request-Id", true, text.clone(), "The caller's, or a new one: what the audit log calls this request."),
        ("Cache-Control", true, json!({ "type": "string", "const": "no-store" }), "Never to be kept on the way."),
        ("X-Warder-Resolved", false, text.clone(), "The path as policies see it; percent-encoded where a header must."),
        ("ETag", false, json!({ "type": "string", "pattern": "^\".*\"$" }), "The version."),
        ("Allow", false, text.clone(), "The methods that are taken."),
        ("Retry-After", false, seconds, "Seconds."),
        ("WWW-Authenticate", true, text, "`Bearer`."),
    ];
    let header = |(name, required, schema, doc): (&str, bool, Value, &str)| {
        (name.to_owned(), json!({ "required": required, "schema": schema, "description": doc }))
    };
    headers.into_iter().map(header).collect()
}
