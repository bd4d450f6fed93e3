//! The routes of mounts, out of what their plugins say of themselves.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{fields, operation, parameter};

/// What the broker shows a caller of its mounts.
#[derive(Deserialize)]
pub(super) struct Seen {
    mounts: Vec<Mount>,
    left_out: usize,
}

#[derive(Deserialize)]
struct Mount {
    path: String,
    plugin: String,
    routes: Vec<Route>,
}

#[derive(Deserialize)]
struct Route {
    pattern: String,
    verbs: Vec<String>,
    fields: Vec<Field>,
    doc: String,
    public: bool,
    privileged: bool,
}

/// A parameter of a route.
#[derive(Deserialize)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) words: Vec<String>,
    pub(super) required: bool,
    pub(super) default: Option<Value>,
    pub(super) sensitive: bool,
    pub(super) doc: String,
}

/// Adds their paths to the document.
pub(super) fn describe(seen: &Seen, whole: &mut Value) {
    if seen.left_out > 0 {
        whole["info"]["x-warder-mounts-left-out"] = json!(seen.left_out);
    }
    for mount in &seen.mounts {
        for route in &mount.routes {
            add(mount, route, whole);
        }
    }
}

fn add(mount: &Mount, route: &Route, whole: &mut Value) {
    let Some(Value::Object(schemas)) = whole.get_mut("components").and_then(|all| all.get_mut("schemas")) else {
        return;
    };
    let shape = format!("plugin.{}.{}", mount.plugin, word(&route.pattern));
    let takes = |verb: &str| route.verbs.iter().any(|had| had == verb);
    let (writes, patches) = (takes("create") || takes("update"), takes("patch"));
    if writes || patches {
        schemas.entry(shape.clone()).or_insert_with(|| body(route));
    }
    let base = format!("/v1/{}{}", escaped(&mount.path), operation::plain(&route.pattern));
    let mut verbs = Vec::new();
    verbs.extend(takes("read").then_some(("get", "read")));
    verbs.extend(takes("delete").then_some(("delete", "delete")));
    verbs.extend(patches.then_some(("patch", "patch")));
    verbs.extend(writes.then_some(("post", "write")));
    verbs.extend(writes.then_some(("put", "put")));
    let Some(Value::Object(paths)) = whole.get_mut("paths") else { return };
    for (method, verb) in verbs {
        item(paths, &base, mount, route)[method] = one(mount, route, method, verb, &shape);
    }
    if takes("list") {
        let folder = format!("{}/", base.trim_end_matches('/'));
        item(paths, &folder, mount, route)["get"] = one(mount, route, "get", "list", &shape);
    }
}

/// A mount's path is literal text, and part of an address.
fn escaped(path: &str) -> String {
    let escapes = [("%", "%25"), ("{", "%7B"), ("}", "%7D"), ("?", "%3F"), ("#", "%23")];
    escapes.iter().fold(path.to_owned(), |text, (from, to)| text.replace(from, to))
}

fn item<'a>(paths: &'a mut Map<String, Value>, path: &str, mount: &Mount, route: &Route) -> &'a mut Value {
    paths.entry(path.to_owned()).or_insert_with(|| {
        json!({
            "x-warder-plugin": mount.plugin,
            "x-warder-mount": mount.path,
            "x-vault-sudo": route.privileged,
            "x-vault-unauthenticated": route.public,
            "x-vault-createSupported": route.verbs.iter().any(|verb| verb == "create"),
        })
    })
}

fn one(mount: &Mount, route: &Route, method: &str, verb: &str, shape: &str) -> Value {
    let mut parameters = captures(&route.pattern);
    if verb == "list" {
        parameters.push(operation::reference("parameters", "listing"));
    }
    // Where nothing is written, the query carries the fields.
    if matches!(verb, "read" | "list" | "delete") {
        let known = route.fields.iter().filter(|field| !field.sensitive);
        parameters.extend(known.map(|field| {
            json!({ "name": field.name, "in": "query", "required": field.required, "schema": fields::in_query(field) })
        }));
    }
    let mut described = json!({
        "operationId": format!("mount.{}{}.{verb}", word(&mount.path), word(&route.pattern)),
        "tags": [mount.path],
        "summary": route.doc,
        "security": operation::security(route.public),
        "parameters": parameters,
        "responses": responses(verb, method),
    });
    let media = if verb == "patch" { "application/merge-patch+json" } else { "application/json" };
    if matches!(verb, "patch" | "write" | "put") {
        let required = verb == "patch" || route.fields.iter().any(|field| field.required);
        let content = json!({ media: { "schema": operation::reference("schemas", shape) } });
        described["requestBody"] = json!({ "required": required, "content": content });
    }
    described
}

fn responses(verb: &str, method: &str) -> Value {
    let headers = json!({ "X-Request-Id": operation::reference("headers", "X-Request-Id"), "Cache-Control": operation::reference("headers", "Cache-Control") });
    let envelope = json!({ "application/json": { "schema": operation::reference("schemas", "Envelope") } });
    let mut all =
        Map::from_iter([("200".to_owned(), json!({ "description": "OK", "headers": headers, "content": envelope }))]);
    if !matches!(verb, "read" | "list") {
        all.insert("204".to_owned(), json!({ "description": "No Content", "headers": headers }));
    }
    let mut refused = vec![400, 403, 404, 405, 414, 429, 431, 500, 502, 503, 504];
    if method != "get" {
        refused.extend([408, 413, 507]);
    }
    refused.extend((method == "patch").then_some(415));
    all.extend(
        refused
            .iter()
            .map(|status| (status.to_string(), operation::reference("responses", &format!("Errors{status}")))),
    );
    Value::Object(all)
}

fn captures(pattern: &str) -> Vec<Value> {
    let names = pattern.split('{').skip(1).filter_map(|part| part.split('}').next());
    let shown = names.map(|name| match name.strip_suffix("...") {
        Some(rest) => json!({
            "name": rest, "in": "path", "required": true, "x-warder-rest": true, "schema": parameter::path_schema(),
        }),
        None => json!({ "name": name, "in": "path", "required": true, "schema": parameter::segment_schema() }),
    });
    shown.collect()
}

/// The body of a write: members that no route declares are dropped with a warning.
fn body(route: &Route) -> Value {
    let properties: Map<String, Value> =
        route.fields.iter().map(|field| (field.name.clone(), fields::in_body(field))).collect();
    let required: Vec<&str> =
        route.fields.iter().filter(|field| field.required).map(|field| field.name.as_str()).collect();
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": true });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// A path or pattern as part of an operation's id and of a component's name: letters, digits, `.`, `-`
/// and `_`. Two texts never become one.
fn word(text: &str) -> String {
    let mut word = String::with_capacity(text.len());
    for c in text.replace("...}", "}").chars() {
        match c {
            '/' => word.push('.'),
            '{' => word.push('_'),
            '}' => {}
            '_' => word.push_str("__"),
            c if c.is_ascii_alphanumeric() || c == '-' => word.push(c),
            c => word.push_str(&format!("_{:x}_", u32::from(c))),
        }
    }
    word
}
