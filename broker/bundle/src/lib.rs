//! The first-party plugins as components, built by the build script and embedded.
//!
//! To add one: a folder in `plugins/` whose manifest says `[package.metadata.warder] bundle = true`.
//! Nothing else; the folder's name is the plugin's. Building needs `rustup target add wasm32-wasip2`.
//!
//! Invariant: the digest of each row is that of its bytes.

use std::fmt;

/// One first-party plugin.
#[derive(Clone, Copy)]
pub struct Bundled {
    /// Its name: the folder's in `plugins/`.
    pub name: &'static str,
    /// The component's bytes.
    pub component: &'static [u8],
    /// Their SHA-256.
    pub sha256: [u8; 32],
}

impl fmt::Debug for Bundled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bundled").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Every first-party plugin, by name.
pub const PLUGINS: &[Bundled] = include!(concat!(env!("OUT_DIR"), "/plugins.rs"));

#[cfg(test)]
mod tests {
    use super::PLUGINS;

    #[test]
    fn every_row_is_a_component_with_its_digest() {
        assert!(PLUGINS.iter().any(|plugin| plugin.name == "kv"));
        for plugin in PLUGINS {
            assert_eq!(&plugin.component[..8], b"\0asm\x0d\0\x01\0", "{} is no component", plugin.name);
            let digest = ring::digest::digest(&ring::digest::SHA256, plugin.component);
            assert_eq!(digest.as_ref(), plugin.sha256, "{}", plugin.name);
        }
    }
}
