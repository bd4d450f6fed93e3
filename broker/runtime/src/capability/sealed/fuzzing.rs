//! Encodings of sealed values, for broker/fuzz.

use warder_core::secret::Secret;

use super::encode;
use crate::bind::warder::plugin::sealed::Encoding;

const ALL: [Encoding; 4] = [Encoding::Base64, Encoding::Base64Url, Encoding::Hex, Encoding::Percent];

fn encoding(number: u8) -> Encoding {
    ALL[usize::from(number) % ALL.len()]
}

/// The bytes as text.
pub(crate) fn encode(number: u8, bytes: &[u8]) -> Secret {
    encode::encode(encoding(number), bytes, number & 4 == 4)
}

/// The bytes that a text stands for.
pub(crate) fn decode(number: u8, text: &[u8]) -> Option<Secret> {
    encode::decode(encoding(number), text)
}
