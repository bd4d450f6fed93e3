//! `sys/mounts`: which plugin serves which path.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Ask, Served, Sys, not_found};
use crate::{
    error::{Error, Result},
    lease,
    path::Path,
    request::Operation,
    route::{Mount, NewMount, Tuning},
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

/// What can be changed of a mount. Lease times are Vault's: here mounts have none of their own.
#[derive(Deserialize)]
struct Tuned {
    description: Option<String>,
    #[serde(default)]
    options: Option<BTreeMap<String, Option<String>>>,
    #[serde(default)]
    user_lockout_config: Option<BTreeMap<String, Value>>,
    default_lease_ttl: Option<Value>,
    max_lease_ttl: Option<Value>,
}

pub(super) async fn all(sys: &Sys) -> Result<Served> {
    let table = sys.mounts.table().await?;
    let mounts: BTreeMap<&str, Value> = table.iter().map(|mount| (mount.path.as_str(), shown(mount))).collect();
    Served::json(&mounts)
}

pub(super) async fn one(sys: &Sys, ask: &Ask<'_>) -> Result<Served> {
    if let Some(path) = ask.capture("path").strip_suffix("/tune") {
        return tune(sys, &folder(path)?, ask).await;
    }
    let path = folder(ask.capture("path"))?;
    match ask.operation {
        Operation::Read => {
            let table = sys.mounts.table().await?;
            let mount = table.at(path.as_str()).ok_or_else(|| not_found("nothing is mounted there"))?;
            Served::json(&shown(mount))
        }
        Operation::Delete => {
            sys.mounts.unmount(&path, lease::none_below(path.as_str())).await.map(|()| Served::nothing())
        }
        _ => mount(sys, &path, ask).await,
    }
}

fn folder(path: &str) -> Result<Path> {
    Ok(Path::parse(path).map_err(|e| Error::invalid("path", e.to_string()))?.to_folder())
}

async fn tune(sys: &Sys, path: &Path, ask: &Ask<'_>) -> Result<Served> {
    match ask.operation {
        Operation::Read => {
            let table = sys.mounts.table().await?;
            let mount = table.at(path.as_str()).ok_or_else(|| not_found("nothing is mounted there"))?;
            let config = sys.tokens.config();
            Served::json(&json!({
                "default_lease_ttl": config.default_ttl.as_secs(),
                "max_lease_ttl": config.max_ttl.as_secs(),
                "force_no_cache": false,
                "description": mount.description,
                "options": mount.options,
            }))
        }
        Operation::Update => {
            let tuned: Tuned = ask.fields.parse()?;
            for (field, time) in
                [("default_lease_ttl", &tuned.default_lease_ttl), ("max_lease_ttl", &tuned.max_lease_ttl)]
            {
                // Command lines send those that nobody gave as empty text.
                let usual = matches!(time.as_ref().and_then(Value::as_str), Some("" | "0" | "0s" | "system"));
                if !usual && time.as_ref().is_some_and(|time| *time != 0) {
                    return Err(Error::invalid(field, "mounts have no lease times of their own: leave it out"));
                }
            }
            sys.mounts.tune(path, tuning(tuned)?).await.map(|()| Served::nothing())
        }
        _ => Err(Error::new(crate::error::ErrorKind::MethodNotAllowed, "unsupported operation")),
    }
}

/// An option without a text is removed.
fn tuning(tuned: Tuned) -> Result<Tuning> {
    let mut options: BTreeMap<_, _> = tuned.options.unwrap_or_default().into_iter().collect();
    for (name, value) in tuned.user_lockout_config.unwrap_or_default() {
        let text = match value {
            Value::Null => None,
            Value::String(text) => Some(text),
            Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
            _ => return Err(Error::invalid(name, "expected text, a number, true or false")),
        };
        options.insert(name, text);
    }
    let filled = |(name, text): (String, Option<String>)| (name, text.filter(|text| !text.is_empty()));
    Ok(Tuning { description: tuned.description, options: options.into_iter().map(filled).collect() })
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
