//! The operations that are not yet placed, in the order in which they returned: a doubly linked
//! list, out of which an operation is lifted and into which it is put back in constant time. Those
//! without an answer stand last.
//!
//! Invariant: operations are put back in the reverse of the order in which they were lifted.

use super::Event;

/// The list, by index of the event.
pub(super) struct Timeline {
    nodes: Vec<Node>,
    /// Stands before the first.
    head: usize,
    /// Stands between those with and those without an answer.
    border: usize,
}

struct Node {
    previous: usize,
    next: usize,
    called: u64,
    returned: u64,
    /// The earliest call from this node on to the border.
    earliest: u64,
}

impl Timeline {
    pub(super) fn of<A, R>(events: &[Event<A, R>]) -> Self {
        let node = |event: &Event<A, R>| Node {
            previous: 0,
            next: 0,
            called: event.called,
            returned: event.returned().unwrap_or(u64::MAX),
            earliest: u64::MAX,
        };
        let mark = || Node { previous: 0, next: 0, called: 0, returned: u64::MAX, earliest: u64::MAX };
        let (head, border) = (events.len(), events.len() + 1);
        let mut nodes: Vec<_> = events.iter().map(node).chain([mark(), mark()]).collect();
        let mut answered: Vec<_> = (0..events.len()).filter(|index| events[*index].outcome.is_some()).collect();
        answered.sort_by_key(|index| nodes[*index].returned);
        let mut earliest = u64::MAX;
        for index in answered.iter().rev() {
            earliest = earliest.min(nodes[*index].called);
            nodes[*index].earliest = earliest;
        }
        let unknown = (0..events.len()).filter(|index| events[*index].outcome.is_none());
        let ring: Vec<_> = std::iter::once(head).chain(answered).chain([border]).chain(unknown).collect();
        for (at, index) in ring.iter().enumerate() {
            let next = ring[(at + 1) % ring.len()];
            nodes[*index].next = next;
            nodes[next].previous = *index;
        }
        Self { nodes, head, border }
    }

    /// Whether only operations without an answer are left.
    pub(super) fn all_answered_are_lifted(&self) -> bool {
        self.nodes[self.head].next == self.border
    }

    /// The first operation that may come next.
    pub(super) fn first(&self) -> Option<usize> {
        self.after(self.head)
    }

    /// The one after that: called before anything left in the list had returned.
    pub(super) fn after(&self, event: usize) -> Option<usize> {
        // What is called at the very moment of a return counts as concurrent with it.
        let deadline = self.nodes[self.nodes[self.head].next].returned;
        let mut at = self.nodes[event].next;
        while at != self.head {
            let node = &self.nodes[at];
            if at != self.border && node.called <= deadline {
                return Some(at);
            }
            let answered = node.earliest != u64::MAX;
            at = if answered && node.earliest > deadline { self.border } else { node.next };
        }
        None
    }

    /// Takes an operation out.
    pub(super) fn lift(&mut self, event: usize) {
        let (previous, next) = (self.nodes[event].previous, self.nodes[event].next);
        self.nodes[previous].next = next;
        self.nodes[next].previous = previous;
    }

    /// Puts it back where it was.
    pub(super) fn unlift(&mut self, event: usize) {
        let (previous, next) = (self.nodes[event].previous, self.nodes[event].next);
        self.nodes[previous].next = event;
        self.nodes[next].previous = event;
    }
}
