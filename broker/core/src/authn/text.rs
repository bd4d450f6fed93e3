//! The text of tokens and accessors.

use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::refusal::Refusal;
use crate::{
    error::{Error, Result},
    secret::Secret,
};

/// Prefix of a service token, followed by 24 base62 characters.
pub(super) const SERVICE: &str = "hvs.";
/// Prefix of a batch token, followed by base64url.
pub(super) const BATCH: &str = "hvb.";

const RANDOM_CHARACTERS: usize = 24;
const MAX_CUSTOM_BYTES: usize = 128;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

pub(super) fn service_token() -> Result<Secret> {
    let mut text = Vec::with_capacity(SERVICE.len() + RANDOM_CHARACTERS);
    text.extend_from_slice(SERVICE.as_bytes());
    append_base62(&mut text)?;
    Ok(Secret::new(text))
}

pub(super) fn accessor() -> Result<String> {
    let mut text = Vec::with_capacity(RANDOM_CHARACTERS);
    append_base62(&mut text)?;
    String::from_utf8(text).map_err(Error::internal)
}

/// 24 characters, each equally likely: bytes of 248 and above would favour the first eight.
fn append_base62(text: &mut Vec<u8>) -> Result<()> {
    let goal = text.len() + RANDOM_CHARACTERS;
    let mut random = Zeroizing::new([0; 32]);
    while text.len() < goal {
        SystemRandom::new().fill(random.as_mut()).map_err(|_| Error::internal("no randomness"))?;
        let fair = random.iter().filter(|byte| **byte < 248);
        let left = goal - text.len();
        text.extend(fair.take(left).filter_map(|byte| BASE62.get(usize::from(byte % 62))));
    }
    Ok(())
}

/// A token's text chosen by the caller.
///
/// No dot: it can look neither like a batch token nor like one that Warder made.
pub(super) fn custom(id: &Secret) -> Result<(), Refusal> {
    let bytes = id.expose();
    let sound = (1..=MAX_CUSTOM_BYTES).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
    if bytes.contains(&b'.') || !sound { Err(Refusal::CustomId) } else { Ok(()) }
}

/// What follows the prefix of a batch token.
pub(super) fn batch_body(token: &Secret) -> Option<&[u8]> {
    token.expose().strip_prefix(BATCH.as_bytes())
}
