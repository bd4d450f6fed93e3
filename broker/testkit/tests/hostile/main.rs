//! A plugin that does everything that it must not get away with, mounted in the real binary beside
//! `kv`: each of its deeds is contained, named and without effect, and nobody else notices.

#![expect(clippy::expect_used, reason = "a helper that meets what must not be ends its test")]

mod contained;
mod crowded;
mod deed;
mod files;
mod neighbours;
mod repeated;
mod stage;
