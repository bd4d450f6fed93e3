//! What is recorded. `broker` builds these; the workers turn them into lines.

use std::{
    borrow::Cow,
    fmt,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::oneshot;

use super::digest::AnswerDigest;
use crate::{
    clock::Timestamp,
    error::{Error, ErrorKind},
    identity::Identity,
    json,
    port::backend::MountScope,
    request::{Answer, Auth, Door, Fields, LeaseShown, Reply},
    secret::Secret,
};

/// What the phases of one request share. Cheap to clone.
#[derive(Clone, Default)]
pub struct Entry {
    /// Request id.
    pub id: Arc<str>,
    /// When the request came.
    pub time: Timestamp,
    /// The door it came through; none for what happened without a request.
    pub door: Option<Door>,
    /// The word of the operation ([`crate::request::Operation::word`]).
    pub operation: &'static str,
    /// Canonical path, or as asked when it was not resolved.
    pub path: Arc<str>,
    /// Mount it resolved to, and the plugin behind it.
    pub mount: Option<Arc<MountScope>>,
    /// Address of the caller.
    pub remote_address: Option<IpAddr>,
    /// Address of the proxy that asks for the caller.
    pub proxy_address: Option<IpAddr>,
    /// The token as presented, whether known or not; recorded as HMAC.
    pub token: Option<Secret>,
    /// The caller, once known; the accessor is recorded as HMAC.
    pub identity: Option<Arc<Identity>>,
    /// Body and query; every leaf is recorded as HMAC.
    pub fields: Option<Arc<Fields>>,
    /// The request changes something: its open record must last as long as the change.
    pub effects: bool,
}

impl Entry {
    /// An entry with nothing resolved and nobody known yet.
    #[must_use]
    pub fn new(id: impl Into<Arc<str>>, time: Timestamp, operation: &'static str, path: impl Into<Arc<str>>) -> Self {
        Self { id: id.into(), time, operation, path: path.into(), ..Self::default() }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("id", &self.id).field("path", &self.path).finish_non_exhaustive()
    }
}

/// How a request ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It was done.
    Done {
        /// JSON text of the data, or raw bytes; recorded as HMACs.
        answer: Option<Secret>,
        /// Memory of the data's recorded form, kept beside a cached answer.
        digest: Option<Arc<AnswerDigest>>,
        /// A token issued by this request; it and its accessor are recorded as HMACs.
        issued: Option<Arc<Auth>>,
        /// A lease issued or renewed by this request; its id is recorded as HMAC.
        lease: Option<Arc<LeaseShown>>,
    },
    /// It was refused, or broke.
    Failed {
        /// Why.
        kind: ErrorKind,
        /// What the caller reads: no secret material.
        detail: Cow<'static, str>,
    },
}

impl Outcome {
    /// Done, with this data.
    #[must_use]
    pub const fn done(answer: Option<Secret>) -> Self {
        Self::Done { answer, digest: None, issued: None, lease: None }
    }

    /// Done, with data from the cache, whose entry keeps `digest`.
    #[must_use]
    pub const fn cached(answer: Secret, digest: Arc<AnswerDigest>) -> Self {
        Self::Done { answer: Some(answer), digest: Some(digest), issued: None, lease: None }
    }

    /// Done, with what this reply shows.
    #[must_use]
    pub fn of(reply: &Reply, digest: Option<Arc<AnswerDigest>>) -> Self {
        let answer = match &reply.answer {
            Answer::Document(data) | Answer::Gone(data) | Answer::Raw { body: data, .. } => Some(data.clone()),
            Answer::Names { keys } => Some(listing(keys)),
            Answer::Nothing => None,
        };
        let lease = reply.lease.clone().map(Arc::new);
        Self::Done { answer, digest, issued: reply.auth.clone().map(Arc::new), lease }
    }

    /// Failed with this error, in the words that the caller reads, but for what they quote.
    #[must_use]
    pub fn failed(error: &Error) -> Self {
        let detail =
            if error.detail.contains('"') { Cow::Owned(unquoted(&error.detail)) } else { error.detail.clone() };
        Self::Failed { kind: error.kind, detail }
    }
}

/// `unknown key "..", expected path`: a refusal tells its caller what stood where something else
/// belongs, but a record does not keep it, for it may be a secret in the wrong place.
fn unquoted(words: &str) -> String {
    let mut kept = String::with_capacity(words.len());
    let (mut inside, mut escaped) = (false, false);
    for c in words.chars() {
        if c == '"' && !escaped {
            inside = !inside;
            kept.push_str(if inside { "\".." } else { "\"" });
        } else if !inside {
            kept.push(c);
        }
        escaped = inside && c == '\\' && !escaped;
    }
    kept
}

fn listing(keys: &[String]) -> Secret {
    let mut text = Vec::with_capacity(keys.iter().map(|key| key.len() + 4).sum::<usize>() + 12);
    text.extend_from_slice(b"{\"keys\":[");
    for (i, key) in keys.iter().enumerate() {
        if i > 0 {
            text.push(b',');
        }
        json::write_string(&mut text, key);
    }
    text.extend_from_slice(b"]}");
    Secret::new(text)
}

/// One record: an entry in one of its phases.
#[derive(Clone, Debug)]
pub struct Record {
    pub(super) entry: Entry,
    pub(super) phase: Phase,
    pub(super) time: Option<Timestamp>,
}

/// Which record of a request it is.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    Open,
    Close(Outcome),
    Combined(Outcome),
}

impl Record {
    /// Before any effect.
    #[must_use]
    pub fn open(entry: &Entry) -> Self {
        Self { entry: entry.clone(), phase: Phase::Open, time: Some(entry.time) }
    }

    /// Before the answer leaves. Fields are in the open record already and are left out here.
    #[must_use]
    pub fn close(entry: &Entry, outcome: Outcome) -> Self {
        Self { entry: Entry { fields: None, ..entry.clone() }, phase: Phase::Close(outcome), time: None }
    }

    /// Both in one, where nothing has an effect: an answer from the cache, a request refused
    /// before it was opened.
    #[must_use]
    pub fn combined(entry: Entry, outcome: Outcome) -> Self {
        Self { time: Some(entry.time), entry, phase: Phase::Combined(outcome) }
    }

    /// Whether an effect waits for it.
    pub(super) const fn before_effect(&self) -> bool {
        self.entry.effects && matches!(self.phase, Phase::Open)
    }

    /// What it is dated.
    pub(super) fn moment(&self) -> Timestamp {
        self.time.unwrap_or(self.entry.time)
    }

    /// Dates a closing record.
    pub(super) fn stamp(&mut self, now: Timestamp) {
        self.time.get_or_insert(now);
    }
}

/// A record on its way, with the caller that waits for it.
pub(super) struct Pending {
    pub(super) record: Record,
    undecided: AtomicUsize,
    waiter: Mutex<Option<oneshot::Sender<bool>>>,
}

impl Pending {
    /// For `sinks` sinks, each of which must confirm or refuse once.
    pub(super) fn new(record: Record, sinks: usize) -> (Arc<Self>, oneshot::Receiver<bool>) {
        let (sender, receiver) = oneshot::channel();
        let pending = Self { record, undecided: AtomicUsize::new(sinks), waiter: Mutex::new(Some(sender)) };
        (Arc::new(pending), receiver)
    }

    /// A sink took it.
    pub(super) fn confirm(&self) {
        self.settle(true);
    }

    /// A sink did not take it; the last one to say so ends the wait.
    pub(super) fn refuse(&self) {
        if self.undecided.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.settle(false);
        }
    }

    fn settle(&self, taken: bool) {
        let waiter = self.waiter.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waiter) = waiter {
            // Nobody waits any more: the record stands all the same.
            let _ = waiter.send(taken);
        }
    }
}
