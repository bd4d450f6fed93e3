//! What broker/fuzz sees of seals: shares, and the plain record that says how many there are.

use warder_core::secret::Secret;
use zeroize::Zeroizing;

use super::{SealRecord, sharing};

/// Shares of `secret`; none without randomness. 1 <= threshold <= shares.
#[must_use]
pub fn split(secret: &[u8], shares: u8, threshold: u8) -> Option<Vec<Secret>> {
    sharing::split(secret, shares, threshold).ok()
}

/// The secret that the shares lie on.
#[must_use]
pub fn combine(shares: &[Secret]) -> Option<Zeroizing<Vec<u8>>> {
    sharing::combine(shares)
}

/// The record of a shamir seal, read and written again; none when it does not parse.
#[must_use]
pub fn record(bytes: &[u8]) -> Option<Vec<u8>> {
    SealRecord::decode(bytes, "shamir").ok().map(|record| record.encode())
}
