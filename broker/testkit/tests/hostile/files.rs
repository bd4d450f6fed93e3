//! Plugins from files: refused with words that say why, or loaded under their own name.

use std::{fs, path::Path, process::Command};

use warder_testkit::{Failure, Guest, Result, Warder, temp_dir};

/// Exit code and standard error of `warder ARGUMENTS`, which must not start.
fn refused(arguments: &[&str]) -> Result<String> {
    let output =
        Command::new(Warder::program()?).args(arguments).output().map_err(|why| Failure::new("start warder", why))?;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(output.stdout.is_empty(), "it said that it runs");
    Ok(words)
}

fn dev(plugin: &Path) -> Result<String> {
    refused(&["dev", "--listen", "127.0.0.1:0", "--plugin", &plugin.display().to_string()])
}

#[test]
fn what_is_no_good_plugin_is_refused_with_the_reason() -> Result {
    let directory = temp_dir()?;
    let file = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, bytes).map(|()| path)
    };
    let whole = Guest::Misbehave.component()?;
    for (plugin, words) in [
        (file("text.wasm", b"not a component")?, "is not a WebAssembly component"),
        (file("core.wasm", b"\0asm\x01\0\0\0")?, "is not a WebAssembly component: it is a core module"),
        (file("torn.wasm", &whole[..whole.len() / 2])?, "is not a WebAssembly component"),
        (file("empty.wasm", b"")?, "is not a WebAssembly component"),
        (Guest::Refused("sockets").path()?, "imports wasi:"),
        (Guest::Refused("revealing").path()?, "imports warder:plugin/reveal@0.1.0, which Warder does not offer"),
        (Guest::Refused("impure").path()?, "does not describe itself: called the host while describing itself"),
        (directory.path().join("missing.wasm"), "No such file"),
        (directory.path().to_owned(), "Is a directory"),
    ] {
        let told = dev(&plugin)?;
        assert!(told.contains(words) && told.contains(&plugin.display().to_string()), "{told}");
    }
    Ok(())
}

#[test]
fn a_name_is_taken_once() -> Result {
    let path = Guest::Misbehave.path()?.display().to_string();
    let told = refused(&["dev", "--listen", "127.0.0.1:0", "--plugin", &path, "--plugin", &path])?;
    assert!(told.contains("calls itself \"misbehave\", and there is a plugin of this name"), "{told}");
    Ok(())
}

#[test]
fn serve_takes_pinned_files_only() -> Result {
    let directory = temp_dir()?;
    let path = Guest::Misbehave.path()?;
    let sum = Command::new("sha256sum").arg(&path).output().map_err(|why| Failure::new("run sha256sum", why))?;
    let digest = String::from_utf8_lossy(&sum.stdout).split(' ').next().unwrap_or_default().to_owned();
    let config = |name: &str, digest: &str| {
        let text = format!(
            "[listener]\naddress = \"127.0.0.1:0\"\ntls_disable = true\n[storage]\ntype = \"memory\"\n\
             [audit.main]\ntype = \"file\"\npath = \"{}/audit.log\"\n\
             [plugins.{name}]\nfile = \"{}\"\nsha256 = \"{digest}\"\n",
            directory.path().display(),
            path.display()
        );
        let file = directory.path().join("warder.toml");
        fs::write(&file, text).map(|()| file)
    };
    let file = config("misbehave", &digest)?;
    let warder = Warder::serve(&file).start()?;
    warder.process().says("plugin loaded")?;
    drop(warder);
    let serve = |file: &Path| refused(&["serve", "--config", &file.display().to_string()]);
    let told = serve(&config("misbehave", &"0".repeat(64))?)?;
    assert!(told.contains(&digest) && told.contains(&"0".repeat(64)), "{told}");
    let told = serve(&config("other", &digest)?)?;
    assert!(told.contains("it says \"misbehave\", but is loaded as \"other\""), "{told}");
    Ok(())
}
