//! Builds every first-party plugin as a component and writes the table that `lib.rs` includes.
//!
//! A plugin is bundled when its folder in `plugins/` says `[package.metadata.warder] bundle = true`.

use std::{
    collections::BTreeMap,
    env, fmt, fs, io,
    path::{Path, PathBuf},
    process::Command,
};

const TARGET: &str = "wasm32-wasip2";

fn main() {
    if let Err(error) = run() {
        println!("cargo::error={}", error.to_string().replace('\n', " "));
        std::process::exit(1);
    }
}

fn run() -> Result<(), Failed> {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().map_err(Failed::io("the repository"))?;
    let plugins = root.join("plugins");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or_else(|| Failed("cargo sets no OUT_DIR".to_owned()))?);
    let found = bundled(&plugins)?;
    watch(&root, &plugins)?;
    target_is_installed()?;
    // target/debug/build/warder-bundle-0123/out: a folder beside, so that builds stay incremental.
    let target = out.ancestors().nth(4).unwrap_or(&out).join("plugins");
    build(&plugins, &target, found.values())?;
    let mut table = String::from("&[\n");
    for (name, package) in &found {
        table.push_str(&entry(&target, &out, name, package)?);
    }
    table.push_str("]\n");
    fs::write(out.join("plugins.rs"), table).map_err(Failed::io("plugins.rs"))
}

/// Plugin name (its folder's) to package name.
fn bundled(plugins: &Path) -> Result<BTreeMap<String, String>, Failed> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(plugins).map_err(Failed::io(plugins.display()))? {
        let folder = entry.map_err(Failed::io(plugins.display()))?.path();
        let manifest = folder.join("Cargo.toml");
        if !manifest.is_file() {
            continue;
        }
        let text = fs::read_to_string(&manifest).map_err(Failed::io(manifest.display()))?;
        let table: toml::Table = text.parse().map_err(|e| Failed(format!("{}: {e}", manifest.display())))?;
        let package = table.get("package");
        let wanted = package.and_then(|p| p.get("metadata")?.get("warder")?.get("bundle")?.as_bool());
        let package = package.and_then(|p| p.get("name")?.as_str());
        if let (Some(true), Some(package), Some(name)) = (wanted, package, folder.file_name()) {
            found.insert(name.to_string_lossy().into_owned(), package.to_owned());
        }
    }
    Ok(found)
}

/// The sources, never the target folder. A new plugin changes the lock file.
fn watch(root: &Path, plugins: &Path) -> Result<(), Failed> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", root.join("sdk-wit/wit").display());
    println!("cargo::rerun-if-changed={}", root.join("sdk-wit/rust").display());
    println!("cargo::rerun-if-changed={}", root.join("rust-toolchain.toml").display());
    for entry in fs::read_dir(plugins).map_err(Failed::io(plugins.display()))? {
        let path = entry.map_err(Failed::io(plugins.display()))?.path();
        if !path.ends_with("target") {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    Ok(())
}

fn target_is_installed() -> Result<(), Failed> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let asked = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output();
    let answer = asked.map_err(Failed::io("rustc"))?;
    let folder = PathBuf::from(String::from_utf8_lossy(&answer.stdout).trim());
    if answer.status.success() && folder.is_dir() {
        return Ok(());
    }
    Err(Failed(format!(
        "the first-party plugins are built for {TARGET}, which this toolchain lacks: run `rustup target add {TARGET}`"
    )))
}

fn build<'a>(plugins: &Path, target: &Path, packages: impl Iterator<Item = &'a String>) -> Result<(), Failed> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--locked", "--target", TARGET, "--manifest-path"]);
    cargo.arg(plugins.join("Cargo.toml"));
    for package in packages {
        cargo.args(["--package", package]);
    }
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(belongs_to_the_outer_build) {
            cargo.env_remove(name);
        }
    }
    let output = cargo.env("CARGO_TARGET_DIR", target).output().map_err(Failed::io("cargo"))?;
    if output.status.success() {
        return Ok(());
    }
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    Err(Failed("the first-party plugins do not build; what cargo said of them stands above".to_owned()))
}

/// Flags, wrappers (clippy's too) and profile of the build that runs this script; where packages
/// come from stays.
fn belongs_to_the_outer_build(name: &str) -> bool {
    const KEPT: [&str; 6] =
        ["CARGO_HOME", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTRIES_", "CARGO_REGISTRY_", "CARGO_SOURCE_"];
    const FOREIGN: [&str; 11] = [
        "RUSTFLAGS",
        "RUSTDOCFLAGS",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_LINKER",
        "CLIPPY_ARGS",
        "CLIPPY_CONF_DIR",
        "LLVM_PROFILE_FILE",
        "MAKEFLAGS",
        "MFLAGS",
        "__CARGO_DEFAULT_LIB_METADATA",
    ];
    FOREIGN.contains(&name) || (name.starts_with("CARGO_") && !KEPT.iter().any(|kept| name.starts_with(kept)))
}

/// Copies a component next to the table and writes its row.
fn entry(target: &Path, out: &Path, name: &str, package: &str) -> Result<String, Failed> {
    let built = target.join(TARGET).join("release").join(package.replace('-', "_")).with_extension("wasm");
    let component = fs::read(&built).map_err(Failed::io(built.display()))?;
    let copy = out.join(name).with_extension("wasm");
    fs::write(&copy, &component).map_err(Failed::io(copy.display()))?;
    let digest = ring::digest::digest(&ring::digest::SHA256, &component);
    Ok(format!(
        "    Bundled {{ name: {name:?}, component: include_bytes!({copy:?}), sha256: {:?} }},\n",
        digest.as_ref()
    ))
}

/// Why there are no components.
#[derive(Debug)]
struct Failed(String);

impl Failed {
    fn io(what: impl fmt::Display) -> impl FnOnce(io::Error) -> Self {
        move |error| Self(format!("{what}: {error}"))
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
