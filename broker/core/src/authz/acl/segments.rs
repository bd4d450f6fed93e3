//! Rules with `+` segments, as a tree of segments: a lookup visits only rules that still match.

use std::{cmp::Reverse, collections::HashMap};

use super::prefixes::Prefixes;

/// The tree.
#[derive(Debug, Default)]
pub(super) struct Segments {
    top: Branch,
    rules: Vec<(Box<str>, usize)>,
}

#[derive(Debug, Default)]
struct Branch {
    /// Below a segment of this text.
    literal: HashMap<Box<str>, Self>,
    /// Below any segment.
    any: Option<Box<Self>>,
    /// The rule that ends here.
    end: Option<usize>,
    /// Rules whose last segment is `text*`: everything below a segment that begins with it.
    growing: Vec<(Box<str>, usize)>,
    globs: Prefixes,
}

/// How specific a rule with wildcards is: the greater one wins.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank<'a> {
    /// Where the first `+`, or else the `*`, is.
    first: usize,
    /// Without `*` at the end.
    closed: bool,
    /// How many segments are `+`.
    wildcards: Reverse<usize>,
    length: usize,
    text: &'a str,
}

/// Vault's test: such a `+` makes a rule one of segments even where it is not a whole segment
/// (`a/+b`); there it is a plain character, but the rule ranks by it.
pub(super) fn has_segment_wildcard(path: &str) -> bool {
    path == "+" || path.starts_with("+/") || path.contains("/+")
}

impl<'a> Rank<'a> {
    pub(super) const fn of_prefix(text: &'a str) -> Self {
        Self { first: text.len(), closed: false, wildcards: Reverse(0), length: text.len(), text }
    }

    fn of(path: &'a str) -> Self {
        let text = path.strip_suffix('*').unwrap_or(path);
        Self {
            first: path.find('+').unwrap_or(path.len()),
            closed: text.len() == path.len(),
            wildcards: Reverse(text.split('/').filter(|segment| *segment == "+").count()),
            length: text.len(),
            text,
        }
    }
}

impl Segments {
    pub(super) fn insert(&mut self, path: &str, place: usize) {
        let rule = self.rules.len();
        self.rules.push((path.into(), place));
        let (segments, glob) = match path.strip_suffix('*') {
            None => (Some(path), None),
            Some(path) => path.rsplit_once('/').map_or((None, Some(path)), |(before, last)| (Some(before), Some(last))),
        };
        let mut branch = &mut self.top;
        for segment in segments.into_iter().flat_map(|text| text.split('/')) {
            branch = match segment {
                "+" => branch.any.get_or_insert_default(),
                text => branch.literal.entry(text.into()).or_default(),
            };
        }
        match glob {
            None => branch.end = Some(rule),
            Some(text) => branch.growing.push((text.into(), rule)),
        }
    }

    /// Called once, after the last insert.
    pub(super) fn seal(&mut self) {
        self.top.seal();
    }

    /// The most specific rule that matches `path`.
    pub(super) fn best(&self, path: &str) -> Option<(Rank<'_>, usize)> {
        if self.rules.is_empty() {
            return None;
        }
        let mut best = None;
        self.top.walk(Some(path), &mut |rule| {
            let Some((text, place)) = self.rules.get(rule) else { return };
            let rank = Rank::of(text);
            if best.as_ref().is_none_or(|(had, _)| rank > *had) {
                best = Some((rank, *place));
            }
        });
        best
    }
}

impl Branch {
    fn seal(&mut self) {
        self.globs = Prefixes::new(std::mem::take(&mut self.growing));
        self.literal.values_mut().for_each(Self::seal);
        if let Some(any) = &mut self.any {
            any.seal();
        }
    }

    /// Reports every rule that matches the segments left; of globs in one place only the longest,
    /// which outranks the others.
    fn walk(&self, left: Option<&str>, report: &mut impl FnMut(usize)) {
        let Some(left) = left else {
            self.end.into_iter().for_each(report);
            return;
        };
        let (segment, below) = left.split_once('/').map_or((left, None), |(segment, below)| (segment, Some(below)));
        if let Some((_, rule)) = self.globs.longest(segment) {
            report(rule);
        }
        if let Some(branch) = self.literal.get(segment) {
            branch.walk(below, report);
        }
        if let Some(branch) = &self.any {
            branch.walk(below, report);
        }
    }
}
