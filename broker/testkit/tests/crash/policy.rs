//! A policy that one client alone writes and deletes.

use warder_testkit::{Http, Reply, Result};

use crate::{attempt::Attempt, records::Log};

/// The policy as its client knows it.
#[derive(Debug)]
pub(crate) struct Policy {
    name: String,
    /// Who wrote its text; none: it is not there.
    pub(crate) state: Option<Attempt>,
    pub(crate) pending: Option<(Attempt, Option<Attempt>)>,
}

impl Policy {
    pub(crate) const fn new(name: String) -> Self {
        Self { name, state: None, pending: None }
    }

    /// Writes the text of `attempt`, or deletes.
    pub(crate) fn send(&self, http: &Http, attempt: Attempt, next: Option<Attempt>) -> Result<Reply> {
        let target = format!("/api/v1/policies/{}", self.name);
        let call = match next {
            Some(next) => http.put(&target).json(&serde_json::json!({ "policy": next.policy() })),
            None => http.delete(&target),
        };
        call.header("X-Request-Id", &attempt.to_string()).send()
    }

    /// As [`crate::secret::Own::check`].
    pub(crate) fn check(&mut self, http: &Http, log: &Log) -> Result {
        let found = self.seen(http)?;
        let pending = self.pending.take();
        let text = |state: &Option<Attempt>| state.map(Attempt::policy);
        if found == text(&self.state) {
            return Ok(());
        }
        let Some((attempt, state)) = pending.as_ref().filter(|(_, state)| found == text(state)) else {
            panic!("policy {}: found {found:?}, known {:?}, perhaps {pending:?}", self.name, self.state);
        };
        assert!(log.opened.contains(attempt), "policy {}: {attempt} has no open record", self.name);
        self.state = *state;
        Ok(())
    }

    fn seen(&self, http: &Http) -> Result<Option<String>> {
        let reply = http.get(&format!("/api/v1/policies/{}", self.name)).send()?;
        if reply.status == 404 {
            return Ok(None);
        }
        Ok(reply.expect_status(200)?.json()?["policy"].as_str().map(str::to_owned))
    }
}
