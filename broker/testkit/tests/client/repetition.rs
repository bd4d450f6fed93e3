//! What is repeated, and what is not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use warder_testkit::{Failure, Http, Result, Warder, temp_dir};

use crate::{PATIENCE, relay::Relay, root, told};

/// The current version, over another door and connection; none when there is none.
fn version(http: &Http, path: &str) -> Result<Option<u64>> {
    let answer = http.get(&format!("/api/v1/secrets/{path}")).send()?;
    Ok(if answer.status == 404 { None } else { answer.json()?["version"].as_u64() })
}

async fn until(what: &str, mut done: impl FnMut() -> Result<bool>) -> Result {
    let asked = timeout(PATIENCE, async {
        while !done()? {
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    });
    asked.await.map_err(|_| Failure::from(format!("not in time: {what}")))?
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_go_on_through_a_restart() -> Result {
    let folder = temp_dir()?;
    let data = folder.path().join("data");
    let first = Warder::dev().data_dir(&data).start()?;
    let relay = Relay::start(&folder.path().join("relay"), first.address())?;
    let client = root(&relay.address())?;
    told("put", client.put("a", r#"{"n":1}"#).await)?;
    let (stop, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (client, stop, reads) = (client.clone(), stop.clone(), reads.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let secret = told("get", client.get("a").await)?;
                    assert_eq!(secret.value.expose(), br#"{"n":1}"#);
                    reads.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<_, Failure>(())
            })
        })
        .collect();
    until("reads before", || Ok(reads.load(Ordering::Relaxed) > 100)).await?;
    let restarted = tokio::task::spawn_blocking(move || -> Result<Warder> {
        first.stop()?;
        Warder::dev().data_dir(&data).start()
    });
    let second = restarted.await.map_err(|why| why.to_string())??;
    relay.lead(second.address());
    let before = reads.load(Ordering::Relaxed);
    until("reads after", || Ok(reads.load(Ordering::Relaxed) > before + 100)).await?;
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.map_err(|why| why.to_string())??;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_may_have_been_done_is_not_repeated_and_a_read_is() -> Result {
    let folder = temp_dir()?;
    let warder = Warder::dev().start()?;
    let relay = Relay::start(&folder.path().join("relay"), warder.address())?;
    let client = root(&relay.address())?;
    told("put", client.put("a", "{}").await)?;

    relay.silence();
    let asking = client.clone();
    let put = tokio::spawn(async move { asking.put("a", r#"{"n":2}"#).await });
    until("the write is done", || Ok(version(&warder.http(), "a")? == Some(2))).await?;
    relay.cut();
    let error = put.await.map_err(|why| why.to_string())?.err().ok_or("an answer came through")?;
    assert_eq!((error.code(), error.may_be_done()), ("interrupted", true), "{error}");
    assert_eq!(version(&warder.http(), "a")?, Some(2), "it was done once");

    relay.silence();
    let asking = client.clone();
    let get = tokio::spawn(async move { asking.get("a").await });
    sleep(Duration::from_millis(200)).await;
    assert!(!get.is_finished(), "the answer was not kept back");
    relay.cut();
    let secret = told("get", get.await.map_err(|why| why.to_string())?)?;
    assert_eq!(secret.version, Some(2));
    Ok(())
}

/// Nobody listens at first: nothing was sent, so a write may be repeated.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_reached_nobody_is_repeated() -> Result {
    let folder = temp_dir()?;
    let warder = Warder::dev().start()?;
    let path = folder.path().join("relay");
    let client = root(&format!("unix:{}", path.display()))?;
    let put = tokio::spawn(async move { client.put("a", "{}").await });
    sleep(Duration::from_millis(300)).await;
    assert!(!put.is_finished());
    let _relay = Relay::start(&path, warder.address())?;
    assert_eq!(told("put", put.await.map_err(|why| why.to_string())?)?.version, Some(1));
    assert_eq!(version(&warder.http(), "a")?, Some(1));
    Ok(())
}

/// The server says when to come back: the client does, and by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_over_the_rate_limit_waits_as_long_as_it_is_told() -> Result {
    let warder = Warder::dev().start()?;
    let limit = json!({"rate": 2, "interval": "1s", "path": "secret/"});
    warder.http().put("/v1/sys/quotas/rate-limit/slow").json(&limit).send()?.expect_status(204)?;
    let client = root(&crate::url(&warder))?;
    for number in 1..=6 {
        assert_eq!(told("put", client.put("a", "{}").await)?.version, Some(number));
    }
    Ok(())
}

/// A sealed server did nothing: a write waits for somebody to unseal it.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_waits_for_a_sealed_server() -> Result {
    let folder = temp_dir()?;
    let config = folder.path().join("warder.toml");
    std::fs::write(
        &config,
        format!(
            "[listener]\naddress = \"127.0.0.1:0\"\ntls_disable = true\n[storage]\ntype = \"memory\"\n\
             [audit.file]\ntype = \"file\"\npath = \"{}/audit.log\"\n",
            folder.path().display()
        ),
    )?;
    let warder = Warder::serve(&config).start()?;
    let made = warder.stranger().post("/api/v1/sys/init").json(&json!({"shares": 1, "threshold": 1})).send()?;
    let made: Value = made.expect_status(200)?.json()?;
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or("no key");
    let (token, key) = (text(&made["root_token"])?, text(&made["keys"][0])?);
    let http = warder.stranger().with_token(&token);
    http.post("/api/v1/sys/seal").send()?.expect_status(204)?;
    let builder = warder_client::Client::builder(crate::url(&warder)).token(warder_client::Token::new(token));
    let client = told("build", builder.deadline(PATIENCE).build())?;
    let put = tokio::spawn(async move { client.put("a", "{}").await });
    sleep(Duration::from_millis(300)).await;
    assert!(!put.is_finished());
    warder.stranger().post("/api/v1/sys/unseal").json(&json!({ "key": key })).send()?.expect_status(200)?;
    assert_eq!(told("put", put.await.map_err(|why| why.to_string())?)?.version, Some(1));
    Ok(())
}
