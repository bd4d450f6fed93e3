//! Keys and passwords used as they are meant to be, and misused.

use std::time::Duration;

use warder_runtime::RuntimeConfig;

use crate::sandbox::{Sandbox, config};

#[tokio::test(flavor = "multi_thread")]
async fn keys_sign_encrypt_rotate_and_go() {
    let words = Sandbox::start().await.told("do/keys").await;
    let missing = "ErrorKind::NotFound: the key has versions 2 to 2";
    let expected = [
        "ed true false",
        "p256 true false",
        "p384 true false",
        "mac 32 32",
        "rotated 2",
        "ok",
        missing,
        "2 to 2",
        "true",
    ];
    assert_eq!(words, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn misused_keys_say_why() {
    let words = Sandbox::start().await.told("do/refused-keys").await;
    let expected = [
        "Unsupported: RSA keys are not available in this version: use ed25519, ecdsa-p256 or ecdsa-p384",
        "Conflict: a key of this name exists",
        "InvalidRequest: a key name has no empty, '.' or '..' segment and no control character",
        "InvalidRequest: a key of this algorithm is 32 bytes",
        "Denied: the key was not made exportable",
        "InvalidRequest: the scheme does not fit the key's algorithm",
        "InvalidRequest: the key is no hmac-sha256 key",
        "InvalidRequest: a ciphertext is at least 28 bytes",
        "NotFound: the key has versions 1 to 1",
        "Integrity: the ciphertext, its key version and its aad do not belong together",
        "InvalidRequest: the latest version of a key cannot be trimmed",
        "InvalidRequest: the key material is no RSA private key of 2048 bits or more",
        "Unsupported: the scheme must be EdDSA, ES256, ES384, PS256 or RS256",
    ];
    assert_eq!(words, expected.map(|word| format!("ErrorKind::{word}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_verify_against_their_hash_only() {
    let sandbox = Sandbox::with(RuntimeConfig { wall: Duration::from_secs(120), ..config() }).await;
    let words = sandbox.told("do/passwords").await;
    assert_eq!(words[..2], ["true", "false"]);
    assert!(words[2].starts_with("ErrorKind::InvalidRequest: a password hash is $pbkdf2-sha256$"), "{}", words[2]);
}
