//! Ids of requests: random UUIDs, drawn many at a time so that few requests ask the kernel.

use std::sync::{Mutex, PoisonError};

use ring::rand::{SecureRandom as _, SystemRandom};

/// Ids drawn at once.
const DRAWN: usize = 128;
/// Bytes of an id.
const BYTES: usize = 16;

/// Where new ids come from.
pub(crate) struct Ids {
    random: SystemRandom,
    drawn: Mutex<Vec<[u8; BYTES]>>,
}

impl Ids {
    pub(crate) fn new() -> Self {
        Self { random: SystemRandom::new(), drawn: Mutex::new(Vec::with_capacity(DRAWN)) }
    }

    /// A random UUID (version 4, RFC 9562, section 5.4).
    pub(crate) fn fresh(&self) -> String {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if drawn.is_empty() {
            self.draw(&mut drawn);
        }
        uuid(drawn.pop().unwrap_or_default())
    }

    fn draw(&self, ids: &mut Vec<[u8; BYTES]>) {
        let mut bytes = [0; DRAWN * BYTES];
        // An id need not be secret: without randomness the rest of the request fails closed anyway.
        let _ = self.random.fill(&mut bytes);
        ids.extend(bytes.chunks_exact(BYTES).filter_map(|chunk| <[u8; BYTES]>::try_from(chunk).ok()));
    }
}

fn uuid(mut bytes: [u8; BYTES]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.extend([byte >> 4, byte & 15].map(|digit| char::from(DIGITS[usize::from(digit)])));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_random_uuids_and_none_comes_twice() {
        let ids = Ids::new();
        let many: HashSet<String> = (0..3 * DRAWN).map(|_| ids.fresh()).collect();
        assert_eq!(many.len(), 3 * DRAWN);
        for id in many {
            let (dashes, version) = (id.bytes().filter(|b| *b == b'-').count(), id.as_bytes()[14]);
            assert_eq!((id.len(), dashes, version), (36, 4, b'4'), "{id}");
            assert!(matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{id}");
        }
    }
}
