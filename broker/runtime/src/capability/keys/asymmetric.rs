//! Key pairs and JOSE schemes on ring.
//!
//! Private material is PKCS#8 DER; ECDSA signatures are fixed-size `r ‖ s` as JOSE has them.
//! ring hands out generated PKCS#8 in a buffer of its own that it does not zeroize.

use ring::{
    rand::SystemRandom,
    rsa,
    signature::{
        self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
        Ed25519KeyPair, KeyPair as _, RsaEncoding, VerificationAlgorithm,
    },
};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject as _};
use warder_core::secret::Secret;

use super::record::no_rsa;
use crate::{
    bind::warder::plugin::keys::Algorithm,
    fault::{Fault, invalid, unsupported},
};

/// Algorithm identifiers of SubjectPublicKeyInfo (RFC 8410, 5480, 3279), DER, tag and length included.
const ED25519_ID: &[u8] = b"\x30\x05\x06\x03\x2b\x65\x70";
const P256_ID: &[u8] = b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const P384_ID: &[u8] = b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22";
const RSA_ID: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";

/// A signature scheme by its JOSE name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    EdDsa,
    Es256,
    Es384,
    Ps256,
    Rs256,
}

impl Scheme {
    pub(crate) fn parse(name: &str) -> Result<Self, Fault> {
        Ok(match name {
            "EdDSA" => Self::EdDsa,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "PS256" => Self::Ps256,
            "RS256" => Self::Rs256,
            _ => return Err(unsupported("the scheme must be EdDSA, ES256, ES384, PS256 or RS256")),
        })
    }

    /// How it is verified, and the algorithm identifier of its public keys.
    pub(crate) fn verification(self) -> (&'static dyn VerificationAlgorithm, &'static [u8]) {
        match self {
            Self::EdDsa => (&signature::ED25519, ED25519_ID),
            Self::Es256 => (&signature::ECDSA_P256_SHA256_FIXED, P256_ID),
            Self::Es384 => (&signature::ECDSA_P384_SHA384_FIXED, P384_ID),
            Self::Ps256 => (&signature::RSA_PSS_2048_8192_SHA256, RSA_ID),
            Self::Rs256 => (&signature::RSA_PKCS1_2048_8192_SHA256, RSA_ID),
        }
    }
}

/// The algorithm of stored keys that signs by this scheme.
pub(crate) const fn algorithm_of(scheme: Scheme) -> Option<Algorithm> {
    match scheme {
        Scheme::EdDsa => Some(Algorithm::Ed25519),
        Scheme::Es256 => Some(Algorithm::EcdsaP256),
        Scheme::Es384 => Some(Algorithm::EcdsaP384),
        Scheme::Ps256 | Scheme::Rs256 => None,
    }
}

pub(super) fn fresh(random: &SystemRandom, algorithm: Algorithm) -> Result<Secret, Fault> {
    let made = match algorithm {
        Algorithm::Ed25519 => Ed25519KeyPair::generate_pkcs8(random),
        Algorithm::EcdsaP256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, random),
        Algorithm::EcdsaP384 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, random),
        _ => return Err(no_rsa()),
    };
    Ok(Secret::from(made.map_err(|_| wasmtime::format_err!("no randomness"))?.as_ref()))
}

/// PKCS#8 in DER or PEM.
pub(super) fn imported(algorithm: Algorithm, material: &Secret) -> Result<Secret, Fault> {
    let der = pkcs8(material.expose())?;
    public_key(algorithm, &der)?;
    Ok(der)
}

/// SubjectPublicKeyInfo, DER.
pub(super) fn public_key(algorithm: Algorithm, pkcs8: &Secret) -> Result<Vec<u8>, Fault> {
    let random = SystemRandom::new();
    Ok(match algorithm {
        Algorithm::Ed25519 => wrapped(ED25519_ID, ed25519(pkcs8.expose())?.public_key().as_ref()),
        Algorithm::EcdsaP256 => {
            let pair = ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.expose(), &random)?;
            wrapped(P256_ID, pair.public_key().as_ref())
        }
        Algorithm::EcdsaP384 => {
            let pair = ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING, pkcs8.expose(), &random)?;
            wrapped(P384_ID, pair.public_key().as_ref())
        }
        Algorithm::Rsa2048 | Algorithm::Rsa3072 | Algorithm::Rsa4096 => return Err(no_rsa()),
        _ => return Err(invalid("a symmetric key has no public half")),
    })
}

/// Signs with PKCS#8 material (DER or PEM; PKCS#1 too for RSA).
pub(crate) fn sign(random: &SystemRandom, scheme: Scheme, material: &[u8], message: &[u8]) -> Result<Vec<u8>, Fault> {
    match scheme {
        Scheme::EdDsa => Ok(ed25519(pkcs8(material)?.expose())?.sign(message).as_ref().to_vec()),
        Scheme::Es256 => ecdsa_sign(&ECDSA_P256_SHA256_FIXED_SIGNING, material, message, random),
        Scheme::Es384 => ecdsa_sign(&ECDSA_P384_SHA384_FIXED_SIGNING, material, message, random),
        Scheme::Ps256 => rsa_sign(&signature::RSA_PSS_SHA256, material, message, random),
        Scheme::Rs256 => rsa_sign(&signature::RSA_PKCS1_SHA256, material, message, random),
    }
}

/// The key bits of a SubjectPublicKeyInfo (DER or PEM) whose algorithm is `id`.
pub(crate) fn spki<'a>(der: &'a [u8], id: &[u8]) -> Option<&'a [u8]> {
    let (body, rest) = element(0x30, der)?;
    let bits = body.strip_prefix(id)?;
    let (content, after) = element(0x03, bits)?;
    let (unused, key) = content.split_first()?;
    (*unused == 0 && rest.is_empty() && after.is_empty()).then_some(key)
}

/// One DER element of this tag, and what follows it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => rest.split_first().map(|(length, rest)| (usize::from(*length), rest))?,
        0x82 => rest.split_first_chunk::<2>().map(|(length, rest)| (usize::from(u16::from_be_bytes(*length)), rest))?,
        _ => return None,
    };
    if found == tag { rest.split_at_checked(length) } else { None }
}

/// Keys up to 97 bytes: every length fits one byte.
fn wrapped(id: &[u8], key: &[u8]) -> Vec<u8> {
    let short = |length: usize| u8::try_from(length).unwrap_or(u8::MAX);
    let bits = [&[0x03, short(key.len() + 1), 0][..], key].concat();
    [&[0x30, short(id.len() + bits.len())][..], id, &bits].concat()
}

fn pkcs8(material: &[u8]) -> Result<Secret, Fault> {
    if !material.trim_ascii_start().starts_with(b"-----BEGIN") {
        return Ok(Secret::from(material));
    }
    match PrivateKeyDer::from_pem_slice(material) {
        Ok(PrivateKeyDer::Pkcs8(der)) => Ok(Secret::from(der.secret_pkcs8_der())),
        _ => Err(invalid("the key material is no PKCS#8 private key")),
    }
}

fn ed25519(pkcs8: &[u8]) -> Result<Ed25519KeyPair, Fault> {
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map_err(|_| invalid("the key material is no Ed25519 PKCS#8 key"))
}

fn ecdsa(
    algorithm: &'static EcdsaSigningAlgorithm,
    pkcs8: &[u8],
    random: &SystemRandom,
) -> Result<EcdsaKeyPair, Fault> {
    EcdsaKeyPair::from_pkcs8(algorithm, pkcs8, random)
        .map_err(|_| invalid("the key material is no PKCS#8 key on the scheme's curve"))
}

fn ecdsa_sign(
    algorithm: &'static EcdsaSigningAlgorithm,
    material: &[u8],
    message: &[u8],
    random: &SystemRandom,
) -> Result<Vec<u8>, Fault> {
    let pair = ecdsa(algorithm, pkcs8(material)?.expose(), random)?;
    let made = pair.sign(random, message).map_err(|_| wasmtime::format_err!("no randomness"))?;
    Ok(made.as_ref().to_vec())
}

fn rsa_sign(
    padding: &'static dyn RsaEncoding,
    material: &[u8],
    message: &[u8],
    random: &SystemRandom,
) -> Result<Vec<u8>, Fault> {
    let pair =
        rsa_pair(material).ok_or_else(|| invalid("the key material is no RSA private key of 2048 bits or more"))?;
    let mut made = vec![0; pair.public().modulus_len()];
    pair.sign(padding, random, message, &mut made).map_err(|_| wasmtime::format_err!("no randomness"))?;
    Ok(made)
}

fn rsa_pair(material: &[u8]) -> Option<rsa::KeyPair> {
    if !material.trim_ascii_start().starts_with(b"-----BEGIN") {
        return rsa::KeyPair::from_pkcs8(material).or_else(|_| rsa::KeyPair::from_der(material)).ok();
    }
    match PrivateKeyDer::from_pem_slice(material).ok()? {
        PrivateKeyDer::Pkcs8(der) => rsa::KeyPair::from_pkcs8(der.secret_pkcs8_der()).ok(),
        PrivateKeyDer::Pkcs1(der) => rsa::KeyPair::from_der(der.secret_pkcs1_der()).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIRS: [(Algorithm, Scheme); 3] = [
        (Algorithm::Ed25519, Scheme::EdDsa),
        (Algorithm::EcdsaP256, Scheme::Es256),
        (Algorithm::EcdsaP384, Scheme::Es384),
    ];

    #[test]
    fn what_a_stored_key_signs_its_public_half_verifies() {
        let random = SystemRandom::new();
        for (algorithm, scheme) in PAIRS {
            let private = fresh(&random, algorithm).unwrap();
            let public = public_key(algorithm, &private).unwrap();
            let made = sign(&random, scheme, private.expose(), b"message").unwrap();
            let (verification, id) = scheme.verification();
            let key = signature::UnparsedPublicKey::new(verification, spki(&public, id).unwrap());
            assert!(key.verify(b"message", &made).is_ok() && key.verify(b"massage", &made).is_err());
        }
    }

    #[test]
    fn keys_of_another_algorithm_are_refused() {
        let random = SystemRandom::new();
        let private = fresh(&random, Algorithm::EcdsaP256).unwrap();
        for (algorithm, fits) in
            [(Algorithm::EcdsaP256, true), (Algorithm::EcdsaP384, false), (Algorithm::Ed25519, false)]
        {
            assert_eq!(imported(algorithm, &private).is_ok(), fits, "{algorithm:?}");
        }
        let public = public_key(Algorithm::EcdsaP256, &private).unwrap();
        assert!(spki(&public, P384_ID).is_none() && spki(&public[..20], P256_ID).is_none());
        assert!(fresh(&random, Algorithm::Rsa2048).is_err());
    }
}
