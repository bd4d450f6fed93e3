//! The host sees what an answer depends on.

use warder_core::{clock::Timestamp, port::backend::Observed};

use crate::sandbox::{NOW, Sandbox};

async fn observed(path: &str) -> Observed {
    let ran = Sandbox::start().await.run(path).await;
    ran.result.unwrap_or_else(|e| panic!("{path}: {e}"));
    ran.observed
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_is_one_moment_and_reading_it_is_seen() {
    assert_eq!(Sandbox::start().await.told("do/now").await, [NOW.to_string(), NOW.to_string()]);
    assert_eq!(observed("do/now").await, Observed { unrepeatable: true, ..Observed::default() });
}

#[tokio::test(flavor = "multi_thread")]
async fn moments_ahead_bound_the_answer_and_moments_gone_do_not() {
    let path = format!("do/reached/{},{}", NOW - 1, NOW);
    assert_eq!(Sandbox::start().await.told(&path).await, ["true,true"]);
    assert_eq!(observed(&path).await, Observed::default());
    let until = observed(&format!("do/reached/{},{},{}", NOW + 9, NOW + 5, NOW + 7)).await.until;
    assert_eq!(until, Some(Timestamp(NOW + 5)));
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_and_randomness_are_seen_and_plain_reads_are_not() {
    assert_eq!(observed("do/caller").await, Observed { caller: true, ..Observed::default() });
    assert_eq!(observed("do/generate").await, Observed { unrepeatable: true, ..Observed::default() });
    assert_eq!(observed("do/behave").await, Observed::default());
    let ran = Sandbox::start().await;
    let ran = ran.plugin.handle(ran.invocation(), crate::sandbox::call("do/read/x")).await;
    let txn = ran.txn.expect("a call that went well keeps its transaction");
    assert_eq!(txn.read_set().keys.keys().collect::<Vec<_>>(), ["mnt/1/s/x"]);
}
