//! Warder's rules, pure: who may do what, where it goes, what may be cached, what is recorded.
//!
//! No socket, no file, no wasm: the seams are in [`port`], and the crates above implement them.
//! Rooms (`authn`, `authz`, `route`, `cache`, `feed`, `lease`, `audit`, `sys`) share only the leaves declared
//! first; `broker` alone sees all rooms. `tests/arrows.rs` holds the table.

// Leaves.
pub mod clock;
pub mod duration;
pub mod error;
pub mod forms;
pub mod identity;
pub mod json;
pub mod memo;
pub mod news;
pub mod path;
pub mod port;
pub mod random;
pub mod request;
pub mod sealed;
pub mod secret;
mod shards;
#[cfg(any(test, feature = "test-clock"))]
pub mod testing;
pub mod trace;
pub mod txn;

// Rooms.
pub mod audit;
pub mod authn;
pub mod authz;
pub mod cache;
pub mod feed;
pub mod lease;
pub mod lockout;
pub mod quota;
pub mod route;
pub mod sys;

// The one that sees all rooms.
pub mod broker;
