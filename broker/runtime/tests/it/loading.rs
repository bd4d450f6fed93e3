//! What is refused before it runs.

use std::sync::Arc;

use warder_core::{clock::SystemClock, port::backend::Plugins};
use warder_runtime::{Catalog, Runtime, RuntimeConfig, RuntimeError, capability::KINDS};

use crate::{guests, sandbox::config};

fn runtime() -> Arc<Runtime> {
    Runtime::new(config(), Arc::new(SystemClock)).expect("a runtime")
}

async fn refused(name: &str, component: &[u8]) -> String {
    runtime().load(name, component).await.err().expect("a refusal").to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn forbidden_imports_are_refused_by_name() {
    let text = refused("sockets", &guests::example("sockets")).await;
    assert!(text.starts_with("plugin sockets imports wasi:") && text.contains("wasi:sockets/tcp@0.2"), "{text}");
    assert!(text.ends_with("which Warder does not offer"), "{text}");
    let text = refused("revealing", &guests::example("revealing")).await;
    assert_eq!(text, "plugin revealing imports warder:plugin/reveal@0.1.0, which Warder does not offer");
}

#[tokio::test(flavor = "multi_thread")]
async fn describing_oneself_by_the_host_is_refused() {
    let text = refused("impure", &guests::example("impure")).await;
    assert_eq!(text, "plugin impure does not describe itself: called the host while describing itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_bytes_are_checked() {
    let text = refused("other", &guests::misbehave()).await;
    assert!(text.ends_with("name: it says \"misbehave\", but is loaded as \"other\""), "{text}");
    assert!(refused("Bad Name", &guests::misbehave()).await.contains("lower-case"));
    assert!(refused("noise", b"noise").await.contains("is not a WebAssembly component"));
    let mut torn = guests::misbehave();
    torn.truncate(torn.len() / 2);
    assert!(refused("misbehave", &torn).await.contains("is not a WebAssembly component"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalog_finds_by_name_and_refuses_twins() {
    let runtime = runtime();
    let catalog = Catalog::load(&runtime, [("misbehave", guests::misbehave())]).await.expect("it loads");
    assert!(catalog.find("misbehave").is_some() && catalog.find("kv").is_none());
    assert_eq!(catalog.list().into_iter().collect::<Vec<_>>(), [("misbehave".to_owned(), "0.1.0".to_owned())]);
    let twins = Catalog::load(&runtime, [("misbehave", guests::misbehave()), ("misbehave", guests::misbehave())]);
    assert!(matches!(twins.await, Err(RuntimeError::Twice(name)) if name == "misbehave"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_loaded_under_the_name_that_it_gives_itself() {
    let runtime = runtime();
    let mut catalog = Catalog::default();
    assert_eq!(catalog.add_nameless(&runtime, "./my.wasm", &guests::misbehave()).await.expect("it loads"), "misbehave");
    assert_eq!(catalog.find("misbehave").expect("it is there").description().name, "misbehave");
    let again = catalog.add_nameless(&runtime, "./again.wasm", &guests::misbehave()).await.expect_err("a refusal");
    let words = "plugin ./again.wasm calls itself \"misbehave\", and there is a plugin of this name";
    assert_eq!(again.to_string(), words);
    let noise = catalog.add_nameless(&runtime, "./noise.wasm", b"noise").await.expect_err("a refusal");
    assert!(noise.to_string().starts_with("plugin ./noise.wasm is not a WebAssembly component"), "{noise}");
}

/// Every interface that the contract's worlds import has its line in `KINDS`, and `reveal` has none.
#[test]
fn the_table_of_capabilities_is_the_contracts() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sdk-wit/wit/backend.wit");
    let text = std::fs::read_to_string(path).expect("the contract");
    let world =
        text.split("world host-capabilities {").nth(1).and_then(|rest| rest.split('}').next()).expect("the world");
    let mut imported: Vec<&str> = world
        .lines()
        .filter_map(|line| line.trim().strip_prefix("import ")?.strip_suffix(';'))
        .filter(|interface| *interface != "types")
        .collect();
    let mut kinds: Vec<&str> = KINDS.iter().map(|kind| kind.interface).collect();
    imported.sort_unstable();
    kinds.sort_unstable();
    assert_eq!(kinds, imported);
}

#[test]
fn bounds_that_are_none_are_refused() {
    for (config, words) in [
        (RuntimeConfig { max_concurrent: 0, ..config() }, "max_concurrent"),
        (RuntimeConfig { memory_bytes: 0, ..config() }, "memory_bytes"),
        (RuntimeConfig { hostcall_fuel: 0, ..config() }, "hostcall_fuel"),
    ] {
        let error = Runtime::new(config, Arc::new(SystemClock)).expect_err("a refusal");
        assert!(error.to_string().contains(words), "{error}");
    }
}
