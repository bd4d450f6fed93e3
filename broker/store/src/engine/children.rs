//! Listing one level of a tree of keys by skipping over folders. Engines call it with a walk over
//! their keys.
//!
//! Invariant: a folder with a million descendants costs one seek.

use std::ops::{Bound, ControlFlow};

use super::EngineError;

/// Longest listing; more is asked for by `after`.
pub const MAX_CHILDREN: usize = 1_000_000;

/// Keys in order.
pub(crate) trait Keys {
    /// Shows keys from `from` on, in order, until `visit` breaks.
    fn walk(&self, from: Bound<&[u8]>, visit: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Result<(), EngineError>;
}

/// As in core's `Snapshot::children`.
pub(crate) fn children<K: Keys + ?Sized>(
    keys: &K,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<String>, EngineError> {
    let mut listing = Listing {
        prefix: prefix.as_bytes(),
        after: after.unwrap_or("").as_bytes(),
        limit: limit.min(MAX_CHILDREN),
        names: Vec::new(),
        damaged: false,
    };
    let mut next = Some(listing.start());
    while let Some(from) = next {
        next = listing.run(keys, &from)?;
    }
    if listing.damaged {
        return Err(EngineError::Damaged { what: "a key is not text".to_owned() });
    }
    Ok(listing.names)
}

struct Listing<'a> {
    prefix: &'a [u8],
    after: &'a [u8],
    limit: usize,
    names: Vec<String>,
    damaged: bool,
}

impl Listing<'_> {
    /// Nothing at or before `prefix ‖ after` can be a child: names sort as their keys do.
    fn start(&self) -> Bound<Vec<u8>> {
        Bound::Excluded([self.prefix, self.after].concat())
    }

    /// Walks until a folder or the end; says where to go on.
    fn run<K: Keys + ?Sized>(
        &mut self,
        keys: &K,
        from: &Bound<Vec<u8>>,
    ) -> Result<Option<Bound<Vec<u8>>>, EngineError> {
        let mut next = None;
        if self.full() {
            return Ok(next);
        }
        keys.walk(from.as_ref().map(Vec::as_slice), &mut |key| {
            let Some(rest) = key.strip_prefix(self.prefix) else { return ControlFlow::Break(()) };
            let Some(slash) = rest.iter().position(|byte| *byte == b'/') else { return self.keep(rest) };
            let folder = &rest[..=slash];
            next = Some(past(self.prefix, folder));
            if folder > self.after && self.keep(folder).is_break() {
                next = None;
            }
            ControlFlow::Break(())
        })?;
        Ok(next)
    }

    fn keep(&mut self, name: &[u8]) -> ControlFlow<()> {
        match std::str::from_utf8(name) {
            Ok(name) => self.names.push(name.to_owned()),
            Err(_) => self.damaged = true,
        }
        if self.full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn full(&self) -> bool {
        self.damaged || self.names.len() >= self.limit
    }
}

/// The first key that can follow everything in a folder: its slash replaced by the next byte.
fn past(prefix: &[u8], folder: &[u8]) -> Bound<Vec<u8>> {
    let mut key = [prefix, folder].concat();
    if let Some(last) = key.last_mut() {
        *last = b'/' + 1;
    }
    Bound::Included(key)
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, collections::BTreeSet};

    use super::*;

    /// Counts what it shows.
    struct Counted(BTreeSet<Vec<u8>>, Cell<usize>);

    impl Keys for Counted {
        fn walk(&self, from: Bound<&[u8]>, visit: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Result<(), EngineError> {
            for key in self.0.range::<[u8], _>((from, Bound::Unbounded)) {
                self.1.set(self.1.get() + 1);
                if visit(key).is_break() {
                    break;
                }
            }
            Ok(())
        }
    }

    fn keys<S: AsRef<str>>(keys: impl IntoIterator<Item = S>) -> Counted {
        Counted(keys.into_iter().map(|key| key.as_ref().as_bytes().to_vec()).collect(), Cell::new(0))
    }

    #[test]
    fn a_listing_has_direct_children_only_in_byte_order() {
        let keys = keys(["p/", "p/a", "p/a!", "p/a-b", "p/a/x", "p/a/y/z", "p/a0", "p/\u{fc}/k", "p0", "o/z"]);
        let all = ["a", "a!", "a-b", "a/", "a0", "\u{fc}/"];
        assert_eq!(children(&keys, "p/", None, 99).unwrap(), all);
        for (at, name) in all.iter().enumerate() {
            assert_eq!(children(&keys, "p/", Some(name), 99).unwrap(), all[at + 1..], "after {name}");
            assert_eq!(children(&keys, "p/", None, at).unwrap(), all[..at], "limit {at}");
        }
        assert_eq!(children(&keys, "p/", Some("a/m"), 99).unwrap(), ["a0", "\u{fc}/"]);
        assert_eq!(children(&keys, "", None, 99).unwrap(), ["o/", "p/", "p0"]);
        assert_eq!(children(&keys, "q/", None, 99).unwrap(), [""; 0]);
    }

    #[test]
    fn a_folder_costs_one_seek_whatever_is_in_it() {
        let many = (0..10_000).map(|n| format!("big/{n:05}")).chain(["after".to_owned(), "z".to_owned()]);
        let keys = keys(many);
        assert_eq!(children(&keys, "", None, 99).unwrap(), ["after", "big/", "z"]);
        assert!(keys.1.get() <= 4, "{} keys were looked at", keys.1.get());
    }
}
