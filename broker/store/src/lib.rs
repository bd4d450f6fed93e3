//! Where Warder keeps things: engines, the barrier, seals, audit sinks
