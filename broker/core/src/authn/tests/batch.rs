//! Batch tokens.

use super::*;
use crate::identity::TokenKind;

const BATCH: &str = r#"{"policies":"a","type":"batch","ttl":60,"meta":{"k":"v"}}"#;

#[tokio::test]
async fn a_batch_token_needs_no_storage_and_ends_by_the_clock() {
    let f = Fixture::new().await;
    f.token(BATCH).await;
    let before = f.storage.keys();
    let auth = f.by_root(BATCH).await.auth;
    assert!(auth.token.expose().starts_with(b"hvb."));
    assert_eq!((auth.accessor.as_str(), auth.renewable, auth.kind), ("", false, TokenKind::Batch));
    assert_eq!(f.storage.keys(), before);
    let identity = f.who(&auth.token).await;
    assert_eq!(identity.policies, ["a", "default"]);
    assert_eq!((identity.digest.as_str(), identity.metadata.get("k").map(String::as_str)), ("", Some("v")));
    assert!(f.reopened().identify(&auth.token).await.is_ok());
    let data = f.data(Which::Token(&auth.token)).await;
    assert_eq!((&data["type"], &data["ttl"], &data["accessor"]), (&"batch".into(), &60.into(), &"".into()));
    f.clock.advance(Duration::from_secs(60));
    assert!(!f.lives(&auth.token).await);
    assert_eq!(refusal(f.tokens.lookup(Which::Token(&auth.token)).await), "bad token");
}

#[tokio::test]
async fn a_batch_token_ends_with_its_parent_unless_it_is_an_orphan() {
    let f = Fixture::new().await;
    let parent = f.token(r#"{"policies":"a"}"#).await;
    let below = f.plain(&parent, r#"{"type":"batch"}"#).await.unwrap().auth.token;
    let sudo = f.who(&parent).await;
    let orphan = f.tokens.create(&sudo, ask(r#"{"type":"batch","no_parent":true}"#), true, PATH).await.unwrap();
    assert!(f.lives(&below).await && orphan.auth.orphan);
    f.tokens.revoke(Which::Token(&parent)).await.unwrap();
    assert!(!f.lives(&below).await && f.lives(&orphan.auth.token).await);
}

#[tokio::test]
async fn batch_tokens_cannot_have_what_needs_storage() {
    let f = Fixture::new().await;
    for (more, what) in [
        (r#""num_uses":1"#, "num_uses"),
        (r#""period":60"#, "period"),
        (r#""explicit_max_ttl":60"#, "explicit_max_ttl"),
        (r#""id":"x""#, "id"),
    ] {
        let json = format!(r#"{{"type":"batch","policies":"a",{more}}}"#);
        assert_eq!(refusal(f.plain(&f.root, &json).await), format!("batch tokens cannot have {what}"));
    }
    assert_eq!(refusal(f.plain(&f.root, r#"{"type":"batch"}"#).await), "batch tokens cannot be root tokens");
    let token = f.token(BATCH).await;
    assert_eq!(refusal(f.tokens.renew(Which::Token(&token), None).await), "batch tokens cannot be renewed");
    assert_eq!(refusal(f.tokens.revoke(Which::Token(&token)).await), "batch tokens cannot be revoked");
    assert_eq!(refusal(f.tokens.revoke_orphan(&token).await), "batch tokens cannot be revoked");
}

#[tokio::test]
async fn every_changed_character_of_a_batch_token_is_noticed() {
    let f = Fixture::new().await;
    let token = f.token(BATCH).await;
    let text = token.expose_str().unwrap();
    for at in 4..text.len() {
        let mut changed = text.as_bytes().to_vec();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        assert!(!f.lives(&Secret::new(changed)).await, "{at}");
    }
    assert!(!f.lives(&Secret::from(&text[..text.len() - 1])).await);
    let elsewhere = Fixture::new().await;
    elsewhere.token(BATCH).await;
    assert!(!elsewhere.lives(&token).await, "another installation has another key");
}

#[tokio::test]
async fn a_batch_token_too_long_to_be_looked_at_is_not_issued() {
    let f = Fixture::new().await;
    let meta: serde_json::Map<_, _> = (0..4).map(|i| (i.to_string(), "x".repeat(1000).into())).collect();
    let json = serde_json::json!({ "type": "batch", "policies": "a", "meta": meta }).to_string();
    assert!(refusal(f.plain(&f.root, &json).await).ends_with("longer than 4096 bytes"));
}
