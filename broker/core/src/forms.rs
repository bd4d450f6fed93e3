//! What something looks like in the records of each audit sink, remembered beside it.
//!
//! Invariant: it holds digests and names, never a value.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Forms kept; with more sinks than that the oldest is made again.
const MOST: usize = 8;

/// The recorded forms of one thing, by the id of the sink's key. One memory belongs to one thing:
/// never share it between two.
#[derive(Default)]
pub struct Forms(Mutex<Vec<(u64, Box<[u8]>)>>);

impl Forms {
    /// Appends the form under this key to `out`; what `make` appends is it from then on.
    pub fn write(&self, key: u64, out: &mut Vec<u8>, make: impl FnOnce(&mut Vec<u8>)) {
        // Copied under the lock: a count of references would be one more thing to wait for.
        if let Some((_, form)) = self.kept().iter().find(|(had, _)| *had == key) {
            return out.extend_from_slice(form);
        }
        let start = out.len();
        make(out);
        let mut kept = self.kept();
        if kept.len() == MOST {
            kept.remove(0);
        }
        kept.push((key, Box::from(&out[start..])));
    }

    /// Bytes that it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept().iter().map(|(_, form)| form.len()).sum()
    }

    /// Whether nothing was recorded yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept().is_empty()
    }

    fn kept(&self) -> MutexGuard<'_, Vec<(u64, Box<[u8]>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Forms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forms").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_made_once_a_key_and_the_oldest_of_too_many_again() {
        let forms = Forms::default();
        let mut made = 0;
        for key in [1, 1, 2, 1, 3, 4, 5, 6, 7, 8, 9, 1] {
            let mut out = Vec::new();
            forms.write(key, &mut out, |out| {
                made += 1;
                out.extend_from_slice(key.to_string().as_bytes());
            });
            assert_eq!(out, key.to_string().as_bytes());
        }
        assert_eq!((made, forms.len()), (10, MOST));
    }
}
