//! `data/{path}` and `subkeys/{path}`: a secret's values, which stay sealed.

use serde_json::{Value as Json, json};
use warder_plugin::prelude::*;

use crate::{
    config::{self, Config},
    meta::{self, At, Meta, version_key},
};

/// Where a read looks.
#[derive(Deserialize)]
pub(crate) struct Which {
    path: String,
    version: Option<i64>,
    depth: Option<i64>,
}

/// Captures and options of a write; the value is sealed at `/data`.
#[derive(Deserialize)]
pub(crate) struct Write {
    path: String,
    options: Option<Json>,
}

pub(crate) fn read(host: &Host, call: Call<Which>) -> Result<Reply> {
    let at = call.input;
    let Some((meta, number, version)) = find(host, &at)? else { return Ok(nothing()) };
    let body = json!({ "data": null, "metadata": meta.about(number, version) });
    if version.is_gone(host) {
        return Ok(gone(&body)?.version(number));
    }
    Ok(reply(&body)?.secret("/data", value(host, &at.path, number)?).version(number))
}

pub(crate) fn subkeys(host: &Host, call: Call<Which>) -> Result<Reply> {
    let at = call.input;
    let Some((meta, number, version)) = find(host, &at)? else { return Ok(nothing()) };
    let about = meta.about(number, version);
    if version.is_gone(host) {
        return Ok(gone(&json!({ "metadata": about, "subkeys": null }))?.version(number));
    }
    let value = value(host, &at.path, number)?;
    let depth = u32::try_from(at.depth.unwrap_or_default()).unwrap_or(1);
    let mut shape = value.shape(depth)?;
    if shape == "null" && host.is_object(&value)? {
        "{}".clone_into(&mut shape);
    }
    let subkeys: Json = serde_json::from_str(&shape).map_err(|e| Error::internal(e.to_string()))?;
    Ok(reply(&json!({ "metadata": about, "subkeys": subkeys }))?.version(number))
}

pub(crate) fn write(host: &Host, mut call: Call<Write>) -> Result<Reply> {
    let value = given(host, &mut call)?;
    let config = config::load(host)?;
    let meta = meta::load(host, &call.input.path)?.unwrap_or_default();
    check(&config, &meta, call.input.options.as_ref())?;
    append(host, &config, meta, &call.input.path, &value)
}

pub(crate) fn patch(host: &Host, mut call: Call<Write>) -> Result<Reply> {
    let patch = given(host, &mut call)?;
    expected(call.input.options.as_ref())?;
    let path = &call.input.path;
    let absent = || Error::not_found(format!("there is no secret at {path} to patch"));
    let meta = meta::load(host, path)?.ok_or_else(absent)?;
    let config = config::load(host)?;
    check(&config, &meta, call.input.options.as_ref())?;
    let (number, version) = meta.version(0).ok_or_else(absent)?;
    if version.is_gone(host) {
        return Ok(gone(&meta.about(number, version))?.version(number));
    }
    let merged = value(host, path, number)?.merge(&patch)?;
    append(host, &config, meta, path, &merged)
}

/// Soft-deletes the latest version; nothing there is fine.
pub(crate) fn delete(host: &Host, call: Call<At>) -> Result<Reply> {
    let path = call.input.path;
    let Some(mut meta) = meta::load(host, &path)? else { return Ok(nothing()) };
    let Some(version) = meta.versions.get_mut(&meta.current) else { return Ok(nothing()) };
    if !version.is_gone(host) {
        version.deletion = Some(host.now());
        meta.save(host, &path)?;
    }
    Ok(nothing().version(meta.current))
}

fn find(host: &Host, at: &Which) -> Result<Option<(Meta, u64, meta::Version)>> {
    let Some(meta) = meta::load(host, &at.path)? else { return Ok(None) };
    Ok(meta.version(at.version.unwrap_or_default()).map(|(number, version)| (meta, number, version)))
}

fn value(host: &Host, path: &str, number: u64) -> Result<Value> {
    let missing = || Error::internal(format!("version {number} of {path} is listed but its value is missing"));
    host.secret(&version_key(path, number))?.ok_or_else(missing)
}

/// The sealed value of a write: an object, or null.
fn given(host: &Host, call: &mut Call<Write>) -> Result<Value> {
    let value = call.secret("/data").ok_or_else(|| Error::invalid("no data provided"))?;
    if host.is_object(&value)? || host.is_null(&value)? {
        return Ok(value);
    }
    Err(Error::invalid("field \"data\": expected a JSON object"))
}

/// Check-and-set: `options.cas` must be the current version, if given or required.
fn check(config: &Config, meta: &Meta, options: Option<&Json>) -> Result<()> {
    match expected(options)?.map(version).transpose()? {
        Some(expected) if i128::from(meta.current) == i128::from(expected) => Ok(()),
        Some(_) => Err(Error::precondition("check-and-set parameter did not match the current version")),
        None if config.cas_required || meta.cas_required => {
            Err(Error::invalid("check-and-set parameter required for this call"))
        }
        None => Ok(()),
    }
}

/// `options.cas` as it was given.
fn expected(options: Option<&Json>) -> Result<Option<&Json>> {
    match options {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Object(options)) => Ok(options.get("cas")),
        Some(_) => Err(Error::invalid("field \"options\": expected a JSON object")),
    }
}

/// A version as OpenBao reads one: a whole number or its decimal text; null, "" and false are 0.
fn version(json: &Json) -> Result<i64> {
    let number = match json {
        Json::Null => Some(0),
        Json::Bool(set) => Some(i64::from(*set)),
        Json::Number(number) => number.as_i64(),
        Json::String(text) if text.is_empty() => Some(0),
        Json::String(text) => text.parse().ok(),
        Json::Array(_) | Json::Object(_) => None,
    };
    number.ok_or_else(|| Error::invalid("error parsing check-and-set parameter"))
}

fn append(host: &Host, config: &Config, mut meta: Meta, path: &str, value: &Value) -> Result<Reply> {
    let (number, version) = meta.add(host, path, config, host.now())?;
    host.put_secret(&version_key(path, number), value)?;
    meta.save(host, path)?;
    Ok(reply(&meta.about(number, version))?.version(number))
}
