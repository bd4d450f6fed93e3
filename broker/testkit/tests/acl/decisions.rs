//! Warder's engine decides as the real OpenBao does, and both as the naive rules say. What differs
//! is shrunk and told with the policies and the curl commands to see it again.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashSet},
};

use proptest::{
    prelude::Strategy,
    test_runner::{TestCaseError, TestError},
};
use serde_json::{Value, json};
use warder_core::{
    authz::{Acl, Decision},
    request::Operation,
};
use warder_testkit::{Call, Http, OpenBao, Result};

use super::{
    case::{Ask, Case, MOUNTS, Policies, case},
    naive::{self, Whose},
    random,
};

/// Questions to the real server, in builds of every profile.
const REAL: usize = 20_000;
/// Questions to the naive rules alone: the default and the long form.
const NAIVE: [usize; 2] = [20_000, 1_000_000];

#[test]
fn twenty_thousand_random_cases_are_decided_as_openbao_decides() -> Result {
    let openbao = OpenBao::dev()?;
    let oracle = Oracle::over(openbao.http())?;
    let told = RefCell::new(Told::default());
    let run = |case: &Case| oracle.compare(case, &mut told.borrow_mut());
    let story = |case: &Case, why: &str| oracle.story(case, why);
    repeat(REAL, case(30, 30), &run, &story, &|| told.borrow().cases())?;
    let told = told.into_inner();
    println!("against OpenBao: {told:?}");
    told.check()
}

#[test]
fn random_cases_are_decided_as_the_naive_rules_say() -> Result {
    let cases = Cell::new(0);
    let run = |case: &Case| {
        let acl = case.policies.acl()?;
        cases.set(cases.get() + case.paths.len() + case.asks.len());
        case.paths.iter().try_for_each(|path| capabilities(&acl, &case.policies, path).map(|_| ()))?;
        case.asks.iter().try_for_each(|ask| decision(&acl, &case.policies, ask).map(|_| ()))
    };
    let wanted = NAIVE[usize::from(random::long())];
    repeat(wanted, case(30, 30), &run, &|case, why| told(case, why, &[]), &|| cases.get())?;
    println!("against the naive rules: {} cases", cases.get());
    Ok(())
}

/// Runs cases until `done` says that enough were asked.
fn repeat(
    wanted: usize,
    cases: impl Strategy<Value = Case>,
    run: &dyn Fn(&Case) -> Result<(), String>,
    story: &dyn Fn(&Case, &str) -> String,
    done: &dyn Fn() -> usize,
) -> Result {
    let mut runner = random::runner(4_000);
    while done() < wanted {
        let tree = cases.new_tree(&mut runner).map_err(|why| why.to_string())?;
        match runner.run_one(tree, |case| run(&case).map_err(TestCaseError::fail)) {
            Err(TestError::Fail(why, case)) => return Err(story(&case, &why.to_string()).into()),
            outcome => _ = outcome.map_err(|why| why.to_string())?,
        }
    }
    Ok(())
}

/// What a run against the real server met.
#[derive(Debug, Default)]
struct Told {
    capabilities: usize,
    allowed: BTreeMap<&'static str, usize>,
    refused: BTreeMap<&'static str, usize>,
    /// Allowed where `sudo` is needed.
    sudo: usize,
    /// Where Warder refuses a number or nested object that a policy denies and OpenBao does not.
    stricter: usize,
    /// Refusals by the engine's reasons, names taken out.
    reasons: BTreeMap<String, usize>,
}

impl Told {
    fn cases(&self) -> usize {
        self.capabilities + self.allowed.values().sum::<usize>() + self.refused.values().sum::<usize>()
    }

    /// A run that met nothing proves nothing, and an accepted difference that is gone must go.
    fn check(&self) -> Result {
        for word in ["create", "delete", "list", "patch", "read", "update"] {
            let count = |map: &BTreeMap<&str, usize>| map.get(word).copied().unwrap_or_default();
            if count(&self.allowed) < 50 || count(&self.refused) < 50 {
                return Err(format!("too few decisions about {word}: {self:?}").into());
            }
        }
        for reason in [
            "denies everything",
            "denies all parameters",
            "denies the parameter",
            "denies this value",
            "does not allow the parameter",
            "does not allow this value",
            "also needs sudo",
            "requires the parameter",
            "requires response wrapping",
            "outside of the rule's range",
        ] {
            if !self.reasons.keys().any(|met| met.contains(reason)) {
                return Err(format!("no refusal because a rule \"{reason}\": {self:?}").into());
            }
        }
        if self.sudo < 20 {
            return Err(format!("hardly a path that needs sudo was allowed: {self:?}").into());
        }
        match self.stricter {
            0 => Err("the accepted difference about denied numbers was never met, strike it".into()),
            _ => Ok(()),
        }
    }
}

/// The real server with its mounts.
struct Oracle {
    http: Http,
    /// Numbers the policies, which are never reused.
    sets: Cell<usize>,
    present: RefCell<HashSet<String>>,
}

/// A token with a case's policies.
struct Caller {
    token: String,
    /// What made it, for a story.
    made: Vec<String>,
}

impl Oracle {
    fn over(http: Http) -> Result<Self> {
        let this = Self { http, sets: Cell::new(0), present: RefCell::default() };
        for mount in MOUNTS {
            this.mount(mount).send()?.expect_status(204)?;
        }
        Ok(this)
    }

    fn mount(&self, mount: &str) -> Call<'_> {
        let body = json!({"type": "kv", "options": {"version": "1"}});
        self.http.post(&format!("/v1/sys/mounts/{mount}")).json(&body)
    }

    fn compare(&self, case: &Case, told: &mut Told) -> Result<(), String> {
        let acl = case.policies.acl()?;
        let caller = self.caller(&case.policies).map_err(|why| why.to_string())?;
        let theirs = self.capabilities(&caller, &case.paths).map_err(|why| why.to_string())?;
        for (path, theirs) in case.paths.iter().zip(theirs) {
            let ours = capabilities(&acl, &case.policies, path)?;
            told.capabilities += 1;
            if json!(ours) != theirs {
                return Err(format!("capabilities on {path}: OpenBao says {theirs}, Warder's engine {ours:?}"));
            }
        }
        let http = self.http.with_token(&caller.token);
        case.asks.iter().try_for_each(|ask| self.ask(&acl, &case.policies, &http, ask, told))
    }

    fn ask(&self, acl: &Acl, policies: &Policies, http: &Http, ask: &Ask, told: &mut Told) -> Result<(), String> {
        let ours = decision(acl, policies, ask)?;
        let (status, text) = self.answer(http, ask).map_err(|why| why.to_string())?;
        if matches!(status, 429 | 500..) {
            return Err(format!("{ask:?}: OpenBao did not decide: {status} {text}"));
        }
        let theirs = status != 403;
        if theirs != naive::allows(policies, ask, Whose::OpenBao) {
            return Err(format!("{ask:?}: OpenBao answers {status} {text}, Warder's engine says allowed = {ours}"));
        }
        told.stricter += usize::from(theirs && !ours);
        told.sudo += usize::from(ours && warder_core::authz::privileged(&ask.path));
        let met = if ours { &mut told.allowed } else { &mut told.refused };
        *met.entry(ask.operation.word()).or_default() += 1;
        if !ours {
            let fields = ask.fields()?;
            let reason = acl.explain(&ask.question(&fields)).reason;
            *told.reasons.entry(reason.split('"').next().unwrap_or_default().to_owned()).or_default() += 1;
        }
        Ok(())
    }

    fn answer(&self, http: &Http, ask: &Ask) -> Result<(u16, String)> {
        if ask.writes() {
            self.prepare(ask)?;
        }
        let reply = ask.call(http).send()?;
        if (200..300).contains(&reply.status) {
            match ask.operation {
                Operation::Create | Operation::Update => _ = self.present.borrow_mut().insert(ask.path.clone()),
                Operation::Delete => _ = self.present.borrow_mut().remove(&ask.path),
                _ => {}
            }
        }
        Ok((reply.status, reply.text()))
    }

    /// Puts there what an update finds, removes what a create must not find.
    fn prepare(&self, ask: &Ask) -> Result {
        let mut present = self.present.borrow_mut();
        match (ask.operation, present.contains(&ask.path)) {
            (Operation::Create, true) => {
                self.http.delete(&format!("/v1/{}", ask.path)).send()?.expect_status(204)?;
                present.remove(&ask.path);
            }
            (Operation::Update, false) => {
                self.http.put(&format!("/v1/{}", ask.path)).json(&json!({"x": 1})).send()?.expect_status(204)?;
                present.insert(ask.path.clone());
            }
            _ => {}
        }
        Ok(())
    }

    fn caller(&self, policies: &Policies) -> Result<Caller> {
        let set = self.sets.get();
        self.sets.set(set + 1);
        let (mut names, mut made) = (Vec::new(), Vec::new());
        for (number, text) in policies.texts().iter().enumerate() {
            let name = format!("set-{set}-{number}");
            let call = self.http.put(&format!("/v1/sys/policies/acl/{name}")).json(&json!({"policy": text}));
            made.push(call.curl());
            call.send()?.expect_status(204)?;
            names.push(name);
        }
        let body = json!({"policies": names, "no_default_policy": true, "type": "batch", "ttl": "1h"});
        let call = self.http.post("/v1/auth/token/create").json(&body);
        made.push(call.curl());
        let token = call.send()?.expect_status(200)?.json()?["auth"]["client_token"].as_str().map(str::to_owned);
        Ok(Caller { token: token.ok_or("no token in the answer")?, made })
    }

    fn capabilities(&self, caller: &Caller, paths: &[String]) -> Result<Vec<Value>> {
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        let body = json!({"token": caller.token, "paths": paths});
        let reply = self.http.post("/v1/sys/capabilities").json(&body).send()?.expect_status(200)?.json()?;
        Ok(paths.iter().map(|path| reply["data"][path.as_str()].clone()).collect())
    }

    /// Runs the shortest case once more, to tell how.
    fn story(&self, case: &Case, why: &str) -> String {
        let Ok(caller) = self.caller(&case.policies) else { return told(case, why, &[]) };
        let start = "# bao server -dev -dev-root-token-id=root, then as root, and with the new token:";
        let mounts = MOUNTS.map(|mount| self.mount(mount).curl());
        let mut lines = [vec![start.to_owned()], mounts.to_vec(), caller.made.clone()].concat();
        let http = self.http.with_token(&caller.token);
        if !case.paths.is_empty() {
            let body = json!({"token": caller.token, "paths": case.paths});
            lines.push(self.http.post("/v1/sys/capabilities").json(&body).curl());
        }
        for ask in &case.asks {
            let there = format!("/v1/{}", ask.path);
            match ask.operation {
                Operation::Create => lines.push(self.http.delete(&there).curl()),
                Operation::Update => lines.push(self.http.put(&there).json(&json!({"x": 1})).curl()),
                _ => {}
            }
            lines.push(ask.call(&http).curl());
        }
        told(case, why, &lines)
    }
}

/// The engine's decision, which must be that of the naive rules.
pub(crate) fn decision(acl: &Acl, policies: &Policies, ask: &Ask) -> Result<bool, String> {
    let fields = ask.fields()?;
    let question = ask.question(&fields);
    let allowed = acl.decide(&question) == Decision::Allowed;
    if allowed != naive::allows(policies, ask, Whose::Warder) {
        return Err(format!(
            "{ask:?}: the engine says allowed = {allowed}, the naive rules differ: {:?}",
            acl.explain(&question)
        ));
    }
    Ok(allowed)
}

fn capabilities(acl: &Acl, policies: &Policies, path: &str) -> Result<Vec<&'static str>, String> {
    let (engine, naive) = (acl.capabilities(path), naive::capabilities(policies, path));
    if engine != naive {
        return Err(format!("capabilities on {path}: the engine says {engine:?}, the naive rules {naive:?}"));
    }
    Ok(engine)
}

/// The story of a failure.
pub(crate) fn told(case: &Case, why: &str, commands: &[String]) -> String {
    let policies: String = case.policies.texts().iter().map(|text| format!("--- policy\n{text}")).collect();
    let asks: String = case.asks.iter().map(|ask| format!("{ask:?}\n")).collect();
    format!(
        "{why}\n\nThe shortest case found, WARDER_TEST_SEED={}:\n{policies}--- asked\n{:?}\n{asks}--- to see it again\n{}",
        random::seed(),
        case.paths,
        commands.join("\n")
    )
}
