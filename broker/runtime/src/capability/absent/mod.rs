//! `http`, `sql`, `tcp` and `journal`: linked so that a plugin that names them loads, and
//! answering `unsupported` until this version has them. Nothing here reaches outside.

mod http;
mod journal;
mod sql;
mod tcp;

use crate::fault::{Fault, unsupported};

/// Stands for a resource of a capability that is not there. Only an HTTP request can be made.
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub struct Absent;

/// The answer of every function.
fn not_yet<T>(capability: &str) -> Result<T, Fault> {
    Err(unsupported(format!("capability {capability} is not available in this version")))
}

/// For functions of resources that nobody can hold.
fn nobody<T>(capability: &str) -> wasmtime::Result<T> {
    Err(wasmtime::format_err!("capability {capability} is not available in this version"))
}
