//! What failed credentials bring about: names that are locked, and addresses that are throttled.
//!
//! Called by `broker`. It lives in memory alone, as in Vault: a restart forgets it. Invariants:
//! memory is bounded, whatever names and addresses attackers choose; nobody who shows a credential
//! that was good a moment ago is refused for what others did; no name is told but to operators.

mod addresses;
mod names;

pub use addresses::Addresses;
pub use names::{Locked, Names};

/// Both, for those who ask about them.
#[derive(Debug)]
pub struct Lockouts {
    /// Names that somebody logs in by.
    pub names: Names,
    /// Where failed credentials come from.
    pub addresses: Addresses,
}

impl Lockouts {
    /// Nothing failed yet; `failures` from one address may fail at once, 0 for any number.
    #[must_use]
    pub fn new(failures: u32) -> Self {
        Self { names: Names::default(), addresses: Addresses::new(failures) }
    }
}
