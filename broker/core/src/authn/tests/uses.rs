//! Counted tokens.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn three_uses_serve_exactly_three_of_sixty_four_callers() {
    let f = Fixture::new().await;
    let token = f.token(r#"{"policies":"a","num_uses":3}"#).await;
    let identity = f.who(&token).await;
    assert!(identity.counted);
    let callers = (0..64).map(|_| {
        let (tokens, token) = (f.tokens.clone(), token.clone());
        tokio::spawn(async move {
            let identity = tokens.identify(&token).await?;
            tokens.spend(&identity).await
        })
    });
    let mut served = 0;
    for caller in callers.collect::<Vec<_>>() {
        match caller.await.unwrap() {
            Ok(()) => served += 1,
            Err(error) => assert_eq!(error.kind, ErrorKind::Unauthenticated),
        }
    }
    assert_eq!(served, 3);
    assert!(!f.lives(&token).await);
}

#[tokio::test]
async fn uses_are_counted_across_restarts_and_the_spent_token_is_removed() {
    let f = Fixture::new().await;
    let before = f.token_keys();
    let token = f.token(r#"{"policies":"a","num_uses":2}"#).await;
    f.tokens.spend(&*f.who(&token).await).await.unwrap();
    assert_eq!(f.data(Which::Token(&token)).await["num_uses"], 1);
    let identity = f.who(&token).await;
    let reopened = f.reopened();
    reopened.spend(&identity).await.unwrap();
    assert!(reopened.identify(&token).await.is_err());
    assert!(!f.lives(&token).await, "the first process forgot what it remembered");
    assert_eq!(f.data(Which::Own(&identity, &token)).await["num_uses"], 0, "the last request may still look at itself");
    assert_eq!(f.tokens.expire(10).await.unwrap(), 1);
    assert_eq!(f.token_keys(), before);
}

#[tokio::test]
async fn an_endless_root_token_can_be_counted_too() {
    let f = Fixture::new().await;
    let token = f.token(r#"{"num_uses":1}"#).await;
    f.tokens.spend(&*f.who(&token).await).await.unwrap();
    assert!(!f.lives(&token).await);
    assert_eq!(f.tokens.expire(10).await.unwrap(), 1);
}

#[tokio::test]
async fn uncounted_tokens_cost_no_write() {
    let f = Fixture::new().await;
    let identity = f.who(&f.root).await;
    f.storage.fail_after(Some(0));
    f.tokens.spend(&identity).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_salt_is_made_once_under_a_race() {
    let storage = MemoryStorage::new();
    let clock = Arc::new(ManualClock::new(Timestamp(0)));
    let stores: Vec<_> = (0..16).map(|_| Tokens::new(storage.clone(), clock.clone(), TokenConfig::default())).collect();
    let made: Vec<_> = stores
        .iter()
        .map(|tokens| {
            let tokens = tokens.clone();
            tokio::spawn(async move { tokens.create_root(None).await.unwrap().auth.token })
        })
        .collect();
    for token in made {
        let token = token.await.unwrap();
        for tokens in &stores {
            assert!(tokens.identify(&token).await.is_ok());
        }
    }
}
