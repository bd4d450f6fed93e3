//! `keys`: versioned keys that stay in the host; a plugin holds names and handles.
//!
//! One record per key below `k/` of the mount's transaction (see [`record`]); each operation
//! reads it, so that two handles of one key agree. Invariants: a key whose material a plugin may
//! know encrypts known values only, and nothing that it decrypts passes for foreign; material that
//! a plugin put together of secrets is no key: what such a key makes can be compared with guesses.

mod aead;
mod asymmetric;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod record;

pub(crate) use asymmetric::{Scheme, algorithm_of, sign, spki};
use record::{KeyRecord, MAX_VERSIONS};
use ring::hmac;
use warder_core::{
    sealed::Form,
    secret::{Secret, wiping_stack},
};
use wasmtime::component::Resource;

use crate::{
    bind::warder::plugin::keys::{self, Algorithm, VersionRange},
    call::CallState,
    capability::{
        sealed::{Origin, Value},
        store::is_canonical,
    },
    fault::{Fault, WitKind, answer, invalid, limit},
    host::Host,
};

/// A handle: the record is read by name.
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub struct Key {
    name: String,
}

impl keys::Host for Host {}

impl keys::HostKey for Host {
    async fn create(&mut self, name: String, algorithm: Algorithm, exportable: bool) -> Result<Resource<Key>, Fault> {
        let call = self.call()?;
        absent(call, &name).await?;
        call.observed.unrepeatable = true;
        let material = record::fresh(&call.random, algorithm)?;
        let record = KeyRecord { algorithm, exportable, known: false, oldest: 1, versions: vec![material] };
        add(call, name, &record)
    }

    async fn import_key(
        &mut self,
        name: String,
        algorithm: Algorithm,
        material: Resource<Value>,
        exportable: bool,
    ) -> Result<Resource<Key>, Fault> {
        let call = self.call()?;
        absent(call, &name).await?;
        let value = call.value(&material)?;
        if value.origin == Origin::Mixed {
            return Err(put_together());
        }
        let known = value.origin == Origin::Known;
        let material = record::imported(algorithm, &value.bytes)?;
        add(call, name, &KeyRecord { algorithm, exportable, known, oldest: 1, versions: vec![material] })
    }

    async fn open(&mut self, name: String) -> Result<Option<Resource<Key>>, Fault> {
        let call = self.call()?;
        match call.txn.get(&storage_key(&name)?).await? {
            None => Ok(None),
            Some(_) => Ok(Some(call.table.push(Key { name })?)),
        }
    }

    async fn versions(&mut self, key: Resource<Key>) -> wasmtime::Result<VersionRange> {
        match load(self.call()?, &key).await {
            Ok(record) => Ok(VersionRange { oldest: record.oldest, latest: record.latest() }),
            Err(Fault::Trap(error)) => Err(error),
            Err(Fault::Answer(error)) => Err(wasmtime::format_err!("{}", error.detail)),
        }
    }

    async fn rotate(&mut self, key: Resource<Key>) -> Result<u32, Fault> {
        let call = self.call()?;
        let mut record = load(call, &key).await?;
        if record.versions.len() >= MAX_VERSIONS {
            return Err(limit(format!("a key has at most {MAX_VERSIONS} versions: trim it first")));
        }
        call.observed.unrepeatable = true;
        record.versions.push(record::fresh(&call.random, record.algorithm)?);
        save(call, &key, &record)?;
        Ok(record.latest())
    }

    async fn trim(&mut self, key: Resource<Key>, before: u32) -> Result<(), Fault> {
        let call = self.call()?;
        let mut record = load(call, &key).await?;
        if before > record.latest() {
            return Err(invalid("the latest version of a key cannot be trimmed"));
        }
        if before > record.oldest {
            let gone = (before - record.oldest) as usize;
            record.versions.drain(..gone.min(record.versions.len()));
            record.oldest = before;
            save(call, &key, &record)?;
        }
        Ok(())
    }

    async fn destroy(&mut self, key: Resource<Key>) -> Result<(), Fault> {
        let call = self.call()?;
        let path = storage_key(&call.table.get(&key)?.name)?;
        Ok(call.txn.delete(&path)?)
    }

    async fn public_key(&mut self, key: Resource<Key>, version: u32) -> Result<Vec<u8>, Fault> {
        let record = load(self.call()?, &key).await?;
        asymmetric::public_key(record.algorithm, record.version(version)?)
    }

    async fn encrypt(
        &mut self,
        key: Resource<Key>,
        version: u32,
        plaintext: Resource<Value>,
        aad: Vec<u8>,
    ) -> Result<Vec<u8>, Fault> {
        let call = self.call()?;
        let record = load(call, &key).await?;
        let value = call.value(&plaintext)?;
        if record.known && value.origin != Origin::Known {
            let words = "a key imported from material that the plugin may know encrypts known values only";
            return Err(answer(WitKind::Denied, words));
        }
        call.observed.unrepeatable = true;
        aead::seal(&call.random, record.algorithm, record.version(version)?, &value, &aad)
    }

    async fn decrypt(
        &mut self,
        key: Resource<Key>,
        version: u32,
        ciphertext: Vec<u8>,
        aad: Vec<u8>,
    ) -> Result<Resource<Value>, Fault> {
        let call = self.call()?;
        let record = load(call, &key).await?;
        let mut value = aead::open(record.algorithm, record.version(version)?, &ciphertext, &aad)?;
        // Whoever knows the key writes any label, and a foreign key may have the same material.
        if record.known && value.origin != Origin::Known {
            value.origin = Origin::Mixed;
        }
        call.keep(value)
    }

    async fn sign(
        &mut self,
        key: Resource<Key>,
        version: u32,
        scheme: String,
        message: Vec<u8>,
    ) -> Result<Vec<u8>, Fault> {
        let call = self.call()?;
        let record = load(call, &key).await?;
        let scheme = Scheme::parse(&scheme)?;
        if algorithm_of(scheme) != Some(record.algorithm) {
            return Err(invalid("the scheme does not fit the key's algorithm"));
        }
        call.observed.unrepeatable |= scheme != Scheme::EdDsa;
        sign(&call.random, scheme, record.version(version)?.expose(), &message)
    }

    async fn mac(&mut self, key: Resource<Key>, version: u32, message: Vec<u8>) -> Result<Vec<u8>, Fault> {
        let record = load(self.call()?, &key).await?;
        if record.algorithm != Algorithm::HmacSha256 {
            return Err(invalid("the key is no hmac-sha256 key"));
        }
        let material = record.version(version)?;
        let key = || hmac::Key::new(hmac::HMAC_SHA256, material.expose());
        Ok(wiping_stack(|| hmac::sign(&key(), &message)).as_ref().to_vec())
    }

    async fn export_key(&mut self, key: Resource<Key>, version: u32) -> Result<Resource<Value>, Fault> {
        let call = self.call()?;
        let record = load(call, &key).await?;
        if !record.exportable {
            return Err(answer(WitKind::Denied, "the key was not made exportable"));
        }
        let origin = if record.known { Origin::Mixed } else { Origin::Foreign };
        call.keep(Value { bytes: record.version(version)?.clone(), form: Form::Bytes, origin })
    }

    async fn drop(&mut self, key: Resource<Key>) -> wasmtime::Result<()> {
        self.call()?.table.delete(key)?;
        Ok(())
    }
}

/// The refusal of key material of mixed origin.
pub(crate) fn put_together() -> Fault {
    answer(WitKind::Denied, "a value that the plugin put together of secrets is no key material")
}

fn storage_key(name: &str) -> Result<String, Fault> {
    if is_canonical(name) {
        return Ok(format!("k/{name}"));
    }
    Err(invalid("a key name has no empty, '.' or '..' segment and no control character"))
}

async fn absent(call: &mut CallState, name: &str) -> Result<(), Fault> {
    match call.txn.get(&storage_key(name)?).await? {
        None => Ok(()),
        Some(_) => Err(answer(WitKind::Conflict, "a key of this name exists")),
    }
}

async fn load(call: &mut CallState, key: &Resource<Key>) -> Result<KeyRecord, Fault> {
    let path = storage_key(&call.table.get(key)?.name)?;
    let stored: Option<Secret> = call.txn.get(&path).await?;
    KeyRecord::decode(&stored.ok_or_else(|| answer(WitKind::NotFound, "the key was destroyed"))?)
}

fn save(call: &mut CallState, key: &Resource<Key>, record: &KeyRecord) -> Result<(), Fault> {
    let path = storage_key(&call.table.get(key)?.name)?;
    Ok(call.txn.put(&path, record.encode())?)
}

fn add(call: &mut CallState, name: String, record: &KeyRecord) -> Result<Resource<Key>, Fault> {
    call.txn.put(&storage_key(&name)?, record.encode())?;
    Ok(call.table.push(Key { name })?)
}
