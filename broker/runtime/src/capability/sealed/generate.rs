//! Random text, without bias, labelled by how guessable it is.

use ring::rand::{SecureRandom, SystemRandom};
use warder_core::{sealed::Form, secret::Secret};
use zeroize::Zeroizing;

use super::{Origin, Value};
use crate::{
    bind::warder::plugin::sealed::Charset,
    fault::{Fault, invalid},
};

const LONGEST: u32 = 4096;
/// A plugin can list all values below this many bits: they count as known to it.
const KNOWN_BELOW: f64 = 40.0;
/// Below this many bits a value is no key: it is trusted for nothing.
const MIXED_BELOW: f64 = 100.0;

/// `length` characters drawn from `charset`.
///
/// # Errors
/// `invalid-request` for a length outside 1 to 4096 and an empty or repetitive custom charset.
pub(super) fn generate(random: &SystemRandom, length: u32, charset: &Charset) -> Result<Value, Fault> {
    if !(1..=LONGEST).contains(&length) {
        return Err(invalid("the length to generate must be 1 to 4096"));
    }
    let alphabet = alphabet(charset)?;
    let mut text = Zeroizing::new(Vec::with_capacity(length as usize * 4));
    let mut random = Draw { random, pool: Zeroizing::new([0; 256]), used: 256 };
    for _ in 0..length {
        let at = random.below(alphabet.len())?;
        let mut buffer = [0; 4];
        if let Some(character) = alphabet.get(at) {
            text.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
        }
    }
    let origin = origin(length, alphabet.len());
    Ok(Value { bytes: Secret::from(text.as_slice()), form: Form::Text, origin })
}

fn origin(length: u32, alphabet: usize) -> Origin {
    let size = f64::from(u32::try_from(alphabet).unwrap_or(u32::MAX));
    match f64::from(length) * size.log2() {
        bits if bits < KNOWN_BELOW => Origin::Known,
        bits if bits < MIXED_BELOW => Origin::Mixed,
        _ => Origin::Foreign,
    }
}

fn alphabet(charset: &Charset) -> Result<Vec<char>, Fault> {
    let characters: Vec<char> = match charset {
        Charset::Alphanumeric => ('0'..='9').chain('A'..='Z').chain('a'..='z').collect(),
        Charset::Printable => ('!'..='~').collect(),
        Charset::Base58 => "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz".chars().collect(),
        Charset::Hex => "0123456789abcdef".chars().collect(),
        Charset::Custom(text) => text.chars().collect(),
    };
    let mut distinct = characters.clone();
    distinct.sort_unstable();
    distinct.dedup();
    if characters.is_empty() || characters.len() > 256 || distinct.len() < characters.len() {
        return Err(invalid("a custom charset is 1 to 256 characters, each once"));
    }
    Ok(characters)
}

/// Random bytes, fetched by the block.
struct Draw<'a> {
    random: &'a SystemRandom,
    pool: Zeroizing<[u8; 256]>,
    used: usize,
}

impl Draw<'_> {
    /// A number below `count` (1 to 256): bytes past the last whole multiple are drawn again.
    fn below(&mut self, count: usize) -> Result<usize, Fault> {
        let fair = 256 - 256 % count;
        loop {
            let byte = usize::from(self.byte()?);
            if byte < fair {
                return Ok(byte % count);
            }
        }
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        if self.used >= self.pool.len() {
            self.random.fill(&mut *self.pool).map_err(|_| wasmtime::format_err!("no randomness"))?;
            self.used = 0;
        }
        self.used += 1;
        Ok(self.pool[self.used - 1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(length: u32, charset: Charset) -> Result<Value, Fault> {
        generate(&SystemRandom::new(), length, &charset)
    }

    #[test]
    fn every_character_turns_up_and_no_other() {
        let value = made(4096, Charset::Custom("ab\u{1f512}".into())).unwrap();
        let text = value.bytes.expose_str().unwrap().to_owned();
        assert_eq!(text.chars().count(), 4096);
        for character in ['a', 'b', '\u{1f512}'] {
            let count = text.chars().filter(|c| *c == character).count();
            assert!((1000..1700).contains(&count), "{character}: {count}");
        }
    }

    #[test]
    fn guessable_values_are_not_secrets_of_ours() {
        let origin = |length, charset| made(length, charset).unwrap().origin;
        assert_eq!(origin(4096, Charset::Custom("a".into())), Origin::Known);
        assert_eq!(origin(32, Charset::Custom("ab".into())), Origin::Known);
        assert_eq!(origin(4, Charset::Printable), Origin::Known);
        assert_eq!(origin(8, Charset::Alphanumeric), Origin::Mixed);
        assert_eq!(origin(32, Charset::Hex), Origin::Foreign);
        assert_eq!(origin(20, Charset::Alphanumeric), Origin::Foreign);
    }

    #[test]
    fn bad_bounds_are_refused() {
        for (length, charset) in [(0, "a"), (4097, "a"), (1, ""), (1, "aa")] {
            assert!(made(length, Charset::Custom(charset.into())).is_err());
        }
    }
}
