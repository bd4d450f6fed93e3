//! Sinks that hang and sinks that die: the standard output with nobody who reads it, and with
//! nobody there.

use serde_json::{Value, json};
use warder_testkit::{Http, Reply, Result};

use crate::{
    console::PIPE_BYTES,
    doors::{DOORS, Door, Said, said},
    house::{House, Place},
};

const NOTHING: &str = "no audit sink took the record, so nothing was done or shown";
const OVERDUE: &str = "no answer within 2s";

/// Uses every door until the sink counts as failed; gives the number of secrets written.
fn use_until_failed(house: &mut House, sink: &str, mut also: impl FnMut(Said)) -> Result<usize> {
    let mut written = 0;
    house.until("failed", |house| {
        for door in DOORS {
            also(house.write(door, &format!("during/{written}"), &json!({"n": written}))?);
            also(house.read(door, &format!("during/{written}"))?);
            written += 1;
        }
        Ok(!house.healthy(sink)?)
    })?;
    Ok(written)
}

/// Reads the console and tries until a request is done.
fn recover(house: &mut House) -> Result {
    house.until("recovered", |house| {
        house.console.read()?;
        Ok(house.write(Door::Native, "after", &json!({}))? == Said::Done)
    })
}

#[test]
fn while_one_sink_hangs_another_one_serves_every_door() -> Result {
    let mut house = House::start(&[("console", Place::Console), ("main", Place::Folder)])?;
    let done = |said| assert_eq!(said, Said::Done);
    use_until_failed(&mut house, "console", done)?;
    let shown = house.status("console")?;
    assert_eq!((&shown["healthy"], &shown["last_error"]), (&json!(false), &json!(OVERDUE)), "{shown}");
    assert_eq!(house.status("main")?["healthy"], true);
    for door in DOORS {
        assert_eq!(house.write(door, "with/one", &json!({}))?, Said::Done);
        assert_eq!(house.read(door, "with/one")?, Said::Done);
    }
    assert!(house.console.records().len() < PIPE_BYTES);
    house.until("well again", |house| {
        house.console.read()?;
        house.healthy("console")
    })?;
    for door in DOORS {
        assert_eq!(house.read(door, "with/one")?, Said::Done);
    }
    every_record_is_accounted_for(&mut house, "console")?;
    house.verified("main")?;
    assert_eq!(house.metric("warder_audit_refusals_total")?, 0);
    Ok(())
}

#[test]
fn a_sink_that_hangs_alone_refuses_everything_and_nothing_is_done() -> Result {
    let mut house = House::start(&[("console", Place::Console)])?;
    let furniture = Furniture::new(&house)?;
    house.console.read()?;
    let mut refused = Vec::new();
    let mut at = 0;
    use_until_failed(&mut house, "console", |said| {
        if said.refused() {
            refused.push((at / 2, said));
        }
        at += 1;
    })?;
    furniture.nothing_is_done(&house)?;
    crowd_is_refused(&house)?;
    recover(&mut house)?;
    furniture.stands(&house)?;
    for (number, said) in refused {
        let Said::Refused(words) = said else { continue };
        let there = house.read(Door::Native, &format!("during/{number}"))? == Said::Done;
        assert!(!there || words != NOTHING, "secret {number} is there, and was refused: {words}");
    }
    every_record_is_accounted_for(&mut house, "console")?;
    Ok(())
}

#[test]
fn a_sink_that_died_is_served_around_and_comes_back() -> Result {
    let mut house = House::start(&[("console", Place::Console), ("main", Place::Folder)])?;
    house.console.leave();
    use_until_failed(&mut house, "console", |said| assert_eq!(said, Said::Done))?;
    let shown = house.status("console")?;
    assert!(shown["last_error"].as_str().is_some_and(|words| words.contains("Broken pipe")), "{shown}");
    house.console.come_back()?;
    house.until("well again", |house| {
        house.console.read()?;
        house.status("main")?;
        house.healthy("console")
    })?;
    every_record_is_accounted_for(&mut house, "console")?;
    house.verified("main")?;
    Ok(())
}

#[test]
fn a_sink_that_died_alone_refuses_everything_and_nothing_is_done() -> Result {
    let mut house = House::start(&[("console", Place::Console)])?;
    let furniture = Furniture::new(&house)?;
    house.console.read()?;
    house.console.leave();
    furniture.nothing_is_done(&house)?;
    crowd_is_refused(&house)?;
    assert!(!house.healthy("console")?);
    house.console.come_back()?;
    recover(&mut house)?;
    furniture.stands(&house)?;
    every_record_is_accounted_for(&mut house, "console")?;
    Ok(())
}

/// The story of a torn stream: a record larger than the pipe was half written when its reader
/// went; what followed it began in the middle of its line, and the chain was broken.
#[test]
fn a_record_cut_in_half_by_a_reader_that_went_is_completed_for_the_next_one() -> Result {
    let mut house = House::start(&[("console", Place::Console)])?;
    house.console.read()?;
    let many: serde_json::Map<String, Value> = (0..1500).map(|n| (format!("member-{n}"), json!(n))).collect();
    assert!(house.write(Door::Native, "large", &Value::Object(many))?.refused());
    house.console.leave();
    house.until("torn", |house| {
        Ok(house.read(Door::Native, "large")?.refused()
            && house.metric("warder_audit_failures_total{sink=\"console\"}")? > 1)
    })?;
    house.console.come_back()?;
    recover(&mut house)?;
    house.console.read()?;
    house.verified("console")?;
    Ok(())
}

#[test]
fn a_server_whose_sink_hangs_ends_when_told_to() -> Result {
    let mut house = House::start(&[("console", Place::Console)])?;
    use_until_failed(&mut house, "console", drop)?;
    assert!(house.stop()?.success());
    Ok(())
}

/// The chain is whole, and tells how many records are missing in it.
pub(crate) fn every_record_is_accounted_for(house: &mut House, sink: &str) -> Result {
    let failures = format!("warder_audit_failures_total{{sink=\"{sink}\"}}");
    let records = format!("warder_audit_records_total{{sink=\"{sink}\"}}");
    house.until("accounted for", |house| {
        house.write(Door::Native, "after", &json!({}))?;
        let confirmed = house.metric(&records)?;
        house.console.read()?;
        let log = house.log(sink)?;
        let held = log.split_inclusive(|byte| *byte == b'\n').count() as u64;
        Ok(log.ends_with(b"\n") && held >= confirmed && told(&log) == house.metric(&failures)?)
    })?;
    assert_eq!(house.verified(sink)?["first_seq"], 1);
    Ok(())
}

/// What the records of a log say is missing between them.
fn told(log: &[u8]) -> u64 {
    let records = log.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    records.filter_map(|record| record["missed"].as_u64()).sum()
}

/// Sixteen callers at once all hear that nothing was done.
fn crowd_is_refused(house: &House) -> Result {
    let callers: Vec<_> = (0..16)
        .map(|caller| {
            let http = house.http();
            std::thread::spawn(move || {
                (0..4).map(|_| said(&ask(&http, "PUT", &format!("/api/v1/secrets/crowd/{caller}"), "{}")?)).collect()
            })
        })
        .collect();
    for caller in callers {
        let heard: Result<Vec<Said>> = caller.join().expect("a caller panicked");
        assert_eq!(heard?, vec![Said::Refused(NOTHING.to_owned()); 4]);
    }
    Ok(())
}

/// Things of each kind, to be changed and removed in vain.
struct Furniture {
    token: String,
    accessor: String,
    listings: Vec<(&'static str, Value)>,
}

const POLICY: &str = r#"{"policy":"path \"a\" { capabilities = [\"read\"] }"}"#;
const LISTINGS: [&str; 5] = [
    "/api/v1/secrets/?list=true",
    "/api/v1/secrets/there/versions",
    "/api/v1/auth/tokens",
    "/api/v1/policies",
    "/api/v1/mounts",
];

impl Furniture {
    fn new(house: &House) -> Result<Self> {
        let http = house.http();
        assert_eq!(house.write(Door::Native, "there", &json!({"a": 1}))?, Said::Done);
        assert_eq!(house.write(Door::Native, "after", &json!({}))?, Said::Done);
        assert_eq!(house.write(Door::Native, "during/x", &json!({}))?, Said::Done);
        ask(&http, "PUT", "/api/v1/policies/there", POLICY)?.expect_status(204)?;
        ask(&http, "PUT", "/api/v1/mounts/there", r#"{"plugin":"kv"}"#)?.expect_status(204)?;
        let made = ask(&http, "POST", "/api/v1/auth/tokens", r#"{"ttl":"1h"}"#)?.expect_status(201)?.json()?;
        let [token, accessor] = ["token", "accessor"].map(|name| made[name].as_str().unwrap_or_default().to_owned());
        let mut furniture = Self { token, accessor, listings: Vec::new() };
        furniture.listings = furniture.seen(house)?;
        Ok(furniture)
    }

    /// Every kind of effect, and every kind of answer, is refused.
    fn nothing_is_done(&self, house: &House) -> Result {
        let http = house.http();
        let revoke = format!("/api/v1/auth/tokens/{}", self.accessor);
        for (method, target, body) in [
            ("PUT", "/api/v1/secrets/new", "{}"),
            ("PUT", "/api/v1/secrets/there", "{}"),
            ("DELETE", "/api/v1/secrets/there", ""),
            ("DELETE", "/api/v1/secrets/there?versions=1&destroy=true", ""),
            ("PUT", "/api/v1/policies/new", POLICY),
            ("DELETE", "/api/v1/policies/there", ""),
            ("PUT", "/api/v1/mounts/new", r#"{"plugin":"kv"}"#),
            ("DELETE", "/api/v1/mounts/there", ""),
            ("POST", "/api/v1/auth/tokens", "{}"),
            ("DELETE", &revoke, ""),
            ("POST", "/api/v1/auth/renew", "{}"),
            ("POST", "/api/v1/sys/init", r#"{"shares":1,"threshold":1}"#),
            ("POST", "/api/v1/sys/unseal", r#"{"key":"00"}"#),
            ("POST", "/api/v1/sys/seal", ""),
            ("GET", "/api/v1/audit", ""),
            ("GET", "/api/v1/plugins", ""),
        ]
        .into_iter()
        .chain(LISTINGS.map(|target| ("GET", target, "")))
        {
            let heard = said(&ask(&http, method, target, body)?)?;
            assert_eq!(heard, Said::Refused(NOTHING.to_owned()), "{method} {target}");
        }
        for door in DOORS {
            assert_eq!(house.write(door, "new", &json!({}))?, Said::Refused(NOTHING.to_owned()), "{door:?}");
            assert_eq!(house.read(door, "there")?, Said::Refused(NOTHING.to_owned()), "{door:?}");
            assert_eq!(house.read(door, "nothing")?, Said::Refused(NOTHING.to_owned()), "{door:?}");
        }
        let stranger = house.stranger().with_token("hvs.AAAAAAAAAAAAAAAAAAAAAAAA");
        assert!(said(&stranger.get("/api/v1/secrets/there").send()?)?.refused(), "a denial is a record as well");
        house.stranger().get("/health").send()?.expect_status(200)?;
        house.stranger().get("/api/v1/sys/status").send()?.expect_status(200)?;
        assert!(house.metric("warder_audit_refusals_total")? > 20);
        Ok(())
    }

    /// All is as it was.
    fn stands(&self, house: &House) -> Result {
        house.stranger().with_token(&self.token).get("/api/v1/auth/self").send()?.expect_status(200)?;
        assert_eq!(house.read(Door::Native, "new")?, Said::Absent);
        let read = house.http().get("/api/v1/secrets/there").send()?.expect_status(200)?.json()?;
        assert_eq!((&read["data"], &read["version"]), (&json!({"a": 1}), &json!(1)));
        for ((target, before), (_, now)) in self.listings.iter().zip(self.seen(house)?) {
            assert_eq!(*before, now, "{target}");
        }
        Ok(())
    }

    fn seen(&self, house: &House) -> Result<Vec<(&'static str, Value)>> {
        let http = house.http();
        LISTINGS.into_iter().map(|target| Ok((target, http.get(target).send()?.expect_status(200)?.json()?))).collect()
    }
}

fn ask(http: &Http, method: &str, target: &str, body: &str) -> Result<Reply> {
    let call = http.call(method, target);
    match body {
        "" => call.send(),
        body => call.header("Content-Type", "application/json").body(body).send(),
    }
}
