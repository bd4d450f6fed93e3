//! `/metrics`: what it is called, that Prometheus' own linter takes it, and that plugins' doings show.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::json;
use warder_testkit::{Failure, Guest, Result, Warder};

/// What Vault's operations guides and dashboards ask for, also what Vault itself never told.
const GUIDES: [&str; 14] = [
    "vault_audit_log_request_failure",
    "vault_core_auth_request_failure_count",
    "vault_core_handle_request_count",
    "vault_core_handle_request_latency_seconds_bucket",
    "vault_core_sealed",
    "vault_core_unsealed",
    "vault_expire_num_leases",
    "vault_identity_entity_creation",
    "vault_raft_leader",
    "vault_runtime_alloc_bytes",
    "vault_token_create_count",
    "vault_token_create_bucket",
    "vault_token_expiry_seconds",
    "vault_token_lookup_count",
];

fn scrape(warder: &Warder) -> Result<String> {
    Ok(warder.stranger().get("/metrics").send()?.expect_status(200)?.text())
}

/// The number behind a name and its labels.
fn value(text: &str, series: &str) -> Result<f64> {
    let found = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let found = found.ok_or_else(|| Failure::from(format!("{series} is not in:\n{text}")))?;
    found.parse().map_err(|why| Failure::new(series, why))
}

/// Names of metrics, without what a histogram adds.
fn names(text: &str) -> BTreeSet<String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|rest| rest.split(' ').next()).map(str::to_owned).collect()
}

/// One with a plugin that misbehaves, and requests of every kind behind it.
fn used() -> Result<Warder> {
    let warder = Warder::dev().argument("--plugin").argument(Guest::Misbehave.path()?).start()?;
    let http = warder.http();
    http.put("/api/v1/mounts/bad").json(&json!({"plugin": "misbehave"})).send()?.expect_status(204)?;
    http.put("/api/v1/secrets/hidden").json(&json!({"a": "b"})).send()?.expect_status(201)?;
    for _ in 0..2 {
        http.get("/api/v1/secrets/hidden").send()?.expect_status(200)?;
        http.get("/v1/secret/data/hidden").send()?.expect_status(200)?;
    }
    warder.stranger().get("/api/v1/secrets/hidden").send()?.expect_status(401)?;
    http.post("/api/v1/auth/tokens").json(&json!({"ttl": "1h"})).send()?.expect_status(201)?;
    http.get("/api/v1/auth/self").send()?.expect_status(200)?;
    Ok(warder)
}

fn misbehave(warder: &Warder, deed: &str, status: u16) -> Result {
    let document = json!({"password": "hunter2-AAAA", "pin": "1", "empty": "", "flag": true});
    let call = warder.http().post(&format!("/v1/bad/do/{deed}")).json(&json!({"doc": document})).send()?;
    call.expect_status(status)?;
    Ok(())
}

#[test]
fn every_name_of_the_operations_guides_is_there_from_the_start() -> Result {
    let warder = Warder::dev().start()?;
    let text = scrape(&warder)?;
    for name in GUIDES {
        let told = text.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])));
        assert!(told, "{name} is not in:\n{text}");
    }
    assert_eq!(value(&text, "vault_raft_leader")?, 1.0);
    assert!(value(&text, "vault_token_expiry_seconds")?.is_infinite());
    Ok(())
}

#[test]
fn the_next_token_that_ends_is_told() -> Result {
    let warder = used()?;
    // Read from the index once a second.
    for _ in 0..100 {
        let left = value(&scrape(&warder)?, "vault_token_expiry_seconds")?;
        if left.is_finite() {
            assert!((3000.0..=3600.0).contains(&left), "{left}");
            return Ok(());
        }
        std::thread::park_timeout(std::time::Duration::from_millis(100));
    }
    Err("no token ends, the metric says".into())
}

#[test]
fn the_linter_of_prometheus_has_nothing_to_say() -> Result {
    let text = scrape(&used()?)?;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|why| Failure::new("promtool is in Debian's package prometheus: apt-get install prometheus", why))?;
    promtool.stdin.take().ok_or("no standard input")?.write_all(text.as_bytes())?;
    let output = promtool.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.is_empty(), "{said}\n{text}");
    Ok(())
}

#[test]
fn the_architecture_names_every_metric_and_no_other() -> Result {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ARCHITECTURE.md");
    let page = fs::read_to_string(page)?;
    let table = page.split_once("\n### Metrics\n").and_then(|(_, rest)| rest.split("\n#").next()).unwrap_or_default();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let written: BTreeSet<String> = rows.map(str::to_owned).collect();
    assert_eq!(names(&scrape(&used()?)?), written);
    Ok(())
}

#[test]
fn what_a_plugin_did_is_counted_with_its_faults() -> Result {
    let warder = used()?;
    for (deed, status) in
        [("behave", 200), ("loop", 504), ("memory", 500), ("panic", 500), ("big-answer", 413), ("exit", 500)]
    {
        misbehave(&warder, deed, status)?;
    }
    let text = scrape(&warder)?;
    for (fault, count) in [("processor", 1.0), ("memory", 1.0), ("trap", 1.0), ("host_calls", 1.0), ("misuse", 1.0)] {
        let series = format!("warder_plugin_faults_total{{fault=\"{fault}\",plugin=\"misbehave\"}}");
        assert_eq!(value(&text, &series)?, count, "{series}");
        assert_eq!(value(&text, &series.replace("misbehave", "kv"))?, 0.0, "{fault}");
    }
    let of = |name: &str, more: &str| value(&text, &format!("{name}{{{more}mount=\"bad/\",plugin=\"misbehave\"}}"));
    let calls: f64 = text
        .lines()
        .filter(|line| line.starts_with("warder_plugin_calls_total{") && line.contains("mount=\"bad/\""))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum();
    assert_eq!(of("warder_plugin_call_duration_seconds_count", "")?, calls);
    // One call had its whole second.
    assert!(of("warder_plugin_cpu_seconds_total", "")? >= 1.0);
    assert!(value(&text, "warder_plugin_memory_peak_bytes{plugin=\"misbehave\"}")? > 32e6);
    assert_eq!(value(&text, "warder_plugin_memory_bytes{plugin=\"misbehave\"}")?, 0.0);
    assert_eq!(value(&text, "warder_plugin_running{plugin=\"misbehave\"}")?, 0.0);
    let late =
        "warder_plugin_calls_total{call=\"handle\",mount=\"bad/\",outcome=\"deadline_exceeded\",plugin=\"misbehave\"}";
    assert_eq!(value(&text, late)?, 1.0);
    Ok(())
}

#[test]
fn each_door_has_its_label_and_no_label_is_a_path_or_a_token() -> Result {
    let text = scrape(&used()?)?;
    assert_eq!(value(&text, r#"warder_edge_requests_total{code="ok",door="vault",operation="read"}"#)?, 2.0);
    assert_eq!(value(&text, r#"warder_edge_request_duration_seconds_count{door="rest",operation="read"}"#)?, 3.0);
    assert!(value(&text, "warder_edge_connections")? >= 1.0);
    assert!(value(&text, "warder_storage_commits_total")? >= 2.0);
    for word in ["hidden", "root", "127.0.0.1", "hvs."] {
        assert!(!text.contains(word), "{word} is in:\n{text}");
    }
    Ok(())
}
