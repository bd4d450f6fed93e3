//! The host's functions, spoken in this crate's types.

use super::bindings::warder::plugin::{caller, clock, sealed, store, telemetry, types};
use crate::{Charset, Content, Encoding, Error, ErrorKind, Form, Level, Part, Result, Timestamp, Value as Sealed};

#[derive(Debug)]
pub(crate) struct Host;

impl Host {
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(clock::now())
    }

    pub(crate) fn reached(&self, moment: Timestamp) -> bool {
        clock::reached(moment.0)
    }

    pub(crate) fn get(&self, key: &str) -> Result<Option<Content>> {
        Ok(store::get(key).map_err(error)?.map(|content| match content {
            store::Content::Plain(bytes) => Content::Plain(bytes),
            store::Content::Secret(value) => Content::Secret(Sealed(Value(value))),
        }))
    }

    pub(crate) fn put(&self, key: &str, plain: &[u8]) -> Result<()> {
        store::put(key, plain).map_err(error)
    }

    pub(crate) fn put_secret(&self, key: &str, value: &Value) -> Result<()> {
        store::put_secret(key, &value.0).map_err(error)
    }

    pub(crate) fn delete(&self, key: &str) -> Result<()> {
        store::delete(key).map_err(error)
    }

    pub(crate) fn children(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>> {
        store::children(prefix, after, limit).map_err(error)
    }

    pub(crate) fn generate(&self, length: u32, charset: Charset) -> Result<Value> {
        let charset = match charset {
            Charset::Alphanumeric => sealed::Charset::Alphanumeric,
            Charset::Base58 => sealed::Charset::Base58,
            Charset::Custom(characters) => sealed::Charset::Custom(characters),
            Charset::Hex => sealed::Charset::Hex,
            Charset::Printable => sealed::Charset::Printable,
        };
        sealed::generate(length, &charset).map(Value).map_err(error)
    }

    pub(crate) fn compose(&self, plain: &[(&str, &str)], secret: &[(&str, &Sealed)]) -> Result<Value> {
        let plain: Vec<_> = plain.iter().map(|(name, json)| ((*name).to_owned(), (*json).to_owned())).collect();
        let secret: Vec<_> = secret.iter().map(|(name, value)| ((*name).to_owned(), &value.0.0)).collect();
        sealed::compose(&plain, &secret).map(Value).map_err(error)
    }

    pub(crate) fn concat(&self, parts: &[Part<'_>]) -> Result<Value> {
        let parts: Vec<_> = parts
            .iter()
            .map(|part| match part {
                Part::Bytes(bytes) => sealed::Part::Bytes(bytes.to_vec()),
                Part::Secret(value) => sealed::Part::Secret(&value.0.0),
                Part::Text(text) => sealed::Part::Text((*text).to_owned()),
            })
            .collect();
        sealed::concat(&parts).map(Value).map_err(error)
    }

    pub(crate) fn seal(&self, plaintext: &[u8], form: Form) -> Result<Value> {
        let form = match form {
            Form::Bytes => sealed::Form::Bytes,
            Form::Document => sealed::Form::Document,
            Form::Text => sealed::Form::Text,
        };
        sealed::seal(plaintext, form).map(Value).map_err(error)
    }

    pub(crate) fn display_name(&self) -> String {
        caller::display_name()
    }

    pub(crate) fn entity_id(&self) -> Option<String> {
        caller::entity_id()
    }

    pub(crate) fn caller_metadata(&self) -> Vec<(String, String)> {
        caller::metadata()
    }

    pub(crate) fn certificates(&self) -> Vec<String> {
        caller::certificates()
    }

    pub(crate) fn remote_address(&self) -> String {
        caller::remote_address()
    }

    pub(crate) fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        let level = match level {
            Level::Debug => telemetry::Level::Debug,
            Level::Info => telemetry::Level::Info,
            Level::Warn => telemetry::Level::Warn,
            Level::Error => telemetry::Level::Error,
        };
        let fields: Vec<_> = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        telemetry::log(level, message, &fields);
    }
}

#[derive(Debug)]
pub(crate) struct Value(pub(crate) sealed::Value);

impl Value {
    pub(crate) fn len(&self) -> u64 {
        self.0.len()
    }

    pub(crate) fn form(&self) -> Form {
        match self.0.form() {
            sealed::Form::Bytes => Form::Bytes,
            sealed::Form::Document => Form::Document,
            sealed::Form::Text => Form::Text,
        }
    }

    pub(crate) fn duplicate(&self) -> Self {
        Self(self.0.duplicate())
    }

    pub(crate) fn encode(&self, by: Encoding) -> Result<Self> {
        self.0.encode(encoding(by)).map(Self).map_err(error)
    }

    pub(crate) fn decode(&self, by: Encoding) -> Result<Self> {
        self.0.decode(encoding(by)).map(Self).map_err(error)
    }

    pub(crate) fn fingerprint(&self) -> String {
        self.0.fingerprint()
    }

    pub(crate) fn project(&self, pointer: &str) -> Result<Self> {
        self.0.project(pointer).map(Self).map_err(error)
    }

    pub(crate) fn shape(&self, depth: u32) -> Result<String> {
        self.0.shape(depth).map_err(error)
    }

    pub(crate) fn merge(&self, patch: &Self) -> Result<Self> {
        self.0.merge(&patch.0).map(Self).map_err(error)
    }
}

const fn encoding(encoding: Encoding) -> sealed::Encoding {
    match encoding {
        Encoding::Base64 => sealed::Encoding::Base64,
        Encoding::Base64Url => sealed::Encoding::Base64Url,
        Encoding::Hex => sealed::Encoding::Hex,
        Encoding::Percent => sealed::Encoding::Percent,
    }
}

fn error(error: types::Error) -> Error {
    use types::ErrorKind as K;
    let kind = match error.kind {
        K::Conflict => ErrorKind::Conflict,
        K::Denied => ErrorKind::Denied,
        K::Integrity => ErrorKind::Integrity,
        K::InvalidRequest => ErrorKind::InvalidRequest,
        K::LimitExceeded => ErrorKind::LimitExceeded,
        K::NotFound => ErrorKind::NotFound,
        K::Other(word) => ErrorKind::Other(word),
        K::Precondition => ErrorKind::Precondition,
        K::Throttled => ErrorKind::Throttled,
        K::Unavailable => ErrorKind::Unavailable,
        K::Unsupported => ErrorKind::Unsupported,
    };
    let types::Error { detail, code, retry_after_ms, not_applied, .. } = error;
    Error { kind, detail, code, retry_after_ms, not_applied }
}
