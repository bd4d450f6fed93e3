//! Runs a plugin natively, against storage, clock, caller and sealed values in memory.
//!
//! [`Mount`] does what the host does around a handler: matches the route, checks and coerces
//! fields, lifts the sensitive ones out, asks `exists`, commits or rolls back, and splices
//! sealed values into the answer. Sealed values obey the contract: forms decide what may be done
//! with them, and where a value comes from is never forgotten. Three things are not the real host's: `generate`
//! is a counter in disguise (and never guessable), `fingerprint` is no keyed digest, and there are no limits or grants.

pub(crate) mod memory;
mod route;
mod value;

use serde_json::{Value as Json, json};

pub use memory::LogLine;

use crate::{Answer, Call, Error, ErrorKind, Grant, Host, Operation, Plugin, Reply, Result, Timestamp, Value};

/// A plugin mounted on an in-memory host.
#[derive(Debug)]
pub struct Mount {
    plugin: &'static Plugin,
    host: Host,
}

/// What the caller of a [`Mount`] sees.
#[derive(Debug)]
pub struct Answered {
    /// Which answer it was.
    pub kind: AnswerKind,
    /// JSON with the sealed values spliced in; null when there is none.
    json: Json,
    /// The secret's version.
    pub version: Option<String>,
    /// Warnings for people.
    pub warnings: Vec<String>,
    /// A lease or a login.
    pub grant: Option<Grant>,
}

/// Which answer it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerKind {
    /// 200.
    Document,
    /// 404 with what is still known.
    Gone,
    /// 200 with names.
    Names,
    /// 404 on read and list, else 204.
    Nothing,
    /// This status with raw bytes.
    Raw(u16, Vec<u8>),
}

impl Answered {
    /// The answer's JSON, sealed values included; names as an array; null for the others.
    #[must_use]
    pub fn json(&self) -> Json {
        self.json.clone()
    }
}

impl Mount {
    /// Mounts a plugin on an empty store; the clock stands at 2026-11-22T03:36:50.123Z.
    #[must_use]
    pub fn new(plugin: &'static Plugin) -> Self {
        Self { plugin, host: Host(memory::Host::new()) }
    }

    /// The host, for handlers and helpers tested directly.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// Moves the clock.
    pub fn set_time(&self, now: Timestamp) {
        self.host.0.state().now = now;
    }

    /// Names the caller of the requests to come.
    pub fn set_caller(&self, display_name: &str, entity_id: Option<&str>) {
        let mut state = self.host.0.state();
        state.display_name = display_name.to_owned();
        state.entity_id = entity_id.map(str::to_owned);
    }

    /// Takes the log lines written so far.
    #[must_use]
    pub fn take_log(&self) -> Vec<LogLine> {
        std::mem::take(&mut self.host.0.state().log)
    }

    /// Whether the last request asked the clock for the time, or who is calling: such an answer
    /// is not shared by the cache.
    #[must_use]
    pub fn asked_clock_or_caller(&self) -> bool {
        self.host.0.state().unrepeatable
    }

    /// The keys of the store.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.host.0.state().store.keys().cloned().collect()
    }

    /// Reads.
    ///
    /// # Errors
    /// The plugin's, or what the host refuses.
    pub fn read(&self, path: &str, query: Json) -> Result<Answered> {
        self.request(Operation::Read, path, query)
    }

    /// Lists.
    ///
    /// # Errors
    /// As for [`Mount::read`].
    pub fn list(&self, path: &str, query: Json) -> Result<Answered> {
        self.request(Operation::List, path, query)
    }

    /// Creates or updates.
    ///
    /// # Errors
    /// As for [`Mount::read`].
    pub fn write(&self, path: &str, body: Json) -> Result<Answered> {
        self.request(Operation::Update, path, body)
    }

    /// Patches.
    ///
    /// # Errors
    /// As for [`Mount::read`].
    pub fn patch(&self, path: &str, body: Json) -> Result<Answered> {
        self.request(Operation::Patch, path, body)
    }

    /// Deletes.
    ///
    /// # Errors
    /// As for [`Mount::read`].
    pub fn delete(&self, path: &str) -> Result<Answered> {
        self.request(Operation::Delete, path, json!({}))
    }

    /// Any operation; an update becomes a create when `exists` says that nothing is there.
    ///
    /// # Errors
    /// As for [`Mount::read`].
    pub fn request(&self, operation: Operation, path: &str, body: Json) -> Result<Answered> {
        let (route, target) = route::find(self.plugin, operation, path)?;
        let (data, secrets) = route::lift(route, &target.captures, body)?;
        let before = self.host.0.begin();
        let absent = || Ok(route.exists.is_some() && !self.plugin.exists(&self.host, &target)?);
        let operation = if operation == Operation::Update && absent()? { Operation::Create } else { operation };
        let call = Call {
            id: "test".to_owned(),
            operation,
            target,
            input: data.to_string(),
            lease_id: route.issues_lease.then(|| format!("{path}/test")),
            default_ttl: 3600,
            max_ttl: 86_400,
            secrets,
        };
        let answered = self.plugin.handle(&self.host, call).and_then(answered);
        if answered.is_err() {
            self.host.0.state().store = before;
        }
        answered
    }
}

fn answered(reply: Reply) -> Result<Answered> {
    let (kind, json) = match reply.answer {
        Answer::Document(data, secrets) => (AnswerKind::Document, spliced(&data, &secrets)?),
        Answer::Gone(data, secrets) => (AnswerKind::Gone, spliced(&data, &secrets)?),
        Answer::Names(names) => (AnswerKind::Names, json!(names)),
        Answer::Nothing => (AnswerKind::Nothing, Json::Null),
        Answer::Raw { status, body, .. } => (AnswerKind::Raw(status, body), Json::Null),
    };
    Ok(Answered { kind, json, version: reply.version, warnings: reply.warnings, grant: reply.grant })
}

fn spliced(data: &str, secrets: &[(String, Value)]) -> Result<Json> {
    let broken = |why: String| Error::new(ErrorKind::Other("plugin".to_owned()), why);
    let mut json: Json = serde_json::from_str(data).map_err(|e| broken(format!("the answer is no JSON: {e}")))?;
    for (pointer, value) in secrets {
        match json.pointer_mut(pointer) {
            Some(hole @ Json::Null) => *hole = value.0.json(),
            _ => return Err(broken(format!("{pointer:?} does not name a null of the answer"))),
        }
    }
    Ok(json)
}
