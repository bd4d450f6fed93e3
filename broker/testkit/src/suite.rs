//! How long a suite runs, with which random numbers, and how a failure is seen again.
//!
//! Every suite has a short form with a fixed seed, which `make test` runs, and a long form:
//!
//! - `WARDER_TEST_LONG=1` runs the long form;
//! - `WARDER_TEST_SEED=n` draws other cases;
//! - a failing suite prints the command that repeats it.

use std::fmt;

/// The settings of one suite's run. Prints how to repeat it if the test panics while it lives.
///
/// ```
/// use warder_testkit::Suite;
///
/// let suite = Suite::new("crash", "acknowledged_writes_survive", 7);
/// let rounds = suite.pick(50, 1_000);
/// let mut random = suite.random();
/// assert!(rounds >= 50 && random.below(3) < 3);
/// ```
#[derive(Debug)]
pub struct Suite {
    package: &'static str,
    binary: &'static str,
    test: &'static str,
    seed: u64,
    long: bool,
}

impl Suite {
    /// The run of `test` in the test binary `binary` of this crate; `seed` unless the environment names another.
    #[must_use]
    pub fn new(binary: &'static str, test: &'static str, seed: u64) -> Self {
        Self::of("warder-testkit", binary, test, seed)
    }

    /// As [`Suite::new`], in the crate `package`.
    #[must_use]
    pub fn of(package: &'static str, binary: &'static str, test: &'static str, seed: u64) -> Self {
        let seed = variable("WARDER_TEST_SEED").unwrap_or(seed);
        Self { package, binary, test, seed, long: variable("WARDER_TEST_LONG").is_some_and(|long| long > 0) }
    }

    /// The seed in force.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// Whether the long form was asked for.
    #[must_use]
    pub const fn long(&self) -> bool {
        self.long
    }

    /// The number for this form.
    #[must_use]
    pub const fn pick(&self, short: usize, long: usize) -> usize {
        if self.long { long } else { short }
    }

    /// The numbers that belong to the seed.
    #[must_use]
    pub const fn random(&self) -> Random {
        Random::new(self.seed)
    }
}

impl fmt::Display for Suite {
    /// The command that repeats this run.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let long = if self.long { "WARDER_TEST_LONG=1 " } else { "" };
        let profile = if cfg!(debug_assertions) { "" } else { " --release" };
        write!(
            f,
            "{long}WARDER_TEST_SEED={} cargo test{profile} -p {} --test {} -- --exact {} --nocapture",
            self.seed, self.package, self.binary, self.test
        )
    }
}

impl Drop for Suite {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to see it again: {self}");
        }
    }
}

/// A small deterministic generator (`SplitMix64`, Steele, Lea and Flood, OOPSLA 2014). Not for keys.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Another sequence, for another thread: the same for the same seed and number.
    #[must_use]
    pub const fn fork(&self, number: u64) -> Self {
        let mut other = Self(self.0 ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93));
        other.0 = other.next();
        other
    }

    /// 64 random bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is at least 1. Skewed by less than `bound / 2^64`.
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// One of the choices.
    ///
    /// # Panics
    /// When there is none.
    pub fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let index = self.below(choices.len() as u64);
        &choices[usize::try_from(index).unwrap_or_default()]
    }
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_is_one_sequence() {
        // The reference implementation's first outputs for seed 1234567.
        let mut random = Random::new(1_234_567);
        assert_eq!([random.next(), random.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn the_command_names_binary_test_and_seed() {
        let suite = Suite { package: "warder-testkit", binary: "crash", test: "rounds::kill", seed: 5, long: true };
        let words = suite.to_string();
        assert!(words.starts_with("WARDER_TEST_LONG=1 WARDER_TEST_SEED=5 cargo test"), "{words}");
        assert!(words.ends_with("--test crash -- --exact rounds::kill --nocapture"), "{words}");
    }
}
