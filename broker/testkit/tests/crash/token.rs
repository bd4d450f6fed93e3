//! Tokens that the clients make and revoke.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use warder_testkit::{Http, Reply, Result};

use crate::{attempt::Attempt, records::Log};

/// A token that was acknowledged.
#[derive(Debug)]
pub(crate) struct Token {
    accessor: String,
    text: String,
    by: Attempt,
    pub(crate) live: bool,
    /// A revocation that was not answered.
    pub(crate) pending: Option<Attempt>,
}

/// Asks for a token.
pub(crate) fn create(http: &Http, attempt: Attempt) -> Result<Reply> {
    let wanted = json!({ "policies": ["default"], "metadata": { "attempt": attempt.to_string() } });
    http.post("/api/v1/auth/tokens").header("X-Request-Id", &attempt.to_string()).json(&wanted).send()
}

impl Token {
    /// As the answer gives it.
    pub(crate) fn of(reply: &Reply, by: Attempt) -> Self {
        let made = reply.json().expect("an answer in JSON");
        let text = |name: &str| made[name].as_str().expect("a token has both").to_owned();
        Self { accessor: text("accessor"), text: text("token"), by, live: true, pending: None }
    }

    pub(crate) fn revoke(&self, http: &Http, attempt: Attempt) -> Result<Reply> {
        let target = format!("/api/v1/auth/tokens/{}", self.accessor);
        http.delete(&target).header("X-Request-Id", &attempt.to_string()).send()
    }

    /// A live token is known by its accessor and opens the door; a revoked one does neither.
    pub(crate) fn check(&mut self, http: &Http, log: &Log) -> Result {
        let known = about(http, &self.accessor)?;
        let admitted = http.with_token(&self.text).get("/api/v1/auth/self").send()?;
        assert!(matches!(admitted.status, 200 | 401), "{}: {}", self.by, admitted.text());
        let live = known.is_some();
        assert_eq!(live, admitted.status == 200, "{}: half a token: {known:?}, {}", self.by, admitted.text());
        assert!(known.is_none_or(|by| by == Some(self.by)), "{}: found {known:?}", self.by);
        if live != self.live {
            let revoked = self.pending.filter(|_| self.live);
            let revoked = revoked.unwrap_or_else(|| panic!("{}: live {live}, known {}", self.by, self.live));
            assert!(log.opened.contains(&revoked), "{revoked} had an effect without an open record");
        }
        self.pending = None;
        self.live = live;
        Ok(())
    }
}

/// Who made the token of this accessor, if there is one. The root token was made by nobody.
fn about(http: &Http, accessor: &str) -> Result<Option<Option<Attempt>>> {
    let reply = http.get(&format!("/api/v1/auth/tokens/{accessor}")).send()?;
    if reply.status == 404 {
        return Ok(None);
    }
    let found = reply.expect_status(200)?.json()?;
    let by = found["metadata"]["attempt"].as_str().map(|text| text.parse().expect("an attempt"));
    assert_eq!(by.is_none(), found["policies"] == json!(["root"]), "half a token: {found}");
    Ok(Some(by))
}

/// Tokens whose making was not answered, and which are there all the same.
#[derive(Debug, Default)]
pub(crate) struct Strays(BTreeMap<String, Attempt>);

impl Strays {
    /// Every token there is was acknowledged, or is the whole work of one attempt among `pending`.
    pub(crate) fn check<'a>(
        &mut self,
        http: &Http,
        tokens: impl Iterator<Item = &'a Token>,
        pending: &BTreeSet<Attempt>,
        log: &Log,
    ) -> Result {
        let known: BTreeSet<&str> = tokens.filter(|token| token.live).map(|token| token.accessor.as_str()).collect();
        let listed = http.get("/api/v1/auth/tokens?limit=10000").send()?.expect_status(200)?.json()?;
        let listed = listed["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
        let listed: BTreeSet<&str> = listed.iter().filter_map(Value::as_str).collect();
        let owed = known.iter().copied().chain(self.0.keys().map(String::as_str));
        owed.for_each(|accessor| assert!(listed.contains(accessor), "{accessor} is not listed"));
        let mut roots = 0;
        let unknown = listed.difference(&known).filter(|accessor| !self.0.contains_key(**accessor));
        for accessor in unknown.copied().collect::<Vec<_>>() {
            let Some(by) = about(http, accessor)?.unwrap_or_else(|| panic!("{accessor} is listed and unknown")) else {
                roots += 1;
                continue;
            };
            assert!(pending.contains(&by), "a token by {by}, which was refused or revoked");
            assert!(log.opened.contains(&by), "{by} had an effect without an open record");
            self.0.insert(accessor.to_owned(), by);
        }
        assert_eq!(roots, 1, "root tokens");
        Ok(())
    }
}
