//! Whether and when a call is repeated.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    time::Duration,
};

use crate::error::{Error, Outcome};

/// How calls are repeated that the server could not answer now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all; 1: no repetition.
    pub attempts: u32,
    /// Before the second attempt; each further pause is twice as long. A random part of up to a
    /// half is taken off, so that clients do not come back together.
    pub pause: Duration,
    /// The longest pause, unless the server asks for a longer one.
    pub longest: Duration,
}

impl Default for Retry {
    /// As often as the call's deadline allows, from 100 ms to 5 s.
    fn default() -> Self {
        Self { attempts: u32::MAX, pause: Duration::from_millis(100), longest: Duration::from_secs(5) }
    }
}

/// What a repetition could do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing, or the same once more.
    Read,
    /// Harm.
    Write,
}

impl Retry {
    /// The pause after the attempt of this number (from 0); none: the error stands.
    pub(crate) fn after(&self, kind: Kind, attempt: u32, error: &Error) -> Option<Duration> {
        let harmless = match error.outcome() {
            Outcome::Done => false,
            Outcome::Nothing => true,
            Outcome::Unknown => kind == Kind::Read,
        };
        if !harmless || !error.is_temporary() || attempt.saturating_add(1) >= self.attempts {
            return None;
        }
        Some(self.backoff(attempt) + error.retry_after().unwrap_or_default())
    }

    /// Grows from `pause` to `longest`, less up to a half.
    pub(crate) fn backoff(&self, attempt: u32) -> Duration {
        let whole = self.pause.saturating_mul(1 << attempt.min(20)).min(self.longest);
        whole.mul_f64(1.0 - part() / 2.0)
    }
}

/// A random number from 0 to 1; not for secrets.
pub(crate) fn part() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_have_jitter() {
        let retry = Retry::default();
        for attempt in 0..64 {
            let whole = Duration::from_millis(100).saturating_mul(1 << attempt.min(20)).min(Duration::from_secs(5));
            let pause = retry.backoff(attempt);
            assert!(pause > whole / 2 - Duration::from_millis(1) && pause <= whole, "{attempt}: {pause:?}");
        }
        let pauses: std::collections::BTreeSet<_> = (0..32).map(|_| retry.backoff(9)).collect();
        assert!(pauses.len() > 16, "{pauses:?}");
    }

    #[test]
    fn a_write_is_repeated_only_when_nothing_was_done() {
        let error = |outcome| Error::new("interrupted", Code::Unavailable, "", outcome);
        let retry = Retry::default();
        for (kind, outcome, repeated) in [
            (Kind::Read, Outcome::Nothing, true),
            (Kind::Read, Outcome::Unknown, true),
            (Kind::Read, Outcome::Done, false),
            (Kind::Write, Outcome::Nothing, true),
            (Kind::Write, Outcome::Unknown, false),
            (Kind::Write, Outcome::Done, false),
        ] {
            assert_eq!(retry.after(kind, 0, &error(outcome)).is_some(), repeated, "{kind:?} {outcome:?}");
        }
        let refused = Error::new("permission_denied", Code::PermissionDenied, "", Outcome::Nothing);
        assert_eq!(retry.after(Kind::Read, 0, &refused), None);
        let three = Retry { attempts: 3, ..retry };
        let again = |attempt| three.after(Kind::Read, attempt, &error(Outcome::Nothing)).is_some();
        assert_eq!([again(0), again(1), again(2)], [true, true, false]);
    }
}
