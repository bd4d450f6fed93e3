//! Disks that crash, fill up and fail.

mod crash;
mod disk;
mod failing;
