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
    use wasmparser::{Parser, Payload};

    use super::PLUGINS;

    /// What the component itself imports; the modules inside have their own.
    fn imports(component: &[u8]) -> Vec<String> {
        let (mut names, mut depth) = (Vec::new(), 0_u32);
        for payload in Parser::new(0).parse_all(component) {
            match payload.unwrap() {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 0 => {
                    names.extend(section.into_iter().map(|import| import.unwrap().name.name.to_owned()));
                }
                _ => {}
            }
        }
        names
    }

    /// Of WASI only what Rust's standard library drags in, and none that tells time, makes
    /// randomness or opens files and sockets.
    #[test]
    fn components_import_what_they_use_and_no_more() {
        const STUBS: [&str; 13] = [
            "wasi:cli/environment@0.2.6",
            "wasi:cli/exit@0.2.6",
            "wasi:cli/stderr@0.2.6",
            "wasi:cli/stdin@0.2.6",
            "wasi:cli/stdout@0.2.6",
            "wasi:cli/terminal-input@0.2.6",
            "wasi:cli/terminal-output@0.2.6",
            "wasi:cli/terminal-stderr@0.2.6",
            "wasi:cli/terminal-stdin@0.2.6",
            "wasi:cli/terminal-stdout@0.2.6",
            "wasi:io/error@0.2.6",
            "wasi:io/poll@0.2.6",
            "wasi:io/streams@0.2.6",
        ];
        for plugin in PLUGINS {
            let imports = imports(plugin.component);
            let (own, foreign): (Vec<_>, Vec<_>) = imports.iter().partition(|name| name.starts_with("warder:plugin/"));
            assert!(foreign.iter().all(|name| STUBS.contains(&name.as_str())), "{}: {foreign:?}", plugin.name);
            if plugin.name == "kv" {
                let wanted = ["types", "clock", "sealed", "store"].map(|name| format!("warder:plugin/{name}@0.1.0"));
                assert_eq!(own, wanted.iter().collect::<Vec<_>>());
            }
        }
    }

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
