//! The one error of the fixtures: words for the person who reads a failed test.

use std::fmt;

/// Why a fixture could not do its part. `Debug` prints the sentence, because that is what the
/// test runner shows of a test that returns an error.
pub struct Failure(String);

/// Result of a fixture or of a test that uses one.
pub type Result<T = (), E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// `step` and why it did not work.
    #[must_use]
    pub fn new(step: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self(format!("{step}: {why}"))
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Failure {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}
