//! Honest use of `keys` and `crypto`: every step must answer `ok`, refusals say so.

use crate::{
    Deed, Error, Reply,
    bind::warder::plugin::{
        crypto,
        keys::{Algorithm, Key},
        sealed::{self, Form},
    },
    told, word,
};

pub(crate) fn act(deed: &Deed) -> Option<Reply> {
    Some(match deed.what.as_str() {
        "keys" => keys().and_then(told),
        "refused-keys" => refused().and_then(told),
        "passwords" => passwords(deed).and_then(told),
        "keep-key" => Key::create("kept", Algorithm::Aes256Gcm, false).and_then(|_| told(["ok".to_owned()])),
        "find-key" => Key::open("kept").and_then(|key| told([key.is_some().to_string()])),
        _ => return None,
    })
}

fn keys() -> Result<Vec<String>, Error> {
    let mut words = Vec::new();
    for (name, algorithm, scheme) in [
        ("ed", Algorithm::Ed25519, "EdDSA"),
        ("p256", Algorithm::EcdsaP256, "ES256"),
        ("p384", Algorithm::EcdsaP384, "ES384"),
    ] {
        let key = Key::create(name, algorithm, false)?;
        let signature = key.sign(1, scheme, b"message")?;
        let good = crypto::verify(scheme, &key.public_key(1)?, b"message", &signature)?;
        let bad = crypto::verify(scheme, &key.public_key(1)?, b"massage", &signature)?;
        words.push(format!("{name} {good} {bad}"));
    }
    let mac = Key::create("mac", Algorithm::HmacSha256, true)?;
    let tag = crypto::hmac_sha256(&mac.export_key(1)?, b"message")?;
    words.push(format!("mac {} {}", mac.mac(1, b"message")?.len(), tag.len()));
    let key = Key::create("aes", Algorithm::Chacha20Poly1305, false)?;
    let old = key.encrypt(1, &sealed::seal(b"x", Form::Text)?, b"")?;
    words.push(format!("rotated {}", key.rotate()?));
    words.push(word(key.decrypt(1, &old, b"")));
    key.trim(2)?;
    words.push(word(key.decrypt(1, &old, b"")));
    let versions = Key::open("aes")?.map(|key| key.versions());
    words.push(versions.map_or_else(String::new, |range| format!("{} to {}", range.oldest, range.latest)));
    key.destroy()?;
    words.push(Key::open("aes")?.is_none().to_string());
    Ok(words)
}

fn refused() -> Result<Vec<String>, Error> {
    let key = Key::create("plain", Algorithm::Aes256Gcm, false)?;
    let short = sealed::seal(b"short", Form::Bytes)?;
    Ok(vec![
        word(Key::create("rsa", Algorithm::Rsa2048, false)),
        word(Key::create("plain", Algorithm::Aes256Gcm, false)),
        word(Key::create("../s/x", Algorithm::Aes256Gcm, false)),
        word(Key::import_key("short", Algorithm::Aes256Gcm, &short, false)),
        word(key.export_key(1)),
        word(key.sign(1, "EdDSA", b"")),
        word(key.mac(1, b"")),
        word(key.decrypt(1, b"short", b"")),
        word(key.decrypt(2, &[0; 40], b"")),
        word(key.decrypt(1, &[0; 40], b"")),
        word(key.trim(2)),
        word(crypto::sign_with(&short, "RS256", b"")),
        word(crypto::sign_with(&short, "none", b"")),
    ])
}

fn passwords(deed: &Deed) -> Result<Vec<String>, Error> {
    let password = deed.secret("/doc").project("/password")?;
    let hash = crypto::hash_password(&password)?;
    Ok(vec![
        crypto::verify_password(&password, &hash)?.to_string(),
        crypto::verify_password(&sealed::seal(b"other", Form::Text)?, &hash)?.to_string(),
        word(crypto::verify_password(&password, "$pbkdf2-sha256$i=999999999$c2FsdHNhbHQ$")),
    ])
}
