//! `sys/mounts`: which plugin serves which path.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Ask, Served, Sys, not_found};
use crate::{
    error::{Error, Result},
    path::Path,
    request::Operation,
    route::{Mount, NewMount},
};

/// Body of a new mount; `type` is Vault's word for the plugin.
#[derive(Deserialize)]
struct Wanted {
    #[serde(alias = "type")]
    plugin: Option<String>,
    #[serde(default)]
    description: String,
    #[serde(default)]
    options: Option<BTreeMap<String, String>>,
}

pub(super) async fn all(sys: &Sys) -> Result<Served> {
    let table = sys.mounts.table().await?;
    let mounts: BTreeMap<&str, Value> = table.iter().map(|mount| (mount.path.as_str(), shown(mount))).collect();
    Served::json(&mounts)
}

pub(super) async fn one(sys: &Sys, ask: &Ask<'_>) -> Result<Served> {
    let path = Path::parse(ask.capture("path")).map_err(|e| Error::invalid("path", e.to_string()))?.to_folder();
    match ask.operation {
        Operation::Read => {
            let table = sys.mounts.table().await?;
            let mount = table.at(path.as_str()).ok_or_else(|| not_found("nothing is mounted there"))?;
            Served::json(&shown(mount))
        }
        Operation::Delete => sys.mounts.unmount(&path).await.map(|()| Served::nothing()),
        _ => mount(sys, &path, ask).await,
    }
}

async fn mount(sys: &Sys, path: &Path, ask: &Ask<'_>) -> Result<Served> {
    let wanted: Wanted = ask.fields.parse()?;
    let plugin = super::required(wanted.plugin, "plugin")?;
    if sys.plugins.find(&plugin).is_none() {
        let known: Vec<String> = sys.plugins.list().into_keys().collect();
        return Err(Error::invalid("plugin", format!("no such plugin; loaded are: {}", known.join(", "))));
    }
    let new = NewMount {
        path: path.to_string(),
        plugin,
        description: wanted.description,
        options: wanted.options.unwrap_or_default(),
    };
    sys.mounts.mount(&new).await.map(|_| Served::nothing())
}

/// What a client asks before it talks to a mount. Shown only to callers who may do something
/// below it; to all others the mount is as good as absent.
pub(super) async fn of_path(sys: &Sys, ask: &Ask<'_>) -> Result<Served> {
    let path = ask.capture("path");
    let table = sys.mounts.table().await?;
    let mount = table.resolve(path).or_else(|| table.at(&format!("{}/", path.trim_end_matches('/'))));
    let Some(mount) = mount.filter(|mount| ask.acl.reaches(&mount.path)) else {
        return Err(Error::denied());
    };
    let mut shown = shown(mount);
    shown["path"] = json!(mount.path);
    Served::json(&shown)
}

fn shown(mount: &Mount) -> Value {
    json!({
        "type": mount.scope.plugin,
        "plugin": mount.scope.plugin,
        "description": mount.description,
        "accessor": mount.accessor,
        "uuid": &*mount.uuid,
        "options": mount.options,
        "created_at": mount.created.rfc3339(),
    })
}
