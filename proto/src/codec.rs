//! How messages go into gRPC frames: plain protobuf, without growing a buffer that holds a
//! secret. The generated services use it by name.

use std::{fmt, marker::PhantomData};

use bytes::Buf as _;
use prost::Message;
use tonic::{
    Status,
    codec::{self, DecodeBuf, EncodeBuf},
};

/// Encodes `T`, decodes `U`.
pub struct Codec<T, U>(PhantomData<fn(T) -> U>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> fmt::Debug for Codec<T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Codec")
    }
}

impl<T, U> codec::Codec for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = Encoder<T>;
    type Decoder = Decoder<U>;

    fn encoder(&mut self) -> Encoder<T> {
        Encoder(PhantomData)
    }

    fn decoder(&mut self) -> Decoder<U> {
        Decoder(PhantomData)
    }
}

/// Writes messages; reserves exactly what each needs before its first byte.
pub struct Encoder<T>(PhantomData<fn(T)>);

impl<T> fmt::Debug for Encoder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encoder")
    }
}

impl<T: Message> codec::Encoder for Encoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.reserve(item.encoded_len());
        item.encode(into).map_err(|e| Status::internal(e.to_string()))
    }
}

/// Reads messages.
pub struct Decoder<U>(PhantomData<fn() -> U>);

impl<U> fmt::Debug for Decoder<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decoder")
    }
}

impl<U: Message + Default> codec::Decoder for Decoder<U> {
    type Item = U;
    type Error = Status;

    /// # Errors
    /// `INVALID_ARGUMENT`: prost's words name message, field and wire type, never content.
    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let whole = from.copy_to_bytes(from.remaining());
        U::decode(whole).map(Some).map_err(|e| Status::invalid_argument(e.to_string()))
    }
}
