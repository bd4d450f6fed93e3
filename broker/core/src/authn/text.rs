//! The text of tokens and accessors.

use super::refusal::Refusal;
use crate::{
    error::Result,
    random::{self, append_base62},
    secret::Secret,
};

/// Prefix of a service token, followed by 24 base62 characters.
pub(super) const SERVICE: &str = "hvs.";
/// Prefix of a batch token, followed by base64url.
pub(super) const BATCH: &str = "hvb.";

const MAX_CUSTOM_BYTES: usize = 128;

pub(super) fn service_token() -> Result<Secret> {
    let mut text = Vec::with_capacity(SERVICE.len() + random::CHARACTERS);
    text.extend_from_slice(SERVICE.as_bytes());
    append_base62(&mut text, random::CHARACTERS)?;
    Ok(Secret::new(text))
}

pub(super) fn accessor() -> Result<String> {
    random::name()
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
