//! The longest of many prefixes of a text, by binary search.

/// Prefixes, sorted, each with its longest proper prefix among the others.
#[derive(Debug, Default)]
pub(super) struct Prefixes(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    text: Box<str>,
    /// What it stands for.
    place: usize,
    /// The entry that is its longest proper prefix.
    parent: Option<usize>,
}

impl Prefixes {
    pub(super) fn new(mut prefixes: Vec<(Box<str>, usize)>) -> Self {
        prefixes.sort_unstable();
        let mut entries: Vec<Entry> = Vec::with_capacity(prefixes.len());
        for (text, place) in prefixes {
            let parent = climb(&entries, entries.len().checked_sub(1), &text);
            entries.push(Entry { text, place, parent });
        }
        Self(entries)
    }

    /// The longest entry that `text` begins with, and what it stands for.
    ///
    /// Everything between that entry and `text` in sort order begins with it too, so it is the
    /// last entry not after `text`, or one of that entry's parents.
    pub(super) fn longest(&self, text: &str) -> Option<(&str, usize)> {
        let after = self.0.partition_point(|entry| &*entry.text <= text);
        let entry = self.0.get(climb(&self.0, after.checked_sub(1), text)?)?;
        Some((&entry.text, entry.place))
    }
}

fn climb(entries: &[Entry], mut from: Option<usize>, text: &str) -> Option<usize> {
    while let Some(place) = from {
        let entry = entries.get(place)?;
        if text.starts_with(&*entry.text) {
            break;
        }
        from = entry.parent;
    }
    from
}
