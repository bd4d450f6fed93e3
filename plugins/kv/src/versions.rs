//! `delete/`, `undelete/`, `destroy/`: one operation on several versions at once.

use warder_plugin::prelude::*;

use crate::{
    config,
    meta::{self, Meta, Version, version_key},
};

/// Which versions.
#[derive(Deserialize)]
pub(crate) struct Versions {
    path: String,
    versions: Option<Vec<String>>,
}

/// Soft-deletes; versions that are missing or gone already are left alone.
pub(crate) fn delete(host: &Host, call: Call<Versions>) -> Result<Reply> {
    each(host, &call.input, "No version number provided", |_, _, version| {
        if !version.is_gone(host) {
            version.deletion = Some(host.now());
        }
        Ok(())
    })
}

/// Restores; missing and destroyed versions are left alone.
pub(crate) fn undelete(host: &Host, call: Call<Versions>) -> Result<Reply> {
    let config = config::load(host)?;
    each(host, &call.input, "No version number provided", |meta, _, version| {
        if !version.destroyed {
            version.deletion = meta.expiry(&config, host.now());
        }
        Ok(())
    })
}

/// Removes values for good; missing versions are left alone.
pub(crate) fn destroy(host: &Host, call: Call<Versions>) -> Result<Reply> {
    each(host, &call.input, "no version number provided", |_, number, version| {
        version.destroyed = true;
        host.delete(&version_key(&call.input.path, number))
    })
}

fn each(
    host: &Host,
    input: &Versions,
    none: &str,
    change: impl Fn(&Meta, u64, &mut Version) -> Result<()>,
) -> Result<Reply> {
    let numbers = numbers(input.versions.as_deref().unwrap_or_default())?;
    if numbers.is_empty() {
        return Err(Error::invalid(none));
    }
    let Some(mut meta) = meta::load(host, &input.path)? else { return Ok(nothing()) };
    let mut changed = false;
    for number in numbers.into_iter().filter_map(|number| u64::try_from(number).ok()) {
        if let Some(mut version) = meta.versions.get(&number).copied() {
            change(&meta, number, &mut version)?;
            changed |= meta.versions.insert(number, version) != Some(version);
        }
    }
    if changed {
        meta.save(host, &input.path)?;
    }
    Ok(nothing())
}

fn numbers(texts: &[String]) -> Result<Vec<i64>> {
    let number =
        |text: &String| text.trim().parse().map_err(|_| Error::invalid("field \"versions\": expected whole numbers"));
    texts.iter().map(number).collect()
}
