//! The allow-list: what a component may import, read from its bytes before anything is compiled.
//!
//! Invariant: a name that is not listed is refused, by its name.

use wasmparser::{ComponentExternalKind, Encoding, Parser, Payload};

use crate::{capability::KINDS, fault::bounded, wasi};

/// Largest component, bytes.
pub const MAX_COMPONENT_BYTES: usize = 64 << 20;
/// Longest account of refused imports.
const SHOWN_BYTES: usize = 1024;
/// The contract's version: components of the same major and minor version fit.
const CONTRACT: (&str, &str) = ("warder:plugin/", "0.1.");

/// Why a component was refused; the text goes after `plugin kv `.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Over the size limit.
    #[error("is larger than {} MiB", MAX_COMPONENT_BYTES >> 20)]
    TooLarge,
    /// Not a component.
    #[error("is not a WebAssembly component: {0}")]
    Malformed(String),
    /// Imports outside the allow-list, all of them.
    #[error("imports {0}, which Warder does not offer")]
    Import(String),
    /// An interface of the contract in another version.
    #[error("imports {0}, but Warder offers version 0.1")]
    Version(String),
    /// The world's export is missing.
    #[error("does not export warder:plugin/backend@0.1")]
    NoBackend,
}

/// Names of the imports, all of them allowed.
pub(crate) fn check(component: &[u8]) -> Result<Vec<String>, Refused> {
    if component.len() > MAX_COMPONENT_BYTES {
        return Err(Refused::TooLarge);
    }
    if !component.starts_with(b"\0asm") {
        return Err(Refused::Malformed("it does not begin as WebAssembly does".to_owned()));
    }
    let (imports, exports) = names(component)?;
    let refused: Vec<&str> = imports.iter().map(String::as_str).filter(|name| !allowed(name)).collect();
    if let Some(name) = refused.iter().find(|name| is_other_version(name)) {
        return Err(Refused::Version(shown(name)));
    }
    if !refused.is_empty() {
        return Err(Refused::Import(shown(&refused.join(", "))));
    }
    if exports.iter().any(|name| interface(name) == Some("backend")) { Ok(imports) } else { Err(Refused::NoBackend) }
}

/// The bytes are anybody's: a name in them may be long, or made for a terminal.
fn shown(names: &str) -> String {
    bounded(names, SHOWN_BYTES)
}

fn allowed(name: &str) -> bool {
    match interface(name) {
        Some(interface) => interface == "types" || KINDS.iter().any(|kind| kind.interface == interface),
        None => name.split('@').next().is_some_and(|interface| wasi::OFFERED.contains(&interface)),
    }
}

/// An interface of the contract that [`interface`] does not know.
fn is_other_version(name: &str) -> bool {
    name.starts_with(CONTRACT.0) && interface(name).is_none()
}

/// `store` of `warder:plugin/store@0.1.3`; none for other packages and versions.
pub(crate) fn interface(name: &str) -> Option<&str> {
    let (interface, version) = name.strip_prefix(CONTRACT.0)?.split_once('@')?;
    version.starts_with(CONTRACT.1).then_some(interface)
}

/// Imports and exports of the outermost component.
fn names(component: &[u8]) -> Result<(Vec<String>, Vec<String>), Refused> {
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut depth = 0usize;
    let malformed = |e: wasmparser::BinaryReaderError| Refused::Malformed(shown(e.message()));
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(malformed)? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err(Refused::Malformed("it is a core module".to_owned()));
            }
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    imports.push(import.map_err(malformed)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    let export = export.map_err(malformed)?;
                    if export.kind == ComponentExternalKind::Instance {
                        exports.push(export.name.name.to_owned());
                    }
                }
            }
            _ => {}
        }
    }
    Ok((imports, exports))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allow_list_holds_the_contract_and_harmless_wasi() {
        for name in ["warder:plugin/store@0.1.0", "warder:plugin/types@0.1.7", "wasi:cli/stderr@0.2.6"] {
            assert!(allowed(name), "{name}");
        }
        for name in ["wasi:sockets/tcp@0.2.6", "wasi:random/random@0.2.6", "warder:plugin/reveal@0.1.0", "env", ""] {
            assert!(!allowed(name) && !is_other_version(name), "{name}");
        }
        for name in ["warder:plugin/store@0.2.0", "warder:plugin/store", "warder:plugin/store@0.10.0"] {
            assert!(!allowed(name) && is_other_version(name), "{name}");
        }
    }

    #[test]
    fn core_modules_and_noise_are_refused() {
        assert!(matches!(check(b"\0asm\x01\0\0\0"), Err(Refused::Malformed(_))));
        assert!(matches!(check(b"hello"), Err(Refused::Malformed(_))));
        assert!(matches!(check(b""), Err(Refused::Malformed(_))));
        assert_eq!(check(b"\0asm\x0d\0\x01\0"), Err(Refused::NoBackend));
    }
}
