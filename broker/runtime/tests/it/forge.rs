//! Handles that the host never gave out reach nothing.

use warder_core::error::ErrorKind;

use crate::sandbox::Sandbox;

#[tokio::test(flavor = "multi_thread")]
async fn handles_that_were_not_given_out_end_the_call() {
    let sandbox = Sandbox::start().await;
    for path in [
        "do/forge/0",
        "do/forge/4711",
        "do/forge/4294967295",
        "do/forge-all",
        "do/forge-kind",
        "do/forge-gone",
        "do/forge-twice",
    ] {
        let error = sandbox.refused(path).await;
        let words = "plugin misbehave in mount bad/ broke a rule of its sandbox";
        assert_eq!((error.kind, &*error.detail), (ErrorKind::Internal, words), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn handles_of_every_kind_are_bounded() {
    let sandbox = Sandbox::start().await;
    let error = sandbox.refused("do/key-handles").await;
    assert_eq!((error.kind, &*error.detail), (ErrorKind::TooLarge, "one call may hold no more handles"));
    let error = sandbox.refused("do/http-handles").await;
    assert_eq!(&*error.detail, "plugin misbehave in mount bad/ broke a rule of its sandbox");
}
