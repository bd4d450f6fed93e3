//! Secret bytes: the only type in Warder that holds them. Everybody may call this leaf.
//!
//! Invariant: the bytes cannot be printed, compared in variable time or serialized by accident,
//! and the last owner overwrites them.

use std::{fmt, sync::Arc};

use zeroize::{Zeroize, Zeroizing};

/// Secret bytes: shared by cheap clones, overwritten with zeroes when the last clone drops.
///
/// It has no `Display`, `Serialize`, `PartialEq` or `Deref` on purpose.
///
/// ```
/// use warder_core::secret::Secret;
/// let secret = Secret::from("hunter2");
/// assert_eq!(format!("{secret:?}"), "Secret(..)");
/// assert!(secret.ct_eq(b"hunter2"));
/// ```
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<Box<[u8]>>>);

impl Secret {
    /// Takes ownership; spare capacity, if any, is copied away and zeroized.
    #[must_use]
    pub fn new(mut bytes: Vec<u8>) -> Self {
        if bytes.len() == bytes.capacity() {
            return Self(Arc::new(Zeroizing::new(bytes.into_boxed_slice())));
        }
        let exact: Box<[u8]> = bytes.as_slice().into();
        bytes.zeroize();
        Self(Arc::new(Zeroizing::new(exact)))
    }

    /// The bytes. Call it at the wire, the cipher and the guest copy, nowhere else.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as UTF-8, or nothing when they are not.
    #[must_use]
    pub fn expose_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no byte at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares in time that depends on the lengths only.
    #[must_use]
    pub fn ct_eq(&self, other: &[u8]) -> bool {
        self.0.len() == other.len()
            && self.0.iter().zip(other).fold(0u8, |acc, (a, b)| std::hint::black_box(acc | (a ^ b))) == 0
    }
}

impl From<&[u8]> for Secret {
    fn from(bytes: &[u8]) -> Self {
        Self(Arc::new(Zeroizing::new(bytes.into())))
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::from(text.as_bytes())
    }
}

impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text.into_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Bytes of stack that are overwritten after a digest: twice what ring's contexts, schedules and
/// assembly frames take.
const WIPED: usize = 2048;
/// The same after work with whole keys of ciphers, which are moved about with all their schedules.
const WIPED_OF_KEYS: usize = 16 * 1024;

/// Does `work`, then overwrites the part of the stack that it used: digests and MACs keep the end
/// of what they were given in contexts on the stack, and ring leaves them there.
pub fn wiping_stack<T>(work: impl FnOnce() -> T) -> T {
    let done = apart(work);
    wipe::<WIPED>();
    done
}

/// As [`wiping_stack`], for work that makes, opens or copies keys. What it answers with must hold
/// them behind pointers: moving it would leave copies again.
pub fn wiping_stack_of_keys<T>(work: impl FnOnce() -> T) -> T {
    let done = apart(work);
    wipe::<WIPED_OF_KEYS>();
    done
}

/// In a frame of its own, where [`wipe`] has its frame afterwards.
#[inline(never)]
fn apart<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
fn wipe<const BYTES: usize>() {
    std::hint::black_box(&mut [0u8; BYTES]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_a_byte() {
        assert_eq!(format!("{:?}", Secret::from("s3cr3t")), "Secret(..)");
    }

    #[test]
    fn comparison_needs_equal_length_and_bytes() {
        let secret = Secret::from("abc");
        assert!(secret.ct_eq(b"abc") && !secret.ct_eq(b"abd") && !secret.ct_eq(b"ab"));
    }
}
