//! The `warder` program.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;
use zeroizing_alloc::ZeroAlloc;

/// Overwrites every block with zeroes when it is freed: requests pass through buffers of hyper, h2,
/// rustls, prost and serde, which do not clean up behind themselves. Below it jemalloc, for threads
/// that free what others allocated. See `DESIGN.md`.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<Jemalloc> = ZeroAlloc(Jemalloc);

fn main() -> ExitCode {
    warder::cli::main()
}
