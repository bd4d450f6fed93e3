//! Tokens that would end, and do not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};
use warder_client::{Client, Renewal, Token, proto};
use warder_testkit::{Failure, Result, Warder};

use crate::{PATIENCE, root, told, url};

/// Made by root: it may read everything for so many seconds, in all for at most so many (0: for ever).
async fn token(root: &Client, seconds: u64, longest: u64) -> warder_client::Result<Token> {
    let wanted = proto::TokenServiceCreateRequest {
        policies: vec!["root".to_owned()],
        ttl_seconds: seconds,
        explicit_max_ttl_seconds: longest,
        ..Default::default()
    };
    let issued = root.tokens().create(wanted).await?.issued.unwrap_or_default();
    Ok(Token::new(issued.token))
}

/// Longer than this nobody may have stood still, or the run tells nothing: with two thirds of three
/// seconds over, a renewal has one left.
const STALLED: Duration = Duration::from_millis(400);

/// Reads for so long; every read must be answered. None: the machine stood still meanwhile.
async fn reads(client: &Client, lasting: Duration) -> Result<Option<()>> {
    let (ends, mut last) = (Instant::now() + lasting, Instant::now());
    let mut longest = Duration::ZERO;
    while Instant::now() < ends {
        let answered = client.get("a").await;
        longest = longest.max(last.elapsed());
        last = Instant::now();
        match answered {
            Err(_) if longest > STALLED => return Ok(None),
            answered => told("get", answered)?,
        };
        sleep(Duration::from_millis(50)).await;
    }
    Ok(Some(()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_three_seconds_is_kept_alive() -> Result {
    let warder = Warder::dev().start()?;
    let root = root(&url(&warder))?;
    told("put", root.put("a", "{}").await)?;
    let (client, renewal) = kept_alive(&warder, &root).await?;
    // It was the renewal: without it the token ends.
    drop(renewal);
    let ended = timeout(PATIENCE, async {
        while client.get("a").await.is_ok() {
            sleep(Duration::from_millis(100)).await;
        }
        client.get("a").await
    });
    let error = ended.await.map_err(|_| "a token without renewal does not end")?.err().ok_or("it came back")?;
    assert_eq!(error.code(), "unauthenticated");
    Ok(())
}

/// A client with such a token that has read for some seconds more than it lives, and its renewal.
async fn kept_alive(warder: &Warder, root: &Client) -> Result<(Client, Renewal)> {
    for _ in 0..10 {
        let token = told("token", token(root, 3, 0).await)?;
        let client = told("build", Client::builder(url(warder)).token(token).build())?;
        let renewal = client.renew_in_background();
        if reads(&client, Duration::from_secs(8)).await?.is_some() {
            return Ok((client, renewal));
        }
    }
    Err("this machine stands still too often for a token of three seconds".into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_may_live_no_longer_is_replaced_by_a_login() -> Result {
    let warder = Warder::dev().start()?;
    let root = root(&url(&warder))?;
    told("put", root.put("a", "{}").await)?;
    let logins = Arc::new(AtomicUsize::new(0));
    let (counted, asking) = (logins.clone(), root.clone());
    let hook = move |_stranger: Client| {
        counted.fetch_add(1, Ordering::Relaxed);
        let root = asking.clone();
        async move { token(&root, 2, 4).await }
    };
    let client = told("build", Client::builder(url(&warder)).login(hook).build())?;
    let _renewal = client.renew_in_background();
    // A token that ended while the machine stood still is replaced by the call that notices.
    reads(&client, Duration::from_secs(9)).await?.ok_or("a call failed that could log in")?;
    let logins = logins.load(Ordering::Relaxed);
    assert!((2..=8).contains(&logins), "{logins} logins");
    Ok(())
}

/// A revoked token is replaced when it is noticed, once for all who notice at once.
#[tokio::test(flavor = "multi_thread")]
async fn calls_at_once_share_one_login() -> Result {
    let warder = Warder::dev().start()?;
    let root = root(&url(&warder))?;
    told("put", root.put("a", "{}").await)?;
    let logins = Arc::new(AtomicUsize::new(0));
    let (counted, asking) = (logins.clone(), root.clone());
    let hook = move |_stranger: Client| {
        counted.fetch_add(1, Ordering::Relaxed);
        let root = asking.clone();
        async move { token(&root, 600, 0).await }
    };
    let client = told("build", Client::builder(url(&warder)).token(Token::new("hvs.gone")).login(hook).build())?;
    let calls: Vec<_> = (0..16)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.get("a").await })
        })
        .collect();
    for call in calls {
        told("get", call.await.map_err(|why| Failure::new("a call", why))?)?;
    }
    assert_eq!(logins.load(Ordering::Relaxed), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_tells_why_it_ended() -> Result {
    let warder = Warder::dev().start()?;
    let root = root(&url(&warder))?;
    let client = told("build", Client::builder(url(&warder)).token(told("token", token(&root, 2, 3).await)?).build())?;
    let mut renewal = client.renew_in_background();
    let why = timeout(PATIENCE, renewal.ended()).await.map_err(|_| "it goes on for ever")?;
    // The renewal past its longest life, or the first one after that.
    assert!(matches!(why.code(), "invalid_request" | "unauthenticated"), "{why}");
    Ok(())
}
