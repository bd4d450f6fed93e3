//! A secret that one client alone writes: what is known of it, and what a restarted Warder says.

use serde_json::Value;
use warder_testkit::{Http, Reply, Result};

use crate::{attempt::Attempt, records::Log};

/// What became of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Deleted,
    Destroyed,
    Live,
}

/// Versions from 1 on; none: there is no such secret.
pub(crate) type State = Vec<(Attempt, Fate)>;
/// The same as read; who wrote it can be read from live versions only.
pub(crate) type Seen = Vec<(Option<Attempt>, Fate)>;

/// What a client does to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Delete,
    Destroy,
    Forget,
    Put { checked: bool },
    Undelete,
}

/// The secret as its client knows it.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) path: String,
    pub(crate) state: State,
    /// A change that was sent and not answered, and what it would make of the state.
    pub(crate) pending: Option<(Attempt, State)>,
}

impl Change {
    /// Whether it would change anything: what changes nothing is committed nowhere.
    pub(crate) fn applies(self, state: &State) -> bool {
        let newest = state.last().map(|(_, fate)| *fate);
        match self {
            Self::Delete => newest == Some(Fate::Live),
            Self::Destroy => matches!(newest, Some(Fate::Live | Fate::Deleted)),
            Self::Forget => newest.is_some(),
            Self::Put { .. } => true,
            Self::Undelete => newest == Some(Fate::Deleted),
        }
    }

    /// The state after it.
    pub(crate) fn of(self, state: &State, attempt: Attempt) -> State {
        let mut next = state.clone();
        let fate = match self {
            Self::Forget => return State::new(),
            Self::Put { .. } => {
                next.push((attempt, Fate::Live));
                return next;
            }
            Self::Delete => Fate::Deleted,
            Self::Destroy => Fate::Destroyed,
            Self::Undelete => Fate::Live,
        };
        next.last_mut().expect("applies() said that there is a version").1 = fate;
        next
    }

    /// The request for it.
    pub(crate) fn send(self, http: &Http, path: &str, newest: usize, attempt: Attempt) -> Result<Reply> {
        let target = format!("/api/v1/secrets/{path}");
        let id = ("X-Request-Id", attempt.to_string());
        let call = match self {
            Self::Delete => http.delete(&target),
            Self::Destroy => http.delete(&format!("{target}?versions={newest}&destroy=true")),
            Self::Forget => http.delete(&format!("/v1/secret/metadata/{path}")),
            Self::Undelete => {
                http.post(&format!("{target}/undelete")).json(&serde_json::json!({ "versions": [newest] }))
            }
            Self::Put { checked } => {
                let put = http.put(&target).json(&attempt.body());
                match (checked, newest) {
                    (false, _) => put,
                    (true, 0) => put.header("If-None-Match", "*"),
                    (true, newest) => put.header("If-Match", &format!("\"{newest}\"")),
                }
            }
        };
        call.header(id.0, &id.1).send()
    }
}

impl Own {
    /// Holds what Warder says against what is known, and settles what was pending.
    pub(crate) fn check(&mut self, http: &Http, log: &Log) -> Result {
        let seen = seen(http, &self.path)?;
        let pending = self.pending.take();
        if fits(&self.state, &seen) {
            return Ok(());
        }
        let Some((attempt, state)) = pending.as_ref().filter(|(_, state)| fits(state, &seen)) else {
            panic!("{}: found {seen:?}, known {:?}, perhaps {pending:?}", self.path, self.state);
        };
        assert!(log.opened.contains(attempt), "{}: {attempt} had an effect without an open record", self.path);
        self.state.clone_from(state);
        Ok(())
    }
}

fn fits(state: &State, seen: &Seen) -> bool {
    let same = |((wrote, fate), (by, found)): (&(Attempt, Fate), &(Option<Attempt>, Fate))| {
        fate == found && by.is_none_or(|by| by == *wrote)
    };
    state.len() == seen.len() && state.iter().zip(seen).all(same)
}

/// Every version as Warder shows it; each live one must be the whole work of one attempt.
pub(crate) fn seen(http: &Http, path: &str) -> Result<Seen> {
    let reply = http.get(&format!("/api/v1/secrets/{path}/versions")).send()?;
    if reply.status == 404 {
        return Ok(Seen::new());
    }
    let about = reply.expect_status(200)?.json()?;
    let newest = about["current_version"].as_u64().unwrap_or_default();
    (1..=newest).map(|number| version(http, path, number, &about["versions"][number.to_string()])).collect()
}

fn version(http: &Http, path: &str, number: u64, about: &Value) -> Result<(Option<Attempt>, Fate)> {
    assert!(about.is_object(), "{path}: version {number} is missing");
    let read = http.get(&format!("/api/v1/secrets/{path}?version={number}")).send()?;
    let fate = match (about["destroyed"].as_bool(), about["deletion_time"].as_str()) {
        (Some(true), _) => Fate::Destroyed,
        (_, Some("")) => Fate::Live,
        _ => Fate::Deleted,
    };
    if fate != Fate::Live {
        read.expect_status(404)?;
        return Ok((None, fate));
    }
    let read = read.expect_status(200)?.json()?;
    let whole = Attempt::of(&read["data"]);
    assert!(whole.is_some(), "{path}: version {number} is nobody's whole work: {}", read["data"]);
    Ok((whole, fate))
}
