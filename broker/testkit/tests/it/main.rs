//! What Warder promises from outside: the real binary, over the wire.

mod bad_input;
mod deploy;
mod grpc;
mod kv_v2;
mod leases;
mod limits;
mod lockout;
mod rotate;
mod seal;
mod telemetry;
