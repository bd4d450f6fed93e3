//! Attempts to read, or to recognize, a sealed value without `reveal`. Each answers with what
//! the host said at the decisive step; `ok` anywhere but in a control is a hole.

use crate::{
    Deed, Error, Reply,
    bind::warder::plugin::{
        crypto,
        keys::{Algorithm, Key},
        sealed::{self, Charset, Encoding, Form, Part, Value},
        store::{self, Content},
    },
    told, word,
};

/// Key bytes that the plugin knows.
const MINE: &[u8; 32] = b"0123456789abcdef0123456789abcdef";

pub(crate) fn act(deed: &Deed) -> Option<Reply> {
    let doc = || deed.secret("/doc");
    Some(match deed.what.as_str() {
        "names" => names(&doc()).and_then(told),
        "known-key" => known_key(&doc()).and_then(told),
        "known-secret" => known_secret(&doc()).and_then(told),
        "fingerprints" => fingerprints(&doc()).and_then(told),
        "fingerprint-mixed" => mixed(&doc()).and_then(|value| told([value.fingerprint()])),
        _ => return None,
    })
}

/// Hole 1: a text that becomes a document shows its bytes as a member name.
fn names(doc: &Value) -> Result<Vec<String>, Error> {
    let password = doc.project("/password")?;
    let key = Key::create("names", Algorithm::Aes256Gcm, false)?;
    let quoted = sealed::concat(&[Part::Text("{\"".into()), Part::Secret(&password), Part::Text("\":1}".into())])?;
    let composed = crate::compose(&[], &[("a", &quoted)])?;
    let bytes = quoted.encode(Encoding::Base64)?.decode(Encoding::Base64)?;
    let tries = [
        shape(&quoted),
        shape(&stored("quoted", &quoted)?),
        shape(&encrypted(&key, &quoted)?),
        shape(&composed.project("/a")?),
        shape(&bytes),
        shape(&encrypted(&key, &bytes)?),
        word(sealed::seal(b"{}", Form::Document)?.merge(&quoted)),
        word(quoted.merge(&sealed::seal(b"{}", Form::Document)?)),
        word(quoted.project("/hunter2-AAAA")),
    ];
    Ok([shape(doc)].into_iter().chain(tries).collect())
}

fn shape(value: &Value) -> String {
    word(value.shape(0))
}

/// Hole 2: a key that the plugin knows encrypts a secret, and the plugin decrypts it.
fn known_key(doc: &Value) -> Result<Vec<String>, Error> {
    let fresh = Key::create("fresh", Algorithm::Aes256Gcm, false)?;
    let mine = || sealed::seal(MINE, Form::Bytes);
    let text = String::from_utf8_lossy(MINE).into_owned();
    let member = crate::compose(&[("k", &format!("{text:?}"))], &[])?;
    let exporting = Key::import_key("exporting", Algorithm::Aes256Gcm, &mine()?, true)?;
    let rotated = Key::import_key("rotated", Algorithm::Aes256Gcm, &mine()?, true)?;
    rotated.rotate()?;
    let materials = [
        mine()?,
        stored("mine", &mine()?)?,
        encrypted(&fresh, &mine()?)?,
        member.project("/k")?,
        stored("merged", &doc.merge(&member)?)?.project("/k")?,
        encrypted(&fresh, &doc.merge(&member)?.project("/k")?)?,
        sealed::concat(&[Part::Secret(&doc.project("/empty")?), Part::Text(text.clone())])?,
        stored("mixed", &sealed::concat(&[Part::Secret(&doc.project("/empty")?), Part::Text(text)])?)?,
        sealed::concat(
            &std::array::from_fn::<_, 32, _>(|_| doc.project("/pin").expect("a member")).each_ref().map(Part::Secret),
        )?,
        mine()?.encode(Encoding::Hex)?.decode(Encoding::Hex)?,
        stretched(&doc.project("/pin")?)?,
        sealed::generate(32, &Charset::Custom("a".into()))?,
        sealed::generate(32, &Charset::Custom("ab".into()))?,
        crypto::hmac_sha256(&doc.project("/pin")?, b"message")?,
        exporting.export_key(1)?,
        rotated.export_key(2)?,
    ];
    let mut words: Vec<String> = Vec::new();
    for (i, material) in materials.iter().enumerate() {
        let key = Key::import_key(&format!("imported-{i}"), Algorithm::Aes256Gcm, material, false)?;
        words.push(word(key.encrypt(1, doc, b"")));
    }
    words.push(word(rotated.encrypt(2, doc, b"")));
    let control = Key::import_key("control", Algorithm::Aes256Gcm, &sealed::generate(32, &Charset::Printable)?, false)?;
    words.push(word(control.encrypt(1, doc, b"")));
    words.push(word(fresh.encrypt(1, doc, b"")));
    words.push(word(exporting.encrypt(1, &mine()?, b"")));
    Ok(words)
}

/// One guessable byte, long enough for a key.
fn stretched(pin: &Value) -> Result<Value, Error> {
    (0..5).try_fold(pin.duplicate(), |value, _| value.encode(Encoding::Hex))
}

/// The other way round: a secret that passes for known.
fn known_secret(doc: &Value) -> Result<Vec<String>, Error> {
    let key = Key::import_key("mine", Algorithm::Aes256Gcm, &sealed::seal(MINE, Form::Bytes)?, false)?;
    let empty = sealed::seal(b"{}", Form::Document)?;
    let fresh = Key::create("fresh", Algorithm::Aes256Gcm, false)?;
    let tries = [
        sealed::concat(&[Part::Text(String::new()), Part::Secret(doc)])?,
        crate::compose(&[("a", "1")], &[("b", doc)])?,
        empty.merge(doc)?,
        doc.merge(&empty)?,
        stored("secret", &empty.merge(doc)?)?,
        encrypted(&fresh, &sealed::concat(&[Part::Text(String::new()), Part::Secret(doc)])?)?,
        doc.encode(Encoding::Base64)?,
        doc.project("/password")?,
        crypto::hmac_sha256(doc, b"")?,
    ];
    Ok(tries.iter().map(|value| word(key.encrypt(1, value, b""))).collect())
}

/// Hole 5: sealing guesses and comparing. The first is the control: equal values are equal.
fn fingerprints(doc: &Value) -> Result<Vec<String>, Error> {
    let password = doc.project("/password")?;
    let guess = sealed::seal(b"hunter2-AAAA", Form::Text)?;
    let tries =
        [doc.project("/password")?, stored("password", &password)?, guess.duplicate(), stored("guess", &guess)?];
    let real = password.fingerprint();
    Ok(tries.iter().map(|value| (value.fingerprint() == real).to_string()).collect())
}

/// A guess inside a document that is mostly not the plugin's.
fn mixed(doc: &Value) -> Result<Value, Error> {
    doc.merge(&crate::compose(&[("x", "\"hunter2-AAAA\"")], &[])?)?.project("/x")
}

fn stored(key: &str, value: &Value) -> Result<Value, Error> {
    store::put_secret(key, value)?;
    match store::get(key)? {
        Some(Content::Secret(value)) => Ok(value),
        _ => panic!("a sealed value was stored"),
    }
}

fn encrypted(key: &Key, value: &Value) -> Result<Value, Error> {
    key.decrypt(1, &key.encrypt(1, value, b"aad")?, b"aad")
}
