//! The conformance plugins of `plugins/conformance` as components, built by cargo when first asked
//! for. Cargo's own lock keeps tests that ask at once apart.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::failure::{Failure, Result};

/// A component on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guest {
    /// The plugin `doorman`: people log in by it with a name and a password.
    Doorman,
    /// The plugin `lessor`: it issues accounts for a time.
    Lessor,
    /// The plugin `misbehave`: each of its routes misbehaves in one way.
    Misbehave,
    /// The plugin `rotor`: it makes its values itself, and a rotation makes the next one.
    Rotor,
    /// One of the plugins that must not be loaded, by name: `impure`, `revealing`, `sockets`.
    Refused(&'static str),
}

impl Guest {
    /// Where its component lies.
    ///
    /// # Errors
    /// When it cannot be built; the words are cargo's.
    pub fn path(self) -> Result<PathBuf> {
        let folder = built()?;
        Ok(match self {
            Self::Doorman => folder.join("warder_doorman.wasm"),
            Self::Lessor => folder.join("warder_lessor.wasm"),
            Self::Misbehave => folder.join("warder_misbehave.wasm"),
            Self::Rotor => folder.join("warder_rotor.wasm"),
            Self::Refused(name) => folder.join("examples").join(name).with_extension("wasm"),
        })
    }

    /// Its component.
    ///
    /// # Errors
    /// As [`Self::path`].
    pub fn component(self) -> Result<Vec<u8>> {
        let path = self.path()?;
        std::fs::read(&path)
            .map_err(|why| Failure::new(format_args!("{} was built but cannot be read", path.display()), why))
    }
}

fn built() -> Result<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match BUILT.get_or_init(|| build().map_err(|why| why.to_string())) {
        Ok(folder) => Ok(folder),
        Err(words) => Err(words.clone().into()),
    }
}

fn build() -> Result<PathBuf> {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
    let target = plugins.join("target");
    let output = Command::new(env!("CARGO"))
        .current_dir(&plugins)
        .args(["build", "--release", "--locked", "--target", "wasm32-wasip2"])
        .args([
            "--package",
            "warder-doorman",
            "--package",
            "warder-lessor",
            "--package",
            "warder-misbehave",
            "--package",
            "warder-rotor",
            "--lib",
            "--examples",
            "--target-dir",
        ])
        .arg(&target)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .map_err(|why| Failure::new("start cargo", why))?;
    if output.status.success() {
        return Ok(target.join("wasm32-wasip2/release"));
    }
    Err(Failure::new(
        "the conformance plugins do not build; a missing target is installed by `rustup target add wasm32-wasip2`",
        String::from_utf8_lossy(&output.stderr),
    ))
}
