//! Fuzz targets: each module has one `run`, which feeds bytes to parsers of Warder and panics
//! where a promise is broken: what is accepted reads back the same, a canonical form is stable,
//! two readers agree, nothing panics.
//!
//! `tests/corpus.rs` runs each over its checked-in corpus and seeded mutations of it;
//! `coverage/` is the same under libFuzzer. To add a target: a module, a line in [`TARGETS`], a
//! line in `tests/corpus.rs` and a folder in `corpus/`.
//!
//! Inputs of several parts are split at 0xff, a byte that no UTF-8 text has.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a target panics when a promise is broken: that is what it is for"
)]

pub mod mutate;
mod parts;

pub mod audit;
pub mod barrier;
pub mod fields;
pub mod json;
pub mod path;
pub mod policy;
pub mod records;
pub mod shamir;
pub mod snapshot;

#[cfg(feature = "doors")]
pub mod answer;
#[cfg(feature = "doors")]
pub mod component;
#[cfg(feature = "doors")]
pub mod edge;
#[cfg(feature = "doors")]
pub mod grpc;
#[cfg(feature = "doors")]
pub mod http;
#[cfg(feature = "doors")]
pub mod manifest;

/// Takes one input.
pub type Target = fn(&[u8]);

/// Every target by name.
pub const TARGETS: &[(&str, Target)] = &[
    #[cfg(feature = "doors")]
    ("answer", answer::run),
    ("audit", audit::run),
    ("barrier", barrier::run),
    #[cfg(feature = "doors")]
    ("component", component::run),
    #[cfg(feature = "doors")]
    ("edge", edge::run),
    ("fields", fields::run),
    #[cfg(feature = "doors")]
    ("grpc", grpc::run),
    #[cfg(feature = "doors")]
    ("http", http::run),
    ("json", json::run),
    #[cfg(feature = "doors")]
    ("manifest", manifest::run),
    ("path", path::run),
    ("policy", policy::run),
    ("records", records::run),
    ("shamir", shamir::run),
    ("snapshot", snapshot::run),
];

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, run)| *run)
}
