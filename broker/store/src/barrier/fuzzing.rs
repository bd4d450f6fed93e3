//! What broker/fuzz sees of the barrier: records and keyrings under keys that everybody knows.

use warder_core::secret::Secret;

use super::{
    KEYRING_KEY,
    keyring::{Keyring, RootKey},
    term,
};

/// An open keyring.
pub struct Ring(Keyring);

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring").finish_non_exhaustive()
    }
}

impl Ring {
    /// A fresh keyring under the root key of zeroes; `None` without randomness.
    #[must_use]
    pub fn fresh(seal: &[u8]) -> Option<Self> {
        Keyring::generate(RootKey::default(), seal.to_vec()).ok().map(Self)
    }

    /// The keyring stored in `record` under the root key of zeroes.
    #[must_use]
    pub fn open(seal: &[u8], record: &[u8]) -> Option<Self> {
        Keyring::open(RootKey::default(), seal.to_vec(), record).ok().map(Self)
    }

    /// Genuine but for what is in it: `plain` sealed as a keyring's record.
    #[must_use]
    pub fn forge(seal: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
        let cipher = term::cipher(&RootKey::default()).ok()?;
        let aad = [KEYRING_KEY.as_bytes(), &[0], seal].concat();
        term::seal(&cipher, &[1], &aad, plain).ok()
    }

    /// Its record.
    #[must_use]
    pub fn record(&self) -> Option<Vec<u8>> {
        self.0.seal_up().ok()
    }

    /// The number of its newest term, and how many terms it has.
    #[must_use]
    pub fn terms(&self) -> (u32, usize) {
        let status = self.0.status();
        (status.term, status.terms)
    }

    /// With one more term; `None` where there can be no more.
    #[must_use]
    pub fn rotated(&self) -> Option<Self> {
        self.0.with_new_term().ok().map(Self)
    }

    /// What takes over from it when its count is stored.
    #[must_use]
    pub fn successor(&self) -> Option<Self> {
        self.0.successor().ok().map(Self)
    }

    /// A value's record at `key`; `None` when it may not encrypt.
    #[must_use]
    pub fn encrypt(&self, key: &str, plain: &[u8]) -> Option<Vec<u8>> {
        self.0.encrypt(key, plain).ok()
    }

    /// The value in a record at `key`.
    #[must_use]
    pub fn decrypt(&self, key: &str, record: &[u8]) -> Option<Secret> {
        self.0.decrypt(key, record.to_vec()).ok()
    }
}
