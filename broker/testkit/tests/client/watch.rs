//! A watch that goes on through cuts and a restart, and says when it could not.

use tokio::time::timeout;
use warder_client::{Event, Watch, proto::SecretChangeKind};
use warder_testkit::{Result, Warder, temp_dir};

use crate::{PATIENCE, relay::Relay, root, told};

async fn next(watch: &mut Watch) -> Result<Event> {
    let told = timeout(PATIENCE, watch.next()).await.map_err(|_| "a watch says nothing")?;
    self::told("watch", told)
}

/// The path, the version and what happened.
async fn change(watch: &mut Watch) -> Result<(String, Option<u64>, SecretChangeKind)> {
    match next(watch).await? {
        Event::Change(change) => Ok((change.path.clone(), change.version, change.kind())),
        other => Err(format!("not a change: {other:?}").into()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_resumes_after_a_cut_and_a_restart_without_a_loss() -> Result {
    use SecretChangeKind::{Created, Deleted, Updated};
    let folder = temp_dir()?;
    let data = folder.path().join("data");
    let first = Warder::dev().data_dir(&data).start()?;
    let relay = Relay::start(&folder.path().join("relay"), first.address())?;
    let (near, direct) = (root(&relay.address())?, root(&crate::url(&first))?);
    let mut watch = near.watch("app");
    let Event::Ready { revision } = next(&mut watch).await? else { return Err("not ready first".into()) };
    assert_eq!(watch.revision(), Some(revision));
    told("put", direct.put("app/a", "{}").await)?;
    told("put", direct.put("other/a", "{}").await)?;
    assert_eq!(change(&mut watch).await?, ("app/a".to_owned(), Some(1), Created));

    // What happens while the watch is cut is told afterwards, once.
    relay.cut();
    told("put", direct.put("app/a", "{}").await)?;
    told("delete", direct.delete("app/a").await)?;
    assert_eq!(change(&mut watch).await?, ("app/a".to_owned(), Some(2), Updated));
    assert_eq!(change(&mut watch).await?.2, Deleted);

    // A restart: the server may have forgotten what was before it, and then it says so.
    let restarted = tokio::task::spawn_blocking(move || -> Result<Warder> {
        first.stop()?;
        Warder::dev().data_dir(&data).start()
    });
    let second = restarted.await.map_err(|why| why.to_string())??;
    relay.lead(second.address());
    let direct = root(&crate::url(&second))?;
    let before = watch.revision();
    let writing = tokio::spawn(async move { direct.put("app/b", "{}").await });
    let told_next = next(&mut watch).await?;
    told("put", writing.await.map_err(|why| why.to_string())?)?;
    match told_next {
        Event::Change(change) => assert_eq!(change.path, "app/b"),
        Event::Lagged { revision } => assert!(Some(revision) >= before, "{revision} after {before:?}"),
        other => return Err(format!("a resumed watch is not told anew: {other:?}").into()),
    }
    Ok(())
}

/// A revision that the server does not have: changes were lost, and it is said.
#[tokio::test(flavor = "multi_thread")]
async fn a_watch_from_another_servers_revision_is_told_that_it_lagged() -> Result {
    let warder = Warder::dev().start()?;
    let client = root(&crate::url(&warder))?;
    let mut watch = client.watch("app").from(1 << 40);
    assert!(matches!(next(&mut watch).await?, Event::Lagged { .. }));
    told("put", client.put("app/a", "{}").await)?;
    assert_eq!(change(&mut watch).await?.0, "app/a");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_may_not_be_is_refused() -> Result {
    let warder = Warder::dev().start()?;
    let stranger = warder_client::Client::builder(crate::url(&warder)).token(warder_client::Token::new("hvs.none"));
    let mut watch = told("build", stranger.build())?.watch("app");
    let refused = timeout(PATIENCE, watch.next()).await.map_err(|_| "a watch says nothing")?;
    assert_eq!(refused.err().ok_or("a stranger watches")?.code(), "unauthenticated");
    Ok(())
}
