//! Histories with a known verdict, and random ones against trying every order.

use warder_testkit::Random;

use super::{Event, Model, Verdict, check};

/// One number with check-and-set.
pub(crate) struct Register;

#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Read,
    Swap(u8, u8),
    Write(u8),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Done,
    Mismatch,
    Number(u8),
}

use Answer::{Done, Mismatch, Number};
use Ask::{Read, Swap, Write};

impl Model for Register {
    type Ask = Ask;
    type Answer = Answer;
    type State = u8;

    fn start(&self) -> u8 {
        0
    }

    fn next(&self, state: &u8, event: &Event<Ask, Answer>) -> Option<u8> {
        let (next, answer) = match event.ask {
            Read => (*state, Number(*state)),
            Swap(from, _) if from != *state => (*state, Mismatch),
            Swap(_, to) => (to, Done),
            Write(to) => (to, Done),
        };
        event.answer().is_none_or(|had| *had == answer).then_some(next)
    }

    fn kind(&self, event: &Event<Ask, Answer>) -> Option<u32> {
        let ask = match event.ask {
            Read => return None,
            Swap(from, to) => 1 << 16 | u32::from(from) << 8 | u32::from(to),
            Write(to) => u32::from(to),
        };
        Some(match event.answer() {
            None => ask,
            Some(Done) => 1 << 17 | ask,
            Some(_) => 1 << 18 | ask,
        })
    }

    fn quiet(&self, event: &Event<Ask, Answer>) -> bool {
        matches!((&event.ask, event.answer()), (Read, _) | (_, Some(Mismatch)))
    }
}

pub(crate) fn done(called: u64, returned: u64, ask: Ask, answer: Answer) -> Event<Ask, Answer> {
    Event { client: 0, called, ask, outcome: Some((returned, answer)) }
}

pub(crate) fn unknown(called: u64, ask: Ask) -> Event<Ask, Answer> {
    Event { client: 0, called, ask, outcome: None }
}

fn explained(events: &[Event<Ask, Answer>]) -> bool {
    match check(&Register, events) {
        Verdict::Explained => true,
        Verdict::Impossible { .. } => false,
        Verdict::Undecided { .. } => panic!("{} events and no verdict", events.len()),
    }
}

#[test]
fn good_histories_are_explained() {
    for events in [
        vec![],
        vec![unknown(0, Write(1))],
        // A read during a write may see either.
        vec![done(0, 9, Write(1), Done), done(1, 2, Read, Number(0)), done(3, 4, Read, Number(1))],
        // The order of calls is not the order of effects.
        vec![done(0, 9, Write(1), Done), done(1, 8, Write(2), Done), done(10, 11, Read, Number(1))],
        // One wins, the other is told so.
        vec![done(0, 9, Swap(0, 1), Done), done(0, 9, Swap(0, 2), Mismatch), done(10, 11, Read, Number(1))],
        // Without an answer: at once, late, or never.
        vec![unknown(0, Write(1)), done(1, 2, Read, Number(1))],
        vec![unknown(0, Write(1)), done(1, 2, Read, Number(0)), done(5, 6, Read, Number(1))],
        vec![unknown(0, Write(1)), done(1, 2, Write(2), Done), done(5, 6, Read, Number(2))],
        // And one that would have changed nothing then may change something later.
        vec![unknown(0, Swap(5, 6)), done(1, 2, Write(5), Done), done(3, 4, Read, Number(6))],
        // A call at the moment of a return is concurrent with it.
        vec![done(0, 5, Write(1), Done), done(5, 6, Read, Number(0))],
    ] {
        assert!(explained(&events), "{events:?}");
    }
}

#[test]
fn bad_histories_are_refused() {
    for (why, events) in [
        ("a stale read", vec![done(0, 1, Write(1), Done), done(2, 3, Read, Number(0))]),
        ("a value from nowhere", vec![done(0, 1, Read, Number(7))]),
        ("a value before its write", vec![done(0, 1, Read, Number(1)), done(2, 3, Write(1), Done)]),
        (
            "a lost update",
            vec![done(0, 5, Swap(0, 1), Done), done(6, 9, Swap(1, 2), Done), done(10, 11, Read, Number(1))],
        ),
        ("two winners of one check-and-set", vec![done(0, 9, Swap(0, 1), Done), done(1, 8, Swap(0, 2), Done)]),
        ("no winner", vec![done(0, 9, Swap(0, 1), Mismatch), done(1, 8, Swap(0, 2), Mismatch)]),
        (
            "a split brain: two readers disagree on the order",
            vec![
                done(0, 20, Write(1), Done),
                done(0, 20, Write(2), Done),
                done(1, 2, Read, Number(1)),
                done(3, 4, Read, Number(2)),
                done(5, 6, Read, Number(1)),
            ],
        ),
        (
            "an unanswered write that comes, goes and comes again",
            vec![
                unknown(0, Write(1)),
                done(1, 2, Read, Number(1)),
                done(3, 4, Write(2), Done),
                done(5, 6, Read, Number(1)),
            ],
        ),
        ("an effect before its call", vec![done(0, 1, Read, Number(1)), unknown(2, Write(1))]),
        (
            "a read that goes back",
            vec![done(0, 20, Write(1), Done), done(1, 2, Read, Number(1)), done(3, 4, Read, Number(0))],
        ),
    ] {
        assert!(!explained(&events), "{why}");
    }
}

/// Small histories with random times and answers: the search agrees with trying every order.
#[test]
fn the_search_agrees_with_trying_every_order() {
    let mut random = Random::new(1);
    let mut verdicts = [0; 2];
    for _ in 0..20_000 {
        let events: Vec<_> = (0..random.below(6) + 1).map(|_| any(&mut random)).collect();
        let naive = every_order(&events, &mut Vec::new(), 0);
        assert_eq!(explained(&events), naive, "{events:?}");
        verdicts[usize::from(naive)] += 1;
    }
    assert!(verdicts.iter().all(|count| *count > 2_000), "{verdicts:?}");
}

/// Many clients on one key: what the search must do in a moment.
#[test]
fn a_long_history_with_much_concurrency_is_decided() {
    let write = |i: u64| done(i, i + 64, Write(u8::try_from(i % 250).unwrap()), Done);
    let refused = |i: u64| done(i, i + 64, Swap(251, 252), Mismatch);
    let mut events: Vec<_> = (0..2_000).map(|i| if i % 16 == 0 { write(i) } else { refused(i) }).collect();
    assert!(explained(&events));
    events.push(done(3_000, 3_001, Read, Number(252)));
    assert!(!explained(&events));
}

fn any(random: &mut Random) -> Event<Ask, Answer> {
    let mut small = |bound| u8::try_from(random.below(bound)).unwrap();
    let ask = match small(3) {
        0 => Read,
        1 => Swap(small(3), small(3)),
        _ => Write(small(3)),
    };
    let answer = match (&ask, small(2)) {
        (Read, _) => Number(small(3)),
        (Swap(..), 0) => Mismatch,
        _ => Done,
    };
    let (called, took) = (u64::from(small(12)), u64::from(small(8)));
    let outcome = (small(5) > 0).then(|| (called + took, answer));
    Event { client: 0, called, ask, outcome }
}

/// Whether some order of the events that are not in `placed` goes on from `state`.
fn every_order(events: &[Event<Ask, Answer>], placed: &mut Vec<usize>, state: u8) -> bool {
    let open = |placed: &[usize]| (0..events.len()).filter(|i| !placed.contains(i)).collect::<Vec<_>>();
    let rest = open(placed);
    if rest.iter().all(|i| events[*i].outcome.is_none()) {
        return true;
    }
    let deadline = rest.iter().filter_map(|i| events[*i].returned()).min().unwrap_or(u64::MAX);
    rest.into_iter().filter(|i| events[*i].called <= deadline).any(|i| {
        let Some(next) = Register.next(&state, &events[i]) else { return false };
        placed.push(i);
        let found = every_order(events, placed, next);
        placed.pop();
        found
    })
}
