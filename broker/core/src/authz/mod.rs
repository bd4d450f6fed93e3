//! Policies: who may.
//!
//! [`Policies`] stores policy texts and compiles the ones of a caller into an [`Acl`];
//! [`authorize`] asks the `Acl` a [`Question`] and makes the [`Permit`] that routing, cache,
//! leases and plugins demand. The broker calls both for every request; `sys` calls the rest.
//!
//! Invariant: nothing but [`authorize`] and [`Permit::public`] makes a `Permit`, and whatever a
//! policy says that cannot be enforced is refused when the policy is written, never ignored.
//!
//! To add a key of a policy's path block: a field of `policy::Rule`, a line in
//! `policy/rules.rs`, its merge in `acl/grant.rs` and its check in `acl/judge.rs`.

mod acl;
mod explain;
mod permit;
mod policy;
mod privileged;
mod store;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use policy::fuzzing;

pub use acl::{Acl, Decision, Question};
pub use explain::{Explanation, MatchedBy};
pub use permit::{Permit, authorize};
pub use policy::{MAX_PATH_BYTES, MAX_RULES, MAX_TEXT_BYTES, Policy, PolicyError};
pub use privileged::privileged;
pub use store::{MAX_NAME_BYTES, Policies, PolicyRecord};
