//! Decides whether a concurrent history has a sequential explanation: the search of Wing and Gong
//! ("Testing and Verifying Concurrent Objects", JPDC 1993) with Lowe's memory of configurations
//! ("Testing for Linearizability", CCPE 2017), as Porcupine does it.
//!
//! An operation may come next when no other that is not yet placed returned before its call.
//! Of those, the ones that change nothing are placed at once, and of the rest the one that
//! returned first is tried first: servers answer much in the order in which they act. When none
//! fits, the last choice is taken back. Pairs of (operations placed, state reached) that led
//! nowhere are not tried twice, and of operations that are alike only the one that returned first
//! is: whatever order has another of them here has an equal with the two exchanged.
//!
//! An operation without an answer may take effect at any time after its call, or never: it has no
//! return, and nothing makes it be placed.

mod timeline;

#[cfg(test)]
pub(crate) mod tests;

use std::{collections::HashSet, fmt, hash::Hash};

use timeline::Timeline;

/// Configurations remembered before a search is given up as undecided. An order that exists is
/// mostly found within a few for each operation.
const BOUND: usize = 200_000;

/// What one object does, told one operation at a time.
pub(crate) trait Model {
    /// What is asked of it.
    type Ask: Clone + fmt::Debug;
    /// What it answers.
    type Answer: Clone + fmt::Debug;
    /// What it remembers.
    type State: Clone + fmt::Debug + Eq + Hash;

    /// Before the first operation.
    fn start(&self) -> Self::State;

    /// After this operation; none when it could not have been answered so in this state.
    /// Of an operation without an answer: what it does if it takes effect.
    fn next(&self, state: &Self::State, event: &Event<Self::Ask, Self::Answer>) -> Option<Self::State>;

    /// Whether it, with this answer, changes no state, whatever the state.
    fn quiet(&self, event: &Event<Self::Ask, Self::Answer>) -> bool;

    /// Operations that do the same in every state and were answered alike have the same number
    /// here; none for those that have no such twin.
    fn kind(&self, _: &Event<Self::Ask, Self::Answer>) -> Option<u32> {
        None
    }
}

/// One operation of one client. Moments are nanoseconds since the recording began.
#[derive(Clone, Debug)]
pub(crate) struct Event<A, R> {
    pub(crate) client: usize,
    pub(crate) called: u64,
    pub(crate) ask: A,
    /// When the answer was there, and what it was; none: nobody knows.
    pub(crate) outcome: Option<(u64, R)>,
}

impl<A, R> Event<A, R> {
    pub(crate) fn answer(&self) -> Option<&R> {
        self.outcome.as_ref().map(|(_, answer)| answer)
    }

    pub(crate) fn returned(&self) -> Option<u64> {
        self.outcome.as_ref().map(|(at, _)| *at)
    }
}

/// The events of one object, in any order.
pub(crate) type History<M> = Vec<Event<<M as Model>::Ask, <M as Model>::Answer>>;

/// What the search found.
#[derive(Debug)]
pub(crate) enum Verdict<S> {
    /// There is an order.
    Explained,
    /// There is none. The longest one found, as indexes of events, and the state it led to.
    Impossible { order: Vec<usize>, state: S },
    /// The search was given up; the longest order until then.
    Undecided { order: Vec<usize>, state: S },
}

/// Looks for an order of `events` that `model` explains; harder where that is not enough.
pub(crate) fn check<M: Model>(model: &M, events: &[Event<M::Ask, M::Answer>]) -> Verdict<M::State> {
    match check_within(BOUND, model, events) {
        Verdict::Undecided { .. } => check_within(10 * BOUND, model, events),
        decided => decided,
    }
}

/// The same, giving up after so many configurations.
pub(crate) fn check_within<M: Model>(
    bound: usize,
    model: &M,
    events: &[Event<M::Ask, M::Answer>],
) -> Verdict<M::State> {
    Search::new(model, events).run(bound)
}

struct Search<'a, M: Model> {
    model: &'a M,
    events: &'a [Event<M::Ask, M::Answer>],
    timeline: Timeline,
    state: M::State,
    placed: Placed,
    chosen: Vec<Choice<M::State>>,
    /// Configurations that were entered: each is under way or led nowhere.
    seen: HashSet<(Placed, M::State)>,
    longest: (Vec<usize>, M::State),
}

/// One bit an event.
type Placed = Vec<u64>;

/// An operation placed, and what it takes to take it back.
struct Choice<S> {
    event: usize,
    before: S,
    /// It is quiet and was answered. If any order exists, one exists that places it here: moved
    /// from its place to the front of the rest it alters no state that others meet, and nothing
    /// has to precede it. So there is no use in trying to place it later.
    settled: bool,
}

impl<'a, M: Model> Search<'a, M> {
    fn new(model: &'a M, events: &'a [Event<M::Ask, M::Answer>]) -> Self {
        let state = model.start();
        Self {
            model,
            events,
            timeline: Timeline::of(events),
            longest: (Vec::new(), state.clone()),
            state,
            placed: vec![0; events.len().div_ceil(64)],
            chosen: Vec::new(),
            seen: HashSet::new(),
        }
    }

    fn run(mut self, bound: usize) -> Verdict<M::State> {
        self.settle();
        let mut next = self.timeline.first();
        while !self.timeline.all_answered_are_lifted() {
            next = match next {
                Some(event) if self.choose(event) => self.timeline.first(),
                Some(event) => self.timeline.after(event),
                None => match self.take_back() {
                    Some(event) => self.timeline.after(event),
                    None => return Verdict::Impossible { order: self.longest.0, state: self.longest.1 },
                },
            };
            if self.seen.len() > bound {
                return Verdict::Undecided { order: self.longest.0, state: self.longest.1 };
            }
        }
        Verdict::Explained
    }

    /// Whether an operation just like it stands before it.
    fn is_second(&self, event: usize) -> bool {
        let Some(kind) = self.model.kind(&self.events[event]) else { return false };
        let before = std::iter::successors(self.timeline.first(), |at| self.timeline.after(*at));
        before.take_while(|at| *at != event).any(|at| self.model.kind(&self.events[at]) == Some(kind))
    }

    /// Places an operation and what settles after it; false when that leads nowhere new.
    fn choose(&mut self, event: usize) -> bool {
        if self.is_second(event) {
            return false;
        }
        let Some(next) = self.model.next(&self.state, &self.events[event]) else { return false };
        if next == self.state && self.events[event].outcome.is_none() {
            // As good as never.
            return false;
        }
        self.push(event, next, false);
        self.settle();
        let new = self.seen.insert((self.placed.clone(), self.state.clone()));
        if !new {
            self.take_back();
        }
        new
    }

    /// Places all that changes nothing and fits.
    fn settle(&mut self) {
        let mut next = self.timeline.first();
        while let Some(event) = next {
            let asked = &self.events[event];
            let quiet = asked.outcome.is_some() && self.model.quiet(asked);
            next = match quiet.then(|| self.model.next(&self.state, asked)).flatten() {
                Some(state) => {
                    self.push(event, state, true);
                    self.timeline.first()
                }
                None => self.timeline.after(event),
            };
        }
    }

    fn push(&mut self, event: usize, next: M::State, settled: bool) {
        self.flip(event);
        self.timeline.lift(event);
        let before = std::mem::replace(&mut self.state, next);
        self.chosen.push(Choice { event, before, settled });
        if self.chosen.len() > self.longest.0.len() {
            self.longest = (self.chosen.iter().map(|choice| choice.event).collect(), self.state.clone());
        }
    }

    /// Undoes choices up to one that could have been another; says which.
    fn take_back(&mut self) -> Option<usize> {
        while let Some(choice) = self.chosen.pop() {
            self.flip(choice.event);
            self.state = choice.before;
            self.timeline.unlift(choice.event);
            if !choice.settled {
                return Some(choice.event);
            }
        }
        None
    }

    fn flip(&mut self, event: usize) {
        self.placed[event / 64] ^= 1 << (event % 64);
    }
}
