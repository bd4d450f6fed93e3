use super::*;

const WHOLE: &str = r#"
[listener]
address = "127.0.0.1:8200"
tls.cert_file = "cert.pem"
tls.key_file = "key.pem"
tls.client_ca_file = "clients.pem"

[storage]
type = "redb"
path = "/var/lib/warder/warder.redb"

[seal]
type = "shamir"

[audit.main]
type = "file"
path = "/var/log/warder/audit.log"

[audit.console]
type = "stdout"

[plugins.notes]
file = "notes.wasm"
sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
"#;

fn mistakes(text: &str) -> Vec<String> {
    match Config::parse("w.toml", text).unwrap_err() {
        ConfigError::Mistaken(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
        other => panic!("{other}"),
    }
}

#[test]
fn a_whole_file_is_read() {
    let config = Config::parse("w.toml", WHOLE).unwrap();
    assert_eq!(config.listeners[""].tls.client_ca_file, Some("clients.pem".into()));
    assert_eq!(config.storage, StorageConfig { kind: StorageKind::Redb, path: "/var/lib/warder/warder.redb".into() });
    assert_eq!(config.audit["main"].path, PathBuf::from("/var/log/warder/audit.log"));
    assert_eq!(config.audit["console"].kind, AuditKind::Stdout);
    let notes = PluginConfig { file: "notes.wasm".into(), sha256: Sha256::of(b"abc") };
    assert_eq!(config.plugins, [("notes".to_owned(), notes)].into());
}

#[test]
fn every_way_to_write_a_table_is_the_same() {
    let dotted = "listener.tls_disable = true\nstorage = { type = \"memory\" }\naudit.a.type = \"stdout\"\n";
    let tables = "[listener]\ntls_disable = true\n[storage]\ntype = \"memory\"\n[audit.a]\ntype = \"stdout\"\n";
    assert_eq!(Config::parse("a", dotted).unwrap(), Config::parse("b", tables).unwrap());
}

#[test]
fn what_is_missing_is_asked_for_where_it_belongs() {
    let all = mistakes("\n[listener]\n[storage]\n[audit.main]\n[plugins.notes]\nfile = \"a\"\n");
    for (at, path) in [
        ("w.toml:2:2", "listener.tls.cert_file"),
        ("w.toml:2:2", "listener.tls.key_file"),
        ("w.toml:3:2", "storage.path"),
        ("w.toml:4:8", "audit.main.type"),
        ("w.toml:5:10", "plugins.notes.sha256"),
    ] {
        assert!(
            all.iter().any(|told| told.starts_with(&format!("{at}: {path} is missing: expected "))),
            "{path}: {all:#?}"
        );
    }
    assert_eq!(all.len(), 5, "{all:#?}");
    assert!(mistakes("")[0].starts_with("w.toml: "), "nothing of it has a line");
}

#[test]
fn a_switch_that_is_not_understood_leads_to_no_other_mistake() {
    for (from, to) in [
        ("type = \"redb\"\npath = \"/var/lib/warder/warder.redb\"", "type = \"memry\""),
        ("type = \"file\"\npath = \"/var/log/warder/audit.log\"", "type = \"syslog\"\nsync = \"never\""),
        ("tls.client_ca_file = \"clients.pem\"", "tls.client_ca_file = \"\"\ntls.client_auth = \"optional\""),
    ] {
        let all = mistakes(&WHOLE.replace(from, to));
        assert_eq!(all.len(), 1, "{all:#?}");
    }
}

#[test]
fn there_can_be_more_listeners_with_a_name_each() {
    let more = "[listener.local]\naddress = \"unix:/run/w.sock\"\nsocket_mode = \"0660\"\nsocket_owner = \":ops\"\n\
                [listener.old]\naddress = \"127.0.0.1:1\"\n[listener.old.tls]\ncert_file = \"c\"\nkey_file = \"k\"\n";
    let config = Config::parse("w.toml", &format!("{WHOLE}{more}")).unwrap();
    assert_eq!(config.listeners.keys().map(String::as_str).collect::<Vec<_>>(), ["", "local", "old"]);
    let local = &config.listeners["local"];
    assert_eq!((local.address.to_string().as_str(), local.socket.mode), ("unix:/run/w.sock", Mode(0o660)));
    assert_eq!(config.listeners["old"].tls.cert_file, PathBuf::from("c"));
    let start = WHOLE.find("[storage]").unwrap();
    let config = Config::parse("w.toml", &format!("{}{more}", &WHOLE[start..])).unwrap();
    assert_eq!(config.listeners.keys().map(String::as_str).collect::<Vec<_>>(), ["local", "old"]);
}

#[test]
fn mistakes_of_every_listener_are_told_at_once() {
    let more = "[listener.a]\ntls_disable = true\n[listener.b]\naddress = \"127.0.0.1:8200\"\ntls_disable = true\n\
                socket_mode = \"0600\"\n[listener.c]\naddress = \"unix:w.sock\"\ntls.cert_file = \"a\"\nport = 1\n\
                [listener.d]\naddress = \"unix:/w.sock\"\nsocket_mode = \"rw\"\n";
    let at = WHOLE.lines().count();
    let told = mistakes(&format!("{WHOLE}{more}"));
    let expected = [
        (1, 2, "listener.a.address is missing: expected an address and a port"),
        (4, 1, "listener.b and listener: two listeners at one address"),
        (6, 1, "listener.b.socket_mode has no meaning here: the address is no unix socket"),
        (8, 1, "listener.c.address: expected an address and a port such as"),
        (9, 1, "listener.c.tls.cert_file has no meaning here: a unix socket is served without TLS"),
        (
            10,
            1,
            "unknown option listener.c.port: listener.c has address, tls_disable, tls, socket_mode, socket_owner, proxy_protocol, forwarded",
        ),
        (13, 1, "listener.d.socket_mode: expected permissions as chmod takes them, such as \"0660\", found \"rw\""),
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, (line, _, words)) in told.iter().zip(expected) {
        let place = told.strip_prefix(&format!("w.toml:{}:", at + line)).unwrap_or_else(|| panic!("{line}: {told}"));
        assert!(place.contains(words), "{told} is not {words}");
    }
}

#[test]
fn a_listeners_name_is_none_of_its_options() {
    let told = mistakes(&format!("{WHOLE}[listener.tls]\naddress = \"127.0.0.1:1\"\n"));
    assert!(
        told.iter().any(|told| told.contains("duplicate key") || told.contains("listener.tls.address")),
        "{told:#?}"
    );
}

#[test]
fn what_contradicts_itself_is_refused_at_its_line() {
    for (from, to, told) in [
        (
            "[plugins.notes]",
            "[tokens]\nmax_ttl = \"1h\"\n[plugins.notes]",
            "w.toml:23:1: tokens.default_ttl is more than tokens.max_ttl",
        ),
        (
            "[plugins.notes]",
            "[sandbox]\nmemory = \"2GiB\"\n[plugins.notes]",
            "w.toml:23:1: sandbox.memory is more than sandbox.plugin_memory",
        ),
        (
            "type = \"redb\"",
            "type = \"memory\"",
            "w.toml:10:1: storage.path has no meaning here: storage.type is \"memory\"",
        ),
        (
            "tls.client_ca_file = \"clients.pem\"",
            "tls.client_auth = \"optional\"",
            "w.toml:6:5: listener.tls.client_auth has no meaning here: there is no tls.client_ca_file",
        ),
        (
            "[plugins.notes]",
            "[audit.twin]\ntype = \"stdout\"\n[plugins.notes]",
            "w.toml:23:1: audit.twin and audit.console: two sinks would write to the same place, and their records mix",
        ),
        (
            "[audit.console]\ntype = \"stdout\"",
            "[audit.twin]\ntype = \"file\"\npath = \"/var/log/warder/audit.log\"",
            "w.toml:21:1: audit.twin and audit.main: two sinks would write to the same place, and their records mix",
        ),
    ] {
        assert_eq!(mistakes(&WHOLE.replace(from, to)), [told]);
    }
}

#[test]
fn the_environment_goes_before_the_file_and_arguments_before_both() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.toml");
    std::fs::write(&file, format!("{WHOLE}\n[limits]\nstreams = 1\nconnections = 1\nrequest_size = \"1KiB\"\n"))
        .unwrap();
    let variables = [
        ("WARDER_LIMITS_STREAMS", "2"),
        ("WARDER_LIMITS_CONNECTIONS", "2"),
        ("WARDER_AUDIT_MAIN_SYNC", "never"),
        ("WARDER_AUDIT_OTHER_TYPE", "file"),
        ("WARDER_AUDIT_OTHER_PATH", "/other"),
        ("WARDER_TOKEN", "somebody's"),
    ];
    let variables = variables.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let option = "limits.streams".to_owned();
    let argument = Argument { argument: "--set limits.streams".to_owned(), option, value: "3".into() };
    let loaded = Config::load(&file, variables.into_iter(), &[argument]).unwrap();
    let config = &loaded.config;
    assert_eq!((config.limits.streams, config.limits.connections, config.limits.body), (3, 2, 1024));
    assert_eq!((config.audit["main"].sync, &*config.audit["other"].path), (Sync::Never, Path::new("/other")));
    let who = |option: &str| loaded.effective().into_iter().find(|held| held.option == option).unwrap().source;
    assert_eq!(who("limits.streams"), "--set limits.streams");
    assert_eq!(who("limits.connections"), "WARDER_LIMITS_CONNECTIONS");
    assert_eq!(who("limits.request_size"), format!("{}:29:1", file.display()));
    assert_eq!(who("cache.size"), "default");
}

#[test]
fn a_mistake_in_the_file_is_told_even_where_it_is_overruled() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.toml");
    std::fs::write(&file, format!("{WHOLE}\n[limits]\nstreams = 0\n")).unwrap();
    let variable = (OsString::from("WARDER_LIMITS_STREAMS"), OsString::from("2"));
    let told = Config::load(&file, [variable].into_iter(), &[]).unwrap_err().to_string();
    assert!(told.contains(":27:1: limits.streams: expected a whole number from 1 to 10000, found 0"), "{told}");
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,40}", lines in proptest::collection::vec("[a-z]{1,9}(\\.[a-z_]{1,9})? ?= ?\\PC{0,9}", 0..4)) {
        let _ = Config::parse("w.toml", &text);
        let _ = Config::parse("w.toml", &lines.join("\n"));
    }
}
