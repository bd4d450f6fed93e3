//! What those who hold the shares of the root key do together while the barrier is open: make a
//! root token (`sys/generate-root`), or make new shares (`sys/rekey`). Both need a token as well.
//!
//! Invariants: shares live in one attempt, in memory alone, until enough have come, whether they
//! prove anything or not; sealing drops all attempts; new shares are the ones that open the barrier
//! only after one commit, and the old ones only until then.

use base64::{Engine as _, engine::general_purpose::STANDARD, engine::general_purpose::STANDARD_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::{Ask, Served, Sys, required};
use crate::{
    error::{Error, ErrorKind, Result},
    json,
    random::append_base62,
    request::{Fields, Operation, document},
    secret::Secret,
};

/// Longest key share as text; a share is 33 bytes.
const MAX_SHARE_TEXT: usize = 512;
/// Length of a root token: what is combined with it has as many characters.
const OTP_LEN: usize = 28;

/// What is under way.
#[derive(Default)]
pub struct Attempts {
    root: Mutex<Option<Root>>,
    rekey: Mutex<Option<Rekey>>,
}

impl std::fmt::Debug for Attempts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempts").finish_non_exhaustive()
    }
}

impl Attempts {
    /// Drops all of them, with the shares that were given.
    pub async fn forget(&self) {
        *self.root.lock().await = None;
        *self.rekey.lock().await = None;
    }
}

/// Shares of one attempt.
struct Given {
    nonce: String,
    shares: Vec<Secret>,
}

/// A root token that is being made.
struct Root {
    given: Given,
    otp: Secret,
}

/// Shares that are being made.
struct Rekey {
    given: Given,
    shares: u8,
    threshold: u8,
    verify: bool,
    made: Option<Made>,
}

/// New shares that wait until somebody showed that they arrived.
struct Made {
    shares: Vec<Secret>,
    given: Given,
}

impl Given {
    fn new() -> Result<Self> {
        Ok(Self { nonce: nonce()?, shares: Vec::new() })
    }

    /// Adds the share of this request; all of them when enough have come.
    fn take(&mut self, sys: &Sys, fields: &Fields, threshold: u8) -> Result<Option<Vec<Secret>>> {
        let asked = required(text(fields, "nonce")?, "nonce")?;
        if !asked.ct_eq(self.nonce.as_bytes()) {
            let words = format!("incorrect nonce supplied; nonce for this operation is \"{}\"", self.nonce);
            return Err(Error::invalid("nonce", words));
        }
        let share = share(&required(text(fields, "key")?, "key")?)?;
        let number = sys.quorum.number(&share)?;
        if self.shares.iter().any(|had| had.expose().last() == Some(&number)) {
            return Err(Error::invalid("key", "this share was already given: each must be another one"));
        }
        self.shares.push(share);
        let enough = self.shares.len() >= usize::from(threshold);
        Ok(enough.then(|| std::mem::take(&mut self.shares)))
    }
}

pub(super) async fn root(sys: &Sys, ask: &Ask<'_>) -> Result<Served> {
    let mut attempt = sys.attempts.root.lock().await;
    match ask.operation {
        Operation::Delete => {
            *attempt = None;
            return Ok(Served::nothing());
        }
        Operation::Update => {}
        _ => return root_status(sys, attempt.as_ref()),
    }
    let given = text(ask.fields, "otp")?.filter(|otp| !otp.is_empty());
    if given.as_ref().is_some_and(|otp| otp.len() != OTP_LEN) {
        return Err(Error::invalid("otp", format!("an otp has {OTP_LEN} characters")));
    }
    let threshold = threshold(sys)?;
    if present(ask.fields, "pgp_key") {
        return Err(Error::invalid("pgp_key", "encrypting the token to a PGP key is not supported: use an otp"));
    }
    if attempt.is_some() {
        return Err(Error::new(ErrorKind::Conflict, "root generation already in progress"));
    }
    let (otp, made) = match given {
        Some(otp) => (otp, false),
        None => (one_time_pad()?, true),
    };
    let started = attempt.insert(Root { given: Given::new()?, otp });
    let shown = if made { started.otp.expose_str().unwrap_or_default() } else { "" };
    tracing::info!(threshold, "generating a root token began");
    root_document(sys, Some(started), shown, None)
}

pub(super) async fn root_share(sys: &Sys, ask: &Ask<'_>) -> Result<Served> {
    let mut attempt = sys.attempts.root.lock().await;
    let under_way =
        attempt.as_mut().ok_or_else(|| Error::new(ErrorKind::Conflict, "no root generation in progress"))?;
    let Some(shares) = under_way.given.take(sys, ask.fields, threshold(sys)?)? else {
        return root_status(sys, attempt.as_ref());
    };
    sys.quorum.prove(&shares).await?;
    let token = sys.tokens.create_root(None).await?.auth.token;
    let encoded = combined(&token, &under_way.otp)?;
    let ended = attempt.take();
    tracing::warn!("a quorum of key shares made a root token");
    root_document(sys, ended.as_ref(), "", Some(&encoded))
}

fn root_status(sys: &Sys, attempt: Option<&Root>) -> Result<Served> {
    root_document(sys, attempt, "", None)
}

fn root_document(sys: &Sys, attempt: Option<&Root>, otp: &str, token: Option<&str>) -> Result<Served> {
    let required = sys.seal.status().threshold;
    let progress = attempt.map_or(0, |attempt| attempt.given.shares.len());
    let progress = if token.is_some() { usize::from(required) } else { progress };
    Served::json(&json!({
        "nonce": attempt.map_or("", |attempt| attempt.given.nonce.as_str()),
        "started": attempt.is_some(),
        "progress": progress,
        "required": required,
        "complete": token.is_some(),
        "encoded_token": token.unwrap_or_default(),
        "encoded_root_token": token.unwrap_or_default(),
        "pgp_fingerprint": "",
        "otp": otp,
        "otp_length": OTP_LEN,
    }))
}

pub(super) async fn rekey(sys: &Sys, ask: &Ask<'_>) -> Result<Served> {
    let mut attempt = sys.attempts.rekey.lock().await;
    match ask.operation {
        Operation::Delete => {
            *attempt = None;
            return Ok(Served::nothing());
        }
        Operation::Update => {}
        _ => return rekey_status(sys, attempt.as_ref()),
    }
    threshold(sys)?;
    if present(ask.fields, "pgp_keys") {
        return Err(Error::invalid("pgp_keys", "encrypting shares to PGP keys is not supported"));
    }
    if flag(ask.fields, "backup")? {
        return Err(Error::invalid("backup", "a backup needs PGP keys, which are not supported"));
    }
    if attempt.is_some() {
        return Err(Error::new(ErrorKind::Conflict, "rekey already in progress"));
    }
    let (shares, threshold) = (number(ask.fields, "secret_shares")?, number(ask.fields, "secret_threshold")?);
    // Says what is wrong with the numbers before anybody brings a share.
    drop(sys.quorum.split(shares, threshold)?);
    let verify = flag(ask.fields, "require_verification")?;
    *attempt = Some(Rekey { given: Given::new()?, shares, threshold, verify, made: None });
    tracing::info!(seal.shares = shares, seal.threshold = threshold, "making new key shares began");
    rekey_status(sys, attempt.as_ref())
}

pub(super) async fn rekey_share(sys: &Sys, ask: &Ask<'_>) -> Result<Served> {
    let mut attempt = sys.attempts.rekey.lock().await;
    let under_way = attempt.as_mut().ok_or_else(|| Error::new(ErrorKind::Conflict, "no rekey in progress"))?;
    if under_way.made.is_some() {
        return Err(Error::new(ErrorKind::Conflict, "the new shares are made and wait for their verification"));
    }
    let Some(shares) = under_way.given.take(sys, ask.fields, threshold(sys)?)? else {
        return rekey_status(sys, attempt.as_ref());
    };
    sys.quorum.prove(&shares).await?;
    let made = sys.quorum.split(under_way.shares, under_way.threshold)?;
    let verification = if under_way.verify { nonce()? } else { String::new() };
    let answer = made_document(&under_way.given.nonce, &made, under_way, &verification)?;
    if under_way.verify {
        let given = Given { nonce: verification, shares: Vec::new() };
        under_way.made = Some(Made { shares: made, given });
    } else {
        sys.quorum.adopt(&made, under_way.shares, under_way.threshold).await?;
        *attempt = None;
        tracing::warn!("new key shares open the barrier; the old ones do not any more");
    }
    Ok(Served::document(answer))
}

pub(super) async fn rekey_verify(sys: &Sys, ask: &Ask<'_>) -> Result<Served> {
    let mut attempt = sys.attempts.rekey.lock().await;
    let none = || Error::new(ErrorKind::Conflict, "no rekey verification in progress");
    let under_way = attempt.as_mut().ok_or_else(none)?;
    let (shares, threshold) = (under_way.shares, under_way.threshold);
    let made = under_way.made.as_mut().ok_or_else(none)?;
    match ask.operation {
        Operation::Delete => {
            made.given = Given::new()?;
            return Ok(Served::nothing());
        }
        Operation::Update => {}
        _ => return verification(made, shares, threshold),
    }
    let Some(given) = made.given.take(sys, ask.fields, threshold)? else {
        return verification(made, shares, threshold);
    };
    if !given.iter().all(|share| made.shares.iter().any(|own| own.ct_eq(share.expose()))) {
        return Err(Error::invalid("key", "these are not the new shares; all are dropped: start again with the first"));
    }
    sys.quorum.adopt(&given, shares, threshold).await?;
    let nonce = made.given.nonce.clone();
    *attempt = None;
    tracing::warn!("new key shares open the barrier; the old ones do not any more");
    Served::json(&json!({ "complete": true, "nonce": nonce }))
}

fn verification(made: &Made, shares: u8, threshold: u8) -> Result<Served> {
    Served::json(&json!({
        "nonce": made.given.nonce, "started": true, "t": threshold, "n": shares, "progress": made.given.shares.len(),
    }))
}

fn rekey_status(sys: &Sys, attempt: Option<&Rekey>) -> Result<Served> {
    let verification = attempt.and_then(|attempt| attempt.made.as_ref()).map(|made| made.given.nonce.as_str());
    Served::json(&json!({
        "nonce": attempt.map_or("", |attempt| attempt.given.nonce.as_str()),
        "started": attempt.is_some(),
        "t": attempt.map_or(0, |attempt| attempt.threshold),
        "n": attempt.map_or(0, |attempt| attempt.shares),
        "progress": attempt.map_or(0, |attempt| attempt.given.shares.len()),
        "required": sys.seal.status().threshold,
        "pgp_fingerprints": null,
        "backup": false,
        "verification_required": attempt.is_some_and(|attempt| attempt.verify),
        "verification_nonce": verification.unwrap_or_default(),
    }))
}

/// The new shares, in both forms.
fn made_document(nonce: &str, made: &[Secret], attempt: &Rekey, verification: &str) -> Result<Secret> {
    let mut shown = Map::new();
    shown.insert("nonce".to_owned(), nonce.into());
    shown.insert("complete".to_owned(), true.into());
    let all = |form: fn(&[u8]) -> String| made.iter().map(|share| Value::from(form(share.expose()))).collect::<Value>();
    shown.insert("keys".to_owned(), all(hex));
    shown.insert("keys_base64".to_owned(), all(|bytes| STANDARD.encode(bytes)));
    shown.insert("pgp_fingerprints".to_owned(), Value::Null);
    shown.insert("backup".to_owned(), false.into());
    shown.insert("verification_required".to_owned(), attempt.verify.into());
    shown.insert("verification_nonce".to_owned(), verification.into());
    document(&shown)
}

/// Shares needed now.
fn threshold(sys: &Sys) -> Result<u8> {
    match sys.seal.status().threshold {
        0 => {
            let words = format!("the {} seal has no key shares that a quorum could bring", sys.seal.status().kind);
            Err(Error::new(ErrorKind::PreconditionFailed, words))
        }
        threshold => Ok(threshold),
    }
}

/// A share's bytes out of hex or base64 text. Hex wins: 66 hex digits are base64 as well.
///
/// # Errors
/// `invalid_request` at `key`.
pub fn share(text: &Secret) -> Result<Secret> {
    let bad = || Error::invalid("key", "expected a key share in hex or base64");
    let text = text.expose_str().map(str::trim).filter(|text| !text.is_empty() && text.len() <= MAX_SHARE_TEXT);
    let text = text.ok_or_else(bad)?;
    if let Some(bytes) = unhex(text) {
        return Ok(Secret::new(bytes));
    }
    STANDARD.decode(text).map(Secret::new).map_err(|_| bad())
}

/// Lower-case hex digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
    text
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    let digits = Zeroizing::new(digits?);
    let pairs = digits.as_chunks::<2>();
    pairs.1.is_empty().then(|| pairs.0.iter().filter_map(|[high, low]| u8::try_from(high * 16 + low).ok()).collect())
}

fn combined(token: &Secret, otp: &Secret) -> Result<Zeroizing<String>> {
    if token.len() != otp.len() {
        return Err(Error::internal("a token is not as long as its otp"));
    }
    let mixed: Zeroizing<Vec<u8>> =
        Zeroizing::new(token.expose().iter().zip(otp.expose()).map(|(one, other)| one ^ other).collect());
    Ok(Zeroizing::new(STANDARD_NO_PAD.encode(&*mixed)))
}

fn one_time_pad() -> Result<Secret> {
    let mut text = Vec::with_capacity(OTP_LEN);
    append_base62(&mut text, OTP_LEN)?;
    Ok(Secret::new(text))
}

/// A random UUID (RFC 9562 section 5.4).
fn nonce() -> Result<String> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::internal("no randomness"))?;
    let bits = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0b11 << 62) | (4 << 76) | (0b10 << 62);
    let hex = format!("{bits:032x}");
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}

fn raw<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Secret::expose_str).map(str::trim).filter(|raw| *raw != "null")
}

fn text(fields: &Fields, name: &'static str) -> Result<Option<Secret>> {
    let Some(raw) = raw(fields, name) else { return Ok(None) };
    let text = json::string(raw).map_err(|_| Error::invalid(name, "expected a JSON string"))?;
    Ok(Some(Secret::from(text.as_str())))
}

/// Whether something is asked for there.
fn present(fields: &Fields, name: &str) -> bool {
    raw(fields, name).is_some_and(|raw| !matches!(raw, "\"\"" | "[]" | "false"))
}

/// A number, as itself or, from a command line, as text.
fn number(fields: &Fields, name: &'static str) -> Result<u8> {
    let raw = raw(fields, name).unwrap_or_default();
    let number = raw.trim_matches('"').parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| Error::invalid(name, "expected a whole number from 1 to 255"))
}

fn flag(fields: &Fields, name: &'static str) -> Result<bool> {
    match raw(fields, name).map(|raw| raw.trim_matches('"')) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Error::invalid(name, "expected true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_and_its_pad_make_each_other_again() {
        let (token, otp) = (Secret::from("hvs.0123456789abcdefghijklmn"), one_time_pad().unwrap());
        assert_eq!(otp.len(), OTP_LEN);
        let mixed = STANDARD_NO_PAD.decode(combined(&token, &otp).unwrap().as_bytes()).unwrap();
        let back: Vec<u8> = mixed.iter().zip(otp.expose()).map(|(one, other)| one ^ other).collect();
        assert!(token.ct_eq(&back));
        assert!(combined(&token, &Secret::from("short")).is_err());
    }

    #[test]
    fn what_command_lines_send_for_nothing_is_nothing() {
        let body = r#"{"a":null,"b":"","c":[],"d":false,"e":"x","f":["x"],"n":"3","m":3,"z":0,"t":"true"}"#;
        let fields = Fields::from_json(body.as_bytes()).unwrap();
        assert!(["a", "b", "c", "d", "missing"].iter().all(|name| !present(&fields, name)));
        assert!(present(&fields, "e") && present(&fields, "f"));
        assert_eq!((number(&fields, "n").unwrap(), number(&fields, "m").unwrap()), (3, 3));
        assert!(number(&fields, "z").is_err() && number(&fields, "a").is_err() && number(&fields, "e").is_err());
        assert!(flag(&fields, "t").unwrap() && !flag(&fields, "a").unwrap() && flag(&fields, "e").is_err());
    }
}
