//! gRPC messages: which of them, then its bytes.
//!
//! A message that decodes is encoded and decoded again the same, in bytes that are stable.

use prost::Message;
use warder_proto::v1;

use crate::parts;

/// Feeds one input.
pub fn run(mut data: &[u8]) {
    match parts::byte(&mut data) % 22 {
        0 => stable::<v1::SecretsServiceDeleteRequest>(data),
        1 => stable::<v1::SecretsServiceDestroyRequest>(data),
        2 => stable::<v1::SecretsServiceGetRequest>(data),
        3 => stable::<v1::SecretsServiceGetResponse>(data),
        4 => stable::<v1::SecretsServiceListRequest>(data),
        5 => stable::<v1::SecretsServicePatchRequest>(data),
        6 => stable::<v1::SecretsServicePutRequest>(data),
        7 => stable::<v1::SecretsServiceUndeleteRequest>(data),
        8 => stable::<v1::SecretsServiceVersionsRequest>(data),
        9 => stable::<v1::SecretsServiceVersionsResponse>(data),
        10 => stable::<v1::SecretsServiceBatchGetRequest>(data),
        11 => stable::<v1::SecretsServiceBatchGetResponse>(data),
        12 => stable::<v1::AuthServiceLoginRequest>(data),
        13 => stable::<v1::TokenServiceCreateRequest>(data),
        14 => stable::<v1::TokenServiceCreateResponse>(data),
        15 => stable::<v1::TokenServiceLookupResponse>(data),
        16 => stable::<v1::PolicyServicePutRequest>(data),
        17 => stable::<v1::PolicyServiceExplainRequest>(data),
        18 => stable::<v1::MountServiceEnableRequest>(data),
        19 => stable::<v1::SysServiceInitResponse>(data),
        20 => stable::<v1::SysServiceUnsealRequest>(data),
        _ => stable::<warder_proto::reflection::ServerReflectionRequest>(data),
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
