//! Requests about tokens, through either HTTP door, and what their answers say.

use crate::clients;
use serde_json::{Value as Json, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use warder_testkit::{Call, Failure, Http, Random, Reply, Result, Warder};

/// The secret that tokens are used on.
pub(super) const SECRET: &str = "history/token";
/// A policy that allows to read it and to make children.
pub(super) const POLICY: &str = "history-tokens";

/// A token that somebody was given.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) accessor: String,
}

/// Which door a request takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Door {
    Native,
    Vault,
}

/// How a token is named in a request about it.
#[derive(Clone, Copy, Debug)]
pub(super) enum By {
    Accessor,
    Itself,
    /// Root names its text; `/v1` only.
    Text,
}

/// What came of a request that a dead token, or one about a dead token, is refused.
#[derive(Debug)]
pub(super) enum Came<T> {
    /// Too many others changed the same: nothing happened.
    Busy,
    Done(T),
    Refused,
    /// Nobody knows.
    Unknown,
}

impl<T> Came<T> {
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Came<U> {
        match self {
            Self::Busy => Came::Busy,
            Self::Done(it) => Came::Done(change(it)),
            Self::Refused => Came::Refused,
            Self::Unknown => Came::Unknown,
        }
    }

    /// As an answer of a model; none when nobody knows.
    pub(super) fn answer<R>(self, busy: R, refused: R, done: impl FnOnce(T) -> Result<R>) -> Result<Option<R>> {
        match self {
            Self::Busy => Ok(Some(busy)),
            Self::Done(it) => done(it).map(Some),
            Self::Refused => Ok(Some(refused)),
            Self::Unknown => Ok(None),
        }
    }
}

impl Door {
    pub(super) fn any(random: &mut Random) -> Self {
        *random.one_of(&[Self::Native, Self::Vault])
    }
}

impl By {
    pub(super) fn any(random: &mut Random) -> Self {
        *random.one_of(&[Self::Accessor, Self::Itself, Self::Text])
    }
}

/// A Warder with the secret and the policy.
pub(super) fn warder() -> Result<Warder> {
    let warder = Warder::dev().start()?;
    let root = warder.http();
    root.put(&format!("/api/v1/secrets/{SECRET}")).json(&json!({"k": "v"})).send()?.expect_status(201)?;
    let text = format!(
        "path \"secret/data/{SECRET}\" {{ capabilities = [\"read\"] }}\n\
         path \"auth/token/create\" {{ capabilities = [\"update\"] }}"
    );
    let policy = json!({ "policy": text });
    root.put(&format!("/v1/sys/policies/acl/{POLICY}")).json(&policy).send()?.expect_status(204)?;
    Ok(warder)
}

/// Makes a token below the one that `http` shows.
pub(super) fn create(http: &Http, door: Door, mut body: Json) -> Result<Came<Token>> {
    body["policies"] = json!([POLICY]);
    let call = match door {
        Door::Native => http.post("/api/v1/auth/tokens"),
        Door::Vault => http.post("/v1/auth/token/create"),
    };
    came(call.json(&body), |json| {
        let (token, accessor) = match door {
            Door::Native => (&json["token"], &json["accessor"]),
            Door::Vault => (&json["auth"]["client_token"], &json["auth"]["accessor"]),
        };
        Ok(Token { text: text(token)?, accessor: text(accessor)? })
    })
}

/// Makes one where nobody is in the way.
pub(super) fn made(http: &Http, body: Json) -> Result<Token> {
    match create(http, Door::Vault, body)? {
        Came::Done(token) => Ok(token),
        came => Err(format!("a token was not made: {came:?}").into()),
    }
}

/// Reads the secret.
pub(super) fn read<'a>(http: &'a Http, door: Door) -> Call<'a> {
    match door {
        Door::Native => http.get(&format!("/api/v1/secrets/{SECRET}")),
        Door::Vault => http.get(&format!("/v1/secret/data/{SECRET}")),
    }
}

/// What is known of a token.
pub(super) fn look(root: &Http, token: &Token, by: By, door: Door) -> Result<Came<Json>> {
    let itself = root.with_token(&token.text);
    let call = match (by, door) {
        (By::Accessor, Door::Native) => root.get(&format!("/api/v1/auth/tokens/{}", token.accessor)),
        (By::Accessor, Door::Vault) => by_accessor(root, "lookup", token),
        (By::Itself, Door::Native) => itself.get("/api/v1/auth/self"),
        (By::Itself, Door::Vault) => itself.get("/v1/auth/token/lookup-self"),
        (By::Text, _) => root.post("/v1/auth/token/lookup").json(&json!({ "token": token.text })),
    };
    came(call, |json| Ok(if json["data"].is_object() { json["data"].clone() } else { json.clone() }))
}

/// Asks for `increment` more seconds; answers how many were granted.
pub(super) fn renew(root: &Http, token: &Token, by: By, door: Door, increment: u32) -> Result<Came<u64>> {
    let itself = root.with_token(&token.text);
    let mut body = json!({ "increment": increment });
    let call = match (by, door) {
        (By::Accessor, Door::Native) => root.post(&format!("/api/v1/auth/tokens/{}/renew", token.accessor)),
        (By::Accessor, Door::Vault) => {
            body["accessor"] = json!(token.accessor);
            root.post("/v1/auth/token/renew-accessor")
        }
        (By::Itself, Door::Native) => itself.post("/api/v1/auth/renew"),
        (By::Itself, Door::Vault) => itself.post("/v1/auth/token/renew-self"),
        (By::Text, _) => {
            body["token"] = json!(token.text);
            root.post("/v1/auth/token/renew")
        }
    };
    came(call.json(&body), |json| {
        let granted = json["ttl_seconds"].as_u64().or_else(|| json["auth"]["lease_duration"].as_u64());
        granted.ok_or_else(|| Failure::from("no word on how long"))
    })
}

/// Ends a token and all below it.
pub(super) fn revoke(root: &Http, token: &Token, by: By, door: Door) -> Result<Came<()>> {
    let itself = root.with_token(&token.text);
    let call = match (by, door) {
        (By::Accessor, Door::Native) => root.delete(&format!("/api/v1/auth/tokens/{}", token.accessor)),
        (By::Accessor, Door::Vault) => by_accessor(root, "revoke", token),
        (By::Itself, Door::Native) => itself.post("/api/v1/auth/revoke"),
        (By::Itself, Door::Vault) => itself.post("/v1/auth/token/revoke-self"),
        (By::Text, _) => root.post("/v1/auth/token/revoke").json(&json!({ "token": token.text })),
    };
    came(call, |_| Ok(()))
}

fn by_accessor<'a>(root: &'a Http, verb: &str, token: &Token) -> Call<'a> {
    root.post(&format!("/v1/auth/token/{verb}-accessor")).json(&json!({ "accessor": token.accessor }))
}

/// The seconds that the token's time was last set to, by its moments.
pub(super) fn lease(about: &Json) -> Result<u64> {
    let moment = |names: [&str; 2]| names.iter().find_map(|name| about[*name].as_str());
    let start = moment(["last_renewal", "renewed_at"]).or_else(|| moment(["issue_time", "created_at"]));
    let span = parsed(moment(["expire_time", "expires_at"]))? - parsed(start)?;
    u64::try_from(span.whole_seconds()).map_err(|_| Failure::from(format!("it ends before it begins: {about}")))
}

fn parsed(moment: Option<&str>) -> Result<OffsetDateTime> {
    let moment = moment.ok_or("a moment is missing")?;
    OffsetDateTime::parse(moment, &Rfc3339).map_err(|why| Failure::new(moment, why))
}

/// Sends a request and sorts what comes back.
pub(super) fn came<T>(call: Call<'_>, done: impl Fn(&Json) -> Result<T>) -> Result<Came<T>> {
    let curl = call.curl();
    let reply = call.send()?;
    let told = |why: &dyn std::fmt::Display| {
        format!(
            "{curl}
answered {} {}: {why}",
            reply.status,
            reply.text()
        )
    };
    match reply.status {
        200 | 201 => Ok(Came::Done(done(&reply.json()?).map_err(|why| told(&why))?)),
        204 => Ok(Came::Done(done(&Json::Null).map_err(|why| told(&why))?)),
        _ if clients::leaves_open(&reply) => Ok(Came::Unknown),
        400 | 409 if reply.text().contains("try again") => Ok(Came::Busy),
        400..=404 if refused(&reply) => Ok(Came::Refused),
        _ => Err(told(&"expected success or a refusal").into()),
    }
}

/// Whether this is how a dead token looks.
fn refused(reply: &Reply) -> bool {
    let words = ["accessor", "bad token", "token not found", "permission denied", "no token, or one that is unknown"];
    let text = reply.text();
    words.iter().any(|word| text.contains(word))
}

fn text(json: &Json) -> Result<String> {
    json.as_str().map(str::to_owned).ok_or_else(|| Failure::from("no token in the answer"))
}
