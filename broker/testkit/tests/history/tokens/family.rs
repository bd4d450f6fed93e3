//! Families of tokens: lookups, uses, renewals, new children, and revocation, which ends a token
//! and all below it. Each token is an object of its own; the revocation of another above it is an
//! operation on it as well.

use serde_json::json;
use warder_testkit::{Http, Random, Result, Suite};

use super::api::{self, By, Door, Token};
use crate::{
    checker::{Event, Model},
    clients::{self, Client, Histories},
    story,
};

/// Families: the short and the long form.
const FAMILIES: [usize; 2] = [12, 400];
/// What each client does with one family.
const OPERATIONS: u32 = 12;
/// Seconds that a token is first given.
const FIRST: u32 = 500_000;

#[test]
fn what_a_token_may_and_how_long_is_the_same_for_all() -> Result {
    let suite = Suite::new("history", "tokens::family::what_a_token_may_and_how_long_is_the_same_for_all", 0x00fa_3117);
    let warder = api::warder()?;
    let families =
        (0..suite.pick(FAMILIES[0], FAMILIES[1])).map(|_| Family::make(&warder.http())).collect::<Result<Vec<_>>>()?;
    let histories = clients::run(&suite, |client| {
        let root = warder.http();
        families.iter().enumerate().try_for_each(|(number, family)| family.live(client, &root, &format!("{number}")))
    })?;
    let histories = whole(histories);
    story::explain(&suite, &Life, &histories)?;
    clients::met(&histories, Ask::word, Answer::word).needs(&[
        "look lease",
        "look refused",
        "make done",
        "make refused",
        "renew lease",
        "renew refused",
        "revoke done",
        "revoke refused",
        "revoke unknown",
        "use done",
        "use refused",
    ])
}

/// A token, a child and a grandchild; clients make more below the child.
struct Family([Token; 3]);

impl Family {
    fn make(root: &Http) -> Result<Self> {
        let below = |above: &Http| api::made(above, json!({ "ttl": FIRST }));
        let first = below(root)?;
        let second = below(&root.with_token(&first.text))?;
        let third = below(&root.with_token(&second.text))?;
        Ok(Self([first, second, third]))
    }

    /// What one client does with it.
    fn live(&self, client: &mut Client<'_, Ask, Answer>, root: &Http, name: &str) -> Result {
        let mut own: Vec<(String, Token)> = Vec::new();
        for turn in 0..OPERATIONS {
            let at = usize::try_from(client.random.below(4)).unwrap_or_default();
            if at == 1 && turn < 3 {
                let key = format!("{name}/b/c-{}-{turn}", client.number);
                own.extend(self.bear(client, root, &key)?.map(|token| (key, token)));
                continue;
            }
            let known = [name.to_owned(), format!("{name}/b"), format!("{name}/b/c")];
            let (key, token) = match own.last() {
                Some((key, token)) if at == 3 => (key, token),
                _ => (&known[at % 3], &self.0[at % 3]),
            };
            let ask = Ask::any(&mut client.random, u32::try_from(client.number).unwrap_or_default(), turn);
            client.act(key, ask, |ask| send(root, token, *ask))?;
        }
        Ok(())
    }

    /// Makes another grandchild.
    fn bear(&self, client: &mut Client<'_, Ask, Answer>, root: &Http, key: &str) -> Result<Option<Token>> {
        let door = Door::any(&mut client.random);
        let mut made = None;
        client.act(key, Ask::Make, |_| {
            let came = api::create(&root.with_token(&self.0[1].text), door, json!({ "ttl": FIRST }))?;
            came.answer(Answer::Busy, Answer::Refused, |token| {
                made = Some(token);
                Ok(Answer::Done)
            })
        })?;
        Ok(made)
    }
}

/// Adds to each history what happened to the token in other ways: its making before the clients
/// came, and revocations of tokens above it.
fn whole(mut histories: Histories<Ask, Answer>) -> Histories<Ask, Answer> {
    let ends = |event: &&Event<Ask, Answer>| {
        matches!(event.ask, Ask::Revoke { .. }) && matches!(event.answer(), None | Some(Answer::Done))
    };
    let revoked = |(key, events): (&String, &Vec<Event<Ask, Answer>>)| {
        let above = format!("{key}/");
        events.iter().filter(ends).map(|event| (above.clone(), event.clone())).collect::<Vec<_>>()
    };
    for (above, event) in histories.iter().flat_map(revoked).collect::<Vec<_>>() {
        let below = histories.iter_mut().filter(|(key, _)| key.starts_with(&above));
        below.for_each(|(_, events)| events.push(Event { ask: Ask::RevokeAbove, ..event.clone() }));
    }
    for events in histories.values_mut() {
        if !events.iter().any(|event| matches!(event.ask, Ask::Make)) {
            let outcome = Some((0, Answer::Done));
            events.push(Event { client: 0, called: 0, ask: Ask::Make, outcome });
        }
    }
    histories
}

/// One token.
struct Life;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    Unborn,
    /// With so many seconds from its last renewal, or from the start.
    Alive(u32),
    Dead,
}

#[derive(Clone, Copy, Debug)]
enum Ask {
    Look(By, Door),
    /// By the token above it.
    Make,
    Renew(By, Door, u32),
    Revoke {
        by: By,
        door: Door,
        wait: bool,
    },
    /// Of a token above it.
    RevokeAbove,
    Use(Door),
}

#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Busy,
    Done,
    Lease(u64),
    Refused,
}

impl Model for Life {
    type Ask = Ask;
    type Answer = Answer;
    type State = State;

    fn start(&self) -> State {
        State::Unborn
    }

    fn next(&self, state: &State, event: &Event<Ask, Answer>) -> Option<State> {
        match (event.answer(), event.ask, *state) {
            (Some(Answer::Busy), _, same) => Some(same),
            (Some(Answer::Refused), _, same) => (same == State::Dead).then_some(same),
            // Also of one that is dead: others may have been at it.
            (None | Some(Answer::Done), Ask::Revoke { .. } | Ask::RevokeAbove, _) => Some(State::Dead),
            (None | Some(Answer::Done), Ask::Make, State::Unborn) => Some(State::Alive(FIRST)),
            (None, Ask::Renew(_, _, seconds), State::Alive(_)) => Some(State::Alive(seconds)),
            (Some(Answer::Lease(granted)), Ask::Renew(_, _, seconds), State::Alive(_)) => {
                (*granted == u64::from(seconds)).then_some(State::Alive(seconds))
            }
            (Some(Answer::Lease(seen)), Ask::Look(..), State::Alive(left)) => {
                (*seen == u64::from(left)).then_some(*state)
            }
            (Some(Answer::Done), Ask::Use(_), State::Alive(_)) => Some(*state),
            (None, _, same) => Some(same),
            _ => None,
        }
    }

    fn quiet(&self, event: &Event<Ask, Answer>) -> bool {
        matches!(event.ask, Ask::Look(..) | Ask::Use(_))
            || matches!(event.answer(), Some(Answer::Busy | Answer::Refused))
    }
}

impl Ask {
    fn any(random: &mut Random, client: u32, turn: u32) -> Self {
        let (door, by) = (Door::any(random), By::any(random));
        // Towards the end more and more is revoked.
        if random.below(1_000) < 2 + u64::from(turn.saturating_sub(5)).pow(3) / 2 {
            return Self::Revoke { by, door, wait: random.below(8) > 0 };
        }
        match random.below(10) {
            0..5 => Self::Use(door),
            5..8 => Self::Look(by, door),
            // As nobody else asks.
            _ => Self::Renew(by, door, 1_000 + client * 100 + turn),
        }
    }

    const fn word(&self) -> &'static str {
        match self {
            Self::Look(..) => "look",
            Self::Make => "make",
            Self::Renew(..) => "renew",
            Self::Revoke { .. } => "revoke",
            Self::RevokeAbove => "revoke above",
            Self::Use(_) => "use",
        }
    }
}

impl Answer {
    const fn word(&self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Done => "done",
            Self::Lease(_) => "lease",
            Self::Refused => "refused",
        }
    }
}

fn send(root: &Http, token: &Token, ask: Ask) -> Result<Option<Answer>> {
    let done = |()| Ok(Answer::Done);
    match ask {
        Ask::Look(by, door) => api::look(root, token, by, door)?
            .answer(Answer::Busy, Answer::Refused, |about| api::lease(&about).map(Answer::Lease)),
        Ask::Renew(by, door, seconds) => {
            api::renew(root, token, by, door, seconds)?
                .answer(Answer::Busy, Answer::Refused, |granted| Ok(Answer::Lease(granted)))
        }
        Ask::Revoke { wait: false, .. } => {
            let body = json!({ "token": token.text });
            root.post("/v1/auth/token/revoke").json(&body).send_and_hang_up().map(|()| None)
        }
        Ask::Revoke { by, door, .. } => api::revoke(root, token, by, door)?.answer(Answer::Busy, Answer::Refused, done),
        Ask::Use(door) => api::came(api::read(&root.with_token(&token.text), door), |_| Ok(()))?.answer(
            Answer::Busy,
            Answer::Refused,
            done,
        ),
        Ask::Make | Ask::RevokeAbove => Err("made and told elsewhere".into()),
    }
}
