//! Policies as registers: what was written last decides what tokens that hold it may do, and each
//! allowed or denied request is a read of it.

use serde_json::json;
use warder_testkit::{Failure, Http, Random, Result, Suite, Warder};

use crate::{
    checker::{Event, Model},
    clients, story,
};

/// Operations of one client: the short and the long form.
const OPERATIONS: [usize; 2] = [100, 4_000];
/// Secrets, each of which a policy may open.
const SECRETS: u32 = 4;
/// Policies in use at a time.
const NEAR: u64 = 8;
/// Turns after which the clients move on to other policies.
const WAVE: usize = 25;

#[test]
fn a_changed_policy_counts_for_all_from_its_answer_on() -> Result {
    let suite = Suite::new("history", "policies::a_changed_policy_counts_for_all_from_its_answer_on", 0x0090_11c1);
    let warder = Warder::dev().start()?;
    let operations = suite.pick(OPERATIONS[0], OPERATIONS[1]);
    let holders = holders(&warder.http(), operations.div_ceil(WAVE) * NEAR as usize)?;
    let histories = clients::run(&suite, |client| {
        let root = warder.http();
        (0..operations).try_for_each(|turn| {
            let near = client.random.below(NEAR * 3 / 2).saturating_sub(NEAR / 2) as usize;
            let number = turn / WAVE * NEAR as usize + near;
            let text = (client.number * 100_000 + turn) as u32;
            // Dozens at once mostly read: the order of blind writes is found by trying.
            let ask = Ask::any(&mut client.random, text, near > 0);
            client.act(&name(number), ask, |ask| send(&root, &holders[number], number, *ask)).map(drop)
        })
    })?;
    story::explain(&suite, &Policies, &histories)?;
    clients::met(&histories, Ask::word, Answer::word).needs(&[
        "can yes",
        "can no",
        "delete done",
        "delete unknown",
        "look absent",
        "look text",
        "read no",
        "read yes",
        "write done",
        "write unknown",
    ])?;
    clients::needs_cache_hits(&warder, 20)
}

fn name(number: usize) -> String {
    format!("history-{number}")
}

/// The secrets, and a token for each policy; every other one holds a second policy as well.
fn holders(root: &Http, count: usize) -> Result<Vec<String>> {
    for secret in 0..SECRETS {
        root.put(&format!("/api/v1/secrets/open/{secret}")).json(&json!({"k": secret})).send()?.expect_status(201)?;
    }
    let holder = |number| {
        let policies = if number % 2 == 0 { vec![name(number)] } else { vec![name(number), "default".to_owned()] };
        let body = json!({ "policies": policies, "no_default_policy": number % 2 == 0 });
        let reply = root.post("/v1/auth/token/create").json(&body).send()?.expect_status(200)?.json()?;
        reply["auth"]["client_token"].as_str().map(str::to_owned).ok_or_else(|| Failure::from("no token"))
    };
    (0..count).map(holder).collect()
}

/// One policy.
struct Policies;

#[derive(Clone, Copy, Debug)]
enum Ask {
    /// Root asks what the holder may do to this secret.
    Can(u32),
    Delete {
        wait: bool,
    },
    Look,
    /// The holder reads this secret.
    Read {
        secret: u32,
        native: bool,
    },
    /// The text with this number, which opens the secret that [`opens`] says.
    Write {
        text: u32,
        native: bool,
        wait: bool,
    },
}

#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Absent,
    Done,
    No,
    Text(u32),
    Yes,
}

/// The secret that a text opens; one in five opens none.
fn opens(text: u32) -> Option<u32> {
    Some(text % (SECRETS + 1)).filter(|secret| *secret < SECRETS)
}

impl Model for Policies {
    type Ask = Ask;
    type Answer = Answer;
    /// Number of the text, if there is a policy.
    type State = Option<u32>;

    fn start(&self) -> Option<u32> {
        None
    }

    fn next(&self, state: &Option<u32>, event: &Event<Ask, Answer>) -> Option<Option<u32>> {
        let (next, answer) = match event.ask {
            Ask::Can(secret) | Ask::Read { secret, .. } => {
                (*state, if state.and_then(opens) == Some(secret) { Answer::Yes } else { Answer::No })
            }
            Ask::Delete { .. } => (None, Answer::Done),
            Ask::Look => (*state, state.map_or(Answer::Absent, Answer::Text)),
            Ask::Write { text, .. } => (Some(text), Answer::Done),
        };
        event.answer().is_none_or(|had| *had == answer).then_some(next)
    }

    fn quiet(&self, event: &Event<Ask, Answer>) -> bool {
        !matches!(event.ask, Ask::Delete { .. } | Ask::Write { .. })
    }
}

impl Ask {
    fn any(random: &mut Random, text: u32, calm: bool) -> Self {
        let secret = random.below(u64::from(SECRETS)) as u32;
        let (native, wait) = (random.below(2) == 0, !calm || random.below(12) > 0);
        match if calm { random.below(100) } else { 8 + random.below(92) } {
            0..10 => Self::Write { text, native, wait },
            10..13 => Self::Delete { wait },
            13..30 => Self::Look,
            30..35 => Self::Can(secret),
            _ => Self::Read { secret, native },
        }
    }

    const fn word(&self) -> &'static str {
        match self {
            Self::Can(_) => "can",
            Self::Delete { .. } => "delete",
            Self::Look => "look",
            Self::Read { .. } => "read",
            Self::Write { .. } => "write",
        }
    }
}

impl Answer {
    const fn word(&self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Done => "done",
            Self::No => "no",
            Self::Text(_) => "text",
            Self::Yes => "yes",
        }
    }
}

fn send(root: &Http, holder: &str, number: usize, ask: Ask) -> Result<Option<Answer>> {
    let holder_asks = root.with_token(holder);
    let (vault, native) =
        (format!("/v1/sys/policies/acl/{}", name(number)), format!("/api/v1/policies/{}", name(number)));
    let call = match ask {
        Ask::Can(secret) => {
            let body = json!({ "token": holder, "paths": [format!("secret/data/open/{secret}")] });
            root.post("/v1/sys/capabilities").json(&body)
        }
        Ask::Delete { .. } => root.delete(&vault),
        Ask::Look => root.get(&vault),
        Ask::Read { secret, native: true } => holder_asks.get(&format!("/api/v1/secrets/open/{secret}")),
        Ask::Read { secret, native: false } => holder_asks.get(&format!("/v1/secret/data/open/{secret}")),
        Ask::Write { text, native: by_native, .. } => {
            let at = if by_native { &native } else { &vault };
            root.put(at).json(&json!({ "policy": source(text) }))
        }
    };
    if matches!(ask, Ask::Delete { wait: false } | Ask::Write { wait: false, .. }) {
        return call.send_and_hang_up().map(|()| None);
    }
    let curl = call.curl();
    let reply = call.send()?;
    Ok(Some(match (ask, reply.status) {
        _ if clients::leaves_open(&reply) => return Ok(None),
        (Ask::Can(secret), 200) => {
            let words = reply.json()?["data"][format!("secret/data/open/{secret}")].to_string();
            if words.contains("read") { Answer::Yes } else { Answer::No }
        }
        (Ask::Delete { .. }, 204) | (Ask::Write { .. }, 200 | 201 | 204) => Answer::Done,
        (Ask::Look, 404) => Answer::Absent,
        (Ask::Look, 200) => Answer::Text(written(reply.json()?["data"]["policy"].as_str().unwrap_or_default())?),
        (Ask::Read { .. }, 200) => Answer::Yes,
        (Ask::Read { .. }, 403) => Answer::No,
        (_, status) => return Err(format!("{curl}\nanswered {status} {}", reply.text()).into()),
    }))
}

/// The policy with this number: the number stands in a comment.
fn source(text: u32) -> String {
    let rule = opens(text).map(|secret| format!("path \"secret/data/open/{secret}\" {{ capabilities = [\"read\"] }}"));
    format!("# {text}\n{}", rule.unwrap_or_default())
}

fn written(source: &str) -> Result<u32> {
    let number = source.lines().next().and_then(|line| line.strip_prefix("# ")?.parse().ok());
    number.ok_or_else(|| Failure::from(format!("not a policy of this test: {source:?}")))
}
