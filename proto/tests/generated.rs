//! The checked-in code is what the protobufs say. No protobuf compiler is needed: protox reads
//! them, prost and tonic write the code.

#![expect(clippy::expect_used, reason = "helpers of a test")]

use std::{fs, path::Path};

const FILES: [&str; 1] = ["warder/v1/secrets.proto"];
const GENERATED: &str = "src/gen";

/// Messages whose `Debug` is written by hand, because they hold secrets.
const CONCEALED: [&str; 3] = [
    ".warder.v1.SecretsServiceGetResponse",
    ".warder.v1.SecretsServicePatchRequest",
    ".warder.v1.SecretsServicePutRequest",
];

#[test]
fn generated_code_is_what_the_protobufs_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = tempfile::tempdir().expect("a temporary directory");
    generate(root, made.path());
    let kept = root.join(GENERATED);
    if std::env::var_os("WARDER_REGENERATE").is_some_and(|set| set == "1") {
        for name in names(made.path()) {
            fs::write(kept.join(&name), read(&made.path().join(&name))).expect("src/gen can be written");
        }
    }
    assert_eq!(names(&kept), names(made.path()), "files in {GENERATED}: run this test with WARDER_REGENERATE=1");
    for name in names(&kept) {
        let same = read(&kept.join(&name)) == read(&made.path().join(&name));
        assert!(same, "{GENERATED}/{name} is out of date: run this test with WARDER_REGENERATE=1");
    }
}

#[test]
fn every_message_with_a_secret_is_concealed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let set = protox::compile(FILES, [root]).expect("the protobufs are well formed");
    let holding: Vec<String> = set
        .file
        .iter()
        .flat_map(|file| file.message_type.iter().map(move |message| (file.package(), message)))
        .filter(|(_, message)| message.field.iter().any(|field| field.name() == "json"))
        .map(|(package, message)| format!(".{package}.{}", message.name()))
        .collect();
    let mut expected = CONCEALED.map(str::to_owned).to_vec();
    expected.sort();
    let mut holding = holding;
    holding.sort();
    assert_eq!(holding, expected);
}

fn generate(root: &Path, into: &Path) {
    let set = protox::compile(FILES, [root]).expect("the protobufs are well formed");
    tonic_prost_build::configure()
        .build_transport(false)
        .codec_path("crate::codec::Codec")
        .bytes(".")
        .skip_debug(CONCEALED)
        .server_mod_attribute(".", "#[cfg(feature = \"server\")]")
        .client_mod_attribute(".", "#[cfg(feature = \"client\")]")
        .emit_rerun_if_changed(false)
        .out_dir(into)
        .compile_fds_with_config(set, prost_build::Config::new())
        .expect("the protobufs become code");
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("a folder of code")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a UTF-8 name"))
        .collect();
    names.sort();
    names
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}
