//! Durations as people write them: `90`, `"90"`, `"90s"`, `"1h30m"`, `"2d"`. Everybody may call
//! this leaf: configuration, token parameters, mount settings.
//!
//! Invariant: what parses is never negative and never overflows.

use std::{fmt, time::Duration};

use serde::{Deserializer, de};

/// Why text is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a duration that is not negative, such as 90, \"90s\", \"1h30m\" or \"2d\"")]
pub struct DurationError;

/// Parses a bare number of seconds, or numbers with the units `ms`, `s`, `m`, `h`, `d`.
///
/// # Errors
/// [`DurationError`] for anything else: empty, negative, unknown unit, overflow.
///
/// ```
/// use std::time::Duration;
/// use warder_core::duration::parse;
/// assert_eq!(parse("1h30m"), Ok(Duration::from_secs(5400)));
/// assert!(parse("-1s").is_err());
/// ```
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(DurationError);
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().map(Duration::from_secs).map_err(|_| DurationError);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (part, left) = component(rest)?;
        total = total.checked_add(part).ok_or(DurationError)?;
        rest = left;
    }
    Ok(total)
}

/// One number with its unit, and what follows it.
fn component(text: &str) -> Result<(Duration, &str), DurationError> {
    let (number, rest) = split(text, |c| !c.is_ascii_digit());
    let (unit, rest) = split(rest, |c| !c.is_ascii_alphabetic());
    let number: u64 = number.parse().map_err(|_| DurationError)?;
    let seconds = match unit {
        "ms" => return Ok((Duration::from_millis(number), rest)),
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(DurationError),
    };
    number.checked_mul(seconds).map(|all| (Duration::from_secs(all), rest)).ok_or(DurationError)
}

fn split(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

/// For `#[serde(deserialize_with = "..")]`: a whole number of seconds, or text for [`parse`].
///
/// # Errors
/// The deserializer's, with the words of [`DurationError`].
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    deserializer.deserialize_any(Loose)
}

/// As [`deserialize`], for an optional field (add `#[serde(default)]`).
///
/// # Errors
/// As [`deserialize`].
pub fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    deserializer.deserialize_option(Optional)
}

struct Loose;

impl de::Visitor<'_> for Loose {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration: a whole number of seconds, or text such as \"1h30m\"")
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Duration, E> {
        Ok(Duration::from_secs(seconds))
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Duration, E> {
        u64::try_from(seconds).map(Duration::from_secs).map_err(|_| E::custom(DurationError))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
        parse(text).map_err(E::custom)
    }
}

struct Optional;

impl<'de> de::Visitor<'de> for Optional {
    type Value = Option<Duration>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Loose.expecting(f)
    }

    fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserialize(deserializer).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_form_that_people_write_is_read() {
        for (text, seconds) in
            [("0", 0), ("90", 90), ("90s", 90), ("1h30m", 5400), ("2d", 172_800), ("1d1h1m1s", 90_061), (" 5m ", 300)]
        {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", " ", "-1", "-1s", "s", "1x", "1h30", "1 h", "1.5h", "1e3", "18446744073709551615h", "+1s"] {
            assert_eq!(parse(text), Err(DurationError), "{text:?}");
        }
        assert_eq!(parse("99999999999999999999"), Err(DurationError));
    }

    #[test]
    fn numbers_and_text_deserialize_alike() {
        #[derive(serde::Deserialize)]
        struct Both {
            #[serde(deserialize_with = "deserialize")]
            a: Duration,
            #[serde(default, deserialize_with = "optional")]
            b: Option<Duration>,
        }
        let both: Both = serde_json::from_str(r#"{"a":90,"b":"90s"}"#).unwrap();
        assert_eq!((both.a, both.b), (Duration::from_secs(90), Some(Duration::from_secs(90))));
        assert!(serde_json::from_str::<Both>(r#"{"a":-1}"#).is_err());
        assert_eq!(serde_json::from_str::<Both>(r#"{"a":1,"b":null}"#).unwrap().b, None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,24}") {
            let _ = parse(&text);
        }
    }
}
