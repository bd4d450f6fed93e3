//! Fresh instance and call, by hand: `cargo test --release -p warder-runtime -- --ignored --nocapture bench`.

use std::time::{Duration, Instant};

use warder_runtime::RuntimeConfig;

use crate::{
    guests,
    sandbox::{Sandbox, call},
};

#[tokio::test]
#[ignore = "a measurement, not a test"]
async fn bench_fresh_instance_and_call() {
    let started = Instant::now();
    let sandbox = Sandbox::with(RuntimeConfig::default()).await;
    println!("engine, compile ({} bytes) and describe: {:?}", guests::misbehave().len(), started.elapsed());
    assert_eq!(sandbox.told("do/behave").await, ["well"]);
    for path in ["do/behave", "do/read/behaved", "do/reached/1", "do/fingerprints", "do/nonsense"] {
        let mut rounds: Vec<Duration> = Vec::new();
        for _ in 0..9 {
            let started = Instant::now();
            for _ in 0..2000 {
                drop(sandbox.plugin.handle(sandbox.invocation(), call(path)).await);
            }
            rounds.push(started.elapsed() / 2000);
        }
        rounds.sort();
        println!("{path}: median {:?}, min {:?}", rounds[4], rounds[0]);
    }
}
