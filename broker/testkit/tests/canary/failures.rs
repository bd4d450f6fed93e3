//! Secrets on their way while nothing can be recorded or stored.

use std::{fs, io::Write as _, path::Path};

use serde_json::json;
use warder_testkit::{Result, Suite};

use crate::{
    broker::{Broker, Full},
    marks::Marks,
    search::{Search, nothing},
};

#[test]
fn a_secret_that_cannot_be_recorded_or_stored_is_left_nowhere() -> Result {
    let suite =
        Suite::new("canary", "failures::a_secret_that_cannot_be_recorded_or_stored_is_left_nowhere", 20_261_124);
    let mut marks = Marks::new(suite.random());
    for full in [Full::Audit, Full::Storage] {
        let broker = Broker::on_small_disk(full)?;
        let keys = broker.initialize(&mut marks)?;
        let http = broker.stranger().with_token(&keys.root_token);
        let mut kind = |what: &str| marks.value(&format!("{full:?} full: {what}"));
        let (before, lost, patched, wrong) = (kind("stored before"), kind("PUT"), kind("PATCH"), kind("bad JSON"));
        http.put("/api/v1/secrets/a").json(&json!({ "password": before })).send()?.expect_status(201)?;
        fill(&broker.small_disk().join("balloon"))?;
        let patch = http.call("PATCH", "/api/v1/secrets/a").header("Content-Type", "application/merge-patch+json");
        let bad = http.put("/api/v1/secrets/a").header("Content-Type", "application/json");
        let mut replies = Vec::new();
        for _ in 0..3 {
            replies.push(http.put("/api/v1/secrets/b").json(&json!({ "password": lost })).send()?);
            replies.push(http.post("/v1/secret/data/b").json(&json!({"data": {"password": lost}})).send()?);
            replies.push(patch.clone().body(json!({ "other": patched }).to_string()).send()?);
            replies.push(bad.clone().body(format!("{{\"a\":\"{wrong}")).send()?);
        }
        assert!(replies.iter().any(|reply| matches!(reply.status, 503 | 507)), "the disk is not full: {replies:?}");
        fs::remove_file(broker.small_disk().join("balloon"))?;
        let search = Search::new(marks.all())?;
        for reply in &replies {
            nothing(&search.look("a refusal", format!("{:?} {}", reply.headers, reply.text()).as_bytes()))?;
        }
        nothing(&broker.leaks(&search)?)?;
    }
    Ok(())
}

/// To the last page.
fn fill(file: &Path) -> Result {
    let mut balloon = fs::File::create(file)?;
    for size in [1 << 16, 1 << 12, 1] {
        while balloon.write_all(&vec![b'x'; size]).is_ok() {}
    }
    Ok(())
}
