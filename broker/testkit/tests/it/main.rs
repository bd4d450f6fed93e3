//! What Warder promises from outside: the real binary, over the wire.

mod bad_input;
mod deploy;
mod kv_v2;
