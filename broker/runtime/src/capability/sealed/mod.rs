//! `sealed`: operations on values whose bytes stay in the host.
//!
//! Invariants: no operation turns text or bytes into a document, and no chain of operations turns
//! a value that a plugin may know, or had a hand in, into one that it had none in; the length of
//! an encoding depends on the length of the value alone.

mod encode;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod generate;
mod value;

pub(crate) use value::Origin;
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub use value::Value;
use warder_core::{json, sealed::Form, secret::Secret};
use wasmtime::component::Resource;
use zeroize::Zeroizing;

use crate::{
    bind::warder::plugin::sealed::{self, Charset, Encoding, Form as WitForm, Part},
    call::CallState,
    fault::{Fault, Misuse, WitKind, answer, invalid},
    host::Host,
};

impl sealed::HostValue for Host {
    fn len(&mut self, value: Resource<Value>) -> wasmtime::Result<u64> {
        Ok(self.call()?.table.get(&value)?.bytes.len() as u64)
    }

    fn form(&mut self, value: Resource<Value>) -> wasmtime::Result<WitForm> {
        Ok(match self.call()?.table.get(&value)?.form {
            Form::Text => WitForm::Text,
            Form::Document => WitForm::Document,
            Form::Bytes => WitForm::Bytes,
        })
    }

    fn duplicate(&mut self, value: Resource<Value>) -> wasmtime::Result<Resource<Value>> {
        let call = self.call()?;
        let value = call.value(&value)?;
        Ok(call.table.push(value)?)
    }

    fn encode(&mut self, value: Resource<Value>, encoding: Encoding) -> Result<Resource<Value>, Fault> {
        let call = self.call()?;
        let value = call.value(&value)?;
        call.charge(value.bytes.len().saturating_mul(encode::STRETCH))?;
        let bytes = encode::encode(encoding, value.bytes.expose(), value.origin == Origin::Known);
        // Encodings stretch: five times hex makes a key-sized value of one guessable byte.
        let origin = Origin::of_composite(value.origin == Origin::Known);
        Ok(call.table.push(Value { bytes, form: Form::Text, origin })?)
    }

    fn decode(&mut self, value: Resource<Value>, encoding: Encoding) -> Result<Resource<Value>, Fault> {
        let call = self.call()?;
        let value = call.value(&value)?;
        // Whether it decodes says something of its last characters, and a plugin that puts its own
        // in front chooses of which.
        if value.origin == Origin::Mixed {
            return Err(answer(WitKind::Denied, "a value that the plugin put together of secrets is not decoded"));
        }
        let bytes =
            encode::decode(encoding, value.bytes.expose()).ok_or_else(|| invalid("the value is not so encoded"))?;
        call.keep(value.with(bytes, Form::Bytes))
    }

    fn fingerprint(&mut self, value: Resource<Value>) -> wasmtime::Result<String> {
        let call = self.call()?;
        let value = call.table.get(&value)?;
        value.fingerprint(&call.mount.fingerprint_key).ok_or_else(|| Misuse::Fingerprint.into())
    }

    fn project(&mut self, value: Resource<Value>, pointer: String) -> Result<Resource<Value>, Fault> {
        let call = self.call()?;
        let value = call.value(&value)?;
        let found = json::project(value.document()?, &pointer)?;
        let span = found.ok_or_else(|| answer(WitKind::NotFound, "the sealed document has no such member"))?;
        let member = if json::kind(span) == json::Kind::String {
            value.with(Secret::from(json::string(span)?.as_str()), Form::Text)
        } else {
            value.with(Secret::from(span.trim()), Form::Document)
        };
        call.keep(member)
    }

    fn shape(&mut self, value: Resource<Value>, depth: u32) -> Result<String, Fault> {
        let value = self.call()?.value(&value)?;
        Ok(json::shape(value.document()?, depth)?)
    }

    fn merge(&mut self, value: Resource<Value>, patch: Resource<Value>) -> Result<Resource<Value>, Fault> {
        let call = self.call()?;
        let (value, patch) = (call.value(&value)?, call.value(&patch)?);
        let bytes = json::merge_patch(value.document()?, patch.document()?)?;
        let origin = if value.origin == patch.origin { value.origin } else { Origin::Mixed };
        call.keep(Value { bytes, form: Form::Document, origin })
    }

    fn drop(&mut self, value: Resource<Value>) -> wasmtime::Result<()> {
        self.call()?.table.delete(value)?;
        Ok(())
    }
}

impl sealed::Host for Host {
    fn generate(&mut self, length: u32, charset: Charset) -> Result<Resource<Value>, Fault> {
        let call = self.call()?;
        call.observed.unrepeatable = true;
        let value = generate::generate(&call.random, length, &charset)?;
        call.keep(value)
    }

    fn compose(
        &mut self,
        plain: Vec<(String, String)>,
        secret: Vec<(String, Resource<Value>)>,
    ) -> Result<Resource<Value>, Fault> {
        let call = self.call()?;
        unique(plain.iter().map(|(name, _)| name).chain(secret.iter().map(|(name, _)| name)))?;
        let mut members = Vec::with_capacity(plain.len() + secret.len());
        for (name, text) in plain {
            json::check(text.as_bytes())?;
            members.push((name, Zeroizing::new(text)));
        }
        let mut known = true;
        for (name, handle) in secret {
            let value = call.value(&handle)?;
            known &= value.origin == Origin::Known;
            call.charge(value.bytes.len())?;
            members.push((name, value.as_json()?));
        }
        let bytes = json::compose(members.iter().map(|(name, text)| (name.as_str(), text.as_str())));
        // One level was added: the whole must stay within the depth that everybody can parse.
        json::check(bytes.expose())?;
        call.keep(Value { bytes, form: Form::Document, origin: Origin::of_composite(known) })
    }

    fn concat(&mut self, parts: Vec<Part>) -> Result<Resource<Value>, Fault> {
        let call = self.call()?;
        let joined = concat(call, &parts)?;
        Ok(call.table.push(joined)?)
    }

    fn seal(&mut self, plaintext: Vec<u8>, form: WitForm) -> Result<Resource<Value>, Fault> {
        let call = self.call()?;
        let form = match form {
            WitForm::Text if std::str::from_utf8(&plaintext).is_err() => {
                return Err(invalid("text to seal must be UTF-8"));
            }
            WitForm::Text => Form::Text,
            WitForm::Document => json::check(&plaintext).map(|_| Form::Document)?,
            WitForm::Bytes => Form::Bytes,
        };
        call.keep(Value { bytes: Secret::new(plaintext), form, origin: Origin::Known })
    }
}

fn unique<'a>(names: impl Iterator<Item = &'a String>) -> Result<(), Fault> {
    let mut seen = std::collections::HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(invalid("a document to compose has a member name twice"));
        }
    }
    Ok(())
}

fn concat(call: &mut CallState, parts: &[Part]) -> Result<Value, Fault> {
    let mut values = Vec::with_capacity(parts.len());
    for part in parts {
        values.push(match part {
            Part::Text(text) => Value::known(text.as_bytes(), Form::Text),
            Part::Bytes(bytes) => Value::known(bytes, Form::Bytes),
            Part::Secret(handle) => call.value(handle)?,
        });
    }
    let form = if values.iter().any(|value| value.form == Form::Bytes) { Form::Bytes } else { Form::Text };
    let origin = match values.as_slice() {
        [only] => only.origin,
        all => Origin::of_composite(all.iter().all(|value| value.origin == Origin::Known)),
    };
    // Charged before it is made: one handle can be named many times.
    let length = values.iter().map(|value| value.bytes.len()).fold(0, usize::saturating_add);
    call.charge(length)?;
    let mut joined = Vec::with_capacity(length);
    for value in &values {
        joined.extend_from_slice(value.bytes.expose());
    }
    Ok(Value { bytes: Secret::new(joined), form, origin })
}
