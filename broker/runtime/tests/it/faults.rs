//! Faults become errors that say what the plugin did; backtraces stay out of them.

use std::{sync::atomic::Ordering, time::Duration};

use warder_core::error::ErrorKind;

use crate::sandbox::{Sandbox, call};

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_named_and_its_words_are_for_the_log() {
    let error = Sandbox::start().await.refused("do/panic").await;
    assert_eq!((error.kind, &*error.detail), (ErrorKind::Internal, "plugin misbehave in mount bad/ panicked"));
    assert!(error.chain().contains("the sky fell"), "{}", error.chain());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_not_finished_never_happened() {
    let sandbox = Sandbox::start().await;
    let error = sandbox.refused("do/panic-midway").await;
    assert_eq!(&*error.detail, "plugin misbehave in mount bad/ panicked");
    let error = sandbox.refused("do/error-midway").await;
    assert_eq!((error.kind, &*error.detail), (ErrorKind::Conflict, "changed  my mind"));
    assert_eq!(sandbox.storage.keys(), ["mnt/1/s/behaved"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_http_cannot_give_undoes_the_call() {
    let sandbox = Sandbox::start().await;
    for path in ["do/status/42", "do/status/600", "do/header", "do/write-then-odd"] {
        let words = "plugin misbehave in mount bad/ answered with a status or a content type that no answer can have";
        assert_eq!(&*sandbox.refused(path).await.detail, words, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operating_system_is_not_there() {
    let sandbox = Sandbox::start().await;
    assert_eq!(&*sandbox.refused("do/exit").await.detail, "plugin misbehave in mount bad/ called exit");
    let error = sandbox.refused("do/stdout").await;
    let words = "plugin misbehave in mount bad/ called wasi:cli/stdout";
    assert!(error.detail.starts_with(words), "{}", error.detail);
    assert_eq!(sandbox.told("do/environment").await, ["arguments 0", "variables 0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn capabilities_to_come_answer_unsupported() {
    let words = "ErrorKind::Unsupported: capability http is not available in this version";
    assert_eq!(Sandbox::start().await.told("do/absent").await, [words]);
}

#[tokio::test(flavor = "multi_thread")]
async fn plugin_errors_keep_their_kind() {
    let sandbox = Sandbox::start().await;
    for (path, kind) in [
        ("do/refuse/precondition", ErrorKind::PreconditionFailed),
        ("do/refuse/throttled", ErrorKind::RateLimited),
        ("do/refuse/integrity", ErrorKind::UpstreamProtocol),
        ("do/refuse/other", ErrorKind::Internal),
        ("do/nonsense", ErrorKind::NotFound),
    ] {
        let error = sandbox.refused(path).await;
        assert_eq!(error.kind, kind, "{path}");
    }
    let error = sandbox.refused("do/refuse/throttled").await;
    assert_eq!((&*error.detail, error.retry_after), ("as asked", Some(Duration::from_millis(2500))));
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_that_fails_is_not_the_plugins_fault_to_explain() {
    let sandbox = Sandbox::start().await;
    sandbox.storage.broken.store(true, Ordering::SeqCst);
    let error = sandbox.refused("do/read/x").await;
    assert_eq!((error.kind, &*error.detail), (ErrorKind::Unavailable, "storage is gone"));
    let ran = sandbox.plugin.exists(sandbox.invocation(), call("do/x").target).await;
    assert_eq!(ran.result.unwrap_err().kind, ErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_leave_the_mount_are_refused() {
    let sandbox = Sandbox::start().await;
    assert_eq!(sandbox.told("do/keep-key").await, ["ok"]);
    let words = sandbox.told("do/escape").await;
    assert!(words.iter().all(|word| word.starts_with("ErrorKind::InvalidRequest: a store")), "{words:?}");
    assert_eq!(words.len(), 14);
    assert_eq!(sandbox.storage.keys(), ["mnt/1/k/kept"]);
    assert_eq!(sandbox.told("do/find-key").await, ["true"]);
}
