//! Tokens live as OpenBao's do: one table of requests goes to both real servers, each answer is
//! compared whole, but for what must differ (ids, moments) and what is accepted to.

mod accepted;
mod seen;
mod table;

use std::collections::HashMap;

use seen::Seen;
use serde_json::Value;
use table::Step;
use warder_testkit::{Call, Http, OpenBao, Result, Warder};

#[test]
fn tokens_live_and_end_as_those_of_openbao() -> Result {
    let (openbao, warder) = (OpenBao::dev()?, Warder::dev().start()?);
    let (mut oracle, mut subject) = (Client::of(&openbao.http()), Client::of(&warder.http()));
    let mut differences = Vec::new();
    let mut met = vec![false; accepted::TABLE.len()];
    for (number, step) in table::STEPS.iter().enumerate() {
        let (wanted, got) = (oracle.run(step)?, subject.run(step)?);
        if wanted.is_denied() && !step.may_be_denied() {
            differences.push(format!("row {number}, {:?}: OpenBao refuses the caller: {wanted}", step.name));
        }
        if wanted == got {
            continue;
        }
        match accepted::TABLE.iter().position(|row| row.covers(step.name, &wanted, &got)) {
            Some(row) => met[row] = true,
            None => differences.push(format!(
                "row {number}, {:?}:\n  OpenBao answers {wanted}\n  Warder answers  {got}\n  {}\n  {}",
                step.name,
                oracle.curl(step),
                subject.curl(step)
            )),
        }
    }
    for (row, _) in accepted::TABLE.iter().zip(met).filter(|(_, met)| !met) {
        differences.push(format!("accepted difference never met, strike it: {}", row.reason));
    }
    if differences.is_empty() { Ok(()) } else { Err(differences.join("\n").into()) }
}

/// One server and what it gave out so far.
struct Client {
    stranger: Http,
    /// Tokens and accessors by the names that the table gives them.
    kept: HashMap<String, String>,
}

impl Client {
    fn of(root: &Http) -> Self {
        let kept = HashMap::from([("root".to_owned(), "root".to_owned())]);
        Self { stranger: Http::at(root.address()), kept }
    }

    fn run(&mut self, step: &Step) -> Result<Seen> {
        let mut reply = self.call(step, &self.client(step)).send()?;
        // What ends by itself is waited for: the tables' lifetimes are a second or two.
        let start = std::time::Instant::now();
        while step.waits == Some(reply.status) && start.elapsed().as_secs() < 10 {
            std::thread::yield_now();
            reply = self.call(step, &self.client(step)).send()?;
        }
        let json = reply.json().unwrap_or(Value::Null);
        if let Some(name) = step.keeps {
            for (suffix, pointer) in [("", "/auth/client_token"), (".accessor", "/auth/accessor")] {
                let value = json.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
                self.kept.insert(format!("{name}{suffix}"), value.to_owned());
            }
        }
        Ok(Seen::of(&reply, json, &self.kept))
    }

    fn curl(&self, step: &Step) -> String {
        self.call(step, &self.client(step)).curl()
    }

    fn client(&self, step: &Step) -> Http {
        match step.who {
            "" => self.stranger.clone(),
            who => self.stranger.with_token(self.kept.get(who).map_or(who, String::as_str)),
        }
    }

    fn call<'a>(&self, step: &Step, http: &'a Http) -> Call<'a> {
        let call = http.call(step.method, &format!("/v1/{}", step.path));
        if step.body.is_empty() {
            return call;
        }
        let fill = |text: String, (name, value): (&String, &String)| text.replace(&format!("<{name}>"), value);
        let body = self.kept.iter().fold(step.body.to_owned(), fill);
        call.header("Content-Type", "application/json").body(body)
    }
}
