//! One term: an AES-256-GCM key and how often it was used. The keyring alone calls it.
//!
//! Record: `term u32 BE ‖ nonce (12 bytes) ‖ ciphertext ‖ tag (16 bytes)`; AAD = storage key.
//! Invariant: nonces are random, so one key encrypts far fewer than 2^32 values (NIST SP 800-38D
//! section 8.3): the count is never below the truth, also after a crash.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};
use warder_core::{
    clock::{Clock, SystemClock, Timestamp},
    error::{Error, ErrorKind, Result},
    secret::Secret,
};
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a key.
pub(super) const KEY_LEN: usize = 32;
const TAG_LEN: usize = 16;
const TERM_LEN: usize = 4;
/// A term rotates itself after so many values: half of what the bound above allows.
pub(super) const WORN: u64 = 1 << 31;
/// The stored count may be behind the true one by at most this: a term stops encrypting there,
/// stores a newer count when half of it is gone, and opening a keyring adds it. Each restart
/// costs a term two margins of its life: 2^14 restarts wear it out, and it rotates.
pub(super) const MARGIN: u64 = 1 << 16;

/// A stored record that does not open, for the log.
#[derive(Debug, thiserror::Error)]
#[error("the record at {key} does not open: {why}")]
pub struct BrokenRecord {
    /// Storage key.
    pub key: String,
    /// What is wrong.
    pub why: &'static str,
}

/// One key of the keyring.
pub(super) struct Term {
    pub(super) number: u32,
    /// When it was made; zero when that is not known.
    pub(super) installed: Timestamp,
    pub(super) key: Zeroizing<[u8; KEY_LEN]>,
    /// ring keeps its expanded form and does not overwrite it on drop; the key above is.
    cipher: LessSafeKey,
    used: AtomicU64,
    /// The count that is stored.
    stored: u64,
    /// Somebody is storing a newer count.
    claimed: AtomicBool,
}

impl Term {
    pub(super) fn new(
        number: u32,
        installed: Timestamp,
        key: Zeroizing<[u8; KEY_LEN]>,
        used: u64,
        stored: u64,
    ) -> Result<Self> {
        let (cipher, used) = (cipher(&key)?, AtomicU64::new(used));
        Ok(Self { number, installed, key, cipher, used, stored, claimed: AtomicBool::new(false) })
    }

    pub(super) fn generate(number: u32) -> Result<Self> {
        Self::new(number, SystemClock.now(), random()?, 0, 0)
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Takes a greater count for the true one; nothing is encrypted before it was stored.
    pub(super) fn count(&mut self, used: u64) {
        self.used = AtomicU64::new(used.saturating_add(MARGIN));
        self.stored = used;
    }

    /// Whether the caller should store the count now; true for one caller at a time.
    pub(super) fn is_due(&self) -> bool {
        let used = self.used();
        let late = used >= WORN || used - self.stored.min(used) >= MARGIN / 2;
        late && !self.claimed.swap(true, Ordering::Relaxed)
    }

    pub(super) fn was_due(&self) {
        self.claimed.store(false, Ordering::Relaxed);
    }

    pub(super) fn encrypt(&self, key: &str, plain: &[u8]) -> Result<Vec<u8>> {
        let used = self.used.fetch_add(1, Ordering::Relaxed);
        if used >= self.stored.saturating_add(MARGIN) {
            return Err(Error::new(ErrorKind::Unavailable, "the keyring cannot be stored: nothing more is encrypted"));
        }
        seal(&self.cipher, &self.number.to_be_bytes(), key.as_bytes(), plain)
    }

    /// `record` without its term number.
    pub(super) fn decrypt(&self, key: &str, mut record: Vec<u8>) -> Result<Secret, BrokenRecord> {
        let len = open(&self.cipher, &mut record, TERM_LEN, key.as_bytes())
            .ok_or_else(|| BrokenRecord { key: key.to_owned(), why: "authentication failed" })?;
        let secret = Secret::from(&record[TERM_LEN + NONCE_LEN..TERM_LEN + NONCE_LEN + len]);
        record.zeroize();
        Ok(secret)
    }
}

/// The term a record was encrypted under.
pub(super) fn number(key: &str, record: &[u8]) -> Result<u32, BrokenRecord> {
    match record.split_first_chunk::<TERM_LEN>() {
        Some((number, rest)) if rest.len() >= NONCE_LEN + TAG_LEN => Ok(u32::from_be_bytes(*number)),
        _ => Err(BrokenRecord { key: key.to_owned(), why: "it is too short" }),
    }
}

pub(super) fn cipher(key: &[u8; KEY_LEN]) -> Result<LessSafeKey> {
    let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| Error::internal("a key has a wrong length"))?;
    Ok(LessSafeKey::new(key))
}

/// `head ‖ nonce ‖ ciphertext ‖ tag`.
pub(super) fn seal(cipher: &LessSafeKey, head: &[u8], aad: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
    let nonce: Zeroizing<[u8; NONCE_LEN]> = random()?;
    // Sized once: growing would leave copies of the plain bytes behind.
    let mut record = Vec::with_capacity(head.len() + NONCE_LEN + plain.len() + TAG_LEN);
    record.extend_from_slice(head);
    record.extend_from_slice(&*nonce);
    let body = record.len();
    record.extend_from_slice(plain);
    let tag = cipher
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(*nonce), Aad::from(aad), &mut record[body..])
        .map_err(|_| Error::internal("encryption failed"))?;
    record.extend_from_slice(tag.as_ref());
    Ok(record)
}

/// Decrypts `record` in place behind its first `head` bytes and the nonce; answers with the
/// number of plain bytes there.
pub(super) fn open(cipher: &LessSafeKey, record: &mut [u8], head: usize, aad: &[u8]) -> Option<usize> {
    let (nonce, body) = record.get_mut(head..)?.split_first_chunk_mut::<NONCE_LEN>()?;
    let plain = cipher.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(aad), body).ok()?;
    Some(plain.len())
}

pub(super) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; N]);
    SystemRandom::new().fill(&mut *bytes).map_err(|_| Error::internal("the system has no randomness"))?;
    Ok(bytes)
}
