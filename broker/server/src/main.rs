//! The `warder` program.

use std::{alloc::System, process::ExitCode};

use zeroizing_alloc::ZeroAlloc;

/// Overwrites every block with zeroes when it is freed: requests pass through buffers of hyper, h2,
/// rustls, prost and serde, which do not clean up behind themselves. See `DESIGN.md`.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    warder::cli::main()
}
