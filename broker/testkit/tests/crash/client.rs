//! One of the clients: writes until nobody answers, and remembers what it was told.

use std::{
    collections::BTreeSet,
    sync::{Condvar, Mutex},
    time::Duration,
};

use warder_testkit::{Http, Random, Reply, Result};

use crate::{
    attempt::Attempt,
    hot::{Hot, undecided},
    policy::Policy,
    records::Log,
    secret::{Change, Own},
    token::{self, Token},
};

/// What all clients of a round share.
pub(crate) struct Shared {
    pub(crate) hot: Vec<Hot>,
    progress: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Default)]
struct Progress {
    acknowledged: usize,
    ended: usize,
}

impl Shared {
    pub(crate) fn new(hot: Vec<Hot>) -> Self {
        Self { hot, progress: Mutex::default(), changed: Condvar::new() }
    }

    /// Writes that were acknowledged so far.
    pub(crate) fn acknowledged(&self) -> usize {
        self.progress.lock().unwrap().acknowledged
    }

    /// Waits until so many writes were acknowledged, all clients have ended, or patience has.
    pub(crate) fn wait(&self, acknowledged: usize, clients: usize, patience: Duration) {
        let more = |now: &mut Progress| now.acknowledged < acknowledged && now.ended < clients;
        drop(self.changed.wait_timeout_while(self.progress.lock().unwrap(), patience, more).unwrap());
    }

    fn note(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress.lock().unwrap());
        self.changed.notify_all();
    }
}

/// What one client knows, over all rounds.
pub(crate) struct Client {
    number: u32,
    random: Random,
    round: u32,
    count: u32,
    own: Vec<Own>,
    touched: Touched,
    policy: Policy,
    pub(crate) tokens: Vec<Token>,
    /// A token that was asked for and not answered.
    pub(crate) asked: Option<Attempt>,
    /// Acknowledged in this round.
    pub(crate) acknowledged: Vec<Attempt>,
}

impl Client {
    pub(crate) fn new(number: u32, random: Random) -> Self {
        let policy = Policy::new(format!("crash-{number}"));
        Self {
            number,
            random,
            round: 0,
            count: 0,
            own: Vec::new(),
            touched: Touched::default(),
            policy,
            tokens: Vec::new(),
            asked: None,
            acknowledged: Vec::new(),
        }
    }

    /// Writes until an answer stays away.
    pub(crate) fn run(&mut self, round: u32, http: &Http, shared: &Shared) {
        (self.round, self.count) = (round, 0);
        self.acknowledged.clear();
        self.touched = Touched::default();
        while let Some(acknowledged) = self.step(http, shared) {
            if let Some(attempt) = acknowledged {
                self.acknowledged.push(attempt);
                shared.note(|progress| progress.acknowledged += 1);
            }
        }
        shared.note(|progress| progress.ended += 1);
    }

    /// One write. None: not answered; `Some(None)`: refused, as it may be.
    fn step(&mut self, http: &Http, shared: &Shared) -> Option<Option<Attempt>> {
        self.count += 1;
        let attempt = Attempt { round: self.round, client: self.number, number: self.count };
        let checked = self.random.below(2) == 0;
        let done = match self.random.below(100) {
            0..40 => self.fresh(http, attempt, checked),
            40..65 => self.again(http, attempt, checked),
            65..67 => return Self::contend(http, attempt, &shared.hot[0], checked),
            67..85 => {
                let hot = self.random.one_of(&shared.hot[1..]);
                return Self::contend(http, attempt, hot, checked);
            }
            85..93 => self.policy(http, attempt),
            _ => self.token(http, attempt),
        };
        done.map(|()| Some(attempt))
    }

    fn contend(http: &Http, attempt: Attempt, hot: &Hot, checked: bool) -> Option<Option<Attempt>> {
        hot.write(http, attempt, checked).map(|taken| taken.then_some(attempt))
    }

    fn fresh(&mut self, http: &Http, attempt: Attempt, checked: bool) -> Option<()> {
        let path = format!("crash/own/{}/{}", self.number, attempt);
        self.own.push(Own { path, state: Vec::new(), pending: None });
        self.change(http, attempt, self.own.len() - 1, Change::Put { checked })
    }

    /// Changes one of the secrets that it wrote lately, in this round or in the last ones.
    fn again(&mut self, http: &Http, attempt: Attempt, checked: bool) -> Option<()> {
        let put = Change::Put { checked };
        let change =
            *self.random.one_of(&[put, put, put, Change::Delete, Change::Undelete, Change::Destroy, Change::Forget]);
        let lately = self.own.len().saturating_sub(6)..self.own.len();
        let fits: Vec<_> =
            lately.filter(|at| !self.own[*at].state.is_empty() && change.applies(&self.own[*at].state)).collect();
        if fits.is_empty() {
            return self.fresh(http, attempt, checked);
        }
        let at = *self.random.one_of(&fits);
        self.change(http, attempt, at, change)
    }

    fn change(&mut self, http: &Http, attempt: Attempt, at: usize, change: Change) -> Option<()> {
        self.touched.secrets.insert(at);
        let own = &mut self.own[at];
        let next = change.of(&own.state, attempt);
        own.pending = Some((attempt, next.clone()));
        answered(change.send(http, &own.path, own.state.len(), attempt))?;
        (own.state, own.pending) = (next, None);
        Some(())
    }

    fn policy(&mut self, http: &Http, attempt: Attempt) -> Option<()> {
        let delete = self.policy.state.is_some() && self.random.below(4) == 0;
        let next = (!delete).then_some(attempt);
        self.touched.policy = true;
        self.policy.pending = Some((attempt, next));
        answered(self.policy.send(http, attempt, next))?;
        (self.policy.state, self.policy.pending) = (next, None);
        Some(())
    }

    fn token(&mut self, http: &Http, attempt: Attempt) -> Option<()> {
        let revoke = self.random.below(3) == 0;
        let live = self.tokens.iter_mut().enumerate().rev().find(|(_, token)| revoke && token.live);
        if let Some((at, token)) = live {
            self.touched.tokens.insert(at);
            token.pending = Some(attempt);
            answered(token.revoke(http, attempt))?;
            (token.live, token.pending) = (false, None);
            return Some(());
        }
        self.asked = Some(attempt);
        let reply = answered(token::create(http, attempt))?;
        self.touched.tokens.insert(self.tokens.len());
        self.tokens.push(Token::of(&reply, attempt));
        self.asked = None;
        Some(())
    }

    /// Holds what it was told in this round against what Warder says now; `all`: in every round.
    pub(crate) fn check(&mut self, http: &Http, log: &Log, all: bool) -> Result {
        self.acknowledged.iter().for_each(|attempt| log.holds(*attempt));
        // One of the secrets of earlier rounds, now and then: the last round asks for all.
        let earlier = self.random.below(16 * self.own.len().max(1) as u64);
        for (at, own) in self.own.iter_mut().enumerate() {
            if all || self.touched.secrets.contains(&at) || at as u64 == earlier {
                own.check(http, log)?;
            }
        }
        if all || self.touched.policy {
            self.policy.check(http, log)?;
        }
        let tokens = self.tokens.iter_mut().enumerate();
        let mut due = tokens.filter(|(at, _)| all || self.touched.tokens.contains(at));
        due.try_for_each(|(_, token)| token.check(http, log))
    }
}

/// What a client sent anything about in this round.
#[derive(Debug, Default)]
struct Touched {
    secrets: BTreeSet<usize>,
    policy: bool,
    tokens: BTreeSet<usize>,
}

/// The answer, if it says that it was done; what is refused here is a fault.
fn answered(reply: Result<Reply>) -> Option<Reply> {
    let reply = reply.ok().filter(|reply| !undecided(reply))?;
    assert!(matches!(reply.status, 200 | 201 | 204), "{} {}", reply.status, reply.text());
    Some(reply)
}
