//! Components for the tests: built once per process from `plugins/conformance` by cargo.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The plugin whose routes misbehave.
pub(crate) fn misbehave() -> Vec<u8> {
    read("warder_misbehave.wasm")
}

/// One of the plugins that must not be loaded.
pub(crate) fn example(name: &str) -> Vec<u8> {
    read(&format!("examples/{name}.wasm"))
}

fn read(file: &str) -> Vec<u8> {
    let path = built().join(file);
    fs::read(&path).unwrap_or_else(|e| panic!("{} was built but cannot be read: {e}", path.display()))
}

fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
        let target = plugins.join("target");
        let output = Command::new(env!("CARGO"))
            .current_dir(&plugins)
            .args(["build", "--release", "--locked", "--target", "wasm32-wasip2"])
            .args(["--package", "warder-misbehave", "--lib", "--examples", "--target-dir"])
            .arg(&target)
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .output()
            .expect("cargo starts");
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "the conformance plugins do not build; a missing target is installed by \
             `rustup target add wasm32-wasip2`:\n{words}"
        );
        target.join("wasm32-wasip2/release")
    })
}
