//! How a command fails: words on stderr and an exit code by kind.

use std::{io::Write as _, process::ExitCode};

use http::StatusCode;
use serde_json::{Value, json};
use warder_core::error::ErrorKind;

use super::client::TRUST;
use crate::edge::status_of;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    words: String,
}

impl Failure {
    /// Exit code 1.
    pub(crate) fn other(words: impl Into<String>) -> Self {
        Self { code: 1, words: words.into() }
    }

    /// Exit code 2: what was typed makes no sense.
    pub(crate) fn usage(words: impl Into<String>) -> Self {
        Self { code: 2, words: words.into() }
    }

    /// Exit code 3: nobody answers.
    pub(crate) fn unreachable(words: impl Into<String>) -> Self {
        Self { code: 3, words: words.into() }
    }

    /// Exit code 6: a condition does not hold.
    pub(crate) fn refused(words: impl Into<String>) -> Self {
        Self { code: 6, words: words.into() }
    }

    /// Exit code 7 with nothing more to say.
    pub(crate) const fn not_ready() -> Self {
        Self { code: 7, words: String::new() }
    }

    /// The server's refusal, in words.
    pub(crate) fn answered(status: StatusCode, problem: &Value) -> Self {
        let text = |name: &str| problem.get(name).and_then(Value::as_str);
        let title = text("title").unwrap_or_else(|| status.canonical_reason().unwrap_or("Refused"));
        let mut words = format!("{title} ({})", status.as_u16());
        if let Some(detail) = text("detail") {
            words.push_str(&format!(": {detail}"));
        }
        for (name, label) in [("field", "field"), ("plugin", "plugin"), ("mount", "mount"), ("request_id", "request")] {
            if let Some(value) = text(name) {
                words.push_str(&format!("\n  {label}: {value}"));
            }
        }
        Self { code: exit_code(status), words }
    }

    /// What to say.
    pub(crate) fn words(&self) -> &str {
        &self.words
    }

    /// Writes the words and gives the code.
    pub(crate) fn report(&self) -> ExitCode {
        if !self.words.is_empty() {
            // Nothing is left to tell it to when stderr is gone.
            let _ = writeln!(std::io::stderr().lock(), "warder: {}", self.words);
        }
        ExitCode::from(self.code)
    }
}

/// What the gRPC client says, in the words and with the code of the REST twin.
impl From<&warder_client::Error> for Failure {
    fn from(error: &warder_client::Error) -> Self {
        let kind = ErrorKind::ALL.into_iter().find(|kind| kind.code() == error.code());
        match (error.code(), kind.filter(|_| error.request_id().is_some())) {
            ("usage", _) => Self::usage(error.message()),
            (_, Some(kind)) => {
                let row = status_of(kind);
                let mut problem = json!({"title": row.title, "detail": error.message()});
                for name in ["plugin", "mount", "request_id"] {
                    problem[name] = error.metadata(name).into();
                }
                problem["field"] = error.violations().first().map(|violation| violation.field.as_str()).into();
                Self::answered(row.native, &problem)
            }
            // rustls' words for it.
            (_, None) if error.message().contains("invalid peer certificate") => {
                Self::unreachable(format!("{}{TRUST}", error.message()))
            }
            (_, None) => Self::unreachable(error.message()),
        }
    }
}

/// The table that `--help` shows.
fn exit_code(status: StatusCode) -> u8 {
    match status.as_u16() {
        401 | 403 => 4,
        404 | 410 => 5,
        409 | 412 => 6,
        501 | 503 | 504 => 7,
        400..=499 => 8,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_errors_have_their_own_exit_code() {
        for (status, code) in [
            (401, 4),
            (403, 4),
            (404, 5),
            (409, 6),
            (412, 6),
            (503, 7),
            (400, 8),
            (413, 8),
            (415, 8),
            (500, 1),
            (502, 1),
        ] {
            assert_eq!(exit_code(StatusCode::from_u16(status).unwrap()), code, "{status}");
        }
    }

    #[test]
    fn a_problem_is_shown_in_words() {
        let problem = serde_json::json!({
            "title": "Invalid request", "detail": "expected a number", "field": "limit", "request_id": "r-1"
        });
        let failure = Failure::answered(StatusCode::BAD_REQUEST, &problem);
        assert_eq!(failure.words, "Invalid request (400): expected a number\n  field: limit\n  request: r-1");
    }
}
