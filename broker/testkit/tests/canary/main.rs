//! Marked secrets sent through every path of the real binary, and then looked for everywhere but
//! in the answers that they belong in: logs, audit, metrics, what a collector gets, errors, files, arguments,
//! environment, and after sealing the process's memory.
//!
//! Names and paths are visible by design (SECURITY.md), so no mark is one.

mod broker;
mod failures;
mod forward;
mod keys;
mod marks;
mod places;
mod sealed;
mod search;
mod visible;
mod walk;
