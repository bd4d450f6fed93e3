//! Every path that a secret can take through a running broker, each with secrets of its own.
//!
//! To add a path: send it through [`Walk::ask`] (or a door's own client and [`Walk::heard`]) and
//! name the secrets that its answer may show.

mod cli;
mod grpc;
mod plugin;
mod quorum;
mod refused;
mod rest;
mod vault;

use warder_testkit::{Call, Failure, Http, Reply, Result};

use crate::{
    broker::{Broker, Keys},
    marks::Marks,
    search::{Find, Search},
};

/// One run through all paths.
pub(crate) struct Walk<'a> {
    broker: &'a Broker,
    keys: &'a Keys,
    /// With the root token.
    http: Http,
    over: String,
    /// Where this walk keeps its secrets.
    folder: &'static str,
    marks: &'a mut Marks,
    answers: &'a mut Vec<Heard>,
}

/// An answer, and which secrets belong in it.
#[derive(Debug)]
pub(crate) struct Heard {
    place: String,
    head: Vec<u8>,
    body: Vec<u8>,
    /// Must be in the body, or nothing would be proved.
    shows: Vec<String>,
    /// May be in the body: the caller's own words, quoted back to it.
    quotes: Vec<String>,
}

impl<'a> Walk<'a> {
    /// `over` names this walk in the kinds of its secrets, `folder` in their paths.
    pub(crate) fn new(
        broker: &'a Broker,
        keys: &'a Keys,
        over: &str,
        folder: &'static str,
        marks: &'a mut Marks,
        answers: &'a mut Vec<Heard>,
    ) -> Self {
        let http = broker.stranger().with_token(&keys.root_token);
        Self { broker, keys, http, over: over.to_owned(), folder, marks, answers }
    }

    /// Through every door, with good requests and bad ones.
    pub(crate) fn everywhere(&mut self) -> Result {
        rest::walk(self)?;
        vault::walk(self)?;
        grpc::walk(self)?;
        cli::walk(self)?;
        plugin::walk(self)?;
        refused::walk(self)?;
        quorum::walk(self)
    }

    /// A kind as it is called in this walk.
    fn kind(&self, kind: &str) -> String {
        format!("{}: {kind}", self.over)
    }

    fn value(&mut self, kind: &str) -> String {
        let kind = self.kind(kind);
        self.marks.value(&kind)
    }

    fn word(&mut self, kind: &str) -> String {
        let kind = self.kind(kind);
        self.marks.word(&kind)
    }

    /// Sends a request whose answer must have this status; its body must show these secrets alone.
    fn ask(&mut self, call: Call<'_>, status: u16, shows: &[&str]) -> Result<Reply> {
        let place = call.curl();
        self.send(call, shows)?.expect_status(status).map_err(|why| Failure::new(place, why))
    }

    /// The same, whatever the status.
    fn send(&mut self, call: Call<'_>, shows: &[&str]) -> Result<Reply> {
        let place = call.curl();
        let reply = call.send()?;
        let head = reply.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect::<String>();
        self.heard(place, head.into(), reply.body.clone(), shows);
        Ok(reply)
    }

    /// Keeps an answer to be looked through when all secrets are known.
    fn heard(&mut self, place: String, head: Vec<u8>, body: Vec<u8>, shows: &[&str]) {
        let shows = shows.iter().map(|kind| self.kind(kind)).collect();
        self.answers.push(Heard { place, head, body, shows, quotes: Vec::new() });
    }

    /// The last answer may quote this secret.
    fn may_quote(&mut self, kind: &str) {
        let kind = self.kind(kind);
        self.answers.iter_mut().next_back().into_iter().for_each(|heard| heard.quotes.push(kind.clone()));
    }
}

/// Secrets in answers where they do not belong, and secrets that an answer should have had:
/// without them nothing would be proved.
pub(crate) fn misplaced(search: &Search, answers: &[Heard]) -> Result<Vec<Find>> {
    let mut finds = Vec::new();
    for heard in answers {
        finds.extend(search.look(&format!("headers of the answer to {}", heard.place), &heard.head));
        let shown = search.look(&format!("the answer to {}", heard.place), &heard.body);
        if let Some(missing) = heard.shows.iter().find(|kind| !shown.iter().any(|find| find.kind == **kind)) {
            let body = String::from_utf8_lossy(&heard.body);
            return Err(Failure::from(format!("{}: the answer lacks `{missing}`: {body}", heard.place)));
        }
        let belongs = |find: &Find| heard.shows.contains(&find.kind) || heard.quotes.contains(&find.kind);
        finds.extend(shown.into_iter().filter(|find| !belongs(find)));
    }
    Ok(finds)
}
