//! Random cases from a seed that is told, and the settings of a run.

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

const SEED: u64 = 0xac1_0001;

/// The seed of this run: `WARDER_TEST_SEED`, or the one of every default run.
pub(crate) fn seed() -> u64 {
    variable("WARDER_TEST_SEED").unwrap_or(SEED)
}

/// Whether `WARDER_TEST_LONG` asks for the long form.
pub(crate) fn long() -> bool {
    variable("WARDER_TEST_LONG").is_some_and(|long| long > 0)
}

/// A runner that makes the same cases for the same seed and shrinks what fails.
pub(crate) fn runner(shrink: u32) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed().to_le_bytes());
    let config = Config { failure_persistence: None, max_shrink_iters: shrink, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
