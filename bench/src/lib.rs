//! Warder's benchmarks
