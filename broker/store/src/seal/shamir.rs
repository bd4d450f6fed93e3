//! The `shamir` seal: people bring shares until there are enough.
//!
//! Invariant: shares given live in one attempt, which ends when enough have come, whether they
//! open the barrier or not; the root key exists only while it opens the keyring and inside it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use async_trait::async_trait;
use ring::rand::{SecureRandom, SystemRandom};
use warder_core::{
    error::{Error, ErrorKind, Result},
    port::seal::{Quorum, Seal, SealStatus},
    secret::Secret,
};

use super::{Opened, Opening, SealError, SealNumbers, SealRecord, sharing};
use crate::barrier::{Barrier, RootKey, UnsealError};

const ROOT_LEN: usize = 32;
/// A share: one byte for each of the root key, and its number.
const SHARE_LEN: usize = ROOT_LEN + 1;

pub(super) fn open(opening: Opening) -> Result<Opened, SealError> {
    let numbers = RwLock::new(opening.record.map(|record| record.numbers));
    let seal = Arc::new(Shamir { barrier: opening.barrier, numbers, attempt: Mutex::default() });
    let weak = Arc::downgrade(&seal);
    seal.barrier.on_reseal(Box::new(move |record| {
        if let (Some(seal), Ok(record)) = (weak.upgrade(), SealRecord::decode(record, "shamir")) {
            seal.count(record.numbers);
        }
    }));
    Ok((Arc::clone(&seal) as Arc<dyn Seal>, seal))
}

struct Shamir {
    barrier: Arc<Barrier>,
    /// None before `init`.
    numbers: RwLock<Option<SealNumbers>>,
    attempt: Mutex<Attempt>,
}

#[derive(Default)]
struct Attempt {
    nonce: String,
    shares: Vec<Secret>,
}

#[async_trait]
impl Seal for Shamir {
    fn status(&self) -> SealStatus {
        let numbers = self.numbers();
        let attempt = self.attempt();
        SealStatus {
            kind: "shamir",
            initialized: numbers.is_some(),
            sealed: self.barrier.is_sealed(),
            threshold: numbers.map_or(0, |numbers| numbers.threshold),
            shares: numbers.map_or(0, |numbers| numbers.shares),
            progress: u8::try_from(attempt.shares.len()).unwrap_or(u8::MAX),
            nonce: attempt.nonce.clone(),
        }
    }

    async fn initialize(&self, shares: u8, threshold: u8) -> Result<Vec<Secret>> {
        if self.numbers().is_some() {
            return Err(already());
        }
        let numbers = sound(shares, threshold)?;
        let root = root_key()?;
        let made = sharing::split(&**root, shares, threshold).map_err(Error::internal)?;
        let record = SealRecord::new("shamir", numbers).encode();
        if !self.barrier.initialize(root, record).await? {
            return Err(already());
        }
        // Only the commit that found the store empty comes here.
        self.count(numbers);
        tracing::info!(seal.kind = "shamir", seal.shares = shares, seal.threshold = threshold, "store initialized");
        Ok(made)
    }

    async fn unseal(&self, share: Secret) -> Result<SealStatus> {
        let numbers = self.numbers().ok_or_else(uninitialized)?;
        if !self.barrier.is_sealed() {
            return Ok(self.status());
        }
        let Some(shares) = self.take(share, numbers.threshold)? else { return Ok(self.status()) };
        let root = root_of(&shares).ok_or_else(wrong)?;
        match self.barrier.unseal(root).await {
            Ok(()) => {}
            Err(UnsealError::WrongKey) => return Err(wrong()),
            Err(UnsealError::Uninitialized) => return Err(uninitialized()),
            Err(UnsealError::Engine(error)) => return Err(error.into()),
        }
        tracing::info!(seal.kind = "shamir", "barrier opened");
        Ok(self.status())
    }

    fn reset(&self) -> SealStatus {
        *self.attempt() = Attempt::default();
        self.status()
    }

    async fn seal(&self) -> Result<SealStatus> {
        self.numbers().ok_or_else(uninitialized)?;
        self.barrier.seal();
        tracing::info!(seal.kind = "shamir", "barrier sealed");
        Ok(self.reset())
    }
}

#[async_trait]
impl Quorum for Shamir {
    fn number(&self, share: &Secret) -> Result<u8> {
        number(share)
    }

    async fn prove(&self, shares: &[Secret]) -> Result<()> {
        let numbers = self.numbers().ok_or_else(uninitialized)?;
        if shares.len() < usize::from(numbers.threshold) {
            return Err(wrong());
        }
        let root = root_of(shares).ok_or_else(wrong)?;
        match self.barrier.proves(root).await {
            Ok(()) => Ok(()),
            Err(UnsealError::WrongKey) => Err(wrong()),
            Err(UnsealError::Uninitialized) => Err(uninitialized()),
            Err(UnsealError::Engine(error)) => Err(error.into()),
        }
    }

    fn split(&self, shares: u8, threshold: u8) -> Result<Vec<Secret>> {
        sound(shares, threshold)?;
        sharing::split(&**root_key()?, shares, threshold).map_err(Error::internal)
    }

    async fn adopt(&self, made: &[Secret], shares: u8, threshold: u8) -> Result<()> {
        let numbers = sound(shares, threshold)?;
        let enough = made.get(..usize::from(threshold)).ok_or_else(wrong)?;
        let root = root_of(enough).ok_or_else(wrong)?;
        self.barrier.change_root(root, SealRecord::new("shamir", numbers).encode()).await?;
        self.count(numbers);
        Ok(())
    }
}

impl Shamir {
    fn numbers(&self) -> Option<SealNumbers> {
        *self.numbers.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, numbers: SealNumbers) {
        *self.numbers.write().unwrap_or_else(PoisonError::into_inner) = Some(numbers);
    }

    /// Adds a share; all of them when enough have come, and the attempt is over.
    fn take(&self, share: Secret, threshold: u8) -> Result<Option<Vec<Secret>>> {
        let number = number(&share)?;
        let mut attempt = self.attempt();
        if attempt.shares.iter().any(|given| given.expose().last() == Some(&number)) {
            return Err(Error::invalid("key", "this share was already given: each must be another one"));
        }
        if attempt.shares.is_empty() {
            attempt.nonce = nonce()?;
        }
        attempt.shares.push(share);
        if attempt.shares.len() < usize::from(threshold) {
            return Ok(None);
        }
        Ok(Some(std::mem::take(&mut *attempt).shares))
    }

    /// Whole after every step, so a poisoned lock hides nothing torn.
    fn attempt(&self) -> MutexGuard<'_, Attempt> {
        self.attempt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sound(shares: u8, threshold: u8) -> Result<SealNumbers> {
    let problem = match (shares, threshold) {
        (0, _) => Some(("shares", "at least 1 share")),
        (_, 0) => Some(("threshold", "a threshold of at least 1")),
        (shares, threshold) if threshold > shares => Some(("threshold", "a threshold of at most the number of shares")),
        (2.., 1) => Some(("threshold", "a threshold of at least 2 when there is more than 1 share")),
        _ => None,
    };
    match problem {
        Some((field, expected)) => Err(Error::invalid(field, format!("expected {expected}"))),
        None => Ok(SealNumbers { shares, threshold }),
    }
}

/// The x of a share that has the right form.
fn number(share: &Secret) -> Result<u8> {
    match share.expose().split_last() {
        Some((0, _)) => Err(Error::invalid("key", "this is not a share: its number is zero")),
        Some((number, _)) if share.len() == SHARE_LEN => Ok(*number),
        _ => Err(Error::invalid("key", format!("a share has {SHARE_LEN} bytes; this is {} bytes long", share.len()))),
    }
}

fn root_of(shares: &[Secret]) -> Option<RootKey> {
    let secret = sharing::combine(shares)?;
    let mut root = RootKey::default();
    root.copy_from_slice(secret.get(..ROOT_LEN)?);
    Some(root)
}

/// A fresh root key.
pub(super) fn root_key() -> Result<RootKey> {
    let mut root = RootKey::default();
    SystemRandom::new().fill(&mut **root).map_err(|_| Error::internal("the system has no randomness"))?;
    Ok(root)
}

/// A random UUID (RFC 9562 section 5.4).
fn nonce() -> Result<String> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::internal("the system has no randomness"))?;
    let bits = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0b11 << 62) | (4 << 76) | (0b10 << 62);
    let hex = format!("{bits:032x}");
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}

pub(super) fn already() -> Error {
    Error::new(ErrorKind::Conflict, "warder is already initialized")
}

pub(super) fn uninitialized() -> Error {
    Error::new(ErrorKind::Uninitialized, "warder is not initialized: run init first")
}

fn wrong() -> Error {
    Error::invalid("key", "these shares do not open the barrier; all are dropped: start again with the first")
}
