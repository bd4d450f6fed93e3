//! The host's functions over memory; the native twin of `guest::imports`.

use std::{
    cell::{RefCell, RefMut},
    collections::{BTreeMap, BTreeSet},
};

use serde_json::{Map, Value as Json};

pub(crate) use super::value::{Origin, Value};
use crate::{Charset, Content, Error, Form, Level, Part, Result, Timestamp, Value as Sealed};

/// One line that a plugin logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// The constant message.
    pub message: String,
    /// Its data.
    pub fields: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub(crate) enum Record {
    Plain(Vec<u8>),
    Secret(Value),
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) now: Timestamp,
    pub(crate) store: BTreeMap<String, Record>,
    pub(crate) log: Vec<LogLine>,
    pub(crate) display_name: String,
    pub(crate) entity_id: Option<String>,
    pub(crate) unrepeatable: bool,
    generated: u64,
}

#[derive(Debug)]
pub(crate) struct Host(RefCell<State>);

impl Host {
    pub(crate) const fn new() -> Self {
        Self(RefCell::new(State {
            now: Timestamp(1_795_318_610_123),
            store: BTreeMap::new(),
            log: Vec::new(),
            display_name: String::new(),
            entity_id: None,
            unrepeatable: false,
            generated: 0,
        }))
    }

    pub(crate) fn state(&self) -> RefMut<'_, State> {
        self.0.borrow_mut()
    }

    /// Starts a request: the store as it was, for a rollback.
    pub(crate) fn begin(&self) -> BTreeMap<String, Record> {
        let mut state = self.state();
        state.unrepeatable = false;
        state.store.clone()
    }

    pub(crate) fn now(&self) -> Timestamp {
        let mut state = self.state();
        state.unrepeatable = true;
        state.now
    }

    pub(crate) fn reached(&self, moment: Timestamp) -> bool {
        self.state().now >= moment
    }

    #[expect(clippy::unnecessary_wraps, reason = "the real host may fail")]
    pub(crate) fn get(&self, key: &str) -> Result<Option<Content>> {
        Ok(self.state().store.get(key).cloned().map(|record| match record {
            Record::Plain(bytes) => Content::Plain(bytes),
            Record::Secret(value) => Content::Secret(Sealed(value)),
        }))
    }

    #[expect(clippy::unnecessary_wraps, reason = "the real host may fail")]
    pub(crate) fn put(&self, key: &str, plain: &[u8]) -> Result<()> {
        self.state().store.insert(key.to_owned(), Record::Plain(plain.to_vec()));
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "the real host may fail")]
    pub(crate) fn put_secret(&self, key: &str, value: &Value) -> Result<()> {
        self.state().store.insert(key.to_owned(), Record::Secret(value.clone()));
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "the real host may fail")]
    pub(crate) fn delete(&self, key: &str) -> Result<()> {
        self.state().store.remove(key);
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "the real host may fail")]
    pub(crate) fn children(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>> {
        let state = self.state();
        let below = state.store.keys().filter_map(|key| key.strip_prefix(prefix));
        let names: BTreeSet<String> = below
            .map(|rest| rest.split_inclusive('/').next().unwrap_or(rest).to_owned())
            .filter(|name| after.is_none_or(|after| name.as_str() > after))
            .collect();
        Ok(names.into_iter().take(usize::try_from(limit).unwrap_or(usize::MAX)).collect())
    }

    pub(crate) fn generate(&self, length: u32, charset: Charset) -> Result<Value> {
        const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
        const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
        let alphanumeric = format!("{UPPER}{LOWER}0123456789");
        let characters = match charset {
            Charset::Alphanumeric => alphanumeric,
            Charset::Base58 => alphanumeric.replace(['0', 'O', 'I', 'l'], ""),
            Charset::Custom(characters) => characters,
            Charset::Hex => "0123456789abcdef".to_owned(),
            Charset::Printable => ('!'..='~').collect(),
        };
        let characters: Vec<char> = characters.chars().collect();
        if !(1..=4096).contains(&length) || characters.is_empty() {
            return Err(Error::invalid("generate takes 1 to 4096 characters of a charset that is not empty"));
        }
        let mut state = self.state();
        state.unrepeatable = true;
        let text: String = (0..length)
            .map(|_| {
                state.generated = state.generated.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let pick = usize::try_from(state.generated >> 33).unwrap_or_default();
                characters[pick % characters.len()]
            })
            .collect();
        Ok(Value::new(text.into_bytes(), Form::Text, Origin::Foreign))
    }

    pub(crate) fn compose(&self, plain: &[(&str, &str)], secret: &[(&str, &Sealed)]) -> Result<Value> {
        let mut members = Map::new();
        for (name, text) in plain {
            let json = serde_json::from_str(text).map_err(|_| Error::invalid(format!("member {name}: no JSON")))?;
            put_once(&mut members, name, json)?;
        }
        for (name, value) in secret {
            put_once(&mut members, name, value.0.json())?;
        }
        let known = secret.iter().all(|(_, value)| value.0.origin() == Origin::Known);
        Ok(Value::document(&Json::Object(members), Origin::of_composite(known)))
    }

    #[expect(clippy::unnecessary_wraps, reason = "the real host may fail")]
    pub(crate) fn concat(&self, parts: &[Part<'_>]) -> Result<Value> {
        let mut bytes = Vec::new();
        let (mut form, mut known) = (Form::Text, true);
        for part in parts {
            match part {
                Part::Bytes(public) => {
                    form = Form::Bytes;
                    bytes.extend_from_slice(public);
                }
                Part::Secret(value) => {
                    if value.0.form() == Form::Bytes {
                        form = Form::Bytes;
                    }
                    known &= value.0.origin() == Origin::Known;
                    bytes.extend_from_slice(value.0.bytes());
                }
                Part::Text(public) => bytes.extend_from_slice(public.as_bytes()),
            }
        }
        Ok(Value::new(bytes, form, Origin::of_composite(known)))
    }

    pub(crate) fn seal(&self, plaintext: &[u8], form: Form) -> Result<Value> {
        let fits = match form {
            Form::Bytes => true,
            Form::Document => serde_json::from_slice::<Json>(plaintext).is_ok(),
            Form::Text => std::str::from_utf8(plaintext).is_ok(),
        };
        if !fits {
            return Err(Error::invalid("the plaintext is not of this form"));
        }
        Ok(Value::new(plaintext.to_vec(), form, Origin::Known))
    }

    pub(crate) fn display_name(&self) -> String {
        self.asked().display_name.clone()
    }

    pub(crate) fn entity_id(&self) -> Option<String> {
        self.asked().entity_id.clone()
    }

    pub(crate) fn caller_metadata(&self) -> Vec<(String, String)> {
        let _asked = self.asked();
        Vec::new()
    }

    pub(crate) fn certificates(&self) -> Vec<String> {
        let _asked = self.asked();
        Vec::new()
    }

    pub(crate) fn remote_address(&self) -> String {
        let _asked = self.asked();
        "127.0.0.1".to_owned()
    }

    fn asked(&self) -> RefMut<'_, State> {
        let mut state = self.state();
        state.unrepeatable = true;
        state
    }

    pub(crate) fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.state().log.push(LogLine { level, message: message.to_owned(), fields });
    }
}

fn put_once(members: &mut Map<String, Json>, name: &str, json: Json) -> Result<()> {
    match members.insert(name.to_owned(), json) {
        None => Ok(()),
        Some(_) => Err(Error::invalid(format!("member {name} stands twice"))),
    }
}
