//! The first-party plugins as components, built by the build script
