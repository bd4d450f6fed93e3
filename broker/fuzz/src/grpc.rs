//! gRPC messages: which of them, then its bytes.
//!
//! A message that decodes is encoded and decoded again the same, in bytes that are stable.

use prost::Message;
use warder_proto::v1::{
    SecretsServiceDeleteRequest, SecretsServiceDestroyRequest, SecretsServiceGetRequest, SecretsServiceGetResponse,
    SecretsServiceListRequest, SecretsServicePatchRequest, SecretsServicePutRequest, SecretsServiceUndeleteRequest,
    SecretsServiceVersionsRequest, SecretsServiceVersionsResponse,
};

use crate::parts;

/// Feeds one input.
pub fn run(mut data: &[u8]) {
    match parts::byte(&mut data) % 10 {
        0 => stable::<SecretsServiceDeleteRequest>(data),
        1 => stable::<SecretsServiceDestroyRequest>(data),
        2 => stable::<SecretsServiceGetRequest>(data),
        3 => stable::<SecretsServiceGetResponse>(data),
        4 => stable::<SecretsServiceListRequest>(data),
        5 => stable::<SecretsServicePatchRequest>(data),
        6 => stable::<SecretsServicePutRequest>(data),
        7 => stable::<SecretsServiceUndeleteRequest>(data),
        8 => stable::<SecretsServiceVersionsRequest>(data),
        _ => stable::<SecretsServiceVersionsResponse>(data),
    }
}

fn stable<M: Message + Default + PartialEq + std::fmt::Debug>(data: &[u8]) {
    let Ok(message) = M::decode(data) else { return };
    let written = message.encode_to_vec();
    assert_eq!(written.len(), message.encoded_len());
    let again = M::decode(written.as_slice()).expect("a written message is read");
    assert_eq!(again, message);
    assert_eq!(again.encode_to_vec(), written);
}
