//! The `warder` program.

use std::process::ExitCode;

use mimalloc::MiMalloc;
use zeroizing_alloc::ZeroAlloc;

/// Overwrites every block with zeroes when it is freed: requests pass through buffers of hyper, h2,
/// rustls, prost and serde, which do not clean up behind themselves. See `DESIGN.md`.
///
/// Beneath it mimalloc: requests are many small blocks, made on one thread and freed on another.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<MiMalloc> = ZeroAlloc(MiMalloc);

fn main() -> ExitCode {
    warder::cli::main()
}
