//! What Warder promises from outside: the real binary, over the wire.

mod bad_input;
mod kv_v2;
mod quick_start;
