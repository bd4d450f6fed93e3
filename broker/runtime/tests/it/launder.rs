//! The holes of the contract's first draft, and their variations: all closed.

use crate::sandbox::Sandbox;

const NO_MEMBERS: &str = "ErrorKind::InvalidRequest: only a sealed document has members";
const KNOWN_KEY: &str =
    "ErrorKind::Denied: a key imported from material that the plugin may know encrypts known values only";

#[tokio::test(flavor = "multi_thread")]
async fn no_text_becomes_a_document_whose_names_show_it() {
    let words = Sandbox::start().await.told("do/names").await;
    assert_eq!(words[0], "ok", "the control: a document has a shape");
    assert_eq!(words.len(), 10);
    assert!(words[1..].iter().all(|word| word == NO_MEMBERS), "{words:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_that_the_plugin_may_know_encrypts_a_secret() {
    let mut words = Sandbox::start().await.told("do/known-key").await;
    let controls = words.split_off(words.len() - 3);
    assert_eq!(controls, ["ok"; 3], "keys of ours encrypt secrets, known keys encrypt known values");
    assert_eq!(words.len(), 17);
    for (i, word) in words.iter().enumerate() {
        assert_eq!(word, KNOWN_KEY, "attempt {i}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_passes_for_a_known_value() {
    let words = Sandbox::start().await.told("do/known-secret").await;
    assert_eq!(words, [KNOWN_KEY; 9]);
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_have_other_fingerprints() {
    let sandbox = Sandbox::start().await;
    assert_eq!(sandbox.told("do/fingerprints").await, ["true", "true", "false", "false"]);
    let error = sandbox.refused("do/fingerprint-mixed").await;
    assert!(error.detail.contains("asked for the fingerprint"), "{}", error.detail);
}
