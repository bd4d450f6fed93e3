//! No type prints a secret. Types that can hold one are found in the sources of all crates: a new
//! one that prints itself by hand, or that has raw bytes or text beside its secrets, needs a row.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a broken test ends")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use warder_core::{
    audit, authn,
    broker::Initialized,
    cache::{self, Cache},
    clock::Timestamp,
    identity::{Peer, TokenKind},
    path,
    port::{
        backend::{Call, PluginAnswer, PluginReply, Target},
        storage,
    },
    request::{Address, Answer, Auth, Door, Fields, Operation, Reply, Request},
    route::Lifted,
    sealed::{Content, Form, SealedValue},
    secret::Secret,
    txn::ReadSet,
};

const MARK: &str = "cAnArY7f3a91";

/// Types that print themselves by hand and whose fields are all named here, as the source shows
/// them; `None`: they have a row in [`shown`].
const BY_HAND: &[(&str, Option<&[&str]>)] = &[
    ("Attempts", Some(&[])),
    ("Barrier", Some(&["sealed"])),
    ("Broker", Some(&["open"])),
    ("Cache", None),
    ("Call", None),
    ("Content", None),
    ("CreateToken", None),
    ("Dev", Some(&["listen", "data_dir"])),
    ("Entry", None),
    ("Exporter", Some(&["config"])),
    ("Feed", Some(&["config"])),
    ("Fields", None),
    ("Item", Some(&["revision", "news"])),
    ("Lifted", None),
    ("Listener", Some(&["listening"])),
    ("Mounts", Some(&[])),
    ("Open", Some(&["span"])),
    ("Parts", Some(&["config"])),
    ("Place", Some(&[])),
    ("Place", Some(&["prefix", "seen"])),
    ("PluginAnswer", None),
    ("Route", Some(&[])),
    ("Running", Some(&[])),
    ("Running", Some(&["listening"])),
    ("Secret", None),
    ("Store", Some(&["barrier"])),
    ("Sys", Some(&[])),
    ("Tokens", Some(&["config"])),
    ("Transaction", Some(&["prefix", "reads", "writes"])),
    ("Watch", Some(&["place"])),
    ("Wired", Some(&["listeners"])),
];

/// Each type of core that a test can make, with the mark wherever a secret can be.
fn shown() -> Vec<(&'static str, String)> {
    let json = || Secret::from(format!("\"{MARK}\""));
    let fields = || Arc::new(Fields::from_json(format!("{{\"password\":\"{MARK}\"}}").as_bytes()).unwrap());
    let sealed = || SealedValue { bytes: Secret::from(MARK), form: Form::Text, known: false };
    let secrets = || vec![("/data".to_owned(), sealed())];
    let place = || path::Path::parse("secret/data/a").unwrap();
    let auth = || Auth {
        token: Secret::from(MARK),
        accessor: String::new(),
        policies: Vec::new(),
        ttl: Duration::ZERO,
        renewable: false,
        entity_id: None,
        metadata: BTreeMap::new(),
        kind: TokenKind::Service,
        orphan: false,
        num_uses: 0,
    };
    let mut entry = audit::Entry::new("id", Timestamp::default(), "read", "secret/data/a");
    (entry.token, entry.fields) = (Some(Secret::from(MARK)), Some(fields()));
    let cached = || {
        cache::Entry::new(Some(Answer::Document(json())), Vec::new(), Timestamp::default(), None, ReadSet::default())
    };
    let cache = Cache::new(1 << 20);
    let key =
        cache::Key { mount: "m".into(), operation: Operation::Read, path: place(), parameters: None, caller: None };
    cache.keep(cache.ticket(), &key, None, cached());
    let write = || storage::Write::Put { key: "a".into(), value: Secret::from(MARK) };
    let reply = || Reply { auth: Some(auth()), ..Reply::new(Operation::Read, place(), Answer::Document(json())) };
    let request = Request {
        id: "id".into(),
        door: Door::Native,
        credential: Some(Secret::from(MARK)),
        peer: Peer::default(),
        operation: Operation::Read,
        address: Address::Canonical(place()),
        fields: Fields::from_json(format!("{{\"password\":\"{MARK}\"}}").as_bytes()).unwrap(),
        refresh: false,
        deadline: Duration::ZERO,
    };
    let call = Call {
        id: "id".into(),
        operation: Operation::Read,
        target: Target { route: String::new(), path: "a".into(), captures: Vec::new() },
        data: MARK.into(),
        secrets: secrets(),
        lease_id: None,
        default_ttl: Duration::ZERO,
        max_ttl: Duration::ZERO,
    };
    let raw = || PluginAnswer::Raw { status: 200, content_type: String::new(), body: MARK.into() };
    let document = || PluginAnswer::Document { data: MARK.into(), secrets: secrets() };
    let gone = || PluginAnswer::Gone { data: MARK.into(), secrets: secrets() };
    let replied = PluginReply { answer: document(), grant: None, fresh: None, version: None, warnings: Vec::new() };
    let wanted: authn::CreateToken = serde_json::from_value(serde_json::json!({ "id": MARK })).unwrap();
    vec![
        row("Answer", &Answer::Gone(json())),
        row("Answer", &Answer::Raw { status: 200, content_type: String::new(), body: json() }),
        row("Auth", &auth()),
        row("Batch", &storage::Batch { checks: Vec::new(), writes: vec![write()] }),
        row("Cache", &cache),
        row("Call", &call),
        row("Content", &Content::Plain(MARK.into())),
        row("Content", &Content::Sealed(sealed())),
        row("CreateToken", &wanted),
        row("Entry", &entry),
        row("Entry", &cached()),
        row("Entry", &storage::Entry { value: Secret::from(MARK), revision: 1 }),
        row("Fields", &fields()),
        row("Initialized", &Initialized { shares: vec![json()], root_token: json() }),
        row("Lifted", &Lifted { data: MARK.into(), secrets: secrets(), unknown: Vec::new() }),
        row("Outcome", &audit::Outcome::of(&reply(), None)),
        row("PluginAnswer", &raw()),
        row("PluginAnswer", &document()),
        row("PluginAnswer", &gone()),
        row("PluginReply", &replied),
        row("Record", &audit::Record::open(&entry)),
        row("Reply", &reply()),
        row("Request", &request),
        row("SealedValue", &sealed()),
        row("Secret", &Secret::from(MARK)),
        row("Write", &write()),
    ]
}

fn row(name: &'static str, value: &dyn Debug) -> (&'static str, String) {
    (name, format!("{value:?}\n{value:#?}"))
}

#[test]
fn no_type_of_core_prints_a_secret_that_it_holds() {
    let numbers: Vec<String> = MARK.bytes().map(|byte| byte.to_string()).collect();
    for (name, text) in shown() {
        let bytes = [", ", ",\n"].map(|between| numbers[..4].join(between));
        assert!(!text.contains(MARK) && !bytes.iter().any(|list| text.contains(list)), "{name} prints: {text}");
    }
}

#[test]
fn every_type_that_can_hold_a_secret_and_prints_itself_is_known_here() {
    let types = types();
    let holders = holders(&types);
    let rows: BTreeSet<&str> = shown().iter().map(|(name, _)| *name).collect();
    let (mut by_hand, mut wrong) = (BTreeSet::new(), Vec::new());
    for Type { file, name, body, derives, prints } in types.iter().filter(|found| holders.contains(&found.name)) {
        let open = open_fields(body);
        if *derives && !open.is_empty() {
            wrong
                .push(format!("{name} in {file} derives Debug and prints {open:?}: write it by hand, with a row here"));
        }
        let Some(fields) = prints else { continue };
        by_hand.insert(name.as_str());
        // Two types of different crates may have one name, and a row each.
        let known = BY_HAND.iter().filter(|(known, _)| known == name).any(|(_, known)| match known {
            Some(known) => fields == known,
            None => rows.contains(name.as_str()),
        });
        if !known {
            wrong.push(format!("{name} in {file} can hold a secret and prints {fields:?} by hand: give it a row"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let gone: Vec<_> = BY_HAND.iter().filter(|(name, _)| !by_hand.contains(name)).collect();
    assert!(gone.is_empty(), "rows without a type: {gone:?}");
    assert!(holders.len() > 40, "the sources are not read any more: {holders:?}");
}

/// A struct or enum as its source shows it.
struct Type {
    file: String,
    name: String,
    body: String,
    derives: bool,
    /// Members that a `Debug` written by hand shows.
    prints: Option<Vec<String>>,
}

fn types() -> Vec<Type> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let crates = ["broker/core", "broker/store", "broker/runtime", "broker/server", "proto"];
    let files = crates.iter().flat_map(|name| sources(&root.join(name).join("src")));
    files.flat_map(|file| parse(&file.display().to_string(), &source(&file))).collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match name.as_str() {
            "fuzzing.rs" | "gen" | "testing.rs" | "tests" | "tests.rs" => {}
            _ if path.is_dir() => files.extend(sources(&path)),
            _ if name.ends_with(".rs") => files.push(path),
            _ => {}
        }
    }
    files
}

/// Without comments and tests.
fn source(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn parse(file: &str, source: &str) -> Vec<Type> {
    let mut types = Vec::new();
    let lines: Vec<&str> = source.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let words: Vec<&str> = line.split([' ', '<', '(', '{', ';']).filter(|word| !word.is_empty()).collect();
        let Some(keyword) = words.iter().position(|word| matches!(*word, "struct" | "enum")) else { continue };
        let named = words.get(keyword + 1).filter(|name| name.starts_with(char::is_uppercase));
        // `fn`, `impl` and strings have the words, too; a definition has only its visibility before.
        let plain =
            words[..keyword].iter().all(|word| word.starts_with("pub") || matches!(*word, "crate)" | "super)" | "in"));
        let (Some(name), true) = (named, plain) else { continue };
        let attributes =
            lines[..at].iter().rev().take_while(|line| line.trim_start().starts_with("#[") || line.trim().is_empty());
        types.push(Type {
            file: file.to_owned(),
            name: (*name).to_owned(),
            body: definition(&lines[at..].join("\n")),
            derives: attributes.clone().any(|line| line.contains("derive(") && line.contains("Debug")),
            prints: printed(source, name),
        });
    }
    types
}

/// Up to the bracket that closes the first one, or to the semicolon.
fn definition(text: &str) -> String {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' | '(' => depth += 1,
            '}' | ')' => depth -= 1,
            ';' if depth == 0 => return text[..at].to_owned(),
            _ => {}
        }
        if c == '}' && depth == 0 {
            return text[..=at].to_owned();
        }
    }
    text.to_owned()
}

fn printed(source: &str, name: &str) -> Option<Vec<String>> {
    let at = source.find(&format!("Debug for {name}<")).or_else(|| source.find(&format!("Debug for {name} ")))?;
    let body = definition(&source[at..]);
    Some(body.split(".field(\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect())
}

/// Names of all types that hold a secret, themselves or through others.
fn holders(types: &[Type]) -> BTreeSet<String> {
    let mut holders: BTreeSet<String> = ["Secret".to_owned(), "Zeroizing".to_owned()].into();
    loop {
        let more: Vec<&Type> = types
            .iter()
            .filter(|found| !holders.contains(&found.name) && holders.iter().any(|name| mentions(&found.body, name)))
            .collect();
        if more.is_empty() {
            return holders;
        }
        holders.extend(more.iter().map(|found| found.name.clone()));
    }
}

/// In the place of a type: behind a colon, a comma, an opening bracket or a reference.
fn mentions(body: &str, name: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    body.match_indices(name).any(|(at, _)| {
        let whole = !body[..at].ends_with(part) && !body[at + name.len()..].starts_with(part);
        // What begins a line is a variant of an enum.
        let first = body[..at].rsplit_once('\n').is_some_and(|(_, before)| before.trim().is_empty());
        whole && !first && body[..at].trim_end().ends_with([':', '<', '(', '&', ','])
    })
}

/// Fields whose bytes or text a derived `Debug` would print, and that are no name.
fn open_fields(body: &str) -> Vec<String> {
    const TEXTS: [&str; 9] = ["body", "data", "document", "json", "key", "password", "secret", "text", "token"];
    let fields = body.lines().filter_map(|line| line.trim().split_once(": "));
    let open = fields.filter(|(name, kind)| {
        let name = name.trim_start_matches("pub ").trim_start_matches("pub(crate) ");
        let raw = kind.contains("Vec<u8>") || kind.contains("[u8") || kind.starts_with("Bytes");
        raw && !kind.contains("Zeroizing") || kind.starts_with("String") && TEXTS.contains(&name) && name != "key"
    });
    open.map(|(name, kind)| format!("{name}: {kind}")).collect()
}
