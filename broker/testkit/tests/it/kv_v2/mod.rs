//! Warder's KV v2 gives the answers of OpenBao's: the same random requests go to both real
//! servers, and what differs is shrunk and told as curl commands.
//!
//! `WARDER_TEST_LONG=1` runs fifty times as many, `WARDER_TEST_SEED=n` others.

mod accepted;
mod seen;
mod step;

use std::cell::{Cell, RefCell};

use proptest::{
    collection::vec,
    prelude::Strategy,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner},
};
use seen::Seen;
use step::{Step, step};
use warder_testkit::{Http, OpenBao, Result, Warder};

/// Operations compared by default.
const OPERATIONS: usize = 1_000;
const LONGEST: usize = 24;
const SEED: u64 = 0x57a2_de12;

#[test]
fn a_thousand_random_operations_answer_as_openbao_does() -> Result {
    let (openbao, warder) = (OpenBao::dev()?, Warder::dev().start()?);
    let told = compare(&openbao.http(), &warder.http())?;
    println!("{} operations, answers by class of status: {:?}", told.operations, told.classes);
    told.check()
}

/// The oracle agrees with itself, so a difference is never the harness's own noise. (Of two wrong
/// fields it names one at random: the accepted row of wordings covers that.)
#[test]
fn two_openbao_servers_answer_alike() -> Result {
    let (one, two) = (OpenBao::dev()?, OpenBao::dev()?);
    compare(&one.http(), &two.http()).map(|_| ())
}

/// What a whole run saw.
#[derive(Default)]
struct Told {
    operations: usize,
    /// Answers by class of status, 1xx to 5xx.
    classes: [usize; 5],
    /// How often each accepted difference was met.
    accepted: [usize; accepted::TABLE.len()],
}

impl Told {
    /// A run that met nothing proves nothing, and an accepted difference that is gone must go.
    fn check(&self) -> Result {
        let [_, good, _, refused, failed] = self.classes;
        if self.operations < OPERATIONS || good < self.operations / 4 || refused < self.operations / 10 {
            return Err(format!("too little was compared: {} operations, {:?}", self.operations, self.classes).into());
        }
        if failed > self.operations / 20 {
            return Err(format!("{failed} answers were 5xx").into());
        }
        for (row, met) in accepted::TABLE.iter().zip(self.accepted) {
            if met == 0 {
                return Err(format!("accepted difference never met, strike it: {}", row.reason).into());
            }
        }
        Ok(())
    }
}

fn compare(oracle: &Http, subject: &Http) -> Result<Told> {
    let seed = variable("WARDER_TEST_SEED").unwrap_or(SEED);
    let factor = if variable("WARDER_TEST_LONG").is_some_and(|long| long > 0) { 50 } else { 1 };
    let wanted = OPERATIONS * factor;
    let told = RefCell::new(Told::default());
    let prefixes = Cell::new(0_u32);
    let config = Config { failure_persistence: None, max_shrink_iters: 3_000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, random(seed));
    let sequences = vec(step(), 1..=LONGEST);
    while told.borrow().operations < wanted {
        let tree = sequences.new_tree(&mut runner).map_err(|why| why.to_string())?;
        let outcome = runner.run_one(tree, |steps| {
            prefixes.set(prefixes.get() + 1);
            let prefix = format!("p{}", prefixes.get());
            run(oracle, subject, &prefix, &steps, &told).map_err(TestCaseError::fail)
        });
        if let Err(TestError::Fail(reason, steps)) = outcome {
            return Err(story(oracle, subject, seed, &reason.to_string(), &steps).into());
        }
        outcome.map_err(|why| why.to_string())?;
    }
    Ok(told.into_inner())
}

/// Runs one sequence on both, from the same settings and on paths never used before.
fn run(oracle: &Http, subject: &Http, prefix: &str, steps: &[Step], told: &RefCell<Told>) -> Result<(), String> {
    for (number, step) in [Step::settings()].iter().chain(steps).enumerate() {
        let wanted = Seen::of(step.call(oracle, prefix)).map_err(|why| why.to_string())?;
        let got = Seen::of(step.call(subject, prefix)).map_err(|why| why.to_string())?;
        let mut told = told.borrow_mut();
        told.operations += usize::from(number > 0);
        if let Some(class) = told.classes.get_mut(usize::from(wanted.status / 100).saturating_sub(1)) {
            *class += usize::from(number > 0);
        }
        if wanted == got {
            continue;
        }
        let Some(row) = accepted::TABLE.iter().position(|row| (row.holds)(step, &wanted, &got)) else {
            return Err(format!("request {number}:\n  OpenBao answers {wanted}\n  Warder answers  {got}"));
        };
        told.accepted[row] += 1;
        if got.effect() != wanted.effect() {
            // From here on the two hold different things: nothing more can be compared.
            return Ok(());
        }
    }
    Ok(())
}

fn story(oracle: &Http, subject: &Http, seed: u64, reason: &str, steps: &[Step]) -> String {
    let lines = |http: &Http| {
        let steps = [Step::settings()];
        steps.iter().map(|step| step.call(http, "fresh").curl()).collect::<Vec<_>>()
    };
    let (mut left, mut right) = (lines(oracle), lines(subject));
    left.extend(steps.iter().map(|step| step.call(oracle, "fresh").curl()));
    right.extend(steps.iter().map(|step| step.call(subject, "fresh").curl()));
    format!(
        "{reason}\n\nThe shortest sequence found (numbered from 0), WARDER_TEST_SEED={seed}, on OpenBao:\n{}\n\non Warder:\n{}",
        left.join("\n"),
        right.join("\n")
    )
}

fn random(seed: u64) -> TestRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
