//! What a scraper sees after a known number of requests.

use std::process::Command;

use crate::running::Running;

fn scrape(warder: &Running) -> String {
    let output = Command::new("curl").args(["-s", &format!("http://{}/metrics", warder.address)]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn requests_tokens_cache_and_audit_are_counted() {
    let warder = Running::dev(&["--root-token", "root"]);
    for (arguments, input) in [
        (&["put", "app/hidden", "-"][..], "{\"a\":1}"),
        (&["get", "app/hidden"], ""),
        (&["get", "app/hidden"], ""),
        (&["token", "create", "--ttl", "1h"], ""),
        (&["token", "lookup"], ""),
        (&["token", "lookup", "unknown"], ""),
    ] {
        let _ = warder.command(arguments, input);
    }
    let text = scrape(&warder);
    for line in [
        "warder_token_events_total{event=\"created\"} 1",
        "warder_cache_lookups_total{result=\"hit\"} 1",
        "warder_cache_entries 1",
        "warder_audit_failures_total{sink=\"dev\"} 0",
        "warder_audit_sink_healthy{sink=\"dev\"} 1",
        "warder_edge_requests_total{code=\"ok\",door=\"rest\",operation=\"create\"} 1",
        "warder_edge_requests_total{code=\"not_found\",door=\"rest\",operation=\"none\"} 1",
        "vault_token_create_count 1",
        "vault_token_lookup_count 1",
        "vault_core_sealed 0",
        "vault_core_unsealed 1",
        "vault_audit_log_request_failure 0",
    ] {
        assert!(text.lines().any(|had| had == line), "{line} is not in:\n{text}");
    }
    let records = text.lines().find_map(|line| line.strip_prefix("warder_audit_records_total{sink=\"dev\"} "));
    assert!(records.unwrap().parse::<u64>().unwrap() >= 10, "{text}");
    // But that of a mount.
    let text = text.replace("mount=\"secret/\"", "");
    assert!(!text.contains("hidden") && !text.contains("secret"), "no label is a path or a name:\n{text}");
}
