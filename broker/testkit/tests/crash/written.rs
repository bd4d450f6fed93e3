//! Secrets written one after another to a disk that may refuse them, and what became of each.

use std::time::{Duration, Instant};

use serde_json::Value;
use warder_testkit::{Http, Reply, Result};

use crate::attempt::Attempt;

/// How long something may take that comes by itself; reached only when it never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was acknowledged and what was refused.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) acknowledged: Vec<Attempt>,
    pub(crate) refused: Vec<Attempt>,
    sent: u32,
}

impl Written {
    /// Writes the next secret.
    pub(crate) fn write(&mut self, http: &Http) -> Result<Reply> {
        let attempt = Attempt { round: 0, client: 0, number: self.sent };
        self.sent += 1;
        let id = attempt.to_string();
        let reply = http.put(&target(attempt)).header("X-Request-Id", &id).json(&attempt.body()).send()?;
        if reply.status == 201 { &mut self.acknowledged } else { &mut self.refused }.push(attempt);
        Ok(reply)
    }

    /// Writes until one is refused; gives the refusal.
    pub(crate) fn fill(&mut self, http: &Http) -> Result<Reply> {
        loop {
            let reply = self.write(http)?;
            if reply.status != 201 {
                return Ok(reply);
            }
            assert!(self.acknowledged.len() < 100_000, "this disk does not fill up");
        }
    }

    /// Writes until one is taken again, which must come by itself.
    pub(crate) fn write_until_taken(&mut self, http: &Http) -> Result {
        let begun = Instant::now();
        loop {
            let reply = self.write(http)?;
            if reply.status == 201 {
                return Ok(());
            }
            assert!(begun.elapsed() < PATIENCE, "no write is taken again: {} {}", reply.status, reply.text());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Everything acknowledged is there, byte for byte, and read from storage.
    pub(crate) fn is_there(&self, http: &Http) -> Result {
        for attempt in &self.acknowledged {
            let read = http.get(&format!("{}?refresh=true", target(*attempt))).send()?.expect_status(200)?.json()?;
            assert_eq!(Attempt::of(&read["data"]), Some(*attempt), "{read}");
        }
        Ok(())
    }

    /// Nothing refused is there.
    pub(crate) fn is_all(&self, http: &Http) -> Result {
        for attempt in &self.refused {
            http.get(&format!("{}?refresh=true", target(*attempt))).send()?.expect_status(404)?;
        }
        Ok(())
    }

    /// What is there of the refused is whole.
    pub(crate) fn is_whole(&self, http: &Http) -> Result {
        for attempt in &self.refused {
            let reply = http.get(&format!("{}?refresh=true", target(*attempt))).send()?;
            if reply.status != 404 {
                assert_eq!(Attempt::of(&reply.expect_status(200)?.json()?["data"]), Some(*attempt));
            }
        }
        Ok(())
    }
}

/// Where an attempt's secret lies.
pub(crate) fn target(attempt: Attempt) -> String {
    format!("/api/v1/secrets/disk/{attempt}")
}

/// The refusal is problem+json of this status and code, and says nothing of paths on the machine.
pub(crate) fn problem(reply: &Reply, status: u16, code: &str) {
    let text = reply.text();
    assert_eq!((reply.status, reply.header("content-type")), (status, Some("application/problem+json")), "{text}");
    let problem: Value = reply.json().expect("a problem in JSON");
    assert_eq!((problem["code"].as_str(), problem["status"].as_u64()), (Some(code), Some(status.into())), "{text}");
    assert!(!text.contains("warder.redb") && !text.contains("os error"), "{text}");
}
