//! Which rule a path is decided by.

use super::{Acl, grant::Grant, segments::Rank};
use crate::{authz::MatchedBy, request::Operation};

/// The winning rule.
pub(in crate::authz) struct Found<'a> {
    pub(in crate::authz) grant: &'a Grant,
    pub(in crate::authz) by: MatchedBy,
}

/// Whether `rule` can match a path at or below `folder`.
pub(super) fn meets(rule: &str, folder: &str) -> bool {
    let mut rules = rule.split('/');
    for segment in folder.trim_end_matches('/').split('/') {
        match rules.next() {
            None => return false,
            Some("+") => {}
            Some(glob) if glob.ends_with('*') => return segment.starts_with(glob.trim_end_matches('*')),
            Some(word) if word == segment => {}
            Some(_) => return false,
        }
    }
    true
}

impl Acl {
    pub(super) fn find(&self, operation: Operation, path: &str) -> Option<Found<'_>> {
        let path = path.trim_start_matches('/');
        let name = (operation == Operation::List).then(|| path.strip_suffix('/')).flatten();
        // With the slash first: it is the more specific reading (GHSA-xp3c-3jw3-4vcr).
        self.exact(path)
            .or_else(|| name.and_then(|name| self.exact(name)))
            .or_else(|| self.wildcard(path))
            .or_else(|| name.and_then(|name| self.wildcard(name)))
    }

    fn exact(&self, path: &str) -> Option<Found<'_>> {
        self.found(*self.exact.get(path)?, MatchedBy::Exact)
    }

    /// The longest `*` rule against the best `+` rule.
    fn wildcard(&self, path: &str) -> Option<Found<'_>> {
        let prefix = self.prefixes.longest(path);
        let segment = self.segments.best(path);
        match (prefix, segment) {
            (None, None) => None,
            (Some((_, place)), None) => self.found(place, MatchedBy::Prefix),
            (None, Some((_, place))) => self.found(place, MatchedBy::Segment),
            (Some((text, _)), Some((rank, place))) if rank > Rank::of_prefix(text) => {
                self.found(place, MatchedBy::Segment)
            }
            (Some((_, place)), Some(_)) => self.found(place, MatchedBy::Prefix),
        }
    }

    fn found(&self, place: usize, by: MatchedBy) -> Option<Found<'_>> {
        self.grants.get(place).map(|grant| Found { grant, by })
    }
}

#[cfg(test)]
mod tests {
    use super::meets;

    #[test]
    fn rules_meet_folders_that_they_reach_into() {
        for (rule, folder, wanted) in [
            ("secret/data/a", "secret/", true),
            ("secret*", "secret/", true),
            ("sec*", "secret/", true),
            ("*", "a/b/", true),
            ("+/data/*", "secret/", true),
            ("secret", "secret/", true),
            ("secrets/*", "secret/", false),
            ("a", "a/b/", false),
            ("a/+/c", "a/b/", true),
        ] {
            assert_eq!(meets(rule, folder), wanted, "{rule} {folder}");
        }
    }
}
