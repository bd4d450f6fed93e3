//! Who may ask for what.

use std::collections::HashSet;

use super::*;

#[tokio::test]
async fn issued_text_has_the_known_shapes() {
    let f = Fixture::new().await;
    let mut seen = HashSet::new();
    for _ in 0..50 {
        let auth = f.by_root(r#"{"policies":"a"}"#).await.auth;
        let token = auth.token.expose_str().unwrap().to_owned();
        let random = token.strip_prefix("hvs.").unwrap();
        for text in [random, &auth.accessor] {
            assert!(text.len() == 24 && text.bytes().all(|b| b.is_ascii_alphanumeric()), "{text}");
        }
        assert!(seen.insert(token.clone()) && seen.insert(auth.accessor));
    }
}

#[tokio::test]
async fn policies_follow_the_parent_unless_the_caller_has_sudo() {
    let f = Fixture::new().await;
    let parent = f.token(r#"{"policies":["Dev ","ops"]}"#).await;
    assert_eq!(f.who(&parent).await.policies, ["default", "dev", "ops"]);
    assert_eq!(f.plain(&parent, "{}").await.unwrap().auth.policies, ["default", "dev", "ops"]);
    assert_eq!(f.plain(&parent, r#"{"policies":"ops"}"#).await.unwrap().auth.policies, ["default", "ops"]);
    let bare = f.plain(&parent, r#"{"policies":"ops","no_default_policy":true}"#).await.unwrap();
    assert_eq!(bare.auth.policies, ["ops"]);
    let grandchild = f.plain(&bare.auth.token, r#"{"policies":"ops"}"#).await.unwrap();
    assert_eq!(grandchild.auth.policies, ["ops"], "default comes from the parent only");
    assert_eq!(refusal(f.plain(&parent, r#"{"policies":"other"}"#).await), "child policies must be subset of parent");
    let sudo = f.tokens.create(&*f.who(&parent).await, ask(r#"{"policies":"other"}"#), true, PATH).await.unwrap();
    assert_eq!(sudo.auth.policies, ["default", "other"]);
}

/// `[""]`, which `-policy=""` sends, once made a full copy of the parent: root from root.
#[tokio::test]
async fn a_list_of_empty_names_asks_for_nothing() {
    let f = Fixture::new().await;
    assert_eq!(f.by_root(r#"{"policies":[""," "]}"#).await.auth.policies, ["default"]);
    let parent = f.token(r#"{"policies":"ops"}"#).await;
    assert_eq!(f.plain(&parent, r#"{"policies":""}"#).await.unwrap().auth.policies, ["default"]);
}

#[tokio::test]
async fn no_default_policy_takes_default_out_wherever_it_came_from() {
    let f = Fixture::new().await;
    let parent = f.token(r#"{"policies":"ops"}"#).await;
    assert_eq!(f.plain(&parent, r#"{"no_default_policy":true}"#).await.unwrap().auth.policies, ["ops"]);
    let named = f.by_root(r#"{"policies":["default"],"no_default_policy":true}"#).await;
    assert!(named.auth.policies.is_empty(), "{:?}", named.auth.policies);
}

/// `create-orphan` is permission for orphans, not sudo.
#[tokio::test]
async fn the_orphan_route_grants_nothing_but_the_missing_parent() {
    let f = Fixture::new().await;
    let parent = f.who(&f.token(r#"{"policies":"ops"}"#).await).await;
    let route = "auth/token/create-orphan";
    for (wish, words) in [
        (r#"{"policies":"other"}"#, "child policies must be subset of parent"),
        (r#"{"period":"1h"}"#, "root or sudo privileges required to create periodic token"),
        (r#"{"id":"chosen"}"#, "root or sudo privileges required to specify token id"),
    ] {
        assert_eq!(refusal(f.tokens.create(&parent, ask(wish), false, route).await), words, "{wish}");
    }
}

#[tokio::test]
async fn root_comes_from_root_alone() {
    let f = Fixture::new().await;
    let child = f.by_root("{}").await.auth;
    assert_eq!((child.policies, child.ttl, child.renewable), (vec!["root".to_owned()], Duration::ZERO, false));
    let sudo = f.who(&f.token(r#"{"policies":"ops"}"#).await).await;
    assert_eq!(
        refusal(f.tokens.create(&sudo, ask(r#"{"policies":["root","x"]}"#), true, PATH).await),
        "root tokens may not be created without parent token being root"
    );
    let ending = f.by_root(r#"{"ttl":"1h"}"#).await.auth;
    assert_eq!((ending.ttl, ending.renewable), (HOUR, true));
    assert_eq!(
        refusal(f.plain(&ending.token, "{}").await),
        "expiring root tokens cannot create non-expiring root tokens"
    );
    assert!(f.plain(&ending.token, r#"{"ttl":"2h"}"#).await.is_ok());
}

#[tokio::test]
async fn what_needs_sudo_is_refused_without_it() {
    let f = Fixture::new().await;
    let parent = f.token(r#"{"policies":"ops"}"#).await;
    for (json, what) in [
        (r#"{"id":"mine"}"#, "specify token id"),
        (r#"{"no_parent":true}"#, "create orphan token"),
        (r#"{"period":"1h"}"#, "create periodic token"),
    ] {
        assert_eq!(refusal(f.plain(&parent, json).await), format!("root or sudo privileges required to {what}"));
        assert!(f.tokens.create(&*f.who(&parent).await, ask(json), true, PATH).await.is_ok(), "{json}");
    }
    let orphan = f.tokens.create(&*f.who(&parent).await, ask("{}"), false, "auth/token/create-orphan").await.unwrap();
    assert!(orphan.auth.orphan);
}

#[tokio::test]
async fn counted_and_batch_tokens_have_no_children() {
    let f = Fixture::new().await;
    let counted = f.token(r#"{"policies":"a","num_uses":5}"#).await;
    assert_eq!(refusal(f.plain(&counted, "{}").await), "restricted use token cannot generate child tokens");
    let batch = f.token(r#"{"policies":"a","type":"batch"}"#).await;
    assert_eq!(refusal(f.plain(&batch, "{}").await), "batch tokens cannot create more tokens");
}

#[tokio::test]
async fn custom_ids_work_once_and_keep_to_their_form() {
    let f = Fixture::new().await;
    let long = "x".repeat(129);
    for bad in ["hvs.abc", "s.abc", "a.b", "a b", "gr\u{fc}n", long.as_str()] {
        let json = serde_json::json!({ "id": bad, "policies": "a" }).to_string();
        let error = f.plain(&f.root, &json).await.unwrap_err();
        assert_eq!((error.kind, error.field.as_deref()), (ErrorKind::InvalidRequest, Some("id")), "{bad}");
    }
    let token = f.token(r#"{"id":"my-token","policies":"a"}"#).await;
    assert!(token.ct_eq(b"my-token"));
    assert_eq!(f.who(&Secret::from("my-token")).await.policies, ["a", "default"]);
    let again = f.plain(&f.root, r#"{"id":"my-token"}"#).await;
    assert_eq!(refusal(again), "cannot create a token with a duplicate ID");
    f.tokens.revoke(Which::Token(&token)).await.unwrap();
    assert!(!f.lives(&token).await);
    f.token(r#"{"id":"my-token","policies":"b"}"#).await;
    assert_eq!(f.who(&token).await.policies, ["b", "default"], "the name is free again, the memory of it gone");
}

#[tokio::test]
async fn a_custom_root_token_is_made_once() {
    let f = Fixture::new().await;
    let id = Some(Secret::from("dev-root"));
    let first = f.tokens.create_root(id.clone()).await.unwrap().auth;
    let second = f.reopened().create_root(id).await.unwrap().auth;
    assert!(second.token.ct_eq(b"dev-root"));
    assert_eq!(first.accessor, second.accessor);
    f.token(r#"{"id":"no-root","policies":"a"}"#).await;
    assert!(f.tokens.create_root(Some(Secret::from("no-root"))).await.is_err());
    assert!(f.tokens.create_root(Some(Secret::from("a.b"))).await.is_err());
}

#[tokio::test]
async fn names_for_people_are_made_safe() {
    let f = Fixture::new().await;
    for (wish, name) in [("", "token"), ("ci", "token-ci"), ("a b/c.d!", "token-a-b-c-d"), ("Robot-7", "token-Robot-7")]
    {
        let json = serde_json::json!({ "display_name": wish, "policies": "a" }).to_string();
        assert_eq!(f.who(&f.token(&json).await).await.display_name, name);
    }
}

#[tokio::test]
async fn bounds_and_reserved_words_are_named() {
    let f = Fixture::new().await;
    let names: Vec<_> = (0..257).map(|i| i.to_string()).collect();
    for (json, field) in [
        (serde_json::json!({ "policies": names }), "policies"),
        (serde_json::json!({ "policies": "response-wrapping" }), "policies"),
        (serde_json::json!({ "display_name": "x".repeat(257) }), "display_name"),
        (serde_json::json!({ "meta": { "a": "x".repeat(1025) } }), "meta"),
        (serde_json::json!({ "entity_alias": "x" }), "entity_alias"),
    ] {
        let error = f.plain(&f.root, &json.to_string()).await.unwrap_err();
        assert_eq!((error.kind, error.field.as_deref()), (ErrorKind::InvalidRequest, Some(field)));
    }
}

#[tokio::test]
async fn no_text_of_a_token_is_stored_or_printed() {
    let f = Fixture::new().await;
    let issued = f.by_root(r#"{"id":"canary-token","policies":"a","meta":{"k":"v"}}"#).await;
    f.token(r#"{"type":"batch","policies":"a"}"#).await;
    let ask = ask(r#"{"id":"canary-token"}"#);
    let identity = f.who(&issued.auth.token).await;
    let own = Which::Own(&identity, &issued.auth.token);
    let printed = format!("{:?} {issued:?} {ask:?} {identity:?} {own:?}", f.tokens);
    let root = f.root.expose_str().unwrap();
    let stored = f.storage.bytes();
    for secret in ["canary-token", root] {
        assert!(!printed.contains(secret), "{printed}");
        assert!(!stored.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
}
