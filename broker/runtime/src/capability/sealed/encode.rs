//! Encodings of sealed bytes: base64 (standard, padded), base64url (unpadded), hex (lower case),
//! percent (RFC 3986, all but unreserved characters; of a secret every byte, because the length
//! of the result is visible and would count them).

use base64::{
    Engine as _,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use warder_core::secret::Secret;
use zeroize::Zeroizing;

use crate::bind::warder::plugin::sealed::Encoding;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT.with_encode_padding(false));
const HEX: &[u8; 16] = b"0123456789abcdef";

/// Bytes of text for a byte, at most.
pub(super) const STRETCH: usize = 3;

/// The bytes as text; `known` to the plugin, or a secret.
pub(super) fn encode(encoding: Encoding, bytes: &[u8], known: bool) -> Secret {
    match encoding {
        Encoding::Base64 => Secret::from(BASE64.encode(bytes)),
        Encoding::Base64Url => Secret::from(BASE64_URL.encode(bytes)),
        Encoding::Hex => {
            let mut out = Vec::with_capacity(bytes.len() * 2);
            bytes.iter().for_each(|byte| out.extend(digits(*byte, HEX)));
            Secret::new(out)
        }
        Encoding::Percent => percent(bytes, known),
    }
}

/// The bytes that the text stands for; padding of base64 may be there or not.
pub(super) fn decode(encoding: Encoding, text: &[u8]) -> Option<Secret> {
    match encoding {
        Encoding::Base64 => base64(&BASE64, text),
        Encoding::Base64Url => base64(&BASE64_URL, text),
        Encoding::Hex => {
            let mut out = Zeroizing::new(Vec::with_capacity(text.len() / 2));
            for pair in text.chunks(2) {
                let [high, low] = pair else { return None };
                out.push(byte(*high, *low)?);
            }
            Some(Secret::from(out.as_slice()))
        }
        Encoding::Percent => unpercent(text),
    }
}

fn base64(engine: &GeneralPurpose, text: &[u8]) -> Option<Secret> {
    let mut out = Zeroizing::new(Vec::with_capacity(base64::decoded_len_estimate(text.len())));
    engine.decode_vec(text, &mut out).ok()?;
    Some(Secret::from(out.as_slice()))
}

fn percent(bytes: &[u8], known: bool) -> Secret {
    let mut out = Vec::with_capacity(bytes.len() * STRETCH);
    for byte in bytes {
        if known && (byte.is_ascii_alphanumeric() || b"-._~".contains(byte)) {
            out.push(*byte);
        } else {
            out.push(b'%');
            out.extend(digits(*byte, b"0123456789ABCDEF"));
        }
    }
    Secret::new(out)
}

fn unpercent(text: &[u8]) -> Option<Secret> {
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            let ([high, low], after) = rest.split_first_chunk::<2>()?;
            out.push(byte(*high, *low)?);
            rest = after;
        } else {
            out.push(*first);
        }
    }
    Some(Secret::from(out.as_slice()))
}

fn digits(byte: u8, alphabet: &[u8; 16]) -> [u8; 2] {
    [alphabet[usize::from(byte >> 4)], alphabet[usize::from(byte & 15)]]
}

fn byte(high: u8, low: u8) -> Option<u8> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_decodes_back() {
        let all: Vec<u8> = (0..=255).collect();
        for encoding in [Encoding::Base64, Encoding::Base64Url, Encoding::Hex, Encoding::Percent] {
            for bytes in [&b""[..], b"a", b"ab", b"abc", &all] {
                for known in [true, false] {
                    let text = encode(encoding, bytes, known);
                    assert!(text.expose().is_ascii() && text.len() <= bytes.len().max(2) * STRETCH);
                    assert!(decode(encoding, text.expose()).unwrap().ct_eq(bytes));
                }
            }
        }
        assert!(encode(Encoding::Percent, b"p@ss w/%", true).ct_eq(b"p%40ss%20w%2F%25"));
    }

    #[test]
    fn the_length_of_an_encoded_secret_depends_on_its_length_alone() {
        for encoding in [Encoding::Base64, Encoding::Base64Url, Encoding::Hex, Encoding::Percent] {
            let lengths = [&b"aaaaaaaa"[..], b"p@ss w/%", b"\0\xff\"\\'~+="].map(|b| encode(encoding, b, false).len());
            assert!(lengths.iter().all(|length| *length == lengths[0]), "{encoding:?}: {lengths:?}");
        }
    }

    #[test]
    fn other_text_is_refused() {
        for (encoding, text) in [
            (Encoding::Base64, "a"),
            (Encoding::Base64, "ab-_"),
            (Encoding::Base64Url, "ab+/"),
            (Encoding::Hex, "abc"),
            (Encoding::Hex, "zz"),
            (Encoding::Percent, "%4"),
            (Encoding::Percent, "%+1"),
        ] {
            assert!(decode(encoding, text.as_bytes()).is_none(), "{text}");
        }
    }
}
