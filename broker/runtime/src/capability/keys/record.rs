//! A key as it is stored:
//! `1 ‖ algorithm ‖ flags (1 exportable, 2 known) ‖ oldest u32 BE ‖ (length u32 BE ‖ material)*`.
//!
//! Material: raw bytes for symmetric keys, PKCS#8 DER for key pairs.

use ring::rand::{SecureRandom, SystemRandom};
use warder_core::{
    error::{Error, ErrorKind},
    secret::Secret,
};
use zeroize::Zeroizing;

use super::asymmetric;
use crate::{
    bind::warder::plugin::keys::Algorithm,
    fault::{Fault, WitKind, answer, invalid, unsupported},
};

/// Most versions of one key.
pub(super) const MAX_VERSIONS: usize = 1000;
const LAYOUT: u8 = 1;
const EXPORTABLE: u8 = 1;
const KNOWN: u8 = 2;
/// Shortest imported HMAC key, bytes; longest imported material.
const HMAC_BYTES: (usize, usize) = (16, 1024);

/// The algorithms in the order of their byte in the record.
const STORED: [Algorithm; 7] = [
    Algorithm::Aes128Gcm,
    Algorithm::Aes256Gcm,
    Algorithm::Chacha20Poly1305,
    Algorithm::HmacSha256,
    Algorithm::Ed25519,
    Algorithm::EcdsaP256,
    Algorithm::EcdsaP384,
];

/// All versions of one key.
pub(super) struct KeyRecord {
    pub(super) algorithm: Algorithm,
    pub(super) exportable: bool,
    /// The plugin may know the material.
    pub(super) known: bool,
    /// Number of the first version kept.
    pub(super) oldest: u32,
    pub(super) versions: Vec<Secret>,
}

impl KeyRecord {
    pub(super) fn latest(&self) -> u32 {
        let more = self.versions.len().saturating_sub(1);
        self.oldest.saturating_add(u32::try_from(more).unwrap_or(u32::MAX))
    }

    pub(super) fn version(&self, version: u32) -> Result<&Secret, Fault> {
        let at = version.checked_sub(self.oldest).and_then(|at| self.versions.get(at as usize));
        at.ok_or_else(|| {
            answer(WitKind::NotFound, format!("the key has versions {} to {}", self.oldest, self.latest()))
        })
    }

    pub(super) fn encode(&self) -> Secret {
        let size = 7 + self.versions.iter().map(|material| 4 + material.len()).sum::<usize>();
        let mut out = Vec::with_capacity(size);
        let algorithm = STORED.iter().position(|known| *known == self.algorithm).unwrap_or(STORED.len());
        out.extend([LAYOUT, u8::try_from(algorithm).unwrap_or(u8::MAX), self.flags()]);
        out.extend(self.oldest.to_be_bytes());
        for material in &self.versions {
            out.extend(u32::try_from(material.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend_from_slice(material.expose());
        }
        Secret::new(out)
    }

    pub(super) fn decode(record: &Secret) -> Result<Self, Fault> {
        parse(record.expose())
            .ok_or_else(|| Error::new(ErrorKind::UpstreamProtocol, "a stored key has an unknown header").into())
    }

    fn flags(&self) -> u8 {
        (u8::from(self.exportable) * EXPORTABLE) | (u8::from(self.known) * KNOWN)
    }
}

fn parse(record: &[u8]) -> Option<KeyRecord> {
    let (&[LAYOUT, algorithm, flags], rest) = record.split_first_chunk::<3>()? else { return None };
    let (oldest, mut rest) = rest.split_first_chunk::<4>()?;
    let mut versions = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (material, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        versions.push(Secret::from(material));
        rest = after;
    }
    let whole = rest.is_empty() && !versions.is_empty() && flags & !(EXPORTABLE | KNOWN) == 0;
    whole.then_some(KeyRecord {
        algorithm: *STORED.get(usize::from(algorithm))?,
        exportable: flags & EXPORTABLE != 0,
        known: flags & KNOWN != 0,
        oldest: u32::from_be_bytes(*oldest),
        versions,
    })
}

/// New material from the CSPRNG.
pub(super) fn fresh(random: &SystemRandom, algorithm: Algorithm) -> Result<Secret, Fault> {
    let Some(length) = symmetric(algorithm) else { return asymmetric::fresh(random, algorithm) };
    let mut bytes = Zeroizing::new(vec![0; length]);
    random.fill(&mut bytes).map_err(|_| wasmtime::format_err!("no randomness"))?;
    Ok(Secret::from(bytes.as_slice()))
}

/// Material from outside, checked to be of this algorithm.
pub(super) fn imported(algorithm: Algorithm, material: &Secret) -> Result<Secret, Fault> {
    match symmetric(algorithm) {
        None => asymmetric::imported(algorithm, material),
        Some(_) if algorithm == Algorithm::HmacSha256 => {
            let fits = (HMAC_BYTES.0..=HMAC_BYTES.1).contains(&material.len());
            if fits { Ok(material.clone()) } else { Err(invalid("an hmac-sha256 key is 16 to 1024 bytes")) }
        }
        Some(length) if material.len() == length => Ok(material.clone()),
        Some(length) => Err(invalid(format!("a key of this algorithm is {length} bytes"))),
    }
}

const fn symmetric(algorithm: Algorithm) -> Option<usize> {
    match algorithm {
        Algorithm::Aes128Gcm => Some(16),
        Algorithm::Aes256Gcm | Algorithm::Chacha20Poly1305 | Algorithm::HmacSha256 => Some(32),
        _ => None,
    }
}

/// RSA keys are not made or kept here: ring makes none.
pub(super) fn no_rsa() -> Fault {
    unsupported("RSA keys are not available in this version: use ed25519, ecdsa-p256 or ecdsa-p384")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_whole() {
        for algorithm in STORED {
            let versions = vec![Secret::from("first"), Secret::from("second!")];
            let record = KeyRecord { algorithm, exportable: true, known: false, oldest: 7, versions };
            let Some(back) = parse(record.encode().expose()) else { panic!("{algorithm:?}") };
            assert!(back.algorithm == algorithm && back.exportable && !back.known);
            assert_eq!((back.oldest, back.latest()), (7, 8));
            assert!(back.version(8).unwrap().ct_eq(b"second!"));
            assert!(back.version(6).is_err() && back.version(9).is_err());
        }
    }

    #[test]
    fn torn_records_are_refused() {
        let versions = vec![Secret::from("material")];
        let record = KeyRecord { algorithm: Algorithm::Ed25519, exportable: false, known: true, oldest: 1, versions };
        let bytes = record.encode().expose().to_vec();
        for end in 0..bytes.len() {
            assert!(parse(&bytes[..end]).is_none(), "{end}");
        }
    }
}
