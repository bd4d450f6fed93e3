//! Collectors that are gone, hang, speak TLS, or want headers; and what the end of a process leaves.

use std::{fs, net::TcpListener};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::json;
use warder_testkit::{Collector, Result, attribute, temp_dir};

use super::stage::{Stage, collector};

/// Requests are answered, what they told is counted as lost, and the log says so once.
fn costs_what_it_does_not_take(endpoint: &str) -> Result {
    let stage = Stage::set(endpoint, "timeout = \"100ms\"\nqueue = 40")?;
    let http = stage.http();
    http.put("/api/v1/secrets/a").json(&json!({"b": "c"})).send()?.expect_status(201)?;
    let mut lost = [0.0; 3];
    // Until something of each was given up: three tries a second apart, or a queue that is full.
    for _ in 0..10_000 {
        http.get("/api/v1/secrets/a").send()?.expect_status(200)?;
        for (lost, signal) in lost.iter_mut().zip(["traces", "logs", "metrics"]) {
            *lost = stage.metric("warder_telemetry_dropped_total", signal)?;
        }
        if lost.iter().all(|lost| *lost > 0.0) {
            break;
        }
    }
    assert!(lost.iter().all(|lost| *lost > 0.0), "{lost:?}");
    assert_eq!(stage.metric("warder_telemetry_exported_total", "")?, 0.0);
    let warned = stage.warder.process().stderr().matches("the collector does not take telemetry").count();
    assert_eq!(warned, 1);
    // Nor does it keep the end.
    assert!(stage.warder.stop()?.success());
    Ok(())
}

#[test]
fn a_collector_that_is_gone_costs_what_it_does_not_take() -> Result {
    let gone = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    costs_what_it_does_not_take(&format!("http://{gone}"))
}

#[test]
fn a_collector_that_hangs_costs_what_it_does_not_take() -> Result {
    // The kernel accepts; nobody answers.
    let hangs = TcpListener::bind("127.0.0.1:0")?;
    costs_what_it_does_not_take(&format!("http://{}", hangs.local_addr()?))
}

#[test]
fn what_waits_is_sent_before_the_end() -> Result {
    for over in ["grpc", "http"] {
        let (_folder, collector) = collector()?;
        let protocol = if over == "grpc" { "grpc" } else { "http/protobuf" };
        let stage = Stage::set(&collector.endpoint(over)?, &format!("protocol = \"{protocol}\""))?;
        let parent = format!("00-{}-{}-01", "cd".repeat(16), "ab".repeat(8));
        let http = stage.http();
        let call = http.get("/api/v1/auth/self").header("traceparent", &parent);
        call.send()?.expect_status(200)?;
        assert!(stage.warder.stop()?.success());
        let all = collector.all("traces")?;
        assert!(all.iter().any(|span| span["name"] == "GET /api/v1/auth/self"), "{all:#?}");
        let lines = collector.all("logs")?;
        assert!(lines.iter().any(|line| line["body"]["stringValue"] == "stopped"), "{lines:#?}");
    }
    Ok(())
}

#[test]
fn a_collector_with_tls_and_headers_gets_them_and_a_stranger_nothing() -> Result {
    for over in ["grpc", "http"] {
        let folder = temp_dir()?;
        let made = generate_simple_self_signed(["127.0.0.1".to_owned()]).map_err(|why| why.to_string())?;
        let CertifiedKey { cert, signing_key } = made;
        let here = |name: &str| folder.path().join(name);
        fs::write(here("cert.pem"), cert.pem())?;
        fs::write(here("key.pem"), signing_key.serialize_pem())?;
        fs::write(here("headers"), "# of a tenant\nx-scope-orgid: tenant-1\n")?;
        let other = generate_simple_self_signed(["127.0.0.1".to_owned()]).map_err(|why| why.to_string())?;
        fs::write(here("other.pem"), other.cert.pem())?;
        fs::create_dir(here("got"))?;
        let collector = Collector::start_with_tls(&here("got"), &here("cert.pem"), &here("key.pem"))?;
        let protocol = if over == "grpc" { "grpc" } else { "http/protobuf" };
        let telemetry = |ca: &str| {
            let file = |name: &str| here(name).display().to_string();
            format!("protocol = \"{protocol}\"\nca_file = \"{}\"\nheaders_file = \"{}\"", file(ca), file("headers"))
        };
        let wary = Stage::set(&collector.endpoint(over)?, &telemetry("other.pem"))?;
        collector.wait("a refusal", |_| {
            Ok((wary.metric("warder_telemetry_dropped_total", "metrics")? > 1.0).then_some(()))
        })?;
        assert!(collector.requests()?.is_empty(), "a collector that is somebody else gets nothing");
        let stage = Stage::set(&collector.endpoint(over)?, &telemetry("cert.pem"))?;
        let request = collector.wait("a request", |collector| Ok(collector.requests()?.into_iter().next()))?;
        assert_eq!(request["headers"]["x-scope-orgid"], "tenant-1", "{request:#}");
        assert!(!stage.warder.process().stderr().contains("tenant-1"), "headers are not logged");
    }
    Ok(())
}

#[test]
fn a_share_of_requests_begins_traces() -> Result {
    let (_folder, collector) = collector()?;
    let stage = Stage::set(&collector.endpoint("grpc")?, "sample_one_in = 0")?;
    let answered = stage.http().get("/api/v1/auth/self").send()?.expect_status(200)?;
    assert!(answered.header("traceparent").is_some_and(|parent| parent.ends_with("-00")));
    let parent = format!("00-{}-{}-01", "cd".repeat(16), "ab".repeat(8));
    stage.http().get("/api/v1/auth/self").header("traceparent", &parent).send()?.expect_status(200)?;
    collector.wait("the caller's trace", |collector| Ok((!collector.all("traces")?.is_empty()).then_some(())))?;
    let servers: Vec<_> =
        collector.all("traces")?.into_iter().filter(|span| span["kind"] == "SPAN_KIND_SERVER").collect();
    assert_eq!(servers.len(), 1, "{servers:#?}");
    assert!(attribute(&servers[0], "warder.request_id").is_some());
    Ok(())
}
