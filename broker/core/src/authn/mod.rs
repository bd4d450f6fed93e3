//! Tokens: who asks. Issues, recognizes, renews and revokes them; the broker and `sys` call it.
//!
//! Storage below `core/token/`:
//!
//! ```text
//! salt, batch-key              32 random bytes each, made on first use
//! id/<digest>                  JSON entry; digest = hex HMAC-SHA256(salt, token)
//! accessor/<accessor>          digest
//! parent/<digest>/<digest>     parent, child
//! expiry/<20 digits>/<digest>  milliseconds when the entry is due for removal
//! revoking/<digest>            a revocation under way: `tree` or `orphans`, and its parent's digest
//! ```
//!
//! Invariants: the text of a token is neither stored nor logged; an entry and its indexes change
//! in one batch; what was revoked when the caller was told so is never recognized again.

mod ask;
mod batch;
mod create;
mod entry;
mod expire;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod identify;
mod keys;
mod lookup;
mod refusal;
mod renew;
mod revoke;
mod rules;
mod seed;
mod text;
mod ttl;

#[cfg(test)]
mod tests;

pub use ask::CreateToken;
pub use refusal::Refusal;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ring::hmac;

use crate::{
    clock::{Clock, Timestamp},
    error::Result,
    identity::Identity,
    memo::{Forget, Memo},
    port::storage::Storage,
    request::Auth,
    secret::Secret,
};
use entry::Known;
use keys::Digest;
use seed::Seed;

/// Longest credential that is looked at, in bytes.
pub const MAX_CREDENTIAL_BYTES: usize = 4096;

/// Tokens remembered in memory, parsed.
const REMEMBERED: usize = 65_536;

/// Times a batch that lost a race is tried again.
const TRIES: usize = 16;

/// Limits of all tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenConfig {
    /// Time to live when nobody asks for one; default 768 h. Zero means: at an end at once.
    pub default_ttl: Duration,
    /// Longest life through all renewals, periodic and endless root tokens apart; default 768 h.
    /// Zero means: none is issued.
    pub max_ttl: Duration,
}

impl Default for TokenConfig {
    fn default() -> Self {
        Self { default_ttl: Duration::from_hours(768), max_ttl: Duration::from_hours(768) }
    }
}

/// The token store.
pub struct Tokens {
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    config: TokenConfig,
    salt: Seed<hmac::Key>,
    batch_key: Seed<Secret>,
    known: Arc<Memo<Digest, Arc<Known>>>,
    counters: Counters,
    /// Milliseconds, as of the last look at the index; zero: none.
    next_expiry: AtomicU64,
}

impl Tokens {
    /// A token store over `storage`; its memory follows every commit from now on.
    pub fn new(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>, config: TokenConfig) -> Arc<Self> {
        let known = Arc::new(Memo::new(keys::IDS, Forget::One(Digest::of_key), REMEMBERED, Known::copy));
        storage.observe(known.clone());
        Arc::new(Self {
            salt: Seed::new(keys::SALT, |bytes| hmac::Key::new(hmac::HMAC_SHA256, bytes), storage.as_ref()),
            batch_key: Seed::new(keys::BATCH_KEY, |bytes| Secret::from(bytes), storage.as_ref()),
            storage,
            clock,
            config,
            known,
            counters: Counters::default(),
            next_expiry: AtomicU64::new(0),
        })
    }

    /// Limits of all tokens.
    #[must_use]
    pub const fn config(&self) -> TokenConfig {
        self.config
    }

    /// What happened since this process started.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            created: read(&self.counters.created),
            expired: read(&self.counters.expired),
            renewed: read(&self.counters.renewed),
            revoked: read(&self.counters.revoked),
        }
    }

    /// When the next token comes to its end, as of the last [`Tokens::expire`].
    #[must_use]
    pub fn next_expiry(&self) -> Option<Timestamp> {
        Some(Timestamp(self.next_expiry.load(Ordering::Relaxed))).filter(|at| at.0 > 0)
    }

    async fn digest(&self, token: &Secret) -> Result<Option<Digest>> {
        let salt = self.salt.find(self.storage.as_ref()).await?;
        Ok(salt.map(|salt| Digest::of(&salt, token)))
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("config", &self.config).finish_non_exhaustive()
    }
}

/// A token just issued or renewed.
#[derive(Clone, Debug)]
pub struct Issued {
    /// For the envelope's `auth` block. The token is empty when it was named by its accessor.
    pub auth: Auth,
    /// For people.
    pub warnings: Vec<String>,
}

/// How a caller names a token.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// By its accessor.
    Accessor(&'a str),
    /// The caller's own, as it was recognized, with its text.
    Own(&'a Identity, &'a Secret),
    /// By its text.
    Token(&'a Secret),
}

/// Tokens issued, renewed and gone since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Issued, batch tokens included.
    pub created: u64,
    /// Removed because their time or their uses ran out, children included.
    pub expired: u64,
    /// Renewed.
    pub renewed: u64,
    /// Revoked, children included.
    pub revoked: u64,
}

#[derive(Default)]
struct Counters {
    created: AtomicU64,
    expired: AtomicU64,
    renewed: AtomicU64,
    revoked: AtomicU64,
}
