//! The checked-in code is what the protobufs say. No protobuf compiler is needed: protox reads
//! them, prost and tonic write the code.

#![expect(clippy::expect_used, reason = "helpers of a test")]

use std::{fs, path::Path};

use protox::{
    Compiler,
    prost_reflect::{DescriptorPool, MessageDescriptor},
};

const FILES: [&str; 11] = [
    "grpc/health/v1/health.proto",
    "grpc/reflection/v1/reflection.proto",
    "warder/v1/audit.proto",
    "warder/v1/auth.proto",
    "warder/v1/leases.proto",
    "warder/v1/limits.proto",
    "warder/v1/mounts.proto",
    "warder/v1/policies.proto",
    "warder/v1/secrets.proto",
    "warder/v1/sys.proto",
    "warder/v1/tokens.proto",
];
const GENERATED: &str = "src/gen";
const DESCRIPTORS: &str = "descriptors.bin";

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
fn every_protobuf_file_is_generated() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["grpc/health/v1", "grpc/reflection/v1", "warder/v1"] {
        found.extend(names(&root.join(folder)).into_iter().map(|name| format!("{folder}/{name}")));
    }
    assert_eq!(found, FILES);
}

/// The names of fields that could hold a secret, each marked or known to hold none.
#[test]
fn every_field_that_could_hold_a_secret_is_marked() {
    const SUSPICIOUS: [&str; 9] =
        ["id", "json", "jwt", "key", "keys", "keys_base64", "password", "root_token", "token"];
    let pool = compiler(Path::new(env!("CARGO_MANIFEST_DIR"))).descriptor_pool();
    let mut unmarked = Vec::new();
    let ours = |message: &MessageDescriptor| message.package_name() == "warder.v1" && !message.is_map_entry();
    for message in pool.all_messages().filter(ours) {
        for field in message.fields() {
            // A message of its own marks its own fields.
            let holds_text = field.kind().as_message().is_none();
            let names = message.full_name().ends_with("ListResponse");
            if SUSPICIOUS.contains(&field.name()) && holds_text && !names && !redacted(&field.options()) {
                unmarked.push(field.full_name().to_owned());
            }
        }
    }
    assert!(unmarked.is_empty(), "mark them with [debug_redact = true]: {unmarked:?}");
}

fn compiler(root: &Path) -> Compiler {
    let mut compiler = Compiler::new([root]).expect("a folder of protobufs");
    compiler.include_imports(true).open_files(FILES).expect("the protobufs are well formed");
    compiler
}

fn generate(root: &Path, into: &Path) {
    let mut compiler = compiler(root);
    let bare = compiler.encode_file_descriptor_set();
    fs::write(into.join(DESCRIPTORS), bare).expect("a temporary file");
    let set = compiler.include_source_info(true).file_descriptor_set();
    tonic_prost_build::configure()
        .build_transport(false)
        .codec_path("crate::codec::Codec")
        .bytes(".")
        .btree_map(".")
        .skip_debug(concealed(&compiler.descriptor_pool()))
        .server_mod_attribute(".", "#[cfg(feature = \"server\")]")
        .client_mod_attribute(".", "#[cfg(feature = \"client\")]")
        .emit_rerun_if_changed(false)
        .out_dir(into)
        .compile_fds_with_config(set, prost_build::Config::new())
        .expect("the protobufs become code");
}

/// Messages with a field marked `debug_redact`: their `Debug` is written by hand.
fn concealed(pool: &DescriptorPool) -> Vec<String> {
    let marked = |message: &MessageDescriptor| message.fields().any(|field| redacted(&field.options()));
    let mut names: Vec<String> = pool
        .all_messages()
        .filter(|message| message.package_name() == "warder.v1" && marked(message))
        .map(|message| format!(".{}", message.full_name()))
        .collect();
    names.sort();
    names
}

fn redacted(options: &protox::prost_reflect::DynamicMessage) -> bool {
    options.get_field_by_name("debug_redact").and_then(|value| value.as_bool()) == Some(true)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("a folder of code")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a UTF-8 name"))
        .collect();
    names.sort();
    names
}

fn read(file: &Path) -> Vec<u8> {
    fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}
