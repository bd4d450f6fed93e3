//! The arrows between core's rooms and between the crates, as a table: whoever needs another
//! arrow argues for it here.

#![allow(clippy::unwrap_used, reason = "a tree that cannot be read fails the test")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// What everybody may import; leaves import each other and nothing else.
const LEAVES: [&str; 18] = [
    "clock", "duration", "error", "forms", "identity", "json", "memo", "news", "path", "port", "random", "request",
    "sealed", "secret", "shards", "testing", "trace", "txn",
];
/// What may be imported beside leaves, and beside a room's own modules.
const ROOMS: [(&str, &[&str]); 11] = [
    ("audit", &[]),
    // Whose token ended is written down in the batch that ends it, so that its leases end, too.
    ("authn", &["lease"]),
    ("authz", &[]),
    // An entry keeps its answer's audit form, so that a hit is not digested again.
    ("cache", &["audit"]),
    // Whether somebody may learn of a change is decided by the rules of the one who watches.
    ("feed", &["authz"]),
    ("lease", &[]),
    // What locks a name is an option of its mount.
    ("lockout", &["route"]),
    ("quota", &[]),
    ("route", &[]),
    ("sys", &["audit", "authn", "authz", "cache", "lease", "lockout", "quota", "route"]),
    ("broker", &["audit", "authn", "authz", "cache", "feed", "lease", "lockout", "quota", "route", "sys"]),
];
/// What a crate may depend on inside the workspace, tests aside.
const CRATES: [(&str, &[&str]); 5] = [
    ("core", &[]),
    ("store", &["warder-core"]),
    ("runtime", &["warder-core"]),
    ("bundle", &[]),
    ("server", &["warder-core", "warder-store", "warder-runtime", "warder-bundle", "warder-proto", "warder-client"]),
];

#[test]
fn rooms_import_leaves_and_only_the_rooms_below_them() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut units = BTreeSet::new();
    for file in rust_files(&source) {
        let inside = file.strip_prefix(&source).unwrap();
        let unit = Path::new(inside.iter().next().unwrap()).with_extension("").to_str().unwrap().to_owned();
        if unit == "lib" {
            continue;
        }
        let room = ROOMS.iter().find(|(name, _)| *name == unit);
        assert!(room.is_some() || LEAVES.contains(&&*unit), "{} is in no row of the table", file.display());
        for target in imports(&fs::read_to_string(&file).unwrap()) {
            let allowed = target == unit
                || LEAVES.contains(&&*target)
                || room.is_some_and(|(_, below)| below.contains(&&*target));
            assert!(allowed, "{} imports crate::{target}: `{unit}` must not see it", file.display());
        }
        units.insert(unit);
    }
    let rows = LEAVES.iter().chain(ROOMS.iter().map(|(name, _)| name));
    for row in rows {
        assert!(units.contains(*row), "the table has a row for `{row}`, but nothing is there");
    }
}

#[test]
fn store_and_runtime_know_core_and_not_each_other() {
    for (name, allowed) in CRATES {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).join("Cargo.toml");
        let text = fs::read_to_string(&manifest).unwrap();
        let dependencies =
            text.split_once("\n[dependencies]").map_or("", |(_, rest)| rest.split("\n[").next().unwrap());
        for line in dependencies.lines().filter(|line| line.starts_with("warder")) {
            let target = line.split([' ', '.', '=']).next().unwrap();
            assert!(allowed.contains(&target), "{} must not depend on {target}", manifest.display());
        }
    }
}

#[test]
fn the_reader_of_imports_sees_every_form() {
    let text = "use crate::{\n  error::{Error, path},\n  secret::Secret, txn,\n};\nuse crate::json;\nlet x = crate::clock::Now; // crate::no";
    assert_eq!(imports(text), BTreeSet::from(["clock", "error", "json", "secret", "txn"].map(str::to_owned)));
}

/// First names after every `crate::` outside of comments, groups taken apart.
fn imports(text: &str) -> BTreeSet<String> {
    let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code = code.join("\n");
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.insert(name(rest));
            continue;
        };
        let (mut depth, mut start) = (0, 0);
        for (here, c) in group.char_indices() {
            match c {
                ',' | '}' if depth == 0 => {
                    found.insert(name(&group[start..here]));
                    start = here + 1;
                }
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if c == '}' && depth == 0 && start == here + 1 {
                break;
            }
        }
    }
    found.remove("");
    found
}

fn name(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let nested = entries.flat_map(|path| if path.is_dir() { rust_files(&path) } else { vec![path] });
    nested.filter(|path| path.extension().is_some_and(|ending| ending == "rs")).collect()
}
