//! Stored keys and key material, for broker/fuzz.

use warder_core::secret::Secret;

use super::{asymmetric, record};
use crate::bind::warder::plugin::keys::Algorithm;

/// A stored key read and written again.
pub(crate) fn again(bytes: &[u8]) -> Option<Secret> {
    let record = record::KeyRecord::decode(&Secret::from(bytes)).ok()?;
    assert!(record.version(record.latest()).is_ok() && record.version(record.oldest).is_ok());
    assert!(record.oldest == 0 || record.version(record.oldest - 1).is_err());
    Some(record.encode())
}

/// Whether any algorithm takes it as material, or any verifier as a public key.
pub(crate) fn is_material(bytes: &[u8]) -> bool {
    let secret = Secret::from(bytes);
    let pairs = [Algorithm::Ed25519, Algorithm::EcdsaP256, Algorithm::EcdsaP384, Algorithm::HmacSha256];
    let taken = pairs.into_iter().filter(|algorithm| record::imported(*algorithm, &secret).is_ok()).count();
    let schemes = ["EdDSA", "ES256", "ES384", "PS256", "RS256"]
        .into_iter()
        .filter_map(|name| asymmetric::Scheme::parse(name).ok());
    let public = schemes.filter(|scheme| asymmetric::spki(bytes, scheme.verification().1).is_some()).count();
    taken + public > 0
}
