//! `crypto`: stateless operations, usable without a mount's keys.

mod password;

use std::sync::Arc;

use ring::{hmac, signature::UnparsedPublicKey};
use rustls_pki_types::{SubjectPublicKeyInfoDer, pem::PemObject as _};
use tokio::sync::Semaphore;
use warder_core::{
    sealed::Form,
    secret::{Secret, wiping_stack},
};
use wasmtime::component::Resource;

use crate::{
    bind::warder::plugin::crypto,
    capability::{
        keys::{Scheme, put_together, sign, spki},
        sealed::{Origin, Value},
    },
    fault::{Fault, invalid},
    host::Host,
};

impl crypto::Host for Host {
    async fn verify(
        &mut self,
        scheme: String,
        public_key: Vec<u8>,
        message: Vec<u8>,
        signature: Vec<u8>,
    ) -> Result<bool, Fault> {
        self.call()?;
        let (algorithm, id) = Scheme::parse(&scheme)?.verification();
        let der = if public_key.trim_ascii_start().starts_with(b"-----BEGIN") {
            let parsed = SubjectPublicKeyInfoDer::from_pem_slice(&public_key);
            parsed.map_err(|_| invalid("the public key is no SubjectPublicKeyInfo"))?.as_ref().to_vec()
        } else {
            public_key
        };
        let key = spki(&der, id).ok_or_else(|| invalid("the public key is no SubjectPublicKeyInfo of this scheme"))?;
        Ok(UnparsedPublicKey::new(algorithm, key).verify(&message, &signature).is_ok())
    }

    async fn sign_with(
        &mut self,
        material: Resource<Value>,
        scheme: String,
        message: Vec<u8>,
    ) -> Result<Vec<u8>, Fault> {
        let call = self.call()?;
        let scheme = Scheme::parse(&scheme)?;
        let material = call.value(&material)?;
        if material.origin == Origin::Mixed {
            return Err(put_together());
        }
        call.observed.unrepeatable |= !matches!(scheme, Scheme::EdDsa | Scheme::Rs256);
        sign(&call.random, scheme, material.bytes.expose(), &message)
    }

    async fn hmac_sha256(&mut self, key: Resource<Value>, message: Vec<u8>) -> Result<Resource<Value>, Fault> {
        let call = self.call()?;
        let key = call.value(&key)?;
        let tag = wiping_stack(|| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.bytes.expose()), &message));
        // The plugin chose the message, and a weak key can be guessed: trusted for nothing.
        let origin = Origin::of_composite(key.origin == Origin::Known);
        call.keep(Value { bytes: Secret::from(tag.as_ref()), form: Form::Bytes, origin })
    }

    async fn hash_password(&mut self, password: Resource<Value>) -> Result<String, Fault> {
        let call = self.call()?;
        call.spend_password()?;
        call.observed.unrepeatable = true;
        let (value, random) = (call.value(&password)?, call.random.clone());
        let slow = self.slow.clone();
        Ok(aside(slow, move || password::hash(&random, &value.bytes)).await??)
    }

    async fn verify_password(&mut self, password: Resource<Value>, hash: String) -> Result<bool, Fault> {
        let call = self.call()?;
        call.spend_password()?;
        let value = call.value(&password)?;
        let parsed = password::Hash::parse(&hash).ok_or_else(|| invalid(password::EXPECTED))?;
        Ok(aside(self.slow.clone(), move || parsed.matches(&value.bytes)).await?)
    }
}

/// Runs slow work beside the threads that serve, when its turn comes. Work that has begun ends
/// even when its call is gone, and keeps its turn until then.
async fn aside<T: Send + 'static>(
    slow: Arc<Semaphore>,
    work: impl FnOnce() -> T + Send + 'static,
) -> wasmtime::Result<T> {
    let turn = slow.acquire_owned().await?;
    let work = move || {
        let _turn = turn;
        work()
    };
    tokio::task::spawn_blocking(work).await.map_err(wasmtime::Error::new)
}
