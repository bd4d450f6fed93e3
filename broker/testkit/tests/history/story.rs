//! A history without an explanation, told as briefly as it can be: the shortest beginning that has
//! none, without the operations that are not needed to see it.

use std::{collections::BTreeMap, fmt::Write as _};

use warder_testkit::{Failure, Result, Suite};

use crate::checker::{Event, History, Model, Verdict, check, check_within};

/// Configurations that a search for a shorter story may try, one of many.
const EFFORT: usize = 20_000;

/// Checks the history of every key.
///
/// # Errors
/// When one has no explanation, with the shortest story among them; also when the search gives up.
pub(crate) fn explain<M: Model>(suite: &Suite, model: &M, histories: &BTreeMap<String, History<M>>) -> Result {
    let (mut stories, mut undecided) = (Vec::new(), 0);
    for (key, events) in histories {
        let verdict = check(model, events);
        undecided += usize::from(matches!(verdict, Verdict::Undecided { .. }));
        if !matches!(verdict, Verdict::Explained) {
            stories.push((key, shortest(model, events)));
        }
    }
    let Some((key, events)) = stories.iter().min_by_key(|(_, events)| events.len()) else { return Ok(()) };
    let words = format!(
        "{} of {} keys have a history that no order of its operations explains (for {undecided} of them the search \
         was given up). The shortest, of {key}, needs {} of {} operations:\n\n{}\n\n\
         to see it again (the interleaving is the machine's): {suite}",
        stories.len(),
        histories.len(),
        events.len(),
        histories[*key].len(),
        table(model, events),
    );
    Err(Failure::from(words))
}

/// As few events as still have no explanation.
pub(crate) fn shortest<M: Model>(model: &M, events: &[Event<M::Ask, M::Answer>]) -> History<M> {
    let good = |events: &[Event<M::Ask, M::Answer>]| matches!(check_within(EFFORT, model, events), Verdict::Explained);
    let bad =
        |events: &[Event<M::Ask, M::Answer>]| matches!(check_within(EFFORT, model, events), Verdict::Impossible { .. });
    let mut ends: Vec<u64> = events.iter().filter_map(Event::returned).collect();
    ends.sort_unstable();
    // What has an explanation has one for every beginning, so beginnings can be searched by halves.
    let first_bad = ends.partition_point(|end| good(&beginning(events, *end)));
    let mut kept = ends.get(first_bad).map_or_else(|| events.to_vec(), |end| beginning(events, *end));
    // Leaving out what changes nothing makes no history worse.
    let mut size = kept.len();
    while size > 0 {
        let mut at = 0;
        while at < kept.len() {
            let end = (at + size).min(kept.len());
            let (some, rest): (Vec<_>, Vec<_>) =
                kept.iter().cloned().enumerate().partition(|(i, event)| (at..end).contains(i) && model.quiet(event));
            let rest: Vec<_> = rest.into_iter().map(|(_, event)| event).collect();
            if some.is_empty() || !bad(&rest) {
                at = end;
            } else {
                kept = rest;
            }
        }
        size /= 2;
    }
    kept.sort_by_key(|event| event.called);
    kept
}

/// What was known at that moment: later calls had not come, later answers were not there.
fn beginning<A: Clone, R: Clone>(events: &[Event<A, R>], moment: u64) -> Vec<Event<A, R>> {
    let known = |event: &Event<A, R>| Event {
        outcome: event.outcome.clone().filter(|(returned, _)| *returned <= moment),
        ..event.clone()
    };
    events.iter().filter(|event| event.called <= moment).map(known).collect()
}

fn table<M: Model>(model: &M, events: &[Event<M::Ask, M::Answer>]) -> String {
    let mut text = format!("{:>4} {:>7} {:>12} {:>12}  operation\n", "", "client", "called ms", "answered ms");
    for (index, Event { client, called, ask, outcome }) in events.iter().enumerate() {
        let (returned, answer) = match outcome {
            Some((at, answer)) => (millis(*at), format!("{answer:?}")),
            None => ("-".to_owned(), "no answer (yet)".to_owned()),
        };
        _ = writeln!(text, "{index:>4} {client:>7} {:>12} {returned:>12}  {ask:?} -> {answer}", millis(*called));
    }
    _ = match check_within(EFFORT, model, events) {
        Verdict::Explained => write!(text, "\nthese alone have an order"),
        Verdict::Impossible { order, state } => {
            write!(text, "\nthe longest order found: {order:?}; it leads to {state:?}, and nothing fits there")
        }
        Verdict::Undecided { order, state } => {
            write!(text, "\nthe search gave up here, at {order:?}; it leads to {state:?}")
        }
    };
    text
}

fn millis(nanos: u64) -> String {
    format!("{}.{:06}", nanos / 1_000_000, nanos % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::tests::{
        Answer::{Done, Mismatch, Number},
        Ask::{Read, Swap, Write},
        Register, done, unknown,
    };

    #[test]
    fn a_story_has_no_more_than_it_needs() {
        let mut events = vec![
            done(1, 2, Write(1), Done),
            done(3, 4, Read, Number(1)),
            unknown(4, Read),
            done(5, 6, Swap(9, 9), Mismatch),
            done(7, 9, Read, Number(0)),
        ];
        events.extend((10..200).map(|i| done(i, i + 5, Write(3), Done)));
        let story = shortest(&Register, &events);
        let told: Vec<_> = story.iter().map(|event| event.called).collect();
        assert_eq!(told, [1, 7], "{story:?}");
    }

    #[test]
    fn a_failure_tells_the_key_the_operations_and_how_to_repeat_it() {
        let suite = Suite::new("history", "secrets::some_test", 5);
        let good = vec![done(0, 1, Read, Number(0))];
        let bad = vec![done(1_500_000, 2_000_000, Write(1), Done), done(3_000_000, 4_000_000, Read, Number(0))];
        let histories = BTreeMap::from([("a".to_owned(), good.clone()), ("b".to_owned(), bad)]);
        let words = explain(&suite, &Register, &histories).unwrap_err().to_string();
        for part in
            ["1 of 2 keys", "of b, needs 2 of 2", "1.500000", "Write(1) -> Done", "Read -> Number(0)", "--test history"]
        {
            assert!(words.contains(part), "{part} is missing in\n{words}");
        }
        explain(&suite, &Register, &BTreeMap::from([("a".to_owned(), good)])).unwrap();
    }
}
