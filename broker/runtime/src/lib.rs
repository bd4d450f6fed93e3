//! Runs plugins: a wasmtime host for the contract in `sdk-wit/wit`.
//!
//! [`Runtime`] turns a component into a [`Backend`](warder_core::port::backend::Backend); a
//! [`Catalog`] holds the loaded ones by name. Only the composition root calls this crate.
//!
//! Invariants: every exported call runs in a new sandbox that is gone when the call ends,
//! however it ends; a plugin reaches nothing but the capabilities in [`capability::KINDS`]; no
//! byte of a sealed value enters guest memory; a call that fails stores nothing; every fault is
//! an error that names the plugin, the mount and the reason.
//!
//! Compiled code is not kept on disk: wasmtime can only load it through an `unsafe` function,
//! and this workspace forbids `unsafe`. A plugin is compiled once per process.

mod bind;
mod call;
pub mod capability;
mod catalog;
mod config;
mod convert;
mod describe;
mod engine;
mod fault;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod host;
mod imports;
mod invoke;
mod limits;
mod load;
mod metered;
mod runtime;
mod share;
mod ticker;
mod wasi;

pub use catalog::Catalog;
pub use config::RuntimeConfig;
pub use imports::MAX_COMPONENT_BYTES;
pub use load::RuntimeError;
pub use runtime::Runtime;
