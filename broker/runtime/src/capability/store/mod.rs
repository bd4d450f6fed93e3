//! `store`: the mount's own storage, as one transaction per call.
//!
//! Plugin keys lie below `s/` of the transaction; host-held key material lies beside it, below
//! `k/`, where no plugin key reaches. Record: [`Content`]; a value of mixed origin has one byte
//! `M` in front (see [`Origin`]).

use warder_core::{
    error::{Error, ErrorKind},
    sealed::Content,
    secret::Secret,
};
use wasmtime::component::Resource;

use crate::{
    bind::warder::plugin::store::{self, Content as WitContent},
    capability::sealed::{Origin, Value},
    fault::{Fault, invalid},
    host::Host,
};

/// Where plugin keys live in the mount's subtree.
const PLUGIN: &str = "s/";
/// Marks a sealed record of mixed origin.
const MIXED: u8 = b'M';

impl store::Host for Host {
    async fn get(&mut self, key: String) -> Result<Option<WitContent>, Fault> {
        let call = self.call()?;
        let Some(record) = call.txn.get(&storage_key(&key)?).await? else { return Ok(None) };
        match decode(&record)? {
            Record::Plain(bytes) => Ok(Some(WitContent::Plain(bytes))),
            Record::Sealed(value) => Ok(Some(WitContent::Secret(call.keep(value)?))),
        }
    }

    async fn put(&mut self, key: String, plain: Vec<u8>) -> Result<(), Fault> {
        let call = self.call()?;
        Ok(call.txn.put(&storage_key(&key)?, Content::Plain(plain).encode())?)
    }

    async fn put_secret(&mut self, key: String, value: Resource<Value>) -> Result<(), Fault> {
        let call = self.call()?;
        let value = call.value(&value)?;
        Ok(call.txn.put(&storage_key(&key)?, encode(value))?)
    }

    async fn delete(&mut self, key: String) -> Result<(), Fault> {
        let call = self.call()?;
        Ok(call.txn.delete(&storage_key(&key)?)?)
    }

    async fn children(&mut self, prefix: String, after: Option<String>, limit: u32) -> Result<Vec<String>, Fault> {
        let call = self.call()?;
        let folder = prefix.strip_suffix('/').unwrap_or(&prefix);
        if prefix.is_empty() || (folder.len() < prefix.len() && is_canonical(folder)) {
            let full = format!("{PLUGIN}{prefix}");
            return Ok(call.txn.children(&full, after.as_deref(), limit as usize).await?);
        }
        Err(invalid("a store prefix is empty or ends in '/', without empty, '.' or '..' segments"))
    }
}

#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;

fn storage_key(key: &str) -> Result<String, Fault> {
    if is_canonical(key) {
        return Ok(format!("{PLUGIN}{key}"));
    }
    Err(invalid("a store key has no empty, '.' or '..' segment and no control character"))
}

/// Whether a key is made of segments that mean themselves.
pub(crate) fn is_canonical(key: &str) -> bool {
    !key.chars().any(char::is_control) && key.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
}

enum Record {
    Plain(Vec<u8>),
    Sealed(Value),
}

fn encode(value: Value) -> Secret {
    let mixed = value.origin == Origin::Mixed;
    let record = Content::Sealed(value.into()).encode();
    if !mixed {
        return record;
    }
    let mut marked = Vec::with_capacity(record.len() + 1);
    marked.push(MIXED);
    marked.extend_from_slice(record.expose());
    Secret::new(marked)
}

fn decode(record: &Secret) -> Result<Record, Fault> {
    let (mixed, inner) = match record.expose() {
        [MIXED, inner @ ..] => (true, inner),
        whole => (false, whole),
    };
    match (Content::decode(inner), mixed) {
        (Ok(Content::Plain(bytes)), false) => Ok(Record::Plain(bytes)),
        (Ok(Content::Sealed(value)), false) => Ok(Record::Sealed(value.into())),
        (Ok(Content::Sealed(value)), true) if !value.known => {
            Ok(Record::Sealed(Value { origin: Origin::Mixed, ..value.into() }))
        }
        _ => Err(Error::new(ErrorKind::UpstreamProtocol, "a stored record has an unknown header").into()),
    }
}

#[cfg(test)]
mod tests {
    use warder_core::sealed::Form;

    use super::*;

    #[test]
    fn every_label_survives_the_record() {
        for origin in [Origin::Foreign, Origin::Known, Origin::Mixed] {
            for form in [Form::Text, Form::Document, Form::Bytes] {
                let record = encode(Value { bytes: Secret::from("{}"), form, origin });
                let Ok(Record::Sealed(back)) = decode(&record) else { panic!("a sealed record") };
                assert!(back.form == form && back.origin == origin && back.bytes.ct_eq(b"{}"));
            }
        }
    }

    #[test]
    fn unknown_headers_end_the_call() {
        let plain = Content::Plain(b"x".to_vec()).encode();
        let marked = [b"M", plain.expose()].concat();
        let mixed_and_known = b"M\x01\x01\0\x01x";
        for record in [&b""[..], b"M", b"\x09\0\0\0", &marked, mixed_and_known] {
            assert!(matches!(decode(&Secret::from(record)), Err(Fault::Trap(_))));
        }
    }

    #[test]
    fn keys_mean_themselves() {
        for key in ["a", "a/b", "..a/b..", "gr\u{fc}n", "a b"] {
            assert!(is_canonical(key), "{key:?}");
        }
        for key in ["", "/a", "a/", "a//b", "../k/x", "a/../b", ".", "a\0b", "a\nb"] {
            assert!(!is_canonical(key), "{key:?}");
        }
    }
}
