//! Components as far as they are looked at before compilation: any bytes.
//!
//! What is let through is a component with the right export, and names only what is offered.

use warder_runtime::fuzzing;

/// Feeds one input.
pub fn run(data: &[u8]) {
    match fuzzing::component(data) {
        Ok(imports) => {
            assert!(data.starts_with(b"\0asm\x0d\0\x01\0"), "no component is let through");
            for name in imports {
                let offered = name.starts_with("warder:plugin/") || name.starts_with("wasi:");
                assert!(offered && !name.contains("reveal") && !name.contains("sockets"), "{name} is let through");
            }
        }
        Err(words) => assert!(!words.is_empty()),
    }
}
