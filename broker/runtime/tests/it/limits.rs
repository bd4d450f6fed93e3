//! Each bound ends the call that ran into it, with its name, and nothing else.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use warder_core::error::ErrorKind;
use warder_runtime::RuntimeConfig;

use crate::sandbox::{Sandbox, call, config};

#[tokio::test(flavor = "multi_thread")]
async fn endless_loops_run_out_of_processor_time() {
    let sandbox = Sandbox::start().await;
    for path in [
        "do/loop",
        "do/call-flood",
        "do/store-flood",
        "do/list-flood",
        "do/log-loop",
        "do/stderr-loop",
        "do/loop-midway",
    ] {
        let error = sandbox.refused(path).await;
        let words = "plugin misbehave in mount bad/ used more than its 500 ms of processor time";
        assert_eq!((error.kind, &*error.detail), (ErrorKind::DeadlineExceeded, words), "{path}");
    }
}

/// Guests that never end share one thread with everybody else: each tick lets others run.
#[tokio::test]
async fn loops_do_not_starve_the_only_thread() {
    let sandbox = Sandbox::start().await;
    let spin = sandbox.plugin.handle(sandbox.invocation(), call("do/loop"));
    let others = async {
        for _ in 0..5 {
            assert_eq!(sandbox.told("do/behave").await, ["well"]);
        }
        "others ran"
    };
    tokio::pin!(spin);
    tokio::select! {
        biased;
        ran = &mut spin => panic!("the loop ended first: {:?}", ran.result),
        words = others => assert_eq!(words, "others ran"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_parked_in_storage_runs_out_of_wall_time() {
    let mut sandbox = Sandbox::start().await;
    sandbox.deadline = Duration::from_millis(250);
    sandbox.storage.slow.store(true, Ordering::SeqCst);
    let started = Instant::now();
    let error = sandbox.refused("do/read/x").await;
    assert_eq!(&*error.detail, "plugin misbehave in mount bad/ ran longer than its 250 ms");
    assert_eq!(error.kind, ErrorKind::DeadlineExceeded);
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_call_leaves_nothing_and_frees_its_slot() {
    let sandbox = Sandbox::with(RuntimeConfig { max_concurrent: 1, ..config() }).await;
    sandbox.storage.slow.store(true, Ordering::SeqCst);
    for _ in 0..5 {
        let parked = sandbox.plugin.handle(sandbox.invocation(), call("do/read/x"));
        assert!(tokio::time::timeout(Duration::from_millis(20), parked).await.is_err());
    }
    sandbox.storage.slow.store(false, Ordering::SeqCst);
    assert_eq!(sandbox.told("do/behave").await, ["well"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_beyond_the_pool_wait_for_their_turn_within_their_deadline() {
    let mut sandbox = Sandbox::with(RuntimeConfig { max_concurrent: 2, ..config() }).await;
    let calls: Vec<_> = (0..20).map(|_| sandbox.plugin.handle(sandbox.invocation(), call("do/behave"))).collect();
    for call in calls {
        assert!(call.await.result.is_ok());
    }
    sandbox.storage.slow.store(true, Ordering::SeqCst);
    let parked: Vec<_> = (0..2)
        .map(|_| {
            let (plugin, invocation) = (sandbox.plugin.clone(), sandbox.invocation());
            tokio::spawn(async move { plugin.handle(invocation, call("do/read/x")).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    sandbox.deadline = Duration::from_millis(50);
    let error = sandbox.run("do/behave").await.result.unwrap_err();
    assert_eq!(&*error.detail, "plugin misbehave in mount bad/ found no free sandbox within its 50 ms");
    assert_eq!(error.kind, ErrorKind::Unavailable);
    parked.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_bounded() {
    let sandbox = Sandbox::start().await;
    for path in ["do/memory", "do/memory-midway"] {
        let error = sandbox.refused(path).await;
        assert_eq!(&*error.detail, "plugin misbehave in mount bad/ used more than its 16 MiB of memory", "{path}");
        assert_eq!(error.kind, ErrorKind::Internal);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_stacks_are_bounded() {
    let sandbox = Sandbox::start().await;
    let error = sandbox.refused("do/recurse").await;
    assert_eq!(&*error.detail, "plugin misbehave in mount bad/ overflowed its stack");
    let error = sandbox.refused("do/recurse-shadow").await;
    assert_eq!(&*error.detail, "plugin misbehave in mount bad/ overflowed its stack or left its memory");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_crosses_the_sandbox_is_bounded() {
    let sandbox = Sandbox::with(RuntimeConfig { memory_bytes: 64 << 20, ..config() }).await;
    for path in ["do/big-answer", "do/big-argument"] {
        let error = sandbox.refused(path).await;
        let words = "plugin misbehave in mount bad/ moved more across its sandbox in one call than its bound";
        assert_eq!((error.kind, &*error.detail), (ErrorKind::TooLarge, words), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_handles_and_sealed_bytes_are_bounded() {
    let sandbox = Sandbox::with(RuntimeConfig { cpu: Duration::from_secs(30), ..config() }).await;
    for (path, words) in [
        ("do/write-flood", "the plugin's transaction is over its limit of 10000 keys written by one call"),
        ("do/big-write", "the plugin's transaction is over its limit of 2097152 bytes in one stored value"),
        ("do/big-writes", "the plugin's transaction is over its limit of 8388608 bytes written by one call"),
        ("do/big-secrets", "the plugin's transaction is over its limit of 8388608 bytes written by one call"),
        ("do/slow", "one call may hash or verify 8 passwords"),
        ("do/handles", "one call may hold no more handles"),
        ("do/double", "one call may make 32 MiB of sealed values"),
    ] {
        let error = sandbox.refused(path).await;
        assert_eq!((error.kind, &*error.detail), (ErrorKind::TooLarge, words), "{path}");
    }
}

/// Hosts recurse too: over JSON, over pointers.
#[tokio::test(flavor = "multi_thread")]
async fn depth_is_bounded_on_the_hosts_side() {
    let sandbox =
        Sandbox::with(RuntimeConfig { cpu: Duration::from_secs(30), memory_bytes: 64 << 20, ..config() }).await;
    for (path, words) in [
        ("do/deep-seal", "JSON is nested deeper than 64 levels"),
        ("do/deep-plain", "JSON is nested deeper than 64 levels"),
        ("do/deep-compose", "JSON is nested deeper than 64 levels"),
    ] {
        let error = sandbox.refused(path).await;
        assert_eq!((error.kind, &*error.detail), (ErrorKind::InvalidRequest, words), "{path}");
    }
    assert!(sandbox.told("do/deep-pointer").await[0].starts_with("ErrorKind::NotFound"));
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_log_lines_are_cut_and_harmless() {
    let sandbox = Sandbox::with(RuntimeConfig { cpu: Duration::from_secs(30), ..config() }).await;
    assert_eq!(sandbox.told("do/log-flood").await, ["logged"]);
    assert_eq!(sandbox.told("do/stderr-flood").await, ["written"]);
}
