//! Components for the tests, built by the testkit.

use warder_testkit::Guest;

/// The plugin whose routes misbehave.
pub(crate) fn misbehave() -> Vec<u8> {
    Guest::Misbehave.component().expect("it builds")
}

/// One of the plugins that must not be loaded.
pub(crate) fn example(name: &'static str) -> Vec<u8> {
    Guest::Refused(name).component().expect("it builds")
}
