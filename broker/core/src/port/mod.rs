//! The seams: what core asks of storage, plugins, seals and audit sinks. Everything below
//! implements one of these; nothing in core knows who does.

pub mod backend;
pub mod keyring;
pub mod seal;
pub mod sink;
pub mod snapshots;
pub mod storage;
pub mod usage;
