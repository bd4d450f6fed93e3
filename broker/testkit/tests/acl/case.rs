//! Random policies and what is asked of them. The alphabets are small and share prefixes, so that
//! rules collide. Made as data, because the naive rules judge the data and the servers its HCL.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use proptest::{
    collection::{btree_map, vec},
    prelude::*,
    sample::{Index, select, subsequence},
};
use serde_json::{Value, json};
use warder_core::{
    authz::{self, Acl, Policy, Question},
    request::{Fields, Operation},
};
use warder_testkit::{Call, Http};

/// First segments below which OpenBao has a KV version 1 mount: it takes any path and tells
/// create from update.
pub(crate) const MOUNTS: [&str; 3] = ["a", "b", "ab"];

/// What a caller has and what is asked with it.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) policies: Policies,
    /// Asked of `sys/capabilities`.
    pub(crate) paths: Vec<String>,
    /// Sent as requests.
    pub(crate) asks: Vec<Ask>,
}

/// Several policies, each some blocks.
#[derive(Clone, Debug)]
pub(crate) struct Policies(pub(crate) Vec<Vec<Block>>);

/// A path block.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) path: String,
    pub(crate) capabilities: Vec<&'static str>,
    pub(crate) allowed: Parameters,
    pub(crate) denied: Parameters,
    pub(crate) required: Vec<&'static str>,
    /// Seconds; zero means no bound.
    pub(crate) min_wrap: u64,
    /// Seconds; zero means no bound.
    pub(crate) max_wrap: u64,
}

/// Values by parameter.
pub(crate) type Parameters = BTreeMap<&'static str, Vec<Value>>;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// Create and update are one method; which it is depends on what is there.
    pub(crate) operation: Operation,
    /// A list's ends in a slash.
    pub(crate) path: String,
    pub(crate) fields: BTreeMap<&'static str, Value>,
    /// Seconds of response wrapping.
    pub(crate) wrap: Option<u64>,
}

impl Policies {
    /// The texts, one a policy.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.0.iter().map(|blocks| blocks.iter().map(Block::hcl).fold("# rules\n".to_owned(), |a, b| a + &b)).collect()
    }

    /// Warder's engine over them.
    pub(crate) fn acl(&self) -> Result<Acl, String> {
        let parse = |(number, text): (usize, &String)| {
            Policy::parse(&format!("p{number}"), text).map(Into::into).map_err(|why| format!("{why} in\n{text}"))
        };
        self.texts().iter().enumerate().map(parse).collect::<Result<Vec<_>, _>>().map(|policies| Acl::new(&policies))
    }
}

impl Block {
    fn hcl(&self) -> String {
        let mut text = format!("path {} {{\n  capabilities = {:?}\n", json!(self.path), self.capabilities);
        for (name, parameters) in [("allowed_parameters", &self.allowed), ("denied_parameters", &self.denied)] {
            if !parameters.is_empty() {
                _ = writeln!(text, "  {name} = {{");
                for (name, values) in parameters {
                    _ = writeln!(text, "    {} = {}", json!(name), literal(&json!(values)));
                }
                text.push_str("  }\n");
            }
        }
        if !self.required.is_empty() {
            _ = writeln!(text, "  required_parameters = {:?}", self.required);
        }
        for (name, seconds) in [("min_wrapping_ttl", self.min_wrap), ("max_wrapping_ttl", self.max_wrap)] {
            if seconds > 0 {
                _ = writeln!(text, "  {name} = \"{seconds}s\"");
            }
        }
        text + "}\n"
    }
}

fn literal(value: &Value) -> String {
    match value {
        Value::Array(values) => format!("[{}]", values.iter().map(literal).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let members: Vec<_> = members.iter().map(|(name, value)| format!("{name} = {}", literal(value))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        value => value.to_string(),
    }
}

impl Ask {
    /// The same about another path, in the shape that its operation takes.
    fn aimed(self, path: Option<String>) -> Self {
        let path = shaped(self.operation, path.unwrap_or(self.path));
        Self { path, ..self }
    }

    /// Create or update.
    pub(crate) const fn writes(&self) -> bool {
        matches!(self.operation, Operation::Create | Operation::Update)
    }

    /// What the engine is asked.
    pub(crate) fn question<'a>(&'a self, fields: &'a Fields) -> Question<'a> {
        Question {
            operation: self.operation,
            path: &self.path,
            fields,
            privileged: authz::privileged(&self.path),
            wrap_ttl: self.wrap.map(Duration::from_secs),
        }
    }

    /// Body or query as the broker sees it.
    pub(crate) fn fields(&self) -> Result<Fields, String> {
        Fields::from_json(json!(self.fields).to_string().as_bytes()).map_err(|why| why.to_string())
    }

    /// The request that asks it.
    pub(crate) fn call<'a>(&self, http: &'a Http) -> Call<'a> {
        let target = format!("/v1/{}", self.path);
        let call = match self.operation {
            Operation::Create | Operation::Update | Operation::Rotate => http.put(&target).json(&json!(self.fields)),
            Operation::Delete => http.delete(&target),
            Operation::List => http.call("LIST", &target),
            Operation::Patch => http
                .call("PATCH", &target)
                .header("Content-Type", "application/merge-patch+json")
                .body(json!(self.fields).to_string()),
            Operation::Read => http.get(&(target + &self.query())),
        };
        match self.wrap {
            Some(seconds) => call.header("X-Vault-Wrap-TTL", &seconds.to_string()),
            None => call,
        }
    }

    fn query(&self) -> String {
        let text = |value: &Value| value.as_str().unwrap_or_default().replace('*', "%2A");
        let pairs: Vec<_> = self.fields.iter().map(|(name, value)| format!("{name}={}", text(value))).collect();
        if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
    }
}

/// Cases of at most so many paths and asks.
pub(crate) fn case(paths: usize, asks: usize) -> impl Strategy<Value = Case> {
    let request = || prop_oneof![8 => request_path(), 1 => select(SYSTEM).prop_map(str::to_owned)];
    (policies(), vec((aim(), request()), 0..=paths), vec((aim(), ask()), 0..=asks)).prop_map(
        |(policies, paths, asks)| {
            let hit = |aim: Aim| aim.and_then(|(index, end)| near(&policies, index, end));
            let paths = paths.into_iter().map(|(aim, path)| hit(aim).unwrap_or(path)).collect();
            let asks = asks.into_iter().map(|(aim, ask)| ask.aimed(hit(aim))).collect();
            Case { policies, paths, asks }
        },
    )
}

/// Which rule to go near, and what to put for its `*`.
type Aim = Option<(Index, &'static str)>;

fn aim() -> impl Strategy<Value = Aim> {
    prop::option::weighted(0.75, (any::<Index>(), select(vec!["", "a", "b/a", "/", "+a"])))
}

/// A path that a rule of the policies could be about.
pub(crate) fn near(policies: &Policies, index: Index, end: &str) -> Option<String> {
    let rules: Vec<_> = policies.0.iter().flatten().map(|block| block.path.as_str()).collect();
    let rule = *rules.get(index.index(rules.len().max(1)))?;
    let (rule, end) = rule.strip_suffix('*').map_or((rule, ""), |rule| (rule, end));
    let segments: Vec<_> = rule.split('/').map(|segment| if segment == "+" { "a" } else { segment }).collect();
    Some((segments.join("/") + end).replace("//", "/")).filter(|path| !path.is_empty() && path != "/")
}

fn policies() -> impl Strategy<Value = Policies> {
    let block = || prop_oneof![5 => block(), 4 => conditional(), 1 => privileged()];
    vec(vec(block(), 0..7), 1..4).prop_map(Policies)
}

/// Few paths, so that blocks of several policies meet; half of the blocks have conditions.
fn block() -> impl Strategy<Value = Block> {
    let conditions = (parameters(), parameters(), required(), wrapping());
    (rule_path(), capabilities(), prop::option::of(conditions)).prop_map(|(path, capabilities, conditions)| {
        let (allowed, denied, required, (min_wrap, max_wrap)) = conditions.unwrap_or_default();
        Block { path, capabilities, allowed, denied, required, min_wrap, max_wrap }
    })
}

/// A block about the system, where `sudo` or its absence decides.
fn privileged() -> impl Strategy<Value = Block> {
    let capabilities = select(vec![vec!["read", "list"], vec!["read", "list", "sudo"], vec!["read", "sudo"]]);
    (select(SYSTEM_RULES), capabilities).prop_map(|(path, capabilities)| Block {
        path: path.to_owned(),
        capabilities,
        allowed: Parameters::new(),
        denied: Parameters::new(),
        required: Vec::new(),
        min_wrap: 0,
        max_wrap: 0,
    })
}

/// A block whose conditions are what decides.
fn conditional() -> impl Strategy<Value = Block> {
    let path = select(vec!["a/*", "a/a", "b/+", "ab/+/a", "+/b"]);
    (path, parameters(), parameters(), required(), wrapping()).prop_map(
        |(path, allowed, denied, required, (min_wrap, max_wrap))| {
            let capabilities = vec!["create", "read", "update", "list", "delete", "patch"];
            Block { path: path.to_owned(), capabilities, allowed, denied, required, min_wrap, max_wrap }
        },
    )
}

fn rule_path() -> impl Strategy<Value = String> {
    let first = select(vec!["a", "b", "ab", "+"]);
    let segments = vec(select(vec!["a", "b", "ab", "+", "+a", "a+"]), 0..4);
    let ends = select(vec!["", "*", "/*", "/", "*"]);
    (first, segments, ends).prop_map(|(first, segments, end)| {
        let path = [vec![first], segments].concat().join("/") + end;
        // Neither server takes this for a wildcard.
        path.replace("+*", "+/*")
    })
}

fn capabilities() -> impl Strategy<Value = Vec<&'static str>> {
    let some = subsequence(vec!["create", "read", "update", "list", "delete", "patch", "sudo"], 0..=7);
    prop_oneof![9 => some, 1 => Just(vec!["deny"]), 1 => Just(vec!["read", "deny"])]
}

/// Mostly of none or one parameter.
fn parameters() -> impl Strategy<Value = Parameters> {
    let some = btree_map(select(vec!["K", "j", "K", "j", "K", "j", "*"]), vec(constant(), 0..3), 0..3);
    prop_oneof![1 => Just(Parameters::new()), 1 => some]
}

fn required() -> impl Strategy<Value = Vec<&'static str>> {
    prop_oneof![16 => Just(Vec::new()), 1 => vec(select(vec!["k", "J"]), 1..3)]
}

fn wrapping() -> impl Strategy<Value = (u64, u64)> {
    prop_oneof![24 => Just((0, 0)), 1 => select(vec![(60, 0), (0, 90), (60, 90), (90, 90)])]
}

fn constant() -> impl Strategy<Value = Value> {
    let glob = select(vec!["a", "a*", "*b", "*ab*", "*", "**", "b"]).prop_map(Value::from);
    prop_oneof![1 => glob, 1 => value()]
}

fn value() -> impl Strategy<Value = Value> {
    let others =
        [json!(true), json!(3), json!(3), json!(["a"]), json!(["a", 3]), json!({"a": "b"}), json!({"a": {"b": "c"}})];
    let text = select(vec!["a", "b", "ab", "bab", "*", ""]).prop_map(Value::from);
    prop_oneof![1 => text, 1 => select(others.to_vec())]
}

fn request_path() -> impl Strategy<Value = String> {
    let segments = vec(select(vec!["a", "b", "ab", "aba", "+a", "a+"]), 1..4);
    (select(MOUNTS.to_vec()), segments, prop::bool::weighted(0.2)).prop_map(|(mount, segments, folder)| {
        let path = [vec![mount], segments].concat().join("/");
        if folder { path + "/" } else { path }
    })
}

fn ask() -> impl Strategy<Value = Ask> {
    use Operation::{Create, Delete, List, Patch, Read, Update};
    let names = || select(vec!["k", "K", "j", "J"]);
    let wrap = || prop_oneof![6 => Just(None), 1 => select(vec![Some(59), Some(60), Some(90), Some(91)])];
    let written =
        (select(vec![Create, Update, Update, Patch]), request_path(), btree_map(names(), value(), 0..3), wrap());
    let text = select(vec!["a", "b", "ab", "bab", "*"]).prop_map(Value::from);
    let paths = prop_oneof![5 => request_path(), 1 => select(SYSTEM).prop_map(str::to_owned)];
    let read = (Just(Read), paths.clone(), btree_map(names(), text, 0..2), wrap());
    let bare = (select(vec![List, List, Delete]), paths, Just(BTreeMap::new()), wrap());
    prop_oneof![3 => written, 2 => read, 2 => bare].prop_map(|(operation, path, fields, wrap)| Ask {
        operation,
        path,
        fields,
        wrap,
    })
}

/// Lists are of folders and writes of leaves below a mount; nothing of the system is written.
fn shaped(operation: Operation, path: String) -> String {
    let leaf = || path.trim_end_matches('/').to_owned();
    let mounted = path.split_once('/').is_some_and(|(mount, rest)| MOUNTS.contains(&mount) && !rest.is_empty());
    match operation {
        Operation::List => leaf() + "/",
        Operation::Read => path,
        _ if mounted => leaf(),
        _ => "a/a".to_owned(),
    }
}

/// Paths of the system that answer a read or a list, most of which need `sudo`.
const SYSTEM: &[&str] = &[
    "sys/audit",
    "sys/audit/a",
    "sys/auth",
    "sys/auth/a",
    "sys/config/cors",
    "sys/leases",
    "sys/leases/lookup/a",
    "sys/leases/lookup/a/",
    "sys/mounts",
    "sys/plugins/catalog/a",
    "sys/raw/a",
    "sys/remount",
    "auth/token/accessors",
    "auth/token/accessors/",
];

const SYSTEM_RULES: &[&str] = &[
    "*",
    "+/audit",
    "auth/+/accessors/",
    "auth/token/*",
    "auth/token/accessors",
    "sys/*",
    "sys/+/a",
    "sys/au*",
    "sys/audit/a",
    "sys/auth/*",
    "sys/leases/lookup/+",
    "sys/raw/*",
];
