//! The runtime's promises, kept against real components.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test says what it expects")]

mod contract;
mod faults;
mod forge;
mod guests;
mod keys;
mod launder;
mod limits;
mod loading;
mod memory;
mod observe;
mod sandbox;
mod share;
