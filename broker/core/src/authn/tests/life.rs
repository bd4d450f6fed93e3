//! Time: expiry, renewal, periodic tokens, what lookups show.

use super::*;

#[tokio::test]
async fn an_expired_token_is_refused_at_the_millisecond_even_when_remembered() {
    let f = Fixture::new().await;
    let token = f.token(r#"{"policies":"a","ttl":10}"#).await;
    f.clock.advance(Duration::from_millis(9_999));
    assert!(f.lives(&token).await);
    f.clock.advance(Duration::from_millis(1));
    assert!(!f.lives(&token).await);
    assert_eq!(refusal(f.tokens.lookup(Which::Token(&token)).await), "bad token");
    assert_eq!(refusal(f.tokens.renew(Which::Token(&token), None).await), "token not found");
}

#[tokio::test]
async fn renewal_grants_up_to_the_explicit_max_and_no_further() {
    let f = Fixture::new().await;
    let token = f.token(r#"{"policies":"a","ttl":"1h","explicit_max_ttl":"150m"}"#).await;
    f.clock.advance(HOUR / 2);
    let renewed = f.tokens.renew(Which::Token(&token), None).await.unwrap();
    assert_eq!((renewed.auth.ttl, renewed.warnings.len()), (HOUR, 0));
    f.clock.advance(HOUR / 2);
    let renewed = f.tokens.renew(Which::Token(&token), Some(2 * HOUR)).await.unwrap();
    assert_eq!((renewed.auth.ttl, renewed.warnings.len()), (HOUR * 3 / 2, 1));
    assert!(renewed.auth.token.ct_eq(token.expose()));
    f.clock.advance(HOUR * 3 / 2 - Duration::from_millis(1));
    assert!(f.lives(&token).await);
    f.clock.advance(Duration::from_millis(1));
    assert!(!f.lives(&token).await);
}

#[tokio::test]
async fn renewal_in_the_last_moment_of_the_max_says_so() {
    let storage = MemoryStorage::new();
    let clock = Arc::new(ManualClock::new(Timestamp(1_800_000_000_900)));
    let config = TokenConfig { default_ttl: HOUR, max_ttl: HOUR };
    let tokens = Tokens::new(storage, clock.clone(), config);
    let root = tokens.create_root(None).await.unwrap().auth.token;
    let root = tokens.identify(&root).await.unwrap();
    let token = tokens.create(&root, ask(r#"{"policies":"a"}"#), true, PATH).await.unwrap().auth.token;
    // Alive until .900, but its last whole second has begun.
    clock.advance(HOUR - Duration::from_millis(500));
    assert!(tokens.identify(&token).await.is_ok());
    assert_eq!(refusal(tokens.renew(Which::Token(&token), None).await), "past the max TTL, cannot renew");
}

#[tokio::test]
async fn periodic_tokens_outlive_the_system_max() {
    let f = Fixture::new().await;
    let token = f.token(r#"{"policies":"a","period":"24h"}"#).await;
    for _ in 0..100 {
        f.clock.advance(23 * HOUR);
        assert_eq!(f.tokens.renew(Which::Token(&token), Some(HOUR)).await.unwrap().auth.ttl, 24 * HOUR);
    }
    assert_eq!(f.data(Which::Token(&token)).await["period"], 86_400);
    f.clock.advance(24 * HOUR);
    assert!(!f.lives(&token).await);
}

#[tokio::test]
async fn root_and_unrenewable_tokens_are_not_renewed() {
    let f = Fixture::new().await;
    assert_eq!(refusal(f.tokens.renew(Which::Token(&f.root), None).await), "lease is not renewable");
    let token = f.token(r#"{"policies":"a","renewable":false}"#).await;
    assert_eq!(refusal(f.tokens.renew(Which::Token(&token), None).await), "lease is not renewable");
    f.clock.advance(Duration::from_hours(24 * 3650));
    assert!(f.lives(&f.root).await);
    assert_eq!(f.tokens.expire(100).await.unwrap(), 1);
    assert!(f.lives(&f.root).await);
}

#[tokio::test]
async fn renewal_by_accessor_does_not_show_the_token() {
    let f = Fixture::new().await;
    let auth = f.by_root(r#"{"policies":"a"}"#).await.auth;
    let renewed = f.tokens.renew(Which::Accessor(&auth.accessor), None).await.unwrap();
    assert!(renewed.auth.token.is_empty());
    assert_eq!(renewed.auth.accessor, auth.accessor);
    for accessor in ["", "nobody", "../id/x", "a/b"] {
        assert_eq!(refusal(f.tokens.renew(Which::Accessor(accessor), None).await), "invalid accessor");
    }
}

#[tokio::test]
async fn an_explicit_max_over_the_system_max_is_capped_with_a_warning() {
    let f = Fixture::new().await;
    let issued = f.by_root(r#"{"policies":"a","explicit_max_ttl":"1000h"}"#).await;
    assert_eq!(issued.warnings.len(), 1);
    assert_eq!(f.data(Which::Token(&issued.auth.token)).await["explicit_max_ttl"], 768 * 3600);
}

#[tokio::test]
async fn a_fraction_of_a_second_is_a_bound_too() {
    let f = Fixture::new().await;
    let token = f.token(r#"{"policies":"a","explicit_max_ttl":"500ms"}"#).await;
    assert_eq!(f.data(Which::Token(&token)).await["explicit_max_ttl"], 1);
    f.clock.advance(Duration::from_secs(1));
    assert!(!f.lives(&token).await);
}

#[tokio::test]
async fn lookup_shows_exactly_the_known_fields() {
    let f = Fixture::new().await;
    let auth = f.by_root(r#"{"policies":"a","ttl":90,"display_name":"ci","meta":{"team":"red"}}"#).await.auth;
    f.clock.advance(Duration::from_millis(1500));
    let data = f.data(Which::Token(&auth.token)).await;
    let expected = serde_json::json!({
        "accessor": auth.accessor, "creation_time": 1_800_000_000, "creation_ttl": 90, "display_name": "token-ci",
        "entity_id": "", "expire_time": "2027-01-15T08:01:30.000Z", "explicit_max_ttl": 0,
        "id": auth.token.expose_str().unwrap(), "issue_time": "2027-01-15T08:00:00.000Z", "meta": {"team": "red"},
        "num_uses": 0, "orphan": false, "path": PATH, "policies": ["a", "default"], "renewable": true, "ttl": 88,
        "type": "service",
    });
    assert_eq!(data, expected);
    let by_accessor = f.data(Which::Accessor(&auth.accessor)).await;
    assert_eq!(by_accessor["id"], "");
    let identity = f.who(&auth.token).await;
    assert_eq!(f.data(Which::Own(&identity, &auth.token)).await, expected);
    f.tokens.renew(Which::Own(&identity, &auth.token), None).await.unwrap();
    assert_eq!(f.data(Which::Token(&auth.token)).await["last_renewal_time"], 1_800_000_001);
    let root = f.data(Which::Token(&f.root)).await;
    assert_eq!((&root["expire_time"], &root["meta"], &root["ttl"]), (&().into(), &().into(), &0.into()));
    assert_eq!(refusal(f.tokens.lookup(Which::Token(&Secret::from("nobody"))).await), "bad token");
    assert_eq!(refusal(f.tokens.lookup(Which::Accessor("nobody")).await), "invalid accessor");
}

#[tokio::test]
async fn expiry_removes_every_trace_and_the_children_in_bounded_steps() {
    let f = Fixture::new().await;
    let before = f.token_keys();
    let parent = f.token(r#"{"policies":"a","ttl":60}"#).await;
    let child = f.plain(&parent, r#"{"ttl":"5h"}"#).await.unwrap().auth.token;
    for _ in 0..4 {
        f.token(r#"{"policies":"a","ttl":60}"#).await;
    }
    assert_eq!(f.tokens.expire(100).await.unwrap(), 0);
    f.clock.advance(Duration::from_secs(60));
    assert!(f.lives(&child).await);
    assert_eq!([f.tokens.expire(3).await.unwrap(), f.tokens.expire(3).await.unwrap()], [3, 2]);
    assert!(!f.lives(&child).await);
    assert_eq!(f.token_keys(), before);
    assert_eq!((f.tokens.counts().expired, f.tokens.counts().revoked), (6, 0));
}

#[tokio::test]
async fn a_renewed_token_is_not_expired_by_its_old_date() {
    let f = Fixture::new().await;
    let token = f.token(r#"{"policies":"a","ttl":60}"#).await;
    f.clock.advance(Duration::from_secs(30));
    f.tokens.renew(Which::Token(&token), None).await.unwrap();
    f.clock.advance(Duration::from_secs(31));
    assert_eq!(f.tokens.expire(10).await.unwrap(), 0);
    assert!(f.lives(&token).await);
}

#[tokio::test]
async fn malformed_and_oversized_credentials_are_refused_alike() {
    let f = Fixture::new().await;
    for text in ["", "x", "hvs.", "hvb.", "hvb.!!!", "hvb.AAAA", &"x".repeat(4097)] {
        assert!(!f.lives(&Secret::from(text)).await, "{}", text.len());
    }
    assert!(!f.lives(&Secret::from(&[0xff_u8, 0, 1][..])).await);
    let empty = Tokens::new(MemoryStorage::new(), f.clock.clone(), TokenConfig::default());
    assert!(empty.identify(&f.root).await.is_err(), "a store without a salt knows nobody");
}
