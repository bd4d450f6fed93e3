//! The real binary decides as its engine does, through `/v1` and `/api/v1` alike, answers from
//! memory included, and a changed policy counts for the very next request.

use std::{cell::RefCell, collections::BTreeMap};

use proptest::{
    collection::{btree_map, vec},
    prelude::*,
    sample::{Index, select, subsequence},
    test_runner::{TestCaseError, TestError},
};
use serde_json::{Value, json};
use warder_core::request::Operation;
use warder_testkit::{Call, Http, Result, Warder};

use super::{
    case::{Ask, Block, Case, Parameters, Policies, near},
    decisions::{decision, told},
    random,
};

/// Decisions compared, each through both doors: the default and the long form.
const DECISIONS: [usize; 2] = [300, 10_000];

#[test]
fn both_doors_decide_as_the_engine_does() -> Result {
    let warder = Warder::dev().start()?;
    let doors = Doors::of(&warder)?;
    let mut runner = random::runner(300);
    while doors.count() < DECISIONS[usize::from(random::long())] {
        let tree = change().new_tree(&mut runner).map_err(|why| why.to_string())?;
        let run = |change: Change| doors.compare(&change).map_err(TestCaseError::fail);
        match runner.run_one(tree, run) {
            Err(TestError::Fail(why, change)) => return Err(doors.story(&change, &why.to_string()).into()),
            outcome => _ = outcome.map_err(|why| why.to_string())?,
        }
    }
    println!("through the doors: {:?}", doors.told.borrow());
    doors.check(&warder)
}

/// The native door once made a number of the version, and the text in the policy was no longer it:
/// what `/v1` refused was answered there.
#[test]
fn a_condition_on_the_version_holds_at_both_doors() -> Result {
    let warder = Warder::dev().start()?;
    let doors = Doors::of(&warder)?;
    for (conditions, version, allowed) in
        [("allowed", "1", true), ("allowed", "2", false), ("denied", "1", false), ("denied", "2", true)]
    {
        let listed = Parameters::from([("version", vec![json!("1")])]);
        let (yes, no) = (listed.clone(), Parameters::new());
        let (allows, denies) = if conditions == "allowed" { (yes, no) } else { (no, listed) };
        let block = Block {
            path: "a/data/*".to_owned(),
            capabilities: vec!["read"],
            allowed: allows,
            denied: denies,
            required: Vec::new(),
            min_wrap: 0,
            max_wrap: 0,
        };
        let policies = Policies(vec![vec![block]]);
        let fields = BTreeMap::from([("version", json!(version))]);
        let ask = Ask { operation: Operation::Read, path: "a/data/a".to_owned(), fields, wrap: None };
        assert_eq!(decision(&policies.acl()?, &policies, &ask)?, allowed, "{conditions} {version}");
        doors.compare(&Change { before: policies.clone(), after: policies, asks: vec![ask] })?;
    }
    Ok(())
}

/// The same asked under one set of policies and then under another of the same names.
#[derive(Clone, Debug)]
struct Change {
    before: Policies,
    after: Policies,
    asks: Vec<Ask>,
}

/// Decisions by operation and outcome.
type Told = BTreeMap<(&'static str, bool), usize>;

struct Doors {
    root: Http,
    sets: RefCell<usize>,
    told: RefCell<Told>,
}

impl Doors {
    fn of(warder: &Warder) -> Result<Self> {
        let root = warder.http();
        for mount in ["a", "b"] {
            let body = json!({"type": "kv", "options": {"version": "2"}});
            root.post(&format!("/v1/sys/mounts/{mount}")).json(&body).send()?.expect_status(204)?;
        }
        Ok(Self { root, sets: RefCell::default(), told: RefCell::default() })
    }

    fn count(&self) -> usize {
        self.told.borrow().values().sum()
    }

    /// A run that met nothing proves nothing.
    fn check(&self, warder: &Warder) -> Result {
        let told = self.told.borrow();
        for operation in ["create", "delete", "list", "patch", "read", "update"] {
            if [true, false].iter().any(|allowed| told.get(&(operation, *allowed)).is_none_or(|met| *met < 3)) {
                return Err(format!("too few decisions about {operation}: {told:?}").into());
            }
        }
        let metrics = warder.stranger().get("/metrics").send()?.expect_status(200)?.text();
        let hits = metrics.lines().find_map(|line| line.strip_prefix(r#"warder_cache_lookups_total{result="hit"} "#));
        match hits.and_then(|hits| hits.parse::<f64>().ok()) {
            Some(hits) if hits >= 20.0 => Ok(()),
            _ => Err(format!("hardly an answer came from memory: {hits:?} hits").into()),
        }
    }

    fn compare(&self, change: &Change) -> Result<(), String> {
        let set = self.sets.replace_with(|set| *set + 1);
        let mut token = None;
        for policies in [&change.before, &change.after] {
            for call in self.policies(set, policies) {
                call.send().and_then(|reply| reply.expect_status(204)).map_err(|why| why.to_string())?;
            }
            if token.is_none() {
                token = Some(self.token(set, policies).map_err(|why| why.to_string())?);
            }
            let http = self.root.with_token(token.as_deref().unwrap_or_default());
            change.asks.iter().try_for_each(|ask| self.ask(policies, &http, ask))?;
        }
        Ok(())
    }

    fn ask(&self, policies: &Policies, http: &Http, ask: &Ask) -> Result<(), String> {
        let allowed = decision(&policies.acl()?, policies, ask)?;
        for door in [Ask::call, native] {
            self.prepare(ask, door).map_err(|why| why.to_string())?;
            // A read is asked twice: the second answer may come from memory.
            for turn in 0..if repeatable(ask) { 2 } else { 1 } {
                let call = door(ask, http);
                let curl = call.curl();
                let reply = call.send().map_err(|why| why.to_string())?;
                let (status, text) = (reply.status, reply.text());
                if matches!(status, 400 | 401 | 429 | 500..) || (status != 403) != allowed {
                    return Err(format!(
                        "{ask:?}: the engine says allowed = {allowed}, turn {turn} of\n{curl}\nanswers {status} {text}"
                    ));
                }
            }
        }
        *self.told.borrow_mut().entry((ask.operation.word(), allowed)).or_default() += 1;
        Ok(())
    }

    /// What an operation finds, and for reads the answer in memory, where no caller may find it
    /// whom the policies refuse.
    fn prepare(&self, ask: &Ask, door: for<'a> fn(&Ask, &'a Http) -> Call<'a>) -> Result {
        for call in self.preparation(ask) {
            let reply = call.send()?;
            if !(200..300).contains(&reply.status) {
                return Err(format!("preparing {ask:?}: {} {}", reply.status, reply.text()).into());
            }
        }
        if repeatable(ask) {
            door(ask, &self.root).send()?;
        }
        Ok(())
    }

    fn preparation(&self, ask: &Ask) -> Vec<Call<'_>> {
        let there = format!("/v1/{}", ask.path);
        match ask.operation {
            Operation::Create => vec![self.root.delete(&there.replacen("/data/", "/metadata/", 1))],
            Operation::List => {
                let below = there.replacen("/metadata/", "/data/", 1) + "x";
                vec![self.root.put(&below).json(&json!({"data": {"x": 1}}))]
            }
            _ => vec![self.root.put(&there).json(&json!({"data": {"x": 1}}))],
        }
    }

    fn policies(&self, set: usize, policies: &Policies) -> Vec<Call<'_>> {
        let put = |(number, text): (usize, String)| {
            let target = format!("/v1/sys/policies/acl/set-{set}-{number}");
            self.root.put(&target).json(&json!({"policy": text}))
        };
        policies.texts().into_iter().enumerate().map(put).collect()
    }

    fn token(&self, set: usize, policies: &Policies) -> Result<String> {
        let names: Vec<_> = (0..policies.0.len()).map(|number| format!("set-{set}-{number}")).collect();
        let body = json!({"policies": names, "no_default_policy": true});
        let reply = self.root.post("/v1/auth/token/create").json(&body).send()?.expect_status(200)?.json()?;
        Ok(reply["auth"]["client_token"].as_str().ok_or("no token in the answer")?.to_owned())
    }

    fn story(&self, change: &Change, why: &str) -> String {
        let case = |policies: &Policies| Case { policies: policies.clone(), paths: vec![], asks: change.asks.clone() };
        let set = self.sets.replace_with(|set| *set + 1);
        let mut commands: Vec<_> = self.policies(set, &change.before).iter().map(Call::curl).collect();
        commands.push(format!("# a token with the policies set-{set}-0 and so on, and no default policy"));
        commands.extend(change.asks.iter().flat_map(|ask| self.preparation(ask)).map(|call| call.curl()));
        commands.push("# the request, as above, with that token".to_owned());
        format!(
            "{}\n--- and after the change\n{}",
            told(&case(&change.before), why, &commands),
            change.after.texts().concat()
        )
    }
}

/// Asking twice is asking the same.
const fn repeatable(ask: &Ask) -> bool {
    matches!(ask.operation, Operation::Read | Operation::List)
}

/// The request of the native door that is about the same path.
fn native<'a>(ask: &Ask, http: &'a Http) -> Call<'a> {
    let path = ask.path.replacen("/data/", "/", 1).replacen("/metadata/", "/", 1);
    let target = format!("/api/v1/secrets/{path}");
    let value = || ask.fields.get("data").cloned().unwrap_or_default();
    match ask.operation {
        Operation::List => http.get(&format!("{}?list=true", target.trim_end_matches('/'))),
        Operation::Delete => http.delete(&target),
        Operation::Patch => {
            http.call("PATCH", &target).header("Content-Type", "application/merge-patch+json").body(value().to_string())
        }
        Operation::Create | Operation::Update | Operation::Rotate => http.put(&target).json(&value()),
        Operation::Read => match ask.fields.get("version").and_then(Value::as_str) {
            Some(version) => http.get(&format!("{target}?version={version}")),
            None => http.get(&target),
        },
    }
}

fn change() -> impl Strategy<Value = Change> {
    let both = vec((vec(block(), 1..7), vec(block(), 0..7)), 1..3);
    (both, vec(ask(), 1..16)).prop_map(|(both, asks)| {
        let (before, after) = both.into_iter().unzip();
        let before = Policies(before);
        let asks = asks.into_iter().map(|(ask, aim)| aimed(ask, aim, &before)).collect();
        Change { before, after: Policies(after), asks }
    })
}

/// Half of the asks go where some rule points, if that is a path of the store.
fn aimed(ask: Ask, aim: Option<Index>, policies: &Policies) -> Ask {
    let Some(path) = aim.and_then(|index| near(policies, index, "a")) else { return ask };
    let part = if ask.operation == Operation::List { "metadata" } else { "data" };
    let mut segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    if segments.len() < 3 || !["a", "b"].contains(&segments[0]) {
        return ask;
    }
    segments[1] = part;
    let slash = if ask.operation == Operation::List { "/" } else { "" };
    Ask { path: segments.join("/") + slash, ..ask }
}

fn block() -> impl Strategy<Value = Block> {
    let conditions = (parameters(), parameters(), prop_oneof![4 => Just(vec![]), 1 => Just(vec!["version"])]);
    let some = subsequence(vec!["create", "read", "update", "list", "delete", "patch"], 1..=6);
    let capabilities = prop_oneof![7 => some, 1 => Just(vec!["deny"])];
    (rule_path(), capabilities, prop::option::of(conditions)).prop_map(|(path, capabilities, conditions)| {
        let (allowed, denied, required) = conditions.unwrap_or_default();
        Block { path, capabilities, allowed, denied, required, min_wrap: 0, max_wrap: 0 }
    })
}

fn rule_path() -> impl Strategy<Value = String> {
    let mount = select(vec!["a", "b", "+", "a"]);
    let part = select(vec!["data", "metadata", "+", "data", "+"]);
    let rest = vec(select(vec!["a", "b", "ab", "+"]), 0..3);
    (mount, part, rest, select(vec!["", "/*", "*", "/", "/*"]))
        .prop_map(|(mount, part, rest, end)| ([vec![mount, part], rest].concat().join("/") + end).replace("+*", "+/*"))
}

fn parameters() -> impl Strategy<Value = Parameters> {
    let values = vec(select(vec![json!({"k": "a"}), json!("1"), json!("*"), json!("1*")]), 0..3);
    let some = btree_map(select(vec!["data", "version", "data", "*"]), values, 0..3);
    prop_oneof![2 => Just(Parameters::new()), 1 => some]
}

fn ask() -> impl Strategy<Value = (Ask, Option<Index>)> {
    use Operation::{Create, Delete, List, Patch, Read, Update};
    let operation = select(vec![Read, List, Create, Update, Delete, Patch, Read, List]);
    let path = (select(vec!["a", "b"]), vec(select(vec!["a", "b", "ab"]), 1..4));
    let value = select(vec![json!({"k": "a"}), json!({"k": "b"})]);
    (operation, path, value, any::<bool>(), prop::option::weighted(0.8, any::<Index>())).prop_map(
        |(operation, (mount, rest), value, version, aim)| {
            let fields = match operation {
                Create | Update | Patch => BTreeMap::from([("data", value)]),
                Read if version => BTreeMap::from([("version", json!("1"))]),
                _ => BTreeMap::new(),
            };
            let (part, end) = if operation == List { ("metadata", "/") } else { ("data", "") };
            let path = format!("{mount}/{part}/{}{end}", rest.join("/"));
            (Ask { operation, path, fields, wrap: None }, aim)
        },
    )
}
