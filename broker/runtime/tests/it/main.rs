//! The runtime's promises, kept against real components.

mod bench;
mod faults;
mod guests;
mod keys;
mod launder;
mod limits;
mod loading;
mod memory;
mod observe;
mod sandbox;
