//! From a row of the table to an operation of the document.

use serde_json::{Map, Value, json};

use super::{parameter, table::Row};

/// Who may ask.
pub(super) fn security(public: bool) -> Value {
    if public { json!([]) } else { json!([{ "bearer": [] }, { "token": [] }]) }
}

/// Adds the operation that `row` describes.
pub(super) fn add(paths: &mut Map<String, Value>, pattern: &str, row: &Row, public: bool, doc: &str) {
    let native = !pattern.starts_with("/v1/");
    let mut parameters = parameter::of_path(pattern);
    parameters.extend(row.query.iter().chain(row.headers).map(|name| reference("parameters", name)));
    // No word of OpenAPI 3.1 for this method: a GET that says so is the same.
    let list = row.method == "LIST";
    if list {
        parameters.extend(["listing", "after", "limit"].map(|name| reference("parameters", name)));
    }
    let mut operation = json!({
        "operationId": row.id,
        "tags": [tag(pattern)],
        "summary": doc,
        "security": if row.optional { json!([{}, { "bearer": [] }, { "token": [] }]) } else { security(public) },
        "parameters": parameters,
        "responses": responses(row, native, !public || row.optional),
    });
    if !row.body.is_empty() {
        let content: Map<String, Value> = row
            .body
            .iter()
            .map(|(media, schema)| ((*media).to_owned(), json!({ "schema": schema_of(schema) })))
            .collect();
        operation["requestBody"] = json!({ "required": row.body_required, "content": content });
    }
    let path = plain(pattern);
    let item = paths.entry(if list { listed(path) } else { path }).or_insert_with(|| json!({}));
    item[if list { "get".to_owned() } else { row.method.to_ascii_lowercase() }] = operation;
}

/// `{path...}` as OpenAPI writes it.
pub(super) fn plain(pattern: &str) -> String {
    pattern.replace("...}", "}")
}

/// A listing beside a read has the folder's path.
fn listed(path: String) -> String {
    if path.ends_with("}") { format!("{path}/") } else { path }
}

fn tag(pattern: &str) -> &str {
    let rest = pattern.strip_prefix("/api/v1/").or_else(|| pattern.strip_prefix("/v1/"));
    let Some(rest) = rest else { return "probes" };
    if pattern.starts_with("/v1/") { "vault" } else { rest.split(['/', ':', '.']).next().unwrap_or_default() }
}

pub(super) fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

/// `A|B` is either.
fn schema_of(names: &str) -> Value {
    match names.split_once('|') {
        None => reference("schemas", names),
        Some(_) => json!({ "anyOf": names.split('|').map(|name| reference("schemas", name)).collect::<Vec<_>>() }),
    }
}

fn responses(row: &Row, native: bool, token: bool) -> Map<String, Value> {
    let mut all = Map::new();
    for (status, schema) in row.ok {
        all.insert(written(*status), good(row, *status, schema, native && token));
    }
    for status in refusals(row, native, token) {
        let name = if native { format!("Problem{status}") } else { format!("Errors{status}") };
        all.entry(status.to_string()).or_insert_with(|| reference("responses", &name));
    }
    all
}

fn written(status: u16) -> String {
    if status < 10 { format!("{status}XX") } else { status.to_string() }
}

fn good(row: &Row, status: u16, schema: &str, resolved: bool) -> Value {
    let mut headers = vec!["X-Request-Id", "Cache-Control"];
    headers.extend(resolved.then_some("X-Warder-Resolved"));
    headers.extend(row.tagged.then_some("ETag"));
    let headers: Map<String, Value> =
        headers.into_iter().map(|name| (name.to_owned(), reference("headers", name))).collect();
    let mut response = json!({ "description": phrase(status), "headers": headers });
    if !schema.is_empty() {
        response["content"] = json!({ row.media: { "schema": schema_of(schema) } });
    }
    response
}

/// The statuses of refusals that an operation can give.
fn refusals(row: &Row, native: bool, token: bool) -> Vec<u16> {
    let mut all = vec![400, 414, 431];
    if token {
        all.extend([403, 429, 500, 503, 504]);
        all.extend(native.then_some(401));
    }
    if !row.body.is_empty() {
        all.extend([408, 413]);
        all.extend((native || row.method == "PATCH").then_some(415));
    }
    all.extend((token && !matches!(row.method, "GET" | "LIST")).then_some(507));
    all.extend(row.errors);
    all
}

/// Each status of a refusal, for both doors.
pub(super) fn problems() -> Map<String, Value> {
    let mut all = Map::new();
    for status in STATUSES {
        for (prefix, media, schema) in
            [("Problem", "application/problem+json", "Problem"), ("Errors", "application/json", "Errors")]
        {
            let mut headers = Map::from_iter([("X-Request-Id".to_owned(), reference("headers", "X-Request-Id"))]);
            let extra: &[&str] = match status {
                401 => &["WWW-Authenticate"],
                405 => &["Allow"],
                429 | 503 => &["Retry-After"],
                _ => &[],
            };
            headers.extend(extra.iter().map(|name| ((*name).to_owned(), reference("headers", name))));
            let schema = if schema == "Errors" && status == 404 { "Errors|Envelope" } else { schema };
            let content = json!({ media: { "schema": schema_of(schema) } });
            let response = json!({ "description": phrase(status), "headers": headers, "content": content });
            all.insert(format!("{prefix}{status}"), response);
        }
    }
    all
}

const STATUSES: [u16; 19] =
    [400, 401, 403, 404, 405, 408, 409, 412, 413, 414, 415, 422, 429, 431, 500, 502, 503, 504, 507];

fn phrase(status: u16) -> String {
    if status < 10 {
        return "As the caller wished".to_owned();
    }
    http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default().to_owned()
}
