//! The contract is frozen: plugins built against 0.1.0 run on every host that says 0.1.0.

use std::{fs, path::Path};

use ring::digest::{SHA256, digest};

/// SHA-256 of the contract without comments and spacing. Words may get better; types may not
/// change under one version.
const FROZEN: &str = "857e06faa6072a37d831101869d01b50c81a3d0089a9b5c9074276fd05f793bd";

#[test]
fn the_contract_is_what_was_frozen_as_0_1_0() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk-wit/wit");
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let bare: Vec<String> = files.iter().map(|file| bare(&fs::read_to_string(file).unwrap())).collect();
    assert!(bare.iter().all(|text| text.starts_with("package warder:plugin@0.1.0;")));
    let found: String =
        digest(&SHA256, bare.join("\n").as_bytes()).as_ref().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(found, FROZEN, "a changed type needs a new package version in sdk-wit/wit, and its digest here");
}

/// Without comments; every run of white space is one space.
fn bare(text: &str) -> String {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    code.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}
