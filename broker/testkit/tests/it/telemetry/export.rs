//! Spans, metrics and log lines as they arrive at the double of a collector.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tonic::{Request, transport::Channel};
use warder_proto::v1::{SecretsServiceGetRequest, secrets_service_client::SecretsServiceClient};
use warder_testkit::{Collector, Result, attribute};

use super::stage::{Stage, collector, traced};

/// A path, a value and a tracestate's member, of which only the last may leave.
const PATH: &str = "hidden-path";
const VALUE: &str = "hunter2-AAAA";

fn hex(value: &Value) -> String {
    let bytes = STANDARD.decode(value.as_str().unwrap_or_default()).unwrap_or_default();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn number(trace: u8) -> String {
    format!("{trace:02x}").repeat(16)
}

fn parent(trace: u8, flags: &str) -> String {
    format!("00-{}-{}-{flags}", number(trace), "ab".repeat(8))
}

/// The spans of a trace, once the one that answers has come.
fn spans(collector: &Collector, trace: &str) -> Result<Vec<Value>> {
    collector.wait(&format!("trace {trace}"), |collector| {
        let all: Vec<Value> =
            collector.all("traces")?.into_iter().filter(|span| hex(&span["traceId"]) == trace).collect();
        Ok(all.iter().any(|span| span["kind"] == "SPAN_KIND_SERVER").then_some(all))
    })
}

fn named<'a>(all: &'a [Value], name: &str) -> Vec<&'a Value> {
    all.iter().filter(|span| span["name"] == name).collect()
}

/// The span that answers is a child of the caller's, the others are its children or theirs.
fn is_a_tree(all: &[Value], caller: &str) {
    let ids: BTreeSet<String> = all.iter().map(|span| hex(&span["spanId"])).collect();
    assert_eq!(ids.len(), all.len(), "no two have one name");
    for span in all {
        let above = hex(&span["parentSpanId"]);
        let server = span["kind"] == "SPAN_KIND_SERVER";
        assert!(if server { above == caller } else { ids.contains(&above) }, "{span:#}");
        let moments = ["startTimeUnixNano", "endTimeUnixNano"].map(|name| span[name].as_str().unwrap_or_default());
        assert!(moments[0] <= moments[1] && moments[0].len() == 19, "{span:#}");
    }
}

fn below<'a>(all: &'a [Value], above: &Value) -> Vec<&'a str> {
    let mut children: Vec<&Value> = all.iter().filter(|span| span["parentSpanId"] == above["spanId"]).collect();
    children.sort_by_key(|span| span["startTimeUnixNano"].as_str().unwrap_or_default());
    children.iter().filter_map(|span| span["name"].as_str()).collect()
}

#[test]
fn a_callers_trace_goes_on_through_every_door_and_stage() -> Result {
    for over in ["grpc", "http"] {
        let (_folder, collector) = collector()?;
        let protocol = if over == "grpc" { "grpc" } else { "http/protobuf" };
        let stage = Stage::set(&collector.endpoint(over)?, &format!("protocol = \"{protocol}\""))?;
        let (rest, vault) = (format!("/api/v1/secrets/{PATH}"), format!("/v1/secret/data/{PATH}"));
        let written = traced(&stage, "PUT", &rest, &parent(1, "01"), Some(json!({"password": VALUE})))?;
        traced(&stage, "GET", &vault, &parent(2, "01"), None)?;
        traced(&stage, "GET", &vault, &parent(3, "01"), None)?;
        let called = grpc(&stage, &parent(4, "01"))?;

        let all = spans(&collector, &number(1))?;
        is_a_tree(&all, &"ab".repeat(8));
        let server = named(&all, "PUT /api/v1/secrets/{path...}")[0];
        assert_eq!(written, format!("00-{}-{}-01", number(1), hex(&server["spanId"])));
        let stages = ["identify", "resolve", "authorize", "remember", "audit.open", "plugin", "commit", "audit.close"];
        assert_eq!(below(&all, server), stages);
        for (name, value) in [
            ("http.route", json!("/api/v1/secrets/{path...}")),
            ("http.response.status_code", json!("201")),
            ("warder.operation", json!("create")),
            ("warder.outcome", json!("ok")),
            ("warder.door", json!("rest")),
        ] {
            assert_eq!(attribute(server, name), Some(&value), "{server:#}");
        }
        for (stage, export) in [("authorize", "exists"), ("plugin", "handle")] {
            let stage = named(&all, stage)[0];
            assert_eq!(below(&all, stage), ["plugin.call"]);
            let calls = named(&all, "plugin.call");
            let call = calls.iter().find(|call| call["parentSpanId"] == stage["spanId"]).ok_or("no call")?;
            for (name, value) in [("plugin", "kv"), ("mount", "secret/"), ("call", export), ("outcome", "ok")] {
                assert_eq!(attribute(call, &format!("warder.{name}")), Some(&json!(value)), "{call:#}");
            }
        }

        let all = spans(&collector, &number(2))?;
        let stages =
            ["identify", "resolve", "authorize", "remember", "remember", "audit.open", "plugin", "audit.close"];
        assert_eq!(below(&all, named(&all, "GET /v1/{path...}")[0]), stages);
        // The same again comes out of the cache.
        let all = spans(&collector, &number(3))?;
        is_a_tree(&all, &"ab".repeat(8));
        let server = named(&all, "GET /v1/{path...}")[0];
        assert_eq!(below(&all, server), ["identify", "resolve", "authorize", "remember", "audit.close"]);
        assert_eq!(attribute(server, "warder.cached"), Some(&json!(true)));
        assert_eq!(attribute(server, "warder.door"), Some(&json!("vault")));

        let all = spans(&collector, &number(4))?;
        is_a_tree(&all, &"ab".repeat(8));
        let server = named(&all, "warder.v1.SecretsService/Get")[0];
        assert_eq!(called, format!("00-{}-{}-01", number(4), hex(&server["spanId"])));
        assert_eq!(attribute(server, "rpc.method"), Some(&json!("Get")));
        assert_eq!(attribute(server, "warder.door"), Some(&json!("grpc")));

        let service = attribute(&server["resource"], "service.name").cloned();
        assert_eq!(service, Some(json!("warder")));
        let text = json!(collector.all("traces")?).to_string();
        for word in [PATH, VALUE, &*stage.token] {
            assert!(!text.contains(word), "{word} is in:\n{text}");
        }
    }
    Ok(())
}

fn grpc(stage: &Stage, parent: &str) -> Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let connect = Channel::from_shared(format!("http://{}", stage.warder.address())).map_err(|e| e.to_string())?;
        let mut client = SecretsServiceClient::new(connect.connect().await.map_err(|e| e.to_string())?);
        let mut request = Request::new(SecretsServiceGetRequest { path: PATH.to_owned(), ..Default::default() });
        for (name, value) in [("authorization", format!("Bearer {}", stage.token)), ("traceparent", parent.to_owned())]
        {
            request.metadata_mut().insert(name, value.parse().map_err(|_| "no metadata value")?);
        }
        let response = client.get(request).await.map_err(|status| status.to_string())?;
        let answered = response.metadata().get("traceparent").ok_or("no traceparent in the answer")?;
        Ok(answered.to_str().map_err(|why| why.to_string())?.to_owned())
    })
}

#[test]
fn faults_of_a_plugin_and_refusals_are_told_without_their_words() -> Result {
    let (_folder, collector) = collector()?;
    let stage = Stage::set(&collector.endpoint("grpc")?, "")?;
    traced(&stage, "POST", "/v1/bad/do/panic", &parent(1, "01"), Some(json!({"doc": {"password": VALUE}})))?;
    let http = stage.warder.stranger();
    let stranger = http.get("/api/v1/secrets/a").header("X-Vault-Token", "nobody");
    stranger.header("traceparent", &parent(2, "01")).send()?.expect_status(401)?;
    let all = spans(&collector, &number(1))?;
    is_a_tree(&all, &"ab".repeat(8));
    let calls = named(&all, "plugin.call");
    let call = calls.iter().find(|call| attribute(call, "warder.call") == Some(&json!("handle"))).ok_or("no call")?;
    assert_eq!(attribute(call, "warder.fault"), Some(&json!("trap")));
    assert_eq!(call["status"], json!({"message": "internal", "code": "STATUS_CODE_ERROR"}));
    let server = named(&all, "POST /v1/{path...}")[0];
    assert_eq!(server["status"]["code"], "STATUS_CODE_ERROR", "a fault of ours: {server:#}");
    let all = spans(&collector, &number(2))?;
    let server = named(&all, "GET /api/v1/secrets/{path...}")[0];
    assert_eq!(below(&all, server), ["identify", "audit.close"]);
    assert_eq!(named(&all, "identify")[0]["status"]["message"], "unauthenticated");
    assert!(server.get("status").is_none(), "a mistake of the caller: {server:#}");
    Ok(())
}

#[test]
fn what_is_no_trace_context_counts_as_absent_and_what_is_not_sampled_is_not_sent() -> Result {
    let (_folder, collector) = collector()?;
    let stage = Stage::set(&collector.endpoint("grpc")?, "")?;
    traced(&stage, "PUT", "/api/v1/secrets/a", &parent(1, "00"), Some(json!({"b": "c"})))?;
    let quiet = traced(&stage, "GET", "/api/v1/secrets/a", &parent(1, "00"), None)?;
    assert!(quiet.starts_with(&format!("00-{}-", number(1))) && quiet.ends_with("-00"), "{quiet}");
    for bad in
        [parent(2, "01").to_uppercase(), parent(2, "1"), "00".to_owned(), parent(0, "01"), parent(2, "01") + "-x"]
    {
        let fresh = traced(&stage, "GET", "/api/v1/secrets/a", &bad, None)?;
        let trace = fresh.split('-').nth(1).ok_or("no trace")?.to_owned();
        assert!(trace != number(2) && trace.len() == 32 && fresh.ends_with("-01"), "{bad} -> {fresh}");
        let all = spans(&collector, &trace)?;
        let server = named(&all, "GET /api/v1/secrets/{path...}")[0];
        assert_eq!(hex(&server["parentSpanId"]), "");
    }
    let none = stage.http().get("/api/v1/secrets/a").send()?.expect_status(200)?;
    assert!(none.header("traceparent").is_some(), "a trace begins here");
    assert!(collector.all("traces")?.iter().all(|span| ![number(1), number(2)].contains(&hex(&span["traceId"]))));
    Ok(())
}

#[test]
fn a_trace_state_goes_with_its_span() -> Result {
    let (_folder, collector) = collector()?;
    let stage = Stage::set(&collector.endpoint("http")?, "protocol = \"http/protobuf\"")?;
    let http = stage.http();
    let call = http.get("/api/v1/auth/self").header("traceparent", &parent(1, "01"));
    call.header("tracestate", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE").send()?.expect_status(200)?;
    let all = spans(&collector, &number(1))?;
    let server = named(&all, "GET /api/v1/auth/self")[0];
    assert_eq!(server["traceState"], "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
    assert_eq!(
        below(&all, server),
        ["identify", "resolve", "authorize", "remember", "audit.open", "native", "audit.close"]
    );
    Ok(())
}

#[test]
fn metrics_arrive_under_both_names_and_go_on_arriving() -> Result {
    for over in ["grpc", "http"] {
        let (_folder, collector) = collector()?;
        let protocol = if over == "grpc" { "grpc" } else { "http/protobuf" };
        let more = format!("protocol = \"{protocol}\"\nservice_name = \"warder-test\"\ntraces = false\nlogs = false");
        let stage = Stage::set(&collector.endpoint(over)?, &more)?;
        stage.http().put("/api/v1/secrets/a").json(&json!({"b": "c"})).send()?.expect_status(201)?;
        for name in ["warder_edge_requests", "warder_plugin_calls", "vault_core_unsealed", "process_open_fds"] {
            collector.wait(name, |collector| {
                Ok(collector.all("metrics")?.iter().any(|metric| metric["name"] == name).then_some(()))
            })?;
        }
        let latency = collector.wait("a histogram", |collector| {
            let all = collector.all("metrics")?;
            Ok(all.into_iter().rfind(|metric| metric["name"] == "warder_edge_request_duration_seconds"))
        })?;
        let point = &latency["histogram"]["dataPoints"][0];
        assert_eq!(point["explicitBounds"].as_array().map(Vec::len), Some(14), "{latency:#}");
        assert_eq!(latency["histogram"]["aggregationTemporality"], "AGGREGATION_TEMPORALITY_CUMULATIVE");
        assert_eq!(attribute(&latency["resource"], "service.name"), Some(&json!("warder-test")));
        let before = stage.metric("warder_telemetry_exported_total", "metrics")?;
        collector.wait("more metrics", |_| {
            Ok((stage.metric("warder_telemetry_exported_total", "metrics")? > before + 1.0).then_some(()))
        })?;
        assert!(collector.all("traces")?.is_empty() && collector.all("logs")?.is_empty(), "nobody asked for them");
    }
    Ok(())
}

#[test]
fn log_lines_arrive_with_their_request_and_trace_and_stderr_has_the_same() -> Result {
    let (_folder, collector) = collector()?;
    let stage = Stage::set(&collector.endpoint("grpc")?, "traces = true")?;
    traced(&stage, "POST", "/v1/bad/do/panic", &parent(1, "01"), Some(json!({"doc": {"password": VALUE}})))?;
    for (body, severity) in [("plugin call failed", "WARN"), ("request failed", "ERROR"), ("request closed", "DEBUG")] {
        let line = collector.wait(body, |collector| {
            let all = collector.all("logs")?;
            Ok(all.into_iter().find(|line| line["body"]["stringValue"] == body && hex(&line["traceId"]) == number(1)))
        })?;
        assert_eq!(line["severityText"], severity, "{line:#}");
        assert!(attribute(&line, "request.id").is_some(), "{line:#}");
        assert_eq!(attribute(&line, "trace.id"), Some(&json!(number(1))), "{line:#}");
    }
    let said = stage.warder.process().stderr();
    for line in said.lines().filter(|line| line.contains("plugin call failed") || line.contains("request closed")) {
        let line: Value = serde_json::from_str(line)?;
        assert!(line["span"]["request.id"].is_string() && line["span"]["trace.id"].is_string(), "{line:#}");
    }
    assert!(said.contains(&number(1)));
    let libraries = collector.all("logs")?.into_iter().filter(|line| {
        attribute(line, "code.namespace").and_then(Value::as_str).is_none_or(|target| !target.starts_with("warder"))
    });
    assert_eq!(libraries.count(), 0, "lines of libraries stay here");
    Ok(())
}
