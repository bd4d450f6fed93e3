//! One fuzzer for every target: `FUZZ_TARGET` names it.

#![no_main]

use std::sync::LazyLock;

static RUN: LazyLock<warder_fuzz::Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    warder_fuzz::target(&name).unwrap_or_else(|| {
        let names: Vec<&str> = warder_fuzz::TARGETS.iter().map(|(name, _)| *name).collect();
        eprintln!("FUZZ_TARGET is {name:?}: expected one of {}", names.join(", "));
        std::process::exit(2);
    })
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| RUN(data));
