//! The plugins of this process: the bundled ones, then those from files.
//!
//! Invariant: a file whose digest is not the one that was asked for is not even parsed.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
    sync::Arc,
};

use warder_runtime::{Catalog, MAX_COMPONENT_BYTES, Runtime, RuntimeError};

use crate::config::{Config, PluginConfig, Sha256};

/// Why there is no catalog.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// A component was refused.
    #[error(transparent)]
    Refused(#[from] RuntimeError),
    /// A file cannot be read.
    #[error("plugin {0}")]
    Unreadable(String, #[source] io::Error),
    /// A file is not the one that the configuration pins.
    #[error("plugin {name}: {file} has sha256 {found}, but the configuration pins {pinned}")]
    Other {
        /// Its name in the configuration.
        name: String,
        /// The file.
        file: String,
        /// Digest of what is there.
        found: Sha256,
        /// Digest of what was asked for.
        pinned: Sha256,
    },
}

/// Loads all of them.
pub(crate) async fn load(runtime: &Arc<Runtime>, config: &Config) -> Result<Catalog, PluginError> {
    let mut catalog = Catalog::load(runtime, warder_bundle::PLUGINS.iter().map(|p| (p.name, p.component))).await?;
    for (name, plugin) in &config.plugins {
        catalog.add(runtime, name, &pinned(name, plugin)?).await?;
        tracing::info!(plugin.name = %name, file = %plugin.file.display(), "plugin loaded");
    }
    for file in &config.unpinned {
        let origin = file.display().to_string();
        let name = catalog.add_nameless(runtime, &origin, &read(file)?).await?;
        tracing::info!(plugin.name = %name, file = %origin, "plugin loaded");
    }
    Ok(catalog)
}

/// Whether every file is there and has the digest that is pinned; not whether it loads.
///
/// # Errors
/// [`PluginError`], one for each that is not.
pub(crate) fn check(config: &Config) -> Result<(), Vec<PluginError>> {
    let wrong: Vec<_> = config.plugins.iter().filter_map(|(name, plugin)| pinned(name, plugin).err()).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

fn pinned(name: &str, plugin: &PluginConfig) -> Result<Vec<u8>, PluginError> {
    let component = read(&plugin.file)?;
    let found = Sha256::of(&component);
    if found == plugin.sha256 {
        return Ok(component);
    }
    let file = plugin.file.display().to_string();
    Err(PluginError::Other { name: name.to_owned(), file, found, pinned: plugin.sha256 })
}

/// The file, up to one byte more than the runtime takes.
fn read(file: &Path) -> Result<Vec<u8>, PluginError> {
    let failed = |error| PluginError::Unreadable(file.display().to_string(), error);
    let opened = File::open(file).map_err(failed)?;
    let mut component = Vec::new();
    opened.take(MAX_COMPONENT_BYTES as u64 + 1).read_to_end(&mut component).map_err(failed)?;
    Ok(component)
}
