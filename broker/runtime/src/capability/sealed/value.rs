//! A sealed value inside one call, and its labels.

use ring::hmac;
use warder_core::{
    json,
    sealed::{Form, SealedValue},
    secret::{Secret, wiping_stack},
};
use zeroize::Zeroizing;

use super::encode;
use crate::{
    bind::warder::plugin::sealed::Encoding,
    fault::{Fault, invalid},
};

/// How much a plugin may know of a value.
///
/// One bit (`known`) is not enough: with it, `concat` of a guessable foreign value and the
/// plugin's own key bytes would be "not known", and a key imported from it would encrypt secrets
/// that the plugin then decrypts by itself. So there is a third origin that is trusted for
/// nothing: it is neither known (it may hold secrets) nor foreign (the plugin may have chosen it).
/// Trusted for nothing means: no key, no key material for a signature, no fingerprint, not decoded.
/// What stays open: a foreign value of key size that is guessable as a whole, because a caller
/// chose it so, is taken for a good key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The plugin had no hand in it: it came with the request, from upstream, or from our CSPRNG.
    Foreign,
    /// The plugin may know every byte.
    Known,
    /// Put together by the plugin from values that are not all known, or guessable.
    Mixed,
}

impl Origin {
    /// Of a value that the plugin put together.
    pub(crate) const fn of_composite(all_known: bool) -> Self {
        if all_known { Self::Known } else { Self::Mixed }
    }
}

/// Secret bytes with their labels; clones share the bytes.
#[derive(Clone, Debug)]
pub struct Value {
    pub(crate) bytes: Secret,
    pub(crate) form: Form,
    pub(crate) origin: Origin,
}

impl Value {
    /// Bytes that the plugin gave.
    pub(crate) fn known(bytes: &[u8], form: Form) -> Self {
        Self { bytes: Secret::from(bytes), form, origin: Origin::Known }
    }

    /// Other bytes of the same origin.
    pub(crate) const fn with(&self, bytes: Secret, form: Form) -> Self {
        Self { bytes, form, origin: self.origin }
    }

    /// The JSON text of a document; other forms are none, whatever their bytes look like.
    pub(crate) fn document(&self) -> Result<&str, Fault> {
        match (self.form, self.bytes.expose_str()) {
            (Form::Document, Some(text)) => Ok(text),
            _ => Err(invalid("only a sealed document has members")),
        }
    }

    /// As it appears in JSON: text as a string, a document as itself, bytes as base64.
    pub(crate) fn as_json(&self) -> Result<Zeroizing<String>, Fault> {
        let text = match (self.form, self.bytes.expose_str()) {
            (Form::Document, Some(text)) => return Ok(Zeroizing::new(text.to_owned())),
            (Form::Text, Some(_)) => self.bytes.clone(),
            (Form::Bytes, _) => encode::encode(Encoding::Base64, self.bytes.expose(), false),
            (_, None) => return Err(invalid("a sealed text is not UTF-8")),
        };
        // Sized once, so that growing leaves no copy: controls become \u00xx at most.
        let room = text.expose().iter().map(|byte| match byte {
            0..0x20 => 6,
            b'"' | b'\\' => 2,
            _ => 1,
        });
        let mut quoted = Zeroizing::new(Vec::with_capacity(room.sum::<usize>() + 2));
        json::write_string(&mut quoted, text.expose_str().unwrap_or_default());
        Ok(Zeroizing::new(String::from_utf8(std::mem::take(&mut *quoted)).unwrap_or_default()))
    }

    /// `HMAC-SHA256(mount key, domain ‖ 0x00 ‖ bytes)`, first 16 bytes, lower-case hex.
    ///
    /// Known values have a domain of their own, so that sealing guesses finds nothing; mixed ones
    /// have no fingerprint, for the same reason.
    pub(crate) fn fingerprint(&self, key: &Secret) -> Option<String> {
        let domain: &[u8] = match self.origin {
            Origin::Foreign => b"warder fingerprint foreign\0",
            Origin::Known => b"warder fingerprint known\0",
            Origin::Mixed => return None,
        };
        let tag = wiping_stack(|| {
            let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.expose()));
            context.update(domain);
            context.update(self.bytes.expose());
            context.sign()
        });
        Some(tag.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect())
    }
}

impl From<SealedValue> for Value {
    fn from(value: SealedValue) -> Self {
        let origin = if value.known { Origin::Known } else { Origin::Foreign };
        Self { bytes: value.bytes, form: value.form, origin }
    }
}

impl From<Value> for SealedValue {
    fn from(value: Value) -> Self {
        Self { bytes: value.bytes, form: value.form, known: value.origin == Origin::Known }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, form: Form, origin: Origin) -> Value {
        Value { bytes: Secret::from(text), form, origin }
    }

    #[test]
    fn fingerprints_of_guesses_say_nothing_about_secrets() {
        let key = Secret::from([7u8; 32].as_slice());
        let of = |origin| value("hunter2", Form::Text, origin).fingerprint(&key);
        assert_eq!(of(Origin::Foreign), of(Origin::Foreign));
        assert_ne!(of(Origin::Foreign), of(Origin::Known));
        assert_eq!(of(Origin::Mixed), None);
        assert_ne!(of(Origin::Foreign), value("hunter2", Form::Text, Origin::Foreign).fingerprint(&Secret::from("k")));
    }

    #[test]
    fn only_documents_have_members() {
        assert!(value("{}", Form::Document, Origin::Foreign).document().is_ok());
        for form in [Form::Text, Form::Bytes] {
            assert!(value("{}", form, Origin::Known).document().is_err());
        }
    }

    #[test]
    fn each_form_has_one_look_in_json() {
        let look = |text, form| value(text, form, Origin::Known).as_json().ok().map(|json| json.to_string());
        assert_eq!(look("a\"b\u{1}", Form::Text).as_deref(), Some("\"a\\\"b\\u0001\""));
        assert_eq!(look("{\"a\":1}", Form::Document).as_deref(), Some("{\"a\":1}"));
        assert_eq!(look("abc", Form::Bytes).as_deref(), Some("\"YWJj\""));
    }
}
