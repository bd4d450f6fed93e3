//! What a running broker shows of secrets: nothing, and their HMACs in the audit log.

use ring::hmac;
use serde_json::json;
use warder_testkit::{Result, Suite};

use crate::{
    broker::{Broker, Over},
    marks::Marks,
    search::{Search, nothing},
    walk::{Walk, misplaced},
};

#[test]
fn a_secret_is_found_nowhere_but_in_its_answer() -> Result {
    let suite = Suite::new("canary", "visible::a_secret_is_found_nowhere_but_in_its_answer", 20_261_122);
    let mut marks = Marks::new(suite.random());
    let mut answers = Vec::new();
    for (over, name) in [(Over::Plain, "plain"), (Over::Tls, "TLS")] {
        let mut broker = Broker::start(over)?;
        let keys = broker.initialize(&mut marks)?;
        Walk::new(&broker, &keys, name, "first", &mut marks, &mut answers).everywhere()?;
        let search = Search::new(marks.all())?;
        nothing(&broker.leaks(&search)?)?;
        broker.restart()?;
        broker.unseal(&keys)?;
        Walk::new(&broker, &keys, &format!("{name}, restarted"), "again", &mut marks, &mut answers).everywhere()?;
        let search = Search::new(marks.all())?;
        nothing(&broker.leaks(&search)?)?;
        broker.stop()?;
        nothing(&broker.left(&search)?)?;
    }
    nothing(&misplaced(&Search::new(marks.all())?, &answers)?)
}

#[test]
fn the_audit_log_has_the_hmac_of_each_secret_under_the_salt_of_its_sink() -> Result {
    let suite =
        Suite::new("canary", "visible::the_audit_log_has_the_hmac_of_each_secret_under_the_salt_of_its_sink", 3);
    let mut marks = Marks::new(suite.random());
    let broker = Broker::start(Over::Plain)?;
    let keys = broker.initialize(&mut marks)?;
    let value = marks.value("a value");
    let http = broker.stranger().with_token(&keys.root_token);
    http.put("/api/v1/secrets/a").json(&json!({ "password": value })).send()?.expect_status(201)?;
    let opened = broker.opened(&keys)?;
    for sink in ["main", "second"] {
        let salt = hmac::Key::new(hmac::HMAC_SHA256, &opened.plain(&format!("core/audit/salt/{sink}"))?);
        for secret in [&value, &keys.root_token] {
            let digits = hmac::sign(&salt, secret.as_bytes());
            let digits: String = digits.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            let recorded = broker.audit(sink)?.contains(&format!("\"hmac-sha256:{digits}\""));
            assert!(recorded, "{sink} has no HMAC of {secret}");
        }
    }
    Ok(())
}
