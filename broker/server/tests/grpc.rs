//! `warder.v1` over h2c against the real binary: each method, and its REST twin beside it, must
//! give the same decision, data and error word.
//!
//! The runtimes have several threads: a client must go on answering its connection while the
//! server is asked to end, or the server waits for it.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a fixture that breaks ends its test")]

#[path = "it/running.rs"]
#[allow(dead_code, reason = "shared with the other tests, which need more of it")]
mod running;

use serde_json::{Value, json};
use tonic::{Code, Request, Status, transport::Channel};
use tonic_types::StatusExt as _;
use warder_proto::v1::{
    SecretsServiceDeleteRequest, SecretsServiceDestroyRequest, SecretsServiceGetRequest, SecretsServiceListRequest,
    SecretsServicePatchRequest, SecretsServicePutRequest, SecretsServiceUndeleteRequest, SecretsServiceVersionsRequest,
    secrets_service_client::SecretsServiceClient,
};

use crate::running::Running;

/// One question, as both doors can ask it.
#[derive(Clone, Debug)]
enum Ask {
    Delete(&'static str, &'static [u64]),
    Destroy(&'static str, &'static [u64]),
    Get(&'static str, Option<u64>),
    /// Folder, after, limit.
    List(&'static str, Option<&'static str>, Option<u32>),
    Patch(&'static str, &'static str, Option<u64>),
    Put(&'static str, &'static str, Option<u64>),
    Undelete(&'static str, &'static [u64]),
    Versions(&'static str),
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
enum Who {
    Nobody,
    Root,
    Stranger,
    Weak,
}

/// Both doors of one Warder, each with secrets in a folder of its own.
struct Doors {
    warder: Running,
    client: SecretsServiceClient<Channel>,
    weak: String,
}

impl Doors {
    async fn open() -> Self {
        let warder = Running::dev(&["--root-token", "root"]);
        let address = format!("http://{}", warder.address);
        let channel = Channel::from_shared(address).unwrap().connect().await.unwrap();
        let (status, made) = warder.curl(&[
            "{}/api/v1/auth/tokens",
            "-H",
            "Authorization: Bearer root",
            "-d",
            r#"{"policies":["default"]}"#,
            "-H",
            "Content-Type: application/json",
        ]);
        assert_eq!(status, 201, "{made}");
        let weak = made["token"].as_str().unwrap().to_owned();
        let client = SecretsServiceClient::new(channel).max_encoding_message_size(8 << 20);
        Self { warder, client, weak }
    }

    fn token(&self, who: Who) -> Option<&str> {
        match who {
            Who::Nobody => None,
            Who::Root => Some("root"),
            Who::Stranger => Some("hvs.nobodyhasthistoken0000000"),
            Who::Weak => Some(&self.weak),
        }
    }

    fn asked<T>(&self, who: Who, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = self.token(who) {
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        request
    }

    /// The answer over gRPC, in the words of [`Doors::rest`].
    async fn grpc(&mut self, who: Who, ask: &Ask) -> Value {
        let path = |path: &str| format!("grpc/{path}");
        let mut client = self.client.clone();
        let answered = match ask.clone() {
            Ask::Delete(at, versions) => {
                let message = SecretsServiceDeleteRequest { path: path(at), versions: versions.to_vec() };
                client.delete(self.asked(who, message)).await.map(|_| json!({}))
            }
            Ask::Destroy(at, versions) => {
                let message = SecretsServiceDestroyRequest { path: path(at), versions: versions.to_vec() };
                client.destroy(self.asked(who, message)).await.map(|_| json!({}))
            }
            Ask::Get(at, version) => {
                let message = SecretsServiceGetRequest { path: path(at), version, refresh: false };
                client.get(self.asked(who, message)).await.map(|answer| {
                    let answer = answer.into_inner();
                    let data: Value = serde_json::from_slice(&answer.json).unwrap();
                    let metadata: Value = serde_json::from_slice(&answer.metadata_json).unwrap();
                    let dated = answer.created_at.is_some();
                    json!({"data": data, "version": answer.version, "metadata": metadata, "dated": dated})
                })
            }
            Ask::List(at, after, limit) => {
                let after = after.map(str::to_owned);
                let message = SecretsServiceListRequest { path: path(at), after, limit, refresh: false };
                client.list(self.asked(who, message)).await.map(|answer| {
                    let answer = answer.into_inner();
                    json!({"keys": answer.keys, "next": answer.next})
                })
            }
            Ask::Patch(at, value, expected_version) => {
                let message = SecretsServicePatchRequest { path: path(at), json: value.into(), expected_version };
                client.patch(self.asked(who, message)).await.map(|answer| {
                    let answer = answer.into_inner();
                    json!({"version": answer.version, "dated": answer.created_at.is_some(), "created": false})
                })
            }
            Ask::Put(at, value, expected_version) => {
                let message = SecretsServicePutRequest { path: path(at), json: value.into(), expected_version };
                client.put(self.asked(who, message)).await.map(|answer| {
                    let answer = answer.into_inner();
                    let dated = answer.created_at.is_some();
                    json!({"version": answer.version, "dated": dated, "created": answer.created})
                })
            }
            Ask::Undelete(at, versions) => {
                let message = SecretsServiceUndeleteRequest { path: path(at), versions: versions.to_vec() };
                client
                    .undelete(self.asked(who, message))
                    .await
                    .map(|answer| json!({"versions": answer.into_inner().versions}))
            }
            Ask::Versions(at) => {
                let message = SecretsServiceVersionsRequest { path: path(at), refresh: false };
                client.versions(self.asked(who, message)).await.map(|answer| {
                    let answer = answer.into_inner();
                    let all = answer.versions.iter().map(|v| json!([v.version, v.deleted_at.is_some(), v.destroyed]));
                    json!({"current": answer.current_version, "versions": all.collect::<Vec<_>>()})
                })
            }
        };
        answered.unwrap_or_else(|status| refused(&status))
    }

    /// The answer over REST: the parts that both doors say.
    fn rest(&self, who: Who, ask: &Ask) -> Value {
        let at = |path: &str| format!("{{}}/api/v1/secrets/rest/{}", path.replace(' ', "%20"));
        let list = |versions: &[u64]| versions.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
        let condition = |expected: Option<u64>| match expected {
            None => Vec::new(),
            Some(0) => vec!["-H".to_owned(), "If-None-Match: *".to_owned()],
            Some(version) => vec!["-H".to_owned(), format!("If-Match: \"{version}\"")],
        };
        let typed = |kind: &str| vec!["-H".to_owned(), format!("Content-Type: {kind}")];
        let body = |text: &str| vec!["--data-binary".to_owned(), text.to_owned()];
        let method = |name: &str| vec!["-X".to_owned(), name.to_owned()];
        let mut arguments = match ask {
            Ask::Delete(path, []) => [vec![at(path)], method("DELETE")].concat(),
            Ask::Delete(path, versions) => {
                [vec![format!("{}?versions={}", at(path), list(versions))], method("DELETE")].concat()
            }
            Ask::Destroy(path, versions) => {
                let query = format!("{}?versions={}&destroy=true", at(path), list(versions));
                [vec![query], method("DELETE")].concat()
            }
            Ask::Get(path, None) => vec![at(path)],
            Ask::Get(path, Some(version)) => vec![format!("{}?version={version}", at(path))],
            Ask::List(path, after, limit) => {
                let after = after.map(|name| format!("&after={name}")).unwrap_or_default();
                let limit = limit.map(|limit| format!("&limit={limit}")).unwrap_or_default();
                vec![format!("{}?list=true{after}{limit}", at(path))]
            }
            Ask::Patch(path, value, expected) => {
                let kind = typed("application/merge-patch+json");
                [vec![at(path)], method("PATCH"), kind, body(value), condition(*expected)].concat()
            }
            Ask::Put(path, value, expected) => {
                let kind = typed("application/json");
                [vec![at(path)], method("PUT"), kind, body(value), condition(*expected)].concat()
            }
            Ask::Undelete(path, versions) => {
                let text = json!({"versions": versions}).to_string();
                let path = format!("{}/undelete", at(path));
                [vec![path], method("POST"), typed("application/json"), body(&text)].concat()
            }
            Ask::Versions(path) => vec![format!("{}/versions", at(path))],
        };
        if let Some(token) = self.token(who) {
            arguments.extend(["-H".to_owned(), format!("Authorization: Bearer {token}")]);
        }
        let (status, body) = self.warder.curl(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        if status >= 400 {
            return json!({"code": body["code"], "field": body["field"], "version": body["version"],
                "destroyed": body["destroyed"], "plugin": body["plugin"]});
        }
        let dated = body["created_at"].is_string();
        match ask {
            Ask::Delete(..) | Ask::Destroy(..) => json!({}),
            Ask::Get(..) => {
                json!({"data": body["data"], "version": body["version"], "metadata": body["metadata"], "dated": dated})
            }
            Ask::List(..) => json!({"keys": body["keys"], "next": body["next"]}),
            Ask::Patch(..) | Ask::Put(..) => {
                json!({"version": body["version"], "dated": dated, "created": status == 201})
            }
            Ask::Undelete(..) => json!({"versions": body["versions"]}),
            Ask::Versions(..) => json!({"current": body["current_version"], "versions": of_versions(&body)}),
        }
    }
}

/// A refusal in REST's words: the fields that only one door can have are told apart by name.
fn refused(status: &Status) -> Value {
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("{status:?} has ErrorInfo"));
    assert_eq!(info.domain, "warder");
    assert!(!info.metadata["request_id"].is_empty());
    let field = details.bad_request().map(|bad| match &*bad.field_violations[0].field {
        "expected_version" => "If-Match",
        "json" => "body",
        field => field,
    });
    let number = |name: &str| info.metadata.get(name).map(|text| serde_json::from_str::<Value>(text).unwrap());
    json!({"code": info.reason, "field": field, "version": number("version"), "destroyed": number("destroyed"),
        "plugin": info.metadata.get("plugin")})
}

fn of_versions(body: &Value) -> Value {
    let versions = body["versions"].as_object().unwrap();
    let mut all: Vec<_> = versions
        .iter()
        .map(|(number, about)| {
            let number: u64 = number.parse().unwrap();
            (number, json!([number, about["deletion_time"] != "", about["destroyed"]]))
        })
        .collect();
    all.sort_by_key(|(number, _)| *number);
    all.into_iter().map(|(_, about)| about).collect()
}

const ONE: &str = r#"{"user":"admin","large":12345678901234567890123,"exact":1.10}"#;

#[tokio::test(flavor = "multi_thread")]
async fn both_doors_give_the_same_decision_data_and_word() {
    use Ask::{Delete, Destroy, Get, List, Patch, Put, Undelete, Versions};
    use Who::{Nobody, Root, Stranger, Weak};
    let mut doors = Doors::open().await;
    let mut differ = Vec::new();
    // In this order: what comes later sees what came before.
    for (who, ask, expected) in [
        (Root, Get("a", None), "not_found"),
        (Root, List("", None, None), "not_found"),
        (Root, Versions("a"), "not_found"),
        (Root, Patch("a", r#"{"b":1}"#, None), "not_found"),
        (Root, Put("a", ONE, Some(0)), "ok"),
        (Root, Put("a", ONE, Some(0)), "precondition_failed"),
        (Root, Get("a", None), "ok"),
        (Root, Put("a", r#"{"b":"2"}"#, Some(1)), "ok"),
        (Root, Put("a", r#"{"b":"3"}"#, Some(1)), "precondition_failed"),
        (Root, Patch("a", r#"{"c":{"d":null,"e":[1]}}"#, Some(2)), "ok"),
        (Root, Patch("a", r#"{"c":null}"#, Some(2)), "precondition_failed"),
        (Root, Get("a", None), "ok"),
        (Root, Get("a", Some(1)), "ok"),
        (Root, Get("a", Some(9)), "not_found"),
        (Root, Get("a", Some(0)), "invalid_request"),
        (Root, Get("a", Some(1 << 32)), "invalid_request"),
        (Root, Put("b/c", r#"{"gr\u00fcn":"\u0000\""}"#, None), "ok"),
        (Root, Put("b c", "{ }", None), "ok"),
        (Root, Get("b/c", None), "ok"),
        (Root, Get("b c", None), "ok"),
        (Root, List("", None, None), "ok"),
        (Root, List("", None, Some(2)), "ok"),
        (Root, List("", Some("a"), Some(1)), "ok"),
        (Root, List("", Some("zz"), None), "not_found"),
        (Root, List("b/", None, None), "ok"),
        (Root, List("", None, Some(0)), "invalid_request"),
        (Root, List("", None, Some(10_001)), "invalid_request"),
        (Root, Versions("a"), "ok"),
        (Root, Delete("a", &[]), "ok"),
        (Root, Get("a", None), "not_found"),
        (Root, Delete("a", &[1, 2]), "ok"),
        (Root, Versions("a"), "ok"),
        (Root, Undelete("a", &[1, 3]), "ok"),
        (Root, Get("a", None), "ok"),
        (Root, Destroy("a", &[3]), "ok"),
        (Root, Get("a", None), "not_found"),
        (Root, Versions("a"), "ok"),
        (Root, Undelete("a", &[]), "invalid_request"),
        (Root, Undelete("a", &[0]), "invalid_request"),
        (Root, Destroy("a", &[10_000_000_000]), "invalid_request"),
        (Root, Delete("none", &[]), "ok"),
        (Root, Put("x", "", None), "invalid_request"),
        (Root, Put("x", "[]", None), "invalid_request"),
        (Root, Put("x", r#"{"a":1,"a":2}"#, None), "invalid_request"),
        (Root, Patch("x", "{", None), "invalid_request"),
        (Root, Get("a//b", None), "invalid_request"),
        (Root, Get("a/../b", None), "invalid_request"),
        (Root, Get("a/", None), "invalid_request"),
        (Root, Put("a/", "{ }", None), "invalid_request"),
        (Root, Delete("a/", &[]), "invalid_request"),
        (Nobody, Get("a", None), "unauthenticated"),
        (Stranger, Get("a", None), "unauthenticated"),
        (Weak, Get("a", Some(1)), "permission_denied"),
        (Weak, Get("none", None), "permission_denied"),
        (Weak, Put("a", "{ }", None), "permission_denied"),
        (Weak, Patch("a", "{ }", None), "permission_denied"),
        (Weak, Delete("a", &[]), "permission_denied"),
        (Weak, Delete("a", &[1]), "permission_denied"),
        (Weak, Undelete("a", &[1]), "permission_denied"),
        (Weak, Destroy("a", &[1]), "permission_denied"),
        (Weak, List("", None, None), "permission_denied"),
        (Weak, Versions("a"), "permission_denied"),
        (Root, Get("a", Some(1)), "ok"),
    ] {
        let rest = doors.rest(who, &ask);
        let grpc = doors.grpc(who, &ask).await;
        let word = rest.get("code").and_then(Value::as_str).unwrap_or("ok");
        if grpc != rest || word != expected {
            differ.push(format!("{who:?} {ask:?}: expected {expected}\n  gRPC {grpc}\n  REST {rest}"));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    let (status, _) = doors.warder.curl(&["{}/api/v1/sys/seal", "-X", "POST", "-H", "Authorization: Bearer root"]);
    assert!(status < 300, "sealed: {status}");
    let (rest, grpc) = (doors.rest(Root, &Get("a", None)), doors.grpc(Root, &Get("a", None)).await);
    assert_eq!((&rest["code"], &grpc), (&json!("sealed"), &rest));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_door_stores_the_other_reads_to_the_byte() {
    let doors = Doors::open().await;
    let mut client = doors.client.clone();
    let put = SecretsServicePutRequest { path: "exact".to_owned(), json: ONE.into(), expected_version: None };
    let mut asked = doors.asked(Who::Root, put);
    asked.metadata_mut().insert("x-request-id", "r-17".parse().unwrap());
    let stored = client.put(asked).await.unwrap();
    assert_eq!(stored.metadata().get("x-request-id").unwrap(), "r-17");
    assert_eq!(stored.metadata().get("x-warder-resolved").unwrap(), "secret/data/exact");
    assert_eq!(stored.metadata().get("cache-control").unwrap(), "no-store");
    let get = SecretsServiceGetRequest { path: "exact".to_owned(), ..Default::default() };
    let read = client.get(doors.asked(Who::Root, get)).await.unwrap().into_inner();
    assert_eq!(read.json, ONE.as_bytes(), "numbers keep their digits");
    assert_eq!(stored.get_ref().created_at, read.created_at);
    let (_, body) = doors.warder.curl(&["{}/api/v1/secrets/exact", "-H", "Authorization: Bearer root"]);
    let time: prost_types::Timestamp = body["created_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(read.created_at, Some(time));
    let about = SecretsServiceVersionsRequest { path: "exact".to_owned(), refresh: false };
    let about = client.versions(doors.asked(Who::Root, about)).await.unwrap().into_inner();
    let (_, versions) = doors.warder.curl(&["{}/api/v1/secrets/exact/versions", "-H", "Authorization: Bearer root"]);
    assert_eq!(serde_json::from_slice::<Value>(&about.about_json).unwrap(), versions);
    let root = SecretsServiceListRequest::default();
    let root = client.list(doors.asked(Who::Root, root)).await.unwrap().into_inner();
    assert_eq!((root.keys, root.next), (vec!["exact".to_owned()], None));
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_exactly_the_limit_pass_and_one_byte_more_is_resource_exhausted() {
    let doors = Doors::open().await;
    let mut client = doors.client.clone();
    for (size, fits) in [(1 << 20, true), ((1 << 20) + 1, false), (2 << 20, false), (6 << 20, false)] {
        let text = format!(r#"{{"a":"{}"}}"#, "x".repeat(size - 8));
        let put = SecretsServicePutRequest { path: "big".to_owned(), json: text.into(), expected_version: None };
        let answered = client.put(doors.asked(Who::Root, put)).await;
        let Err(status) = answered else {
            assert!(fits, "{size} bytes");
            continue;
        };
        let details = status.get_error_details();
        assert_eq!((status.code(), fits), (Code::ResourceExhausted, false), "{size} bytes: {status:?}");
        assert_eq!(details.error_info().unwrap().reason, "too_large");
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, "json");
        assert!(status.message().contains("larger than 1048576 bytes"), "{status:?}");
    }
    let get = SecretsServiceGetRequest { path: "big".to_owned(), ..Default::default() };
    let read = client.get(doors.asked(Who::Root, get)).await.unwrap().into_inner();
    assert_eq!((read.json.len(), read.version), (1 << 20, Some(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_the_door_itself_have_a_reason_too() {
    let doors = Doors::open().await;
    let get = || SecretsServiceGetRequest { path: "a".to_owned(), ..Default::default() };
    for (name, value, code, reason, field) in [
        ("grpc-timeout", "soon", Code::InvalidArgument, "invalid_request", "grpc-timeout"),
        ("x-warder-namespace", "team", Code::InvalidArgument, "invalid_request", "x-warder-namespace"),
        ("x-vault-token", "other", Code::InvalidArgument, "invalid_request", "authorization"),
        ("grpc-encoding", "gzip", Code::InvalidArgument, "unsupported_media_type", ""),
    ] {
        let mut request = doors.asked(Who::Root, get());
        request.metadata_mut().insert(name, value.parse().unwrap());
        let status = doors.client.clone().get(request).await.unwrap_err();
        let details = status.get_error_details();
        assert_eq!((status.code(), &*details.error_info().unwrap().reason), (code, reason), "{name}: {status:?}");
        let at = details.bad_request().map_or("", |bad| &bad.field_violations[0].field);
        assert_eq!(at, field, "{name}");
    }
    let mut request = doors.asked(Who::Root, get());
    request.metadata_mut().remove("authorization");
    request.metadata_mut().insert("authorization", "Basic abc".parse().unwrap());
    let status = doors.client.clone().get(request).await.unwrap_err();
    assert_eq!(refused(&status)["code"], "invalid_request");
    let mut raw = tonic::client::Grpc::new(channel(&doors).await);
    raw.ready().await.unwrap();
    let codec = warder_proto::codec::Codec::<SecretsServiceGetRequest, SecretsServiceGetRequest>::default();
    let path = "/warder.v1.SecretsService/Steal".parse().unwrap();
    let status = raw.unary(doors.asked(Who::Root, get()), path, codec).await.unwrap_err();
    assert_eq!((status.code(), &refused(&status)["code"]), (Code::Unimplemented, &json!("not_found")));
    let status = unreadable(&doors).await;
    assert_eq!((status.code(), &refused(&status)["code"]), (Code::InvalidArgument, &json!("invalid_request")));
}

async fn channel(doors: &Doors) -> Channel {
    Channel::from_shared(format!("http://{}", doors.warder.address)).unwrap().connect().await.unwrap()
}

/// A message whose first field is of another type than the method's.
async fn unreadable(doors: &Doors) -> Status {
    let mut raw = tonic::client::Grpc::new(channel(doors).await);
    raw.ready().await.unwrap();
    let odd = prost_types::Timestamp { seconds: 1, nanos: 1 };
    let codec = warder_proto::codec::Codec::<prost_types::Timestamp, SecretsServiceGetRequest>::default();
    let path = "/warder.v1.SecretsService/Get".parse().unwrap();
    raw.unary(doors.asked(Who::Root, odd), path, codec).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_of_nothing_ends_the_call_with_its_word() {
    let doors = Doors::open().await;
    let address = doors.warder.address;
    // A client that honours its own deadline hides the server's answer: curl does not know it.
    let output = std::process::Command::new("curl")
        .args(["-s", "-D", "-", "-o", "/dev/null", "--http2-prior-knowledge", "--data-binary", "@-"])
        .args(["-H", "Content-Type: application/grpc", "-H", "TE: trailers", "-H", "grpc-timeout: 0n"])
        .args(["-H", "Authorization: Bearer root"])
        .arg(format!("http://{address}/warder.v1.SecretsService/Get"))
        .stdin(message(b"\x0a\x01a"))
        .output()
        .expect("curl is installed: apt-get install curl");
    let head = String::from_utf8(output.stdout).unwrap();
    assert!(head.lines().any(|line| line.trim() == "grpc-status: 4"), "{head}");
}

/// One uncompressed gRPC message as a file.
fn message(protobuf: &[u8]) -> std::fs::File {
    use std::io::{Seek as _, Write as _};
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[0, 0, 0, 0, u8::try_from(protobuf.len()).unwrap()]).unwrap();
    file.write_all(protobuf).unwrap();
    file.rewind().unwrap();
    file
}
