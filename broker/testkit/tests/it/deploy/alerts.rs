//! The alert rules: each fires when it should, and asks for what the server measures.

use std::{collections::BTreeSet, fs, process::Command};

use serde_json::json;
use warder_core::error::ErrorKind;
use warder_testkit::{Result, Warder};

use super::{content, deploy};

const ADVICE: &str = "promtool is in Debian's package prometheus: apt-get install prometheus";
/// What Prometheus makes of a histogram.
const PARTS: [&str; 3] = ["_bucket", "_count", "_sum"];

#[test]
fn each_alert_fires_when_it_should_and_is_silent_otherwise() -> Result {
    content(Command::new("promtool").args(["check", "rules"]).arg(deploy("prometheus/alerts.yaml")), ADVICE)?;
    content(Command::new("promtool").args(["test", "rules"]).arg(deploy("prometheus/alerts_test.yaml")), ADVICE)?;
    let (rules, tests) = (fs::read_to_string(deploy("prometheus/alerts.yaml"))?, tests()?);
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        let fires = format!("alertname: {alert}\n        exp_alerts:\n          - exp_labels");
        assert!(tests.contains(&fires), "no test sees {alert} fire");
    }
    Ok(())
}

#[test]
fn alerts_ask_for_what_a_server_measures() -> Result {
    let rules = fs::read_to_string(deploy("prometheus/alerts.yaml"))?;
    let warder = Warder::dev().start()?;
    warder.http().put("/api/v1/secrets/a").json(&json!({"b": "c"})).send()?.expect_status(201)?;
    warder.http().get("/api/v1/secrets/a").send()?.expect_status(200)?;
    warder.stranger().get("/api/v1/secrets/a").send()?.expect_status(401)?;
    let metrics = warder.stranger().get("/metrics").send()?.expect_status(200)?.text();
    for name in names(&rules) {
        let whole = PARTS.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(&name);
        assert!(metrics.contains(&format!("# TYPE {whole} ")), "{name} is no metric of\n{metrics}");
    }
    for label in ["operation=\"read\"", "code=\"unauthenticated\"", "sink=\""] {
        assert!(metrics.contains(label), "{label} is in no metric of\n{metrics}");
    }
    let codes = [ErrorKind::Internal, ErrorKind::StorageFull, ErrorKind::Unauthenticated].map(ErrorKind::code);
    for code in rules.split("code=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(codes.contains(&code), "{code} is no error code");
    }
    Ok(())
}

fn tests() -> Result<String> {
    Ok(fs::read_to_string(deploy("prometheus/alerts_test.yaml"))?)
}

/// Metrics of ours in the expressions.
fn names(rules: &str) -> BTreeSet<String> {
    let words = rules.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("warder_")).map(str::to_owned).collect()
}
