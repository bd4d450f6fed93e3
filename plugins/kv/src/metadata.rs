//! `metadata/{path}`: settings of one secret, lists, and removal of all there is.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};
use warder_plugin::prelude::*;

use crate::{
    config::{self, Config},
    meta::{self, At, Given, Meta, given, version_key, whole},
};

/// Fields of a change. Left out: unchanged; null: back to zero, but for the age, which stays.
#[derive(Deserialize)]
pub(crate) struct Change {
    path: String,
    #[serde(default, deserialize_with = "given")]
    max_versions: Given<i64>,
    #[serde(default, deserialize_with = "given")]
    cas_required: Given<bool>,
    #[serde(default, deserialize_with = "given")]
    delete_version_after: Given<i64>,
    #[serde(default, deserialize_with = "given")]
    custom_metadata: Given<Json>,
    #[serde(default, deserialize_with = "given")]
    metadata_cas_required: Given<bool>,
    #[serde(default)]
    metadata_cas: Option<i64>,
}

/// Which names a list shows.
#[derive(Deserialize)]
pub(crate) struct Page {
    #[serde(default)]
    path: String,
    after: Option<String>,
    limit: Option<i64>,
}

pub(crate) fn read(host: &Host, call: Call<At>) -> Result<Reply> {
    match meta::load(host, &call.input.path)? {
        Some(meta) => reply(&meta.json()),
        None => Ok(nothing()),
    }
}

pub(crate) fn write(host: &Host, call: Call<Change>) -> Result<Reply> {
    let change = call.input;
    if change.is_empty() {
        return Ok(nothing());
    }
    let config = config::load(host)?;
    let meta = meta::load(host, &change.path)?.unwrap_or_default();
    let custom = change.custom_metadata.clone().map(|given| match given {
        None => Ok(None),
        Some(Json::Object(members)) => texts(&members).map(Some),
        Some(_) => Err(no_object()),
    });
    apply(host, &config, meta, change, custom.transpose()?)
}

pub(crate) fn patch(host: &Host, call: Call<Change>) -> Result<Reply> {
    let mut change = call.input;
    if change.is_empty() {
        return Ok(nothing());
    }
    // As in OpenBao, whose patch leaves a zero age out; a write sets it.
    change.delete_version_after = change.delete_version_after.filter(|after| *after != Some(0));
    change.check()?;
    let config = config::load(host)?;
    let absent = || Error::not_found(format!("there is no secret at {} to patch", change.path));
    let meta = meta::load(host, &change.path)?.ok_or_else(absent)?;
    let custom = change.custom_metadata.clone().map(|given| match given {
        None => Ok(None),
        Some(Json::Object(members)) => merged(meta.custom.clone().unwrap_or_default(), members).map(Some),
        Some(_) => Err(no_object()),
    });
    apply(host, &config, meta, change, custom.transpose()?)
}

/// Removes the secret with all its versions; nothing there is fine.
pub(crate) fn delete(host: &Host, call: Call<At>) -> Result<Reply> {
    let path = call.input.path;
    let Some(meta) = meta::load(host, &path)? else { return Ok(nothing()) };
    for number in meta.versions.keys() {
        host.delete(&version_key(&path, *number))?;
    }
    host.delete(&meta::key(&path))?;
    Ok(nothing())
}

pub(crate) fn list(host: &Host, call: Call<Page>) -> Result<Reply> {
    Ok(names(children(host, &call.input)?))
}

pub(crate) use list as list_root;

/// Names with their metadata; folders have none.
pub(crate) fn detailed(host: &Host, call: Call<Page>) -> Result<Reply> {
    let page = call.input;
    let keys = children(host, &page)?;
    if keys.is_empty() {
        return Ok(nothing());
    }
    let mut info = Map::new();
    for key in &keys {
        let meta = if key.ends_with('/') { None } else { meta::load(host, &format!("{}{key}", page.folder()))? };
        info.insert(key.clone(), meta.map_or_else(|| json!({}), |meta| meta.json()));
    }
    reply(&json!({ "key_info": info, "keys": keys }))
}

pub(crate) use detailed as detailed_root;

impl Page {
    /// `a/b/`, or nothing at the root.
    fn folder(&self) -> String {
        if self.path.is_empty() { String::new() } else { format!("{}/", self.path) }
    }
}

fn children(host: &Host, page: &Page) -> Result<Vec<String>> {
    let limit = page.limit.and_then(|limit| u32::try_from(limit).ok()).filter(|limit| *limit > 0);
    let after = page.after.as_deref().filter(|after| !after.is_empty());
    host.children(&meta::key(&page.folder()), after, limit)
}

impl Change {
    const fn is_empty(&self) -> bool {
        self.max_versions.is_none()
            && self.cas_required.is_none()
            && matches!(self.delete_version_after, None | Some(None))
            && self.custom_metadata.is_none()
            && self.metadata_cas_required.is_none()
    }
}

impl Change {
    /// What is wrong whatever is there: refused before anything is looked up.
    fn check(&self) -> Result<()> {
        if let Some(Some(after)) = self.delete_version_after {
            whole("delete_version_after", after)?;
        }
        match &self.custom_metadata {
            None | Some(None) => Ok(()),
            Some(Some(Json::Object(members))) => {
                let mut kept = members.iter().filter(|(_, value)| !value.is_null());
                kept.try_for_each(|(name, value)| text(name, value).map(drop))
            }
            Some(Some(_)) => Err(no_object()),
        }
    }
}

fn apply(
    host: &Host,
    config: &Config,
    mut meta: Meta,
    change: Change,
    custom: Option<Option<BTreeMap<String, String>>>,
) -> Result<Reply> {
    check(config, &meta, change.metadata_cas)?;
    let mut answer = nothing();
    if let Some(versions) = change.max_versions {
        meta.max_versions = whole("max_versions", versions.unwrap_or_default())?;
    }
    if let Some(required) = change.cas_required {
        meta.cas_required = required.unwrap_or_default();
        if required == Some(false) && config.cas_required {
            answer = answer.warn(mandated("cas_required"));
        }
    }
    if let Some(Some(after)) = change.delete_version_after {
        meta.delete_version_after = whole("delete_version_after", after)?;
    }
    if let Some(custom) = custom {
        meta.custom = custom.filter(|texts| !texts.is_empty());
    }
    if let Some(required) = change.metadata_cas_required {
        meta.metadata_cas_required = required.unwrap_or_default();
        if required == Some(false) && config.metadata_cas_required {
            answer = answer.warn(mandated("metadata_cas_required"));
        }
    }
    let now = host.now();
    if meta.current == 0 && meta.changes == 0 {
        meta.created = now;
    }
    meta.updated = now;
    meta.changes += 1;
    meta.save(host, &change.path)?;
    Ok(answer)
}

fn mandated(field: &str) -> String {
    format!("\"{field}\" set to false, but is mandated by backend config. This value will be ignored.")
}

/// Check-and-set over the settings.
fn check(config: &Config, meta: &Meta, expected: Option<i64>) -> Result<()> {
    match expected {
        Some(expected) if i128::from(meta.changes) == i128::from(expected) => Ok(()),
        Some(_) => Err(Error::precondition("metadata check-and-set parameter does not match the current version")),
        None if config.metadata_cas_required || meta.metadata_cas_required => {
            Err(Error::invalid("metadata check-and-set parameter required for this call"))
        }
        None => Ok(()),
    }
}

/// RFC 7396 on the custom metadata.
fn merged(mut had: BTreeMap<String, String>, patch: Map<String, Json>) -> Result<BTreeMap<String, String>> {
    let (removed, changed): (Vec<_>, Vec<_>) = patch.into_iter().partition(|(_, value)| value.is_null());
    for (name, _) in removed {
        had.remove(&name);
    }
    had.extend(texts(&changed.into_iter().collect())?);
    within(had.len())?;
    Ok(had)
}

/// Up to 64 members, names of 1 to 128 bytes, values of 1 to 512, all printable.
fn texts(members: &Map<String, Json>) -> Result<BTreeMap<String, String>> {
    within(members.len())?;
    members.iter().map(|(name, value)| Ok((name.clone(), text(name, value)?))).collect()
}

fn within(count: usize) -> Result<()> {
    if count > 64 { Err(refused(format!("payload must contain at most 64 keys, provided {count}"))) } else { Ok(()) }
}

fn text(name: &str, value: &Json) -> Result<String> {
    let value = match value {
        Json::String(text) => text.clone(),
        Json::Number(number) => number.to_string(),
        Json::Bool(set) => u8::from(*set).to_string(),
        Json::Null => String::new(),
        Json::Array(_) | Json::Object(_) => return Err(refused(format!("value for key {name:?} must be a string"))),
    };
    match (name.len(), value.len()) {
        (1..=128, _) if !printable(name) => Err(refused(format!("key {name:?} contains unprintable characters"))),
        (1..=128, 1..=512) if !printable(&value) => {
            Err(refused(format!("value for key {name:?} contains unprintable characters")))
        }
        (1..=128, 1..=512) => Ok(value),
        (1..=128, len) => {
            Err(refused(format!("length of value for key {name:?} is {len} but must be 0 < len(value) <= 512")))
        }
        (len, _) => Err(refused(format!("length of key {name:?} is {len} but must be 0 < len(key) <= 128"))),
    }
}

/// As Go prints text: letters, marks, numbers, punctuation, symbols and the ASCII space.
fn printable(text: &str) -> bool {
    // `escape_debug` escapes just the others, and these three.
    let plain: String = text.chars().filter(|c| !['\'', '"', '\\'].contains(c)).collect();
    !format!("a{plain}").escape_debug().any(|c| c == '\\')
}

fn refused(why: String) -> Error {
    Error::invalid(format!("custom_metadata validation failed: {why}"))
}

fn no_object() -> Error {
    Error::invalid("field \"custom_metadata\": expected a JSON object")
}
