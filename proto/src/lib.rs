//! `warder.v1`: the gRPC API's messages and services, generated from `proto/warder/v1`, and
//! gRPC's own protocols for health and reflection, from `proto/grpc`.
//!
//! The generated code is checked in (`src/gen`), so that nobody needs a protobuf compiler; the
//! test `generated` makes it anew without one, compares, and writes it with
//! `WARDER_REGENERATE=1`. Anybody may use this crate; it knows no other crate of Warder.
//!
//! Invariant: messages that hold secrets never print them, and are encoded into a buffer that is
//! sized once, so that growing it leaves no copy behind.

pub mod codec;
mod conceal;

/// Package `warder.v1`.
#[allow(missing_docs, unreachable_pub, unused_qualifications, reason = "generated")]
#[allow(clippy::all, clippy::use_self, clippy::unwrap_used, reason = "generated")]
#[allow(clippy::or_fun_call, clippy::allow_attributes_without_reason, reason = "generated")]
pub mod v1 {
    include!("gen/warder.v1.rs");
}

/// Package `grpc.health.v1`.
#[allow(missing_docs, unreachable_pub, unused_qualifications, reason = "generated")]
#[allow(clippy::all, clippy::use_self, clippy::unwrap_used, reason = "generated")]
#[allow(clippy::or_fun_call, clippy::allow_attributes_without_reason, reason = "generated")]
pub mod health {
    include!("gen/grpc.health.v1.rs");
}

/// Package `grpc.reflection.v1`.
#[allow(missing_docs, unreachable_pub, unused_qualifications, reason = "generated")]
#[allow(clippy::all, clippy::use_self, clippy::unwrap_used, reason = "generated")]
#[allow(clippy::or_fun_call, clippy::allow_attributes_without_reason, reason = "generated")]
pub mod reflection {
    include!("gen/grpc.reflection.v1.rs");
}

/// All protobufs of this crate and those that they import, without comments: a
/// `google.protobuf.FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!("gen/descriptors.bin");
