//! Names that nobody guesses: base62 from the system's random source.

use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// Characters of a name: 142 bits.
pub const CHARACTERS: usize = 24;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Appends so many characters, each equally likely: bytes of 248 and above would favour the first eight.
///
/// # Errors
/// `internal` when the system has no randomness.
pub fn append_base62(text: &mut Vec<u8>, count: usize) -> Result<()> {
    let goal = text.len() + count;
    let mut random = Zeroizing::new([0; 32]);
    while text.len() < goal {
        SystemRandom::new().fill(random.as_mut()).map_err(|_| Error::internal("no randomness"))?;
        let fair = random.iter().filter(|byte| **byte < 248);
        let left = goal - text.len();
        text.extend(fair.take(left).filter_map(|byte| BASE62.get(usize::from(byte % 62))));
    }
    Ok(())
}

/// A name that is no secret.
///
/// # Errors
/// As [`append_base62`].
pub fn name() -> Result<String> {
    let mut text = Vec::with_capacity(CHARACTERS);
    append_base62(&mut text, CHARACTERS)?;
    String::from_utf8(text).map_err(Error::internal)
}
