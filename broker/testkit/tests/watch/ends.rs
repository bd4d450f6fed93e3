//! How watches end, and that they do.

use warder_testkit::{Result, Warder};

use crate::events::{Events, put, token};

const READER: &str = "path \"secret/data/*\" { capabilities = [\"read\"] }";

#[test]
fn a_token_that_is_revoked_or_expires_ends_its_watches_and_no_others() -> Result {
    let warder = Warder::dev().start()?;
    let http = warder.http();
    let [one, accessor] = token(&http, READER, "1h")?;
    let [short, _] = token(&http, READER, "10s")?;
    let [other, _] = token(&http, READER, "1h")?;
    let mut watches = Vec::new();
    for token in [&one, &one, &short, &other] {
        watches.push(Events::open(&http, "", token, &[])?.0);
    }
    http.delete(&format!("/api/v1/auth/tokens/{accessor}")).send()?.expect_status(204)?;
    for ended in &watches[..3] {
        assert_eq!(ended.end()?, "unauthenticated");
    }
    put(&http, "still")?;
    assert_eq!(watches[3].changes(1)?[0].text("path"), "still");
    Ok(())
}

#[test]
fn sealing_ends_every_watch() -> Result {
    let warder = Warder::dev().start()?;
    let http = warder.http();
    let watches = [Events::open(&http, "", "root", &[])?.0, Events::open(&http, "?prefix=a", "root", &[])?.0];
    http.post("/api/v1/sys/seal").send()?.expect_status(204)?;
    for watch in &watches {
        assert_eq!(watch.end()?, "sealed");
    }
    let (_, refused) = Events::open(&http, "", "root", &[])?;
    assert_eq!(refused.text("code"), "sealed");
    Ok(())
}

#[test]
fn a_shutdown_ends_every_watch_and_is_not_held_up() -> Result {
    let warder = Warder::dev().start()?;
    let watch = Events::open(&warder.http(), "", "root", &[])?.0;
    let stopping = std::thread::spawn(move || warder.stop().map(|status| status.success()));
    assert_eq!(watch.end()?, "unavailable");
    assert!(stopping.join().map_err(|_| "stopping panicked")??);
    Ok(())
}

#[test]
fn a_watch_outlives_what_a_request_may_take_and_is_told_that_it_goes_on() -> Result {
    let warder = Warder::dev().start()?;
    let watch = Events::open(&warder.http(), "?prefix=quiet", "root", &[])?.0;
    put(&warder.http(), "loud")?;
    // Longer than the 30 s of a request.
    let beats = [watch.beat()?, watch.beat()?, watch.beat()?];
    assert!(beats.is_sorted() && beats[2] > 0, "{beats:?}");
    put(&warder.http(), "quiet/x")?;
    assert_eq!(watch.changes(1)?[0].text("path"), "quiet/x");
    Ok(())
}
