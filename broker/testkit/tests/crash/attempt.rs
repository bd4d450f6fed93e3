//! One attempt to write something: its name is the request's id and stands in what it writes, so
//! that whatever is found later tells who wrote it and how it must look, byte for byte.

use std::{
    fmt,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    str::FromStr,
};

use serde_json::{Value, json};
use warder_testkit::Random;

/// Who tried, when, and which of its tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Attempt {
    pub(crate) round: u32,
    pub(crate) client: u32,
    pub(crate) number: u32,
}

impl Attempt {
    /// The secret that this attempt writes: mostly small, now and then several pages long.
    pub(crate) fn body(self) -> Value {
        json!({ "attempt": self.to_string(), "pad": self.pad() })
    }

    /// The policy that this attempt writes.
    pub(crate) fn policy(self) -> String {
        format!("# {self} {}\npath \"secret/data/{self}/*\" {{ capabilities = [\"read\"] }}\n", self.pad())
    }

    /// The attempt that wrote this secret, if every byte of it is as that attempt wrote it.
    pub(crate) fn of(data: &Value) -> Option<Self> {
        let attempt: Self = data["attempt"].as_str()?.parse().ok()?;
        (*data == attempt.body()).then_some(attempt)
    }

    fn pad(self) -> String {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        let mut random = Random::new(hasher.finish());
        let words = if random.below(24) == 0 { 60 + random.below(500) } else { random.below(8) };
        (0..words).map(|_| format!("{:016x}", random.next())).collect()
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "crash-{}-{}-{}", self.round, self.client, self.number)
    }
}

impl FromStr for Attempt {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut numbers = text.strip_prefix("crash-").ok_or(())?.split('-').map(|part| part.parse().map_err(|_| ()));
        let mut next = || numbers.next().unwrap_or(Err(()));
        let attempt = Self { round: next()?, client: next()?, number: next()? };
        (attempt.to_string() == text).then_some(attempt).ok_or(())
    }
}
