//! What those who hold key shares do together, for both native doors: what the doors ask the broker
//! for, and the shape that they show its answers in.
//!
//! Invariant: what both doors show is made of one text, so that they cannot differ.

use serde::Deserialize;
use warder_core::{
    error::Error,
    json,
    request::{Answer, Fields, Reply as Answered},
    secret::Secret,
};

use super::{problem::Refusal, vault::keys::counted};

/// A root token that is being made.
pub(super) const ROOT: &str = "sys/generate-root/attempt";
/// Shares for it.
pub(super) const ROOT_SHARE: &str = "sys/generate-root/update";
/// Key shares that are being made.
pub(super) const REKEY: &str = "sys/rekey/init";
/// Old shares for them.
pub(super) const REKEY_SHARE: &str = "sys/rekey/update";
/// New shares that are given back.
pub(super) const REKEY_VERIFY: &str = "sys/rekey/verify";

/// What Vault's clients look for and nobody else.
const DROPPED: [&str; 4] = ["backup", "encoded_root_token", "pgp_fingerprint", "pgp_fingerprints"];
/// The broker's names and ours.
const RENAMED: [(&str, &str); 2] = [("n", "shares"), ("t", "threshold")];

/// What begins new key shares.
///
/// # Errors
/// `invalid_request` at `shares` or `threshold`.
pub(super) fn rekey(shares: Option<u8>, threshold: Option<u8>, verify: bool) -> Result<Fields, Refusal> {
    let (shares, threshold) = (counted("shares", shares)?, counted("threshold", threshold)?);
    let mut fields = Fields::default();
    fields.set("secret_shares", shares.to_string());
    fields.set("secret_threshold", threshold.to_string());
    fields.set("require_verification", verify.to_string());
    Ok(fields)
}

/// The broker's answer in our own words.
///
/// # Errors
/// `internal` when it is something else.
pub(super) fn shown(answered: &Answered) -> Result<Secret, Error> {
    let Answer::Document(document) = &answered.answer else {
        return Err(Error::internal("an attempt's answer is no document"));
    };
    let text = document.expose_str().ok_or_else(|| Error::internal("an answer is not UTF-8"))?;
    let members = json::members(text).map_err(Error::internal)?;
    let told = members.iter().any(|(name, _)| name == "complete");
    let ours = |name: &'_ str| RENAMED.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours);
    let kept = members.iter().filter(|(name, _)| !DROPPED.contains(&&**name));
    let kept = kept.map(|(name, text)| (ours(name).unwrap_or(name), *text));
    Ok(json::compose(kept.chain((!told).then_some(("complete", "false")))))
}

/// The same, taken apart: what an answer has not is nothing.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
pub(super) struct Attempt {
    pub(super) started: bool,
    pub(super) nonce: String,
    pub(super) progress: u32,
    pub(super) required: u32,
    pub(super) complete: bool,
    pub(super) encoded_token: String,
    pub(super) otp: String,
    pub(super) otp_length: u32,
    pub(super) shares: u32,
    pub(super) threshold: u32,
    pub(super) keys: Vec<String>,
    pub(super) keys_base64: Vec<String>,
    pub(super) verification_required: bool,
    pub(super) verification_nonce: String,
}

impl Attempt {
    /// Out of the broker's answer.
    ///
    /// # Errors
    /// `internal` when it is something else.
    pub(super) fn of(answered: &Answered) -> Result<Self, Error> {
        serde_json::from_slice(shown(answered)?.expose()).map_err(|_| Error::internal("an attempt's answer is another"))
    }
}

#[cfg(test)]
mod tests {
    use warder_core::{path::Path, request::Operation};

    use super::*;

    fn answered(document: &str) -> Answered {
        Answered::new(Operation::Read, Path::parse(REKEY).unwrap(), Answer::Document(Secret::from(document)))
    }

    #[test]
    fn answers_have_our_own_names_and_always_say_whether_they_are_complete() {
        let waiting = answered(r#"{"nonce":"x","t":2,"n":3,"progress":1,"backup":false,"pgp_fingerprints":null}"#);
        let ours = r#"{"nonce":"x","threshold":2,"shares":3,"progress":1,"complete":false}"#;
        assert_eq!(shown(&waiting).unwrap().expose_str(), Some(ours));
        let done = answered(r#"{"complete":true,"encoded_token":"a","encoded_root_token":"a"}"#);
        assert_eq!(shown(&done).unwrap().expose_str(), Some(r#"{"complete":true,"encoded_token":"a"}"#));
        let attempt = Attempt::of(&waiting).unwrap();
        assert_eq!((attempt.threshold, attempt.shares, attempt.complete), (2, 3, false));
    }

    #[test]
    fn numbers_are_named_as_the_native_doors_name_them() {
        for (shares, threshold, field) in
            [(None, Some(1), "shares"), (Some(1), None, "threshold"), (Some(0), Some(1), "shares")]
        {
            assert_eq!(rekey(shares, threshold, false).unwrap_err().error().field.as_deref(), Some(field));
        }
        let fields = rekey(Some(3), Some(2), true).unwrap().to_json();
        let asked = br#"{"secret_shares":3,"secret_threshold":2,"require_verification":true}"#;
        assert!(fields.ct_eq(asked), "{:?}", fields.expose_str());
    }
}
