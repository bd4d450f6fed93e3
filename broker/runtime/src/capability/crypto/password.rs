//! Password hashes: `$pbkdf2-sha256$i=<iterations>$<salt>$<hash>`, base64 without padding (PHC).
//!
//! They take long on purpose: callers run them on a blocking thread.

use std::num::NonZeroU32;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use ring::{
    pbkdf2::{self, PBKDF2_HMAC_SHA256},
    rand::{SecureRandom, SystemRandom},
};
use warder_core::secret::Secret;

/// OWASP's figure for PBKDF2-HMAC-SHA256.
const ITERATIONS: u32 = 600_000;
/// Foreign hashes may ask for less or more work, within reason.
const ACCEPTED: std::ops::RangeInclusive<u32> = 1_000..=2_000_000;
const HASH_BYTES: usize = 32;

pub(super) const EXPECTED: &str = "a password hash is $pbkdf2-sha256$i=<1000 to 2000000>$<salt, 8 to 64 bytes>$<hash, 32 bytes>, in base64 without padding";

/// A parsed hash.
pub(super) struct Hash {
    iterations: NonZeroU32,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl Hash {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix("$pbkdf2-sha256$i=")?.split('$');
        let iterations: u32 = parts.next()?.parse().ok().filter(|i| ACCEPTED.contains(i))?;
        let salt = STANDARD_NO_PAD.decode(parts.next()?).ok().filter(|salt| (8..=64).contains(&salt.len()))?;
        let hash = STANDARD_NO_PAD.decode(parts.next()?).ok().filter(|hash| hash.len() == HASH_BYTES)?;
        if parts.next().is_some() {
            return None;
        }
        Some(Self { iterations: NonZeroU32::new(iterations)?, salt, hash })
    }

    /// In constant time for one hash.
    pub(super) fn matches(&self, password: &Secret) -> bool {
        pbkdf2::verify(PBKDF2_HMAC_SHA256, self.iterations, &self.salt, password.expose(), &self.hash).is_ok()
    }
}

pub(super) fn hash(random: &SystemRandom, password: &Secret) -> wasmtime::Result<String> {
    hash_with(random, password, ITERATIONS)
}

fn hash_with(random: &SystemRandom, password: &Secret, rounds: u32) -> wasmtime::Result<String> {
    let mut salt = [0; 16];
    random.fill(&mut salt).map_err(|_| wasmtime::format_err!("no randomness"))?;
    let mut hash = [0; HASH_BYTES];
    let iterations = NonZeroU32::new(rounds).unwrap_or(NonZeroU32::MIN);
    pbkdf2::derive(PBKDF2_HMAC_SHA256, iterations, &salt, password.expose(), &mut hash);
    let [salt, hash] = [STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash)];
    Ok(format!("$pbkdf2-sha256$i={rounds}${salt}${hash}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Salt "saltsalt"; the hash is missing.
    const KNOWN: &str = "$pbkdf2-sha256$i=4096$c2FsdHNhbHQ$";

    #[test]
    fn a_hash_verifies_its_own_password_only() {
        let text = hash_with(&SystemRandom::new(), &Secret::from("hunter2"), 1000).unwrap();
        let parsed = Hash::parse(&text).unwrap();
        assert!(parsed.matches(&Secret::from("hunter2")) && !parsed.matches(&Secret::from("hunter3")));
    }

    #[test]
    fn other_texts_and_other_work_are_refused() {
        let zeros = STANDARD_NO_PAD.encode([0; 32]);
        assert!(Hash::parse(&format!("{KNOWN}{zeros}")).is_some());
        for text in [
            String::new(),
            format!("$pbkdf2-sha256$i=999$c2FsdHNhbHQ${zeros}"),
            format!("$pbkdf2-sha256$i=2000001$c2FsdHNhbHQ${zeros}"),
            format!("$pbkdf2-sha256$i=4096$c2E${zeros}"),
            format!("{KNOWN}{zeros}$"),
            format!("$argon2id$i=4096$c2FsdHNhbHQ${zeros}"),
        ] {
            assert!(Hash::parse(&text).is_none(), "{text}");
        }
    }
}
