//! Types of options: how each is read, shown and described.

use std::{fmt, ops::RangeInclusive, path::PathBuf, time::Duration};

use super::{listener::Address, network::Networks, plugin::Sha256};
use crate::telemetry::{self, Endpoint};

/// Longest wrong text that an error repeats, characters.
const SHOWN: usize = 64;

/// What somebody wrote for an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Raw {
    /// `true` or `false`.
    Boolean(bool),
    /// Texts, of a list.
    List(Vec<String>),
    /// A whole number that is not negative.
    Number(u64),
    /// Something that no option takes, by its name.
    Odd(&'static str),
    /// Text in quotes.
    Text(String),
    /// From the environment or an argument: it may stand for any of these.
    Word(String),
}

/// An option's place in the configuration, with its type, unit and range.
pub(super) enum Field<'a> {
    /// No meaning beside another option, and why.
    Absent(&'static str),
    /// An address with a port, or a unix socket.
    Address(&'a mut Address),
    /// A whole number.
    Count(&'a mut dyn Number, RangeInclusive<u64>),
    /// The URL of a collector, that may be missing.
    Endpoint(&'a mut Option<Endpoint>),
    /// A SHA-256.
    Digest(&'a mut Sha256),
    /// A path; where `absolute`, one that does not depend on the working directory.
    File {
        /// The place.
        path: &'a mut PathBuf,
        /// Whether it must be absolute.
        absolute: bool,
    },
    /// A log filter.
    Filter(&'a mut String),
    /// Yes or no.
    Flag(&'a mut bool),
    /// A path that may be missing.
    MaybeFile(&'a mut Option<PathBuf>),
    /// Networks.
    Networks(&'a mut Networks),
    /// A text with a form of its own.
    Parsed(&'a mut dyn Parsed),
    /// A short name.
    Name(&'a mut String),
    /// Bytes.
    Size(&'a mut dyn Number, RangeInclusive<u64>),
    /// A duration.
    Time(&'a mut Duration, RangeInclusive<Duration>),
    /// One of a few words.
    Word(Box<dyn Choice + 'a>),
}

/// An unsigned number of any width; ranges of options fit into it.
pub(super) trait Number {
    /// As the widest.
    fn get(&self) -> u64;
    /// Saturates.
    fn set(&mut self, number: u64);
}

/// A text with a form of its own.
pub(super) trait Parsed {
    /// Takes it, if it has the form.
    fn read(&mut self, text: &str) -> Option<()>;
    /// As one would write it; none when there is none.
    fn shown(&self) -> Option<String>;
    /// The form, for errors.
    fn expected(&self) -> &'static str;
}

/// One of a few words.
pub(super) trait Choice {
    /// All of them, the default first.
    fn words(&self) -> Vec<&'static str>;
    /// The one that holds.
    fn word(&self) -> &'static str;
    /// Takes another; false when there is no such word.
    fn choose(&mut self, word: &str) -> bool;
}

macro_rules! number {
    ($($kind:ty)+) => {$(
        impl Number for $kind {
            fn get(&self) -> u64 {
                u64::try_from(*self).unwrap_or(u64::MAX)
            }

            fn set(&mut self, number: u64) {
                *self = Self::try_from(number).unwrap_or(Self::MAX);
            }
        }
    )+};
}
number!(u32 u64 usize);

struct OneOf<'a, T: 'static>(&'a mut T, &'static [(&'static str, T)]);

impl<T: Copy + PartialEq> Choice for OneOf<'_, T> {
    fn words(&self) -> Vec<&'static str> {
        self.1.iter().map(|(word, _)| *word).collect()
    }

    fn word(&self) -> &'static str {
        self.1.iter().find(|(_, value)| *value == *self.0).map_or("", |(word, _)| word)
    }

    fn choose(&mut self, word: &str) -> bool {
        let found = self.1.iter().find(|(known, _)| *known == word);
        if let Some((_, value)) = found {
            *self.0 = *value;
        }
        found.is_some()
    }
}

/// A whole number in this range.
pub(super) fn count(slot: &mut dyn Number, range: RangeInclusive<u64>) -> Field<'_> {
    Field::Count(slot, range)
}

/// Bytes in this range.
pub(super) fn size(slot: &mut dyn Number, range: RangeInclusive<u64>) -> Field<'_> {
    Field::Size(slot, range)
}

/// A duration in this range.
pub(super) const fn time(slot: &mut Duration, range: RangeInclusive<Duration>) -> Field<'_> {
    Field::Time(slot, range)
}

/// A path.
pub(super) const fn file(path: &mut PathBuf) -> Field<'_> {
    Field::File { path, absolute: false }
}

/// A path that does not depend on the working directory.
pub(super) const fn absolute(path: &mut PathBuf) -> Field<'_> {
    Field::File { path, absolute: true }
}

/// A log filter.
pub(super) const fn filter(slot: &mut String) -> Field<'_> {
    Field::Filter(slot)
}

/// One of these words.
pub(super) fn word<'a, T: Copy + PartialEq>(slot: &'a mut T, all: &'static [(&'static str, T)]) -> Field<'a> {
    Field::Word(Box::new(OneOf(slot, all)))
}

impl Field<'_> {
    /// Reads what was written.
    ///
    /// # Errors
    /// What was expected and what was found. Long text, and text of several lines, is not repeated:
    /// it may be what should have stood in a file.
    pub(super) fn set(mut self, raw: &Raw) -> Result<(), String> {
        match self.read(raw) {
            Some(()) => Ok(()),
            // A URL may hold a password.
            None if matches!(self, Self::Endpoint(_)) => Err(format!("expected {self}, found {}", raw.hidden())),
            None => Err(format!("expected {self}, found {}", raw.found())),
        }
    }

    fn read(&mut self, raw: &Raw) -> Option<()> {
        match self {
            Self::Absent(_) => return None,
            Self::Address(slot) => {
                let text = raw.text()?;
                if Address::is_unix(text) {
                    // Well or not: what has a meaning for a unix socket has it here.
                    **slot = Address::Unix(PathBuf::new());
                }
                **slot = text.parse().ok()?;
            }
            Self::Count(slot, range) => slot.set(raw.number().filter(|number| range.contains(number))?),
            Self::Digest(slot) => **slot = Sha256::parse(raw.text()?)?,
            Self::Endpoint(slot) => **slot = Some(Endpoint::parse(raw.text()?)?),
            Self::Name(slot) => **slot = raw.text().filter(|text| is_name(text))?.to_owned(),
            Self::File { path, absolute } => {
                **path = raw.path().filter(|path| !*absolute || path.is_absolute())?;
            }
            Self::Filter(slot) => **slot = raw.text().filter(|text| telemetry::is_filter(text))?.to_owned(),
            Self::Flag(slot) => **slot = raw.flag()?,
            Self::MaybeFile(slot) => **slot = Some(raw.path()?),
            Self::Networks(slot) => **slot = raw.networks()?,
            Self::Parsed(slot) => slot.read(raw.text()?)?,
            Self::Size(slot, range) => slot.set(bytes(raw.text()?).filter(|size| range.contains(size))?),
            Self::Time(slot, range) => **slot = span(raw.text()?).filter(|time| range.contains(time))?,
            Self::Word(slot) => return slot.choose(raw.text()?).then_some(()),
        }
        Some(())
    }

    /// What holds, as one would write it.
    pub(super) fn raw(&self) -> Raw {
        let path = |path: &PathBuf| Raw::Text(path.display().to_string());
        match self {
            Self::Absent(why) => Raw::Odd(why),
            Self::Address(slot) => Raw::Text(slot.to_string()),
            Self::Count(slot, _) => Raw::Number(slot.get()),
            Self::Digest(slot) => Raw::Text(slot.to_string()),
            Self::Endpoint(slot) => slot.as_ref().map_or(Raw::Odd("nothing"), |url| Raw::Text(url.to_string())),
            Self::Name(slot) => Raw::Text((**slot).clone()),
            Self::File { path: slot, .. } => path(slot),
            Self::Filter(slot) => Raw::Text((**slot).clone()),
            Self::Flag(slot) => Raw::Boolean(**slot),
            Self::MaybeFile(slot) => slot.as_ref().map_or(Raw::Odd("nothing"), path),
            Self::Networks(slot) => Raw::List(slot.words()),
            Self::Parsed(slot) => slot.shown().map_or(Raw::Odd("nothing"), Raw::Text),
            Self::Size(slot, _) => Raw::Text(shown_bytes(slot.get())),
            Self::Time(slot, _) => Raw::Text(shown_span(**slot)),
            Self::Word(slot) => Raw::Text(slot.word().to_owned()),
        }
    }
}

/// What may be written.
impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(why) => f.write_str(why),
            Self::Address(_) => {
                f.write_str("an address and a port such as \"127.0.0.1:8200\", or \"unix:/absolute/path\"")
            }
            Self::Count(_, range) => write!(f, "a whole number from {} to {}", range.start(), range.end()),
            Self::Endpoint(_) => f.write_str("a URL with a port, such as \"http://127.0.0.1:4317\""),
            Self::Name(_) => f.write_str("a name of 1 to 64 letters, digits, - _ . and /"),
            Self::Digest(_) => f.write_str("64 hexadecimal digits, as sha256sum prints them"),
            Self::File { absolute: true, .. } => f.write_str("the path of a file, absolute"),
            Self::File { .. } | Self::MaybeFile(_) => f.write_str("the path of a file"),
            Self::Filter(_) => f.write_str(
                "\"error\", \"warn\", \"info\", \"debug\", \"trace\", or more such as \"info,warder=debug\"",
            ),
            Self::Flag(_) => f.write_str("true or false"),
            Self::Networks(_) => {
                f.write_str("a list of networks, such as [\"10.0.0.0/8\", \"2001:db8::/32\", \"unix\"]")
            }
            Self::Parsed(slot) => f.write_str(slot.expected()),
            Self::Size(_, range) => {
                let [from, to] = [range.start(), range.end()].map(|size| shown_bytes(*size));
                write!(f, "a size from \"{from}\" to \"{to}\", in B, KiB, MiB or GiB")
            }
            Self::Time(_, range) => {
                let [from, to] = [range.start(), range.end()].map(|time| shown_span(*time));
                write!(f, "a time from \"{from}\" to \"{to}\", in ms, s, m, h or d")
            }
            Self::Word(slot) => {
                let words: Vec<String> = slot.words().iter().map(|word| format!("\"{word}\"")).collect();
                f.write_str(&words.join(" or "))
            }
        }
    }
}

impl Raw {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Word(text) => Some(text),
            _ => None,
        }
    }

    fn path(&self) -> Option<PathBuf> {
        self.text().filter(|text| !text.is_empty() && !text.contains(char::is_control)).map(PathBuf::from)
    }

    /// A list, or one text with commas.
    fn networks(&self) -> Option<Networks> {
        match self {
            Self::List(words) => Networks::parse(words.iter().map(String::as_str)),
            Self::Text(text) | Self::Word(text) => Networks::parse(text.split(',').filter(|word| !word.is_empty())),
            _ => None,
        }
    }

    fn flag(&self) -> Option<bool> {
        match self {
            Self::Boolean(flag) => Some(*flag),
            Self::Word(text) => text.parse().ok(),
            _ => None,
        }
    }

    fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Word(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// For errors about what may hold a secret.
    fn hidden(&self) -> String {
        match self {
            Self::Text(text) | Self::Word(text) => format!("text of {} characters", text.chars().count()),
            _ => self.found(),
        }
    }

    /// For errors: words in place of what is better not repeated.
    fn found(&self) -> String {
        match self {
            Self::List(_) => "a list".to_owned(),
            Self::Text(text) | Self::Word(text) if text.contains('\n') => "text of several lines".to_owned(),
            Self::Text(text) | Self::Word(text) if text.chars().count() > SHOWN => {
                format!("text of {} characters", text.chars().count())
            }
            _ => self.to_string(),
        }
    }

    /// For programs.
    pub(super) fn json(&self) -> serde_json::Value {
        match self {
            Self::Boolean(flag) => (*flag).into(),
            Self::List(words) => words.as_slice().into(),
            Self::Number(number) => (*number).into(),
            Self::Odd(_) => serde_json::Value::Null,
            Self::Text(text) | Self::Word(text) => text.as_str().into(),
        }
    }
}

/// As TOML has it.
impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(flag) => write!(f, "{flag}"),
            Self::List(words) => write!(f, "{}", serde_json::Value::from(words.as_slice())),
            Self::Number(number) => write!(f, "{number}"),
            Self::Odd(what) => f.write_str(what),
            // A JSON string is a TOML string.
            Self::Text(text) | Self::Word(text) => write!(f, "{}", serde_json::Value::from(text.as_str())),
        }
    }
}

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b))
}

const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A number with one of the units.
fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, factor) = SIZES.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn shown_bytes(size: u64) -> String {
    let fits = SIZES.iter().find(|(_, factor)| size >= *factor && size.is_multiple_of(*factor));
    fits.map_or_else(|| format!("{size}B"), |(unit, factor)| format!("{}{unit}", size / factor))
}

/// A bare number has no unit, so it is no duration here.
fn span(text: &str) -> Option<Duration> {
    let bare = text.trim().bytes().all(|byte| byte.is_ascii_digit());
    if bare { None } else { warder_core::duration::parse(text).ok() }
}

fn shown_span(time: Duration) -> String {
    let ms = time.as_millis();
    let units = [("h", 3_600_000), ("m", 60_000), ("s", 1000)];
    let fits = units.iter().find(|(_, factor)| ms >= *factor && ms.is_multiple_of(*factor));
    match fits {
        Some((unit, factor)) => format!("{}{unit}", ms / factor),
        None if ms == 0 => "0s".to_owned(),
        None => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_have_units_and_are_shown_as_they_are_read() {
        for (text, size) in
            [("0B", 0), ("1KiB", 1024), ("1536KiB", 1536 << 10), ("16MiB", 16 << 20), ("64 GiB", 64 << 30)]
        {
            assert_eq!(bytes(text), Some(size), "{text}");
            assert_eq!(shown_bytes(size), text.replace(' ', ""));
        }
        for text in ["", "1", "KiB", "1KB", "1 kib", "-1B", "1.5MiB", "99999999999999999999B", "18014398509481984GiB"] {
            assert_eq!(bytes(text), None, "{text}");
        }
        for (text, ms) in [("0s", 0), ("250ms", 250), ("30s", 30_000), ("90m", 5_400_000), ("768h", 2_764_800_000)] {
            assert_eq!(span(text), Some(Duration::from_millis(ms)), "{text}");
            assert_eq!(shown_span(Duration::from_millis(ms)), text);
        }
        assert_eq!((span("30"), span(""), span("soon")), (None, None, None));
    }

    #[test]
    fn a_key_in_place_of_its_file_is_refused_and_not_repeated() {
        let mut path = PathBuf::new();
        let key = "-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----\n";
        let told = file(&mut path).set(&Raw::Text(key.to_owned()));
        assert_eq!(told, Err("expected the path of a file, found text of several lines".to_owned()));
        let mut address = Address::default();
        let told = Field::Address(&mut address).set(&Raw::Text("x".repeat(65)));
        assert!(told.is_err_and(|words| words.ends_with("found text of 65 characters")));
        let told = Field::Endpoint(&mut None).set(&Raw::Text("http://user:hunter2@collector:4317".to_owned()));
        assert!(told.is_err_and(|words| words.ends_with("found text of 34 characters")));
    }
}
