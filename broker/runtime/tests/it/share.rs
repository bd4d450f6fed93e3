//! What a plugin takes, it takes from its own share: other plugins have theirs.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use warder_core::error::ErrorKind;
use warder_runtime::RuntimeConfig;

use crate::sandbox::{Sandbox, call, config};

/// The plugin a second time, as another one on the same runtime.
async fn two(config: RuntimeConfig) -> (Sandbox, Sandbox) {
    let first = Sandbox::with(config).await;
    let second = first.beside().await;
    (first, second)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_takes_all_its_sandboxes_leaves_the_others_theirs() {
    let (mut first, second) = two(RuntimeConfig { plugin_concurrent: 2, ..config() }).await;
    first.storage.slow.store(true, Ordering::SeqCst);
    let parked: Vec<_> = (0..8)
        .map(|_| {
            let (plugin, invocation) = (first.plugin.clone(), first.invocation());
            tokio::spawn(async move { plugin.handle(invocation, call("do/read/x")).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(second.told("do/behave").await, ["well"]);
    first.deadline = Duration::from_millis(50);
    let error = first.run("do/behave").await.result.unwrap_err();
    assert_eq!(&*error.detail, "plugin misbehave in mount bad/ found no free sandbox within its 50 ms");
    parked.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_of_all_calls_together_is_bounded_by_plugin() {
    let (first, second) = two(RuntimeConfig { plugin_memory_bytes: 16 << 20, ..config() }).await;
    first.storage.slow.store(true, Ordering::SeqCst);
    let parked: Vec<_> = (0..5)
        .map(|_| {
            let (plugin, invocation) = (first.plugin.clone(), first.invocation());
            tokio::spawn(async move { plugin.handle(invocation, call("do/read/x")).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let error = first.run("do/memory").await.result.unwrap_err();
    let words = "plugin misbehave in mount bad/ used more than its 16 MiB of memory in all its calls together";
    assert_eq!((error.kind, &*error.detail), (ErrorKind::Unavailable, words));
    let error = second.refused("do/memory").await;
    assert_eq!(&*error.detail, "plugin misbehave in mount bad/ used more than its 16 MiB of memory");
    parked.iter().for_each(tokio::task::JoinHandle::abort);
    for call in parked {
        _ = call.await;
    }
    first.storage.slow.store(false, Ordering::SeqCst);
    assert_eq!(first.told("do/behave").await, ["well"], "what was used came back");
}

/// One thread, and more loops than it could run in the time: the short call comes through.
#[tokio::test]
async fn short_calls_pass_any_number_of_long_ones() {
    let (first, second) = two(config()).await;
    let loops: Vec<_> = (0..8)
        .map(|_| {
            let (plugin, invocation) = (first.plugin.clone(), first.invocation());
            tokio::spawn(async move { plugin.handle(invocation, call("do/loop")).await })
        })
        .collect();
    for _ in 0..5 {
        assert_eq!(second.told("do/behave").await, ["well"]);
    }
    assert!(loops.iter().any(|running| !running.is_finished()), "the loops ended first");
    for running in loops {
        let error = running.await.unwrap().result.unwrap_err();
        assert_eq!(error.kind, ErrorKind::DeadlineExceeded);
    }
    assert_eq!(Arc::strong_count(&first.plugin), 1);
}
