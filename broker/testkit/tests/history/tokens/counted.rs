//! Tokens with counted uses: exactly as many as were given, whoever uses them at once.

use serde_json::json;
use warder_testkit::{Http, Random, Result, Suite};

use super::api::{self, By, Came, Door, Token};
use crate::{
    checker::{Event, Model},
    clients, story,
};

/// Tokens: the short and the long form.
const TOKENS: [usize; 2] = [12, 400];
/// Uses of a token, fewer than its clients would like.
const USES: u32 = 150;
/// What each client does with one token.
const OPERATIONS: usize = 5;

#[test]
fn a_counted_token_has_as_many_uses_as_it_was_given() -> Result {
    let suite = Suite::new("history", "tokens::counted::a_counted_token_has_as_many_uses_as_it_was_given", 0xc0_0017);
    let warder = api::warder()?;
    let root = warder.http();
    let make = |_| api::made(&root, json!({ "num_uses": USES, "ttl": "1h" }));
    let tokens = (0..suite.pick(TOKENS[0], TOKENS[1])).map(make).collect::<Result<Vec<_>>>()?;
    let histories = clients::run(&suite, |client| {
        let root = warder.http();
        tokens.iter().enumerate().try_for_each(|(number, token)| {
            let itself = root.with_token(&token.text);
            (0..OPERATIONS).try_for_each(|_| {
                let ask = Ask::any(&mut client.random, number % 3 == 0);
                client.act(&format!("token {number}"), ask, |ask| send(&root, &itself, token, *ask)).map(drop)
            })
        })
    })?;
    story::explain(&suite, &Counted, &histories)?;
    clients::met(&histories, |ask| ask.word(), Answer::word).needs(&[
        "use done",
        "use refused",
        "use unknown",
        "fail done",
        "fail refused",
        "look left",
        "look refused",
        "renew done",
        "renew refused",
        "revoke done",
    ])
}

/// One token: how many uses it has left.
struct Counted;

#[derive(Clone, Copy, Debug)]
enum Ask {
    /// A request that policy refuses: it counts.
    Fail,
    Look(By, Door),
    /// Changes another part of the same record.
    Renew(By, Door),
    Revoke(By, Door),
    Use(Door),
    /// By a client that does not wait for the answer.
    UseAndHangUp,
}

#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Busy,
    Done,
    Left(u32),
    Refused,
}

impl Model for Counted {
    type Ask = Ask;
    type Answer = Answer;
    type State = u32;

    fn start(&self) -> u32 {
        USES
    }

    fn next(&self, left: &u32, event: &Event<Ask, Answer>) -> Option<u32> {
        let dead = *left == 0;
        let after = match event.ask {
            Ask::Fail | Ask::Use(_) | Ask::UseAndHangUp => left.saturating_sub(1),
            Ask::Look(..) | Ask::Renew(..) => *left,
            Ask::Revoke(..) => 0,
        };
        match event.answer() {
            None => Some(after),
            Some(Answer::Busy) => Some(*left),
            // Root is told "done" of a token that is dead already: one that was used up stands
            // there, perhaps with children, until it is removed.
            Some(Answer::Done) if matches!(event.ask, Ask::Revoke(..)) => Some(0),
            Some(Answer::Done) => (!dead).then_some(after),
            Some(Answer::Left(said)) => (!dead && said == left).then_some(after),
            Some(Answer::Refused) => dead.then_some(0),
        }
    }

    fn kind(&self, event: &Event<Ask, Answer>) -> Option<u32> {
        match (event.ask, event.answer()) {
            (Ask::Fail | Ask::Use(_), Some(Answer::Done)) => Some(0),
            (Ask::Fail | Ask::Use(_) | Ask::UseAndHangUp, None) => Some(1),
            _ => None,
        }
    }

    fn quiet(&self, event: &Event<Ask, Answer>) -> bool {
        matches!(event.ask, Ask::Look(..) | Ask::Renew(..))
            || matches!(event.answer(), Some(Answer::Busy | Answer::Refused))
    }
}

impl Ask {
    fn any(random: &mut Random, revocable: bool) -> Self {
        let (door, by) = (Door::any(random), *random.one_of(&[By::Accessor, By::Text]));
        match random.below(100) {
            0 if revocable => Self::Revoke(by, door),
            0..8 => Self::Fail,
            8..20 => Self::Look(by, door),
            20..26 => Self::Renew(by, door),
            26..28 => Self::UseAndHangUp,
            _ => Self::Use(door),
        }
    }

    const fn word(&self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Look(..) => "look",
            Self::Renew(..) => "renew",
            Self::Revoke(..) => "revoke",
            Self::Use(_) | Self::UseAndHangUp => "use",
        }
    }
}

impl Answer {
    const fn word(&self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Done => "done",
            Self::Left(_) => "left",
            Self::Refused => "refused",
        }
    }
}

fn send(root: &Http, itself: &Http, token: &Token, ask: Ask) -> Result<Option<Answer>> {
    let came = match ask {
        Ask::Fail => return fail(itself),
        Ask::Look(by, door) => {
            let came = api::look(root, token, by, door)?;
            return came.answer(Answer::Busy, Answer::Refused, |about| {
                let left = about["num_uses"].as_u64().and_then(|left| u32::try_from(left).ok());
                left.map(Answer::Left).ok_or_else(|| "no word on uses".into())
            });
        }
        Ask::Renew(by, door) => api::renew(root, token, by, door, 3_000)?.map(drop),
        Ask::Revoke(by, door) => api::revoke(root, token, by, door)?,
        Ask::Use(door) => api::came(api::read(itself, door), |_| Ok(()))?,
        Ask::UseAndHangUp => {
            api::read(itself, Door::Native).send_and_hang_up()?;
            Came::Unknown
        }
    };
    came.answer(Answer::Busy, Answer::Refused, |()| Ok(Answer::Done))
}

/// The native door tells a token that may not (403) from one that is not (401).
fn fail(itself: &Http) -> Result<Option<Answer>> {
    let reply = itself.get("/api/v1/secrets/history/forbidden").send()?;
    match reply.status {
        401 => Ok(Some(Answer::Refused)),
        403 => Ok(Some(Answer::Done)),
        409 => Ok(Some(Answer::Busy)),
        _ if clients::leaves_open(&reply) => Ok(None),
        status => Err(format!("a forbidden read answered {status} {}", reply.text()).into()),
    }
}
