//! The holes of the contract's first draft, and their variations: all closed.

use warder_core::port::backend::PluginAnswer;

use crate::sandbox::Sandbox;

const NO_MEMBERS: &str = "ErrorKind::InvalidRequest: only a sealed document has members";
const KNOWN_KEY: &str =
    "ErrorKind::Denied: a key imported from material that the plugin may know encrypts known values only";

const NO_MATERIAL: &str = "ErrorKind::Denied: a value that the plugin put together of secrets is no key material";
const NOT_DECODED: &str = "ErrorKind::Denied: a value that the plugin put together of secrets is not decoded";

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
        assert!([KNOWN_KEY, NO_MATERIAL].contains(&word.as_str()), "attempt {i}: {word}");
    }
}

/// Found by trying: `decrypt` of a known key said that all it gives is known, and the plugin could
/// make a key that it "knew" out of one that it did not.
#[tokio::test(flavor = "multi_thread")]
async fn no_twin_of_a_key_makes_a_secret_known() {
    let words = Sandbox::start().await.told("do/twin-key").await;
    let (put_together, same) = words.split_at(5);
    for word in put_together {
        assert!([NO_MATERIAL, NOT_DECODED].contains(&word.as_str()), "{words:#?}");
    }
    assert_eq!(same, [KNOWN_KEY; 3], "the same key under another name gives what went in: a secret");
}

/// Found by trying: labels of the host's ciphertexts, written as the caller's aad, gave foreign
/// bytes that the plugin had chosen.
#[tokio::test(flavor = "multi_thread")]
async fn no_aad_relabels_a_value() {
    let words = Sandbox::start().await.told("do/relabel").await;
    let refused = "ErrorKind::Integrity: the ciphertext, its key version and its aad do not belong together";
    assert_eq!(words, [refused; 9]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_made_of_a_short_secret_can_be_compared_with_guesses() {
    let words = Sandbox::start().await.told("do/guess").await;
    assert_eq!(words, [NO_MATERIAL; 8]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lengths_and_refusals_tell_no_characters() {
    let words = Sandbox::start().await.told("do/lengths").await;
    assert_eq!(words[0], "true");
    assert_eq!(words[1..], [NOT_DECODED; 16]);
}

#[tokio::test(flavor = "multi_thread")]
async fn text_of_a_caller_is_no_template() {
    let ran = Sandbox::start().await.run("do/template/{{1}}").await;
    let PluginAnswer::Document { secrets, .. } = ran.result.unwrap().answer else { panic!("a document") };
    assert_eq!(secrets[0].1.bytes.expose_str(), Some("{{1}}{{0}}{0}$1%s:hunter2-AAAA"));
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
