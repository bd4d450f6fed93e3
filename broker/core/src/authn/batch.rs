//! Batch tokens: the entry itself, encrypted, is the token.
//!
//! `hvb.` + base64url, unpadded, of: salt (24 bytes) || ciphertext || tag (16 bytes).
//! AES-256-GCM under HMAC-SHA256(batch key, salt), nonce zero, AAD = `warder batch token 1`.
//! A key serves one token, so there is no count of nonces to keep: two of 2^64 tokens share a
//! salt with a chance of 2^-65.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use zeroize::Zeroizing;

use super::{MAX_CREDENTIAL_BYTES, Tokens, entry::Entry, refusal::Refusal, text};
use crate::{
    error::{Error, Result},
    identity::TokenKind,
    secret::{Secret, wiping_stack},
};

const SALT_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const PURPOSE: &[u8] = b"warder batch token 1";

impl Tokens {
    pub(super) async fn seal_batch(&self, entry: &Entry) -> Result<Secret> {
        let key = self.batch_key.obtain(self.storage.as_ref()).await?;
        let mut salt = [0; SALT_BYTES];
        SystemRandom::new().fill(&mut salt).map_err(|_| Error::internal("no randomness"))?;
        let mut sealed = Zeroizing::new(entry.to_json()?.expose().to_vec());
        let tag = cipher(&key, &salt)?
            .seal_in_place_separate_tag(nonce(), Aad::from(PURPOSE), &mut sealed)
            .map_err(|_| Error::internal("a batch token could not be encrypted"))?;
        let token =
            format!("{}{}", text::BATCH, URL_SAFE_NO_PAD.encode([&salt, sealed.as_slice(), tag.as_ref()].concat()));
        if token.len() > MAX_CREDENTIAL_BYTES {
            return Err(Refusal::BatchTooLarge.into());
        }
        Ok(Secret::from(token))
    }

    /// The entry of a genuine batch token whose parent, if any, is alive.
    pub(super) async fn open_batch(&self, body: &[u8]) -> Result<Option<Entry>> {
        let Some(key) = self.batch_key.find(self.storage.as_ref()).await? else { return Ok(None) };
        let Some(entry) = open(&key, body)? else { return Ok(None) };
        let Some(parent) = entry.parent else { return Ok(Some(entry)) };
        let parent = self.recall(parent).await?;
        Ok(parent.filter(|parent| parent.entry.lives(self.clock.now())).map(|_| entry))
    }
}

pub(super) fn open(key: &Secret, body: &[u8]) -> Result<Option<Entry>> {
    let Ok(mut bytes) = URL_SAFE_NO_PAD.decode(body).map(Zeroizing::new) else { return Ok(None) };
    if bytes.len() < SALT_BYTES + TAG_BYTES {
        return Ok(None);
    }
    let Some((salt, sealed)) = bytes.split_first_chunk_mut::<SALT_BYTES>() else { return Ok(None) };
    let Ok(plain) = cipher(key, salt)?.open_in_place(nonce(), Aad::from(PURPOSE), sealed) else { return Ok(None) };
    let entry: Entry = serde_json::from_slice(plain).map_err(Error::internal)?;
    Ok((entry.kind == TokenKind::Batch).then_some(entry))
}

fn cipher(key: &Secret, salt: &[u8; SALT_BYTES]) -> Result<LessSafeKey> {
    let derived = wiping_stack(|| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.expose()), salt));
    let key =
        UnboundKey::new(&AES_256_GCM, derived.as_ref()).map_err(|_| Error::internal("a derived key is no key"))?;
    Ok(LessSafeKey::new(key))
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}
