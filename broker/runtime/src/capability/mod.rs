//! What plugins may touch: one folder per interface of the contract.
//!
//! Each folder implements its generated `Host` traits for the host and has a
//! line in [`KINDS`]. To add one: the folder, the line. Invariant: an implementation reaches the
//! call's state only through `Host::call`, which traps while a plugin describes itself.

pub(crate) mod absent;
mod caller;
mod clock;
mod crypto;
pub(crate) mod keys;
pub(crate) mod sealed;
pub(crate) mod store;
mod telemetry;

use crate::{
    bind::warder::plugin as wit,
    host::{Direct, Host, Link},
};

/// One interface of the contract.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name in the contract.
    pub interface: &'static str,
    /// Does something in this version; the others link, and answer `unsupported`.
    pub available: bool,
    pub(crate) link: Link,
}

const fn kind(interface: &'static str, link: Link) -> Kind {
    Kind { interface, available: true, link }
}

const fn absent(interface: &'static str, link: Link) -> Kind {
    Kind { interface, available: false, link }
}

/// Every interface that a plugin may import; `reveal` is not among them.
pub const KINDS: [Kind; 11] = [
    kind("caller", |linker| wit::caller::add_to_linker::<Host, Direct>(linker, |host| host)),
    kind("clock", |linker| wit::clock::add_to_linker::<Host, Direct>(linker, |host| host)),
    kind("crypto", |linker| wit::crypto::add_to_linker::<Host, Direct>(linker, |host| host)),
    kind("keys", |linker| wit::keys::add_to_linker::<Host, Direct>(linker, |host| host)),
    kind("sealed", |linker| wit::sealed::add_to_linker::<Host, Direct>(linker, |host| host)),
    kind("store", |linker| wit::store::add_to_linker::<Host, Direct>(linker, |host| host)),
    kind("telemetry", |linker| wit::telemetry::add_to_linker::<Host, Direct>(linker, |host| host)),
    absent("http", |linker| wit::http::add_to_linker::<Host, Direct>(linker, |host| host)),
    absent("journal", |linker| wit::journal::add_to_linker::<Host, Direct>(linker, |host| host)),
    absent("sql", |linker| wit::sql::add_to_linker::<Host, Direct>(linker, |host| host)),
    absent("tcp", |linker| wit::tcp::add_to_linker::<Host, Direct>(linker, |host| host)),
];
