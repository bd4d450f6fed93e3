//! Authenticated encryption that keeps the labels.
//!
//! Ciphertext: `nonce (12, random) ‖ ciphertext ‖ tag (16)`. The labels are in the authenticated
//! data: `"warder sealed 1\0" ‖ form ‖ origin ‖ caller's aad`, and are found again by trial, so
//! the layout stays the common one. A ciphertext of another maker is tried last, with the
//! caller's aad alone, unless that looks like labels. Random nonces: keep below 2^32 encryptions per key version.

use ring::{
    aead::{AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};
use warder_core::{sealed::Form, secret::Secret};
use zeroize::Zeroizing;

use crate::{
    bind::warder::plugin::keys::Algorithm,
    capability::sealed::{Origin, Value},
    fault::{Fault, WitKind, answer, invalid},
};

const DOMAIN: &[u8] = b"warder sealed 1\0";
/// Nonce and tag.
const OVERHEAD: usize = NONCE_LEN + 16;
const FORMS: [Form; 3] = [Form::Text, Form::Document, Form::Bytes];
const ORIGINS: [Origin; 3] = [Origin::Foreign, Origin::Known, Origin::Mixed];

pub(super) fn seal(
    random: &SystemRandom,
    algorithm: Algorithm,
    material: &Secret,
    value: &Value,
    aad: &[u8],
) -> Result<Vec<u8>, Fault> {
    let key = key(algorithm, material)?;
    let mut nonce = [0; NONCE_LEN];
    random.fill(&mut nonce).map_err(|_| wasmtime::format_err!("no randomness"))?;
    // Sized once: a growing buffer would leave copies of the plaintext behind.
    let mut buffer = Zeroizing::new(Vec::with_capacity(value.bytes.len() + OVERHEAD));
    buffer.extend_from_slice(value.bytes.expose());
    let aad = Aad::from(labelled(value.form, value.origin, aad));
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut *buffer)
        .map_err(|_| invalid("the value is too long to encrypt"))?;
    Ok([nonce.as_slice(), &buffer].concat())
}

pub(super) fn open(algorithm: Algorithm, material: &Secret, ciphertext: &[u8], aad: &[u8]) -> Result<Value, Fault> {
    let key = key(algorithm, material)?;
    let Some((nonce, body)) = ciphertext.split_first_chunk::<NONCE_LEN>().filter(|_| ciphertext.len() >= OVERHEAD)
    else {
        return Err(invalid(format!("a ciphertext is at least {OVERHEAD} bytes")));
    };
    for origin in ORIGINS {
        for form in FORMS {
            if let Some(bytes) = attempt(&key, *nonce, body, &labelled(form, origin, aad)) {
                return Ok(Value { bytes, form, origin });
            }
        }
    }
    // Whoever picks the aad must not reach a labelled ciphertext by writing its labels himself.
    let foreign = if aad.starts_with(DOMAIN) { None } else { attempt(&key, *nonce, body, aad) };
    foreign
        .map(|bytes| Value { bytes, form: Form::Bytes, origin: Origin::Foreign })
        .ok_or_else(|| answer(WitKind::Integrity, "the ciphertext, its key version and its aad do not belong together"))
}

fn attempt(key: &LessSafeKey, nonce: [u8; NONCE_LEN], body: &[u8], aad: &[u8]) -> Option<Secret> {
    let mut buffer = Zeroizing::new(body.to_vec());
    let plain = key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut buffer).ok()?;
    Some(Secret::from(&*plain))
}

fn labelled(form: Form, origin: Origin, aad: &[u8]) -> Vec<u8> {
    let form = FORMS.iter().position(|known| *known == form).unwrap_or(FORMS.len());
    let origin = ORIGINS.iter().position(|known| *known == origin).unwrap_or(ORIGINS.len());
    let labels = [u8::try_from(form).unwrap_or(u8::MAX), u8::try_from(origin).unwrap_or(u8::MAX)];
    [DOMAIN, &labels, aad].concat()
}

fn key(algorithm: Algorithm, material: &Secret) -> Result<LessSafeKey, Fault> {
    let cipher = match algorithm {
        Algorithm::Aes128Gcm => &AES_128_GCM,
        Algorithm::Aes256Gcm => &AES_256_GCM,
        Algorithm::Chacha20Poly1305 => &CHACHA20_POLY1305,
        _ => return Err(invalid("a key of this algorithm does not encrypt")),
    };
    let key = UnboundKey::new(cipher, material.expose()).map_err(|_| invalid("the key has the wrong length"))?;
    Ok(LessSafeKey::new(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALGORITHM: Algorithm = Algorithm::Aes256Gcm;

    fn material() -> Secret {
        Secret::from([9u8; 32].as_slice())
    }

    #[test]
    fn labels_come_back_with_the_bytes() {
        for algorithm in [Algorithm::Aes256Gcm, Algorithm::Chacha20Poly1305] {
            for form in FORMS {
                for origin in ORIGINS {
                    let value = Value { bytes: Secret::from("{}"), form, origin };
                    let sealed = seal(&SystemRandom::new(), algorithm, &material(), &value, b"aad").unwrap();
                    assert_eq!(sealed.len(), 2 + OVERHEAD);
                    let back = open(algorithm, &material(), &sealed, b"aad").unwrap();
                    assert!(back.form == form && back.origin == origin && back.bytes.ct_eq(b"{}"));
                }
            }
        }
    }

    /// The labels are authenticated data: whoever picks the aad cannot pick them.
    #[test]
    fn no_aad_changes_a_label() {
        for origin in ORIGINS {
            let value = Value { bytes: Secret::from("{}"), form: Form::Text, origin };
            let sealed = seal(&SystemRandom::new(), ALGORITHM, &material(), &value, b"").unwrap();
            for (form, other) in FORMS.into_iter().flat_map(|form| ORIGINS.map(|other| (form, other))) {
                assert!(open(ALGORITHM, &material(), &sealed, &labelled(form, other, b"")).is_err());
            }
        }
    }

    #[test]
    fn ciphertexts_of_other_makers_are_foreign_bytes() {
        let key = key(ALGORITHM, &material()).unwrap();
        let mut sealed = b"plain".to_vec();
        let nonce = [7; NONCE_LEN];
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(b"aad"), &mut sealed).unwrap();
        let opened = open(ALGORITHM, &material(), &[&nonce, &*sealed].concat(), b"aad").unwrap();
        assert!(opened.bytes.ct_eq(b"plain") && opened.form == Form::Bytes && opened.origin == Origin::Foreign);
    }

    #[test]
    fn anything_else_is_refused() {
        let value = Value::known(b"x", Form::Bytes);
        let mut sealed = seal(&SystemRandom::new(), ALGORITHM, &material(), &value, b"a").unwrap();
        assert!(open(ALGORITHM, &material(), &sealed, b"b").is_err());
        assert!(open(ALGORITHM, &material(), &sealed[..OVERHEAD - 1], b"a").is_err());
        sealed[OVERHEAD - 1] ^= 1;
        assert!(open(ALGORITHM, &material(), &sealed, b"a").is_err());
        assert!(open(Algorithm::HmacSha256, &material(), &sealed, b"a").is_err());
    }
}
