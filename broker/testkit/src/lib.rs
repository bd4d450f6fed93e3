//! Real servers and the real binary for tests and benchmarks
