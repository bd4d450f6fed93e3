//! Looks for secret bytes in this plugin's own linear memory after every host call of a
//! key-value read and write. The needles come masked, so that they are not their own hits.

use crate::{
    Deed, Error, Reply, answer,
    bind::exports::warder::plugin::backend::{Answer, Document},
    bind::warder::plugin::{
        sealed::{self, Encoding, Form, Part, Value},
        store::{self, Content},
    },
};

const MASK: u8 = 0x5a;

/// Needles, each byte masked.
struct Scanner {
    needles: Vec<Vec<u8>>,
    hits: Vec<usize>,
}

pub(crate) fn act(deed: &Deed) -> Option<Reply> {
    Some(match deed.what.as_str() {
        "scan" => scan(deed),
        "scan-control" => control(deed),
        _ => return None,
    })
}

/// What a key-value plugin does with a document, a look after each step.
fn scan(deed: &Deed) -> Reply {
    let mut scanner = Scanner::new(&deed.arg);
    scanner.look();
    let doc = deed.secret("/doc");
    store::put_secret("versions/1", &doc)?;
    scanner.look();
    let read = match store::get("versions/1")? {
        Some(Content::Secret(value)) => value,
        _ => panic!("a sealed value was stored"),
    };
    scanner.look();
    for step in steps(&read)? {
        scanner.look();
        drop(step);
    }
    scanner.look();
    let data = format!("{{\"data\":null,\"hits\":{:?}}}", scanner.hits);
    answer(Answer::Document(Document { data, secrets: vec![("/data".into(), read)] }))
}

fn steps(doc: &Value) -> Result<Vec<Value>, Error> {
    let password = doc.project("/password")?;
    _ = (doc.shape(0)?, doc.fingerprint(), doc.len());
    Ok(vec![
        doc.merge(&crate::compose(&[("x", "1")], &[("again", &password)])?)?,
        password.encode(Encoding::Base64)?,
        password.encode(Encoding::Hex)?,
        sealed::concat(&[Part::Text("user:".into()), Part::Secret(&password)])?,
    ])
}

/// The same look finds a secret that the plugin made itself.
fn control(deed: &Deed) -> Reply {
    let mut scanner = Scanner::new(&deed.arg);
    let plain: Vec<u8> = scanner.needles[0].iter().map(|byte| byte ^ MASK).collect();
    let value = sealed::seal(&plain, Form::Text)?;
    scanner.look();
    let data = format!("{{\"data\":null,\"hits\":{:?},\"last\":{}}}", scanner.hits, plain.len());
    answer(Answer::Document(Document { data, secrets: vec![("/data".into(), value)] }))
}

impl Scanner {
    /// Masked bytes in hex, comma between needles.
    fn new(arg: &str) -> Self {
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap_or("00"), 16).unwrap_or(0);
        let needle = |text: &str| text.as_bytes().chunks(2).map(byte).collect();
        Self { needles: arg.split(',').map(needle).collect(), hits: Vec::new() }
    }

    fn look(&mut self) {
        let hits = self.needles.iter().map(|needle| count(needle)).sum();
        self.hits.push(hits);
    }
}

#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code, reason = "reads every byte of this instance's own memory")]
fn count(needle: &[u8]) -> usize {
    let end = core::arch::wasm32::memory_size(0) * 65536;
    let at = |address: usize| unsafe { core::ptr::read_volatile(address as *const u8) };
    let first = needle[0] ^ MASK;
    (1..=end - needle.len())
        .filter(|start| at(*start) == first && needle.iter().enumerate().all(|(i, byte)| at(start + i) == byte ^ MASK))
        .count()
}

#[cfg(not(target_arch = "wasm32"))]
fn count(_: &[u8]) -> usize {
    unreachable!("only a component has linear memory")
}
