//! Revocation of trees, in full, interrupted and under race.

use super::*;

#[tokio::test]
async fn a_tree_goes_and_orphans_stay() {
    let f = Fixture::new().await;
    let before = f.token_keys();
    let top = f.token(r#"{"policies":"a"}"#).await;
    let (left, right) = (f.child(&top).await, f.child(&top).await);
    let leaf = f.child(&left).await;
    let orphan = f.tokens.create(&*f.who(&left).await, ask(r#"{"no_parent":true}"#), true, PATH).await.unwrap().auth;
    for token in [&top, &left, &right, &leaf] {
        assert!(f.lives(token).await, "and is remembered");
    }
    f.tokens.revoke(Which::Token(&top)).await.unwrap();
    for token in [&top, &left, &right, &leaf] {
        assert!(!f.lives(token).await);
    }
    assert!(f.lives(&orphan.token).await);
    f.tokens.revoke(Which::Accessor(&orphan.accessor)).await.unwrap();
    assert_eq!(f.token_keys(), before);
    assert_eq!(f.tokens.counts().revoked, 5);
}

#[tokio::test]
async fn revocation_names_what_it_does_not_know() {
    let f = Fixture::new().await;
    let nobody = Secret::from("hvs.nobody");
    f.tokens.revoke(Which::Token(&nobody)).await.unwrap();
    assert_eq!(refusal(f.tokens.revoke(Which::Accessor("nobody")).await), "invalid accessor");
    assert_eq!(refusal(f.tokens.revoke_orphan(&nobody).await), "token to revoke not found");
    let token = f.token(r#"{"policies":"a"}"#).await;
    f.tokens.revoke(Which::Own(&*f.who(&token).await, &token)).await.unwrap();
    f.tokens.revoke(Which::Token(&token)).await.unwrap();
    assert!(!f.lives(&token).await);
}

#[tokio::test]
async fn revoke_orphan_leaves_the_children_alive_without_a_parent() {
    let f = Fixture::new().await;
    let top = f.token(r#"{"policies":"a"}"#).await;
    let child = f.child(&top).await;
    let grandchild = f.child(&child).await;
    f.tokens.revoke_orphan(&top).await.unwrap();
    assert!(!f.lives(&top).await);
    assert!(f.who(&child).await.orphan && !f.who(&grandchild).await.orphan);
    assert!(f.token_keys().iter().all(|key| !key.starts_with(keys::REVOKING)));
    f.tokens.revoke(Which::Token(&child)).await.unwrap();
    assert!(!f.lives(&grandchild).await);
}

#[tokio::test]
async fn accessors_list_every_stored_token() {
    let f = Fixture::new().await;
    let before = f.tokens.accessors().await.unwrap().len();
    for _ in 0..1234 {
        f.token(r#"{"policies":"a"}"#).await;
    }
    let all = f.tokens.accessors().await.unwrap();
    assert_eq!(all.len(), before + 1234);
    assert!(all.is_sorted());
}

/// Wide and deep, so that one batch does not hold it.
async fn large_tree(f: &Fixture) -> (Secret, Vec<Secret>) {
    tree(f, 600, 100).await
}

/// So many children, every so-manieth with a child and a grandchild.
async fn tree(f: &Fixture, children: usize, every: usize) -> (Secret, Vec<Secret>) {
    let top = f.token(r#"{"policies":"a"}"#).await;
    let mut all = Vec::new();
    for i in 0..children {
        let child = f.child(&top).await;
        if i % every == 0 {
            let grandchild = f.child(&child).await;
            all.push(f.child(&grandchild).await);
            all.push(grandchild);
        }
        all.push(child);
    }
    (top, all)
}

#[tokio::test]
async fn a_revocation_interrupted_at_any_commit_is_finished_by_resume() {
    for commits in 0.. {
        let f = Fixture::new().await;
        let before = f.token_keys();
        let (top, all) = large_tree(&f).await;
        f.storage.fail_after(Some(commits));
        let revoked = f.tokens.revoke(Which::Token(&top)).await;
        f.storage.fail_after(None);
        assert_eq!(f.lives(&top).await, commits == 0, "the top goes with the first commit");
        let after = f.reopened();
        after.resume().await.unwrap();
        if commits > 0 {
            for token in &all {
                assert!(after.identify(token).await.is_err() && !f.lives(token).await);
            }
            assert_eq!(f.token_keys(), before, "after {commits} commits");
        }
        if revoked.is_ok() {
            assert!(commits > 5, "the tree needs several commits");
            return;
        }
    }
}

/// Once a second revocation found the top's children deleted, took its marker away and said
/// "done", while the first had not come to the grandchildren.
#[tokio::test]
async fn whoever_revokes_what_another_has_begun_finishes_it_first() {
    for commits in 0.. {
        let f = Fixture::new().await;
        let before = f.token_keys();
        let (top, all) = tree(&f, 30, 10).await;
        f.storage.fail_after(Some(commits));
        let first = f.tokens.revoke(Which::Token(&top)).await;
        f.storage.fail_after(None);
        f.tokens.revoke(Which::Token(&top)).await.unwrap();
        for token in &all {
            assert!(!f.lives(token).await, "after {commits} commits of the first");
        }
        assert_eq!(f.token_keys(), before, "after {commits} commits of the first");
        if first.is_ok() {
            return;
        }
    }
}

/// The same when the first is at a token in the middle and the second is at the top.
#[tokio::test]
async fn whoever_revokes_above_what_another_has_begun_finishes_it_first() {
    for commits in 1..4 {
        let f = Fixture::new().await;
        let before = f.token_keys();
        let mut chain = vec![f.token(r#"{"policies":"a"}"#).await];
        for above in 0..5 {
            chain.push(f.child(&chain[above]).await);
        }
        f.storage.fail_after(Some(commits));
        f.tokens.revoke(Which::Token(&chain[1])).await.unwrap_err();
        f.storage.fail_after(None);
        assert!(f.lives(&chain[5]).await, "{commits} commits do not end it");
        f.tokens.revoke(Which::Token(&chain[0])).await.unwrap();
        assert!(!f.lives(&chain[5]).await, "after {commits} commits of the first");
        assert_eq!(f.token_keys(), before, "after {commits} commits of the first");
    }
}

#[tokio::test]
async fn the_periodic_step_finishes_an_interrupted_revocation_too() {
    let f = Fixture::new().await;
    let before = f.token_keys();
    let (top, _) = large_tree(&f).await;
    f.storage.fail_after(Some(2));
    f.tokens.revoke_orphan(&top).await.unwrap_err();
    f.storage.fail_after(None);
    f.tokens.expire(10).await.unwrap();
    assert!(f.token_keys().iter().all(|key| !key.starts_with("core/token/parent/") || key.len() > 100));
    assert!(f.token_keys().iter().all(|key| !key.starts_with(keys::REVOKING)));
    assert!(f.token_keys().len() > before.len() + 600, "the children live on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_child_made_during_the_revocation_does_not_survive_it() {
    let f = Fixture::new().await;
    for _ in 0..20 {
        let top = f.token(r#"{"policies":"a"}"#).await;
        let child = f.child(&top).await;
        let makers: Vec<_> = [top.clone(), child.clone()]
            .into_iter()
            .cycle()
            .take(8)
            .map(|parent| {
                let tokens = f.tokens.clone();
                tokio::spawn(async move {
                    let mut made = Vec::new();
                    while let Ok(identity) = tokens.identify(&parent).await {
                        made.extend(tokens.create(&identity, ask("{}"), false, PATH).await.ok());
                        tokio::task::yield_now().await;
                    }
                    made
                })
            })
            .collect();
        tokio::task::yield_now().await;
        let (first, second) = tokio::join!(f.tokens.revoke(Which::Token(&top)), f.tokens.revoke(Which::Token(&top)));
        first.and(second).unwrap();
        assert!(!f.lives(&child).await);
        for maker in makers {
            for issued in maker.await.unwrap() {
                assert!(!f.lives(&issued.auth.token).await);
            }
        }
    }
    assert!(
        f.token_keys().iter().all(|key| !key.starts_with("core/token/parent/") && !key.starts_with(keys::REVOKING))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_that_renews_all_the_time_is_revoked_nevertheless() {
    let f = Fixture::new().await;
    let token = f.token(r#"{"policies":"a"}"#).await;
    let renewers: Vec<_> = (0..4)
        .map(|_| {
            let (tokens, token) = (f.tokens.clone(), token.clone());
            tokio::spawn(async move {
                while tokens.identify(&token).await.is_ok() {
                    let _ = tokens.renew(Which::Token(&token), None).await;
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    f.tokens.revoke(Which::Token(&token)).await.unwrap();
    assert!(!f.lives(&token).await);
    for renewer in renewers {
        renewer.await.unwrap();
    }
}

#[tokio::test]
async fn sealing_forgets_what_was_remembered() {
    let f = Fixture::new().await;
    assert!(f.lives(&f.root).await);
    f.storage.forget();
    assert!(f.lives(&f.root).await, "and it is read again after unseal");
}
