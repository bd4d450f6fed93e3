//! `sys/internal/specs/openapi`: what the plugins of mounts say of their routes, for the document
//! that doors make of it. A mount that the caller's policies do not reach is as good as absent.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Ask, Served, Sys, not_found};
use crate::{
    error::Result,
    port::backend::{Field, FieldKind, Route},
    route::Mount,
};

/// Mounts in one answer: what is over it is counted, and can be asked for by name.
const MOST_MOUNTS: usize = 100;

#[derive(Deserialize)]
struct Wanted {
    /// This mount only.
    mount: Option<String>,
}

pub(super) async fn mounts(sys: &Sys, ask: &Ask<'_>) -> Result<Served> {
    let Wanted { mount: wanted } = ask.fields.parse()?;
    let wanted = wanted.map(|path| format!("{}/", path.trim_matches('/')));
    let table = sys.mounts.table().await?;
    let seen = |mount: &Mount| ask.acl.reaches(&mount.path) && wanted.as_ref().is_none_or(|path| *path == mount.path);
    let all: Vec<&Mount> = table.iter().map(AsRef::as_ref).filter(|mount| seen(mount)).collect();
    if wanted.is_some() && all.is_empty() {
        return Err(not_found("nothing is mounted there").at("mount"));
    }
    let shown: Vec<Value> = all.iter().take(MOST_MOUNTS).map(|mount| described(sys, mount)).collect();
    Served::json(&json!({ "mounts": shown, "left_out": all.len().saturating_sub(MOST_MOUNTS) }))
}

fn described(sys: &Sys, mount: &Mount) -> Value {
    let plugin = sys.plugins.find(&mount.scope.plugin);
    let routes = plugin.iter().flat_map(|plugin| &plugin.description().routes).map(route).collect::<Vec<_>>();
    json!({ "path": mount.path, "plugin": mount.scope.plugin, "routes": routes })
}

fn route(route: &Route) -> Value {
    json!({
        "pattern": route.pattern,
        "verbs": route.verbs,
        "fields": route.fields.iter().map(field).collect::<Vec<_>>(),
        "doc": route.doc,
        "public": route.public,
        "privileged": route.privileged,
    })
}

fn field(field: &Field) -> Value {
    let (kind, words) = match &field.kind {
        FieldKind::Boolean => ("boolean", &[][..]),
        FieldKind::Choice(words) => ("choice", words.as_slice()),
        FieldKind::Document => ("document", &[][..]),
        FieldKind::Duration => ("duration", &[][..]),
        FieldKind::Integer => ("integer", &[][..]),
        FieldKind::Text => ("text", &[][..]),
        FieldKind::TextList => ("text-list", &[][..]),
        FieldKind::TextMap => ("text-map", &[][..]),
    };
    json!({
        "name": field.name,
        "kind": kind,
        "words": words,
        "required": field.required,
        "default": field.default.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok()),
        "sensitive": field.sensitive,
        "doc": field.doc,
    })
}
