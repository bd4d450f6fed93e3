//! Every method of the gRPC door with every kind of token, each beside its REST twin. The list of
//! methods is read from the protobufs: a method without a row here fails the test, and so does one
//! that the door does not know.

use std::{collections::BTreeSet, fs, path::Path, pin::Pin};

use tonic::{Code, Request, Status, transport::Channel};
use tonic_types::StatusExt as _;
use warder_proto::v1::{
    SecretsServiceDeleteRequest as Delete, SecretsServiceDestroyRequest as Destroy, SecretsServiceGetRequest as Get,
    SecretsServiceListRequest as List, SecretsServicePatchRequest as Patch, SecretsServicePutRequest as Put,
    SecretsServiceUndeleteRequest as Undelete, SecretsServiceVersionsRequest as Versions,
    secrets_service_client::SecretsServiceClient,
};

use crate::every_door::{Expect, House, ROOT, ROUTES, UNKNOWN};

type Client = SecretsServiceClient<Channel>;
type Asking = Pin<Box<dyn Future<Output = Result<(), Status>>>>;

/// One method, and the row of its REST twin.
struct Row {
    method: &'static str,
    ask: fn(Client, String) -> Asking,
    /// Method, pattern in [`ROUTES`], target, body.
    twin: (&'static str, &'static str, &'static str, &'static str),
}

macro_rules! row {
    ($method:literal, $call:ident($message:expr), $twin:expr) => {
        Row {
            method: concat!("/warder.v1.SecretsService/", $method),
            ask: |mut client, token| {
                Box::pin(async move { client.$call(with_token($message, &token)).await.map(drop) })
            },
            twin: $twin,
        }
    };
}

const SECRET: &str = "/api/v1/secrets/{path...}";
const DOOR: &str = "/api/v1/secrets/door";

fn rows() -> Vec<Row> {
    vec![
        row!("Delete", delete(Delete { path: door(), versions: vec![] }), ("DELETE", SECRET, DOOR, "")),
        row!(
            "Destroy",
            destroy(Destroy { path: door(), versions: vec![1] }),
            ("DELETE", SECRET, "/api/v1/secrets/door?versions=1&destroy=true", "")
        ),
        row!("Get", get(Get { path: door(), version: None, refresh: false }), ("GET", SECRET, DOOR, "")),
        row!("List", list(List::default()), ("GET", "/api/v1/secrets/", "/api/v1/secrets/?list=true", "")),
        row!(
            "Patch",
            patch(Patch { path: door(), json: "{}".into(), expected_version: None }),
            ("PATCH", SECRET, DOOR, "{}")
        ),
        row!("Put", put(Put { path: door(), json: "{}".into(), expected_version: None }), ("PUT", SECRET, DOOR, "{}")),
        row!(
            "Undelete",
            undelete(Undelete { path: door(), versions: vec![1] }),
            ("POST", "/api/v1/secrets/{path...}/undelete", "/api/v1/secrets/door/undelete", r#"{"versions":[1]}"#)
        ),
        row!(
            "Versions",
            versions(Versions { path: door(), refresh: false }),
            ("GET", "/api/v1/secrets/{path...}/versions", "/api/v1/secrets/door/versions", "")
        ),
    ]
}

fn door() -> String {
    "door".to_owned()
}

fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    if !token.is_empty() {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    request
}

/// Over a connection that is gone afterwards: the server waits for those that are open.
fn grpc(house: &House, ask: fn(Client, String) -> Asking, token: &str) -> Result<(), Status> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let channel = Channel::from_shared(format!("http://{}", house.warder.address)).unwrap();
        ask(SecretsServiceClient::new(channel.connect().await.unwrap()), token.to_owned()).await
    })
}

/// The word of the answer; a code that does not belong to it fails.
fn word(answered: &Result<(), Status>) -> String {
    let Err(status) = answered else { return "ok".to_owned() };
    let details = status.get_error_details();
    let reason = details.error_info().unwrap_or_else(|| panic!("{status:?} has no reason")).reason.clone();
    let code = match reason.as_str() {
        "permission_denied" => Code::PermissionDenied,
        "unauthenticated" => Code::Unauthenticated,
        _ => status.code(),
    };
    assert_eq!(status.code(), code, "{status:?}");
    reason
}

#[test]
fn every_method_decides_as_its_rest_twin_for_every_kind_of_token() {
    let house = House::new();
    for row in rows() {
        let weak = house.token(r#"{"policies":["default"],"ttl":"1h"}"#)[0].clone();
        let good = house.token(r#"{"policies":["root"],"ttl":"1h"}"#)[0].clone();
        for (kind, token, expected) in [
            ("no", "", "unauthenticated"),
            ("unknown", UNKNOWN, "unauthenticated"),
            ("expired", &house.expired, "unauthenticated"),
            ("revoked", &house.revoked, "unauthenticated"),
            ("weak", &weak, "permission_denied"),
            ("good", &good, "ok"),
            ("root", ROOT, "ok"),
        ] {
            house.furnish();
            let asked = word(&grpc(&house, row.ask, token));
            house.furnish();
            let (method, _, target, body) = row.twin;
            let (status, answer) = house.ask(method, target, body, token);
            let twin = answer["code"].as_str().unwrap_or(if status < 300 { "ok" } else { "none" });
            assert_eq!((asked.as_str(), twin), (expected, expected), "{} with {kind} token: {answer}", row.method);
        }
    }
}

/// A stranger and a weak token learn nothing: what is not there is refused like what is.
#[test]
fn a_refused_method_tells_nothing_about_what_is_there() {
    let house = House::new();
    house.furnish();
    let weak = house.token(r#"{"policies":["default"],"ttl":"1h"}"#)[0].clone();
    let there: fn(Client, String) -> Asking = |mut client, token| {
        Box::pin(async move { client.get(with_token(Get { path: door(), ..Get::default() }, &token)).await.map(drop) })
    };
    let nothing: fn(Client, String) -> Asking = |mut client, token| {
        let get = Get { path: "nothing".to_owned(), ..Get::default() };
        Box::pin(async move { client.get(with_token(get, &token)).await.map(drop) })
    };
    for token in ["", UNKNOWN, &house.expired, &house.revoked, &weak] {
        let told = |ask| {
            let status = grpc(&house, ask, token).unwrap_err();
            let details = status.get_error_details();
            let info = details.error_info().unwrap();
            let mut named: Vec<_> = info.metadata.iter().filter(|(name, _)| *name != "request_id").collect();
            named.sort();
            format!("{:?} {} {} {named:?}", status.code(), status.message(), info.reason)
        };
        assert_eq!(told(there), told(nothing));
    }
}

#[test]
fn every_method_of_the_protobufs_has_a_row_and_is_known_to_the_door() {
    let documented = documented();
    assert!(documented.len() >= 8, "{documented:?}");
    let rows: BTreeSet<String> = rows().iter().map(|row| row.method.to_owned()).collect();
    assert_eq!(rows, documented, "give each new method its row in every_method.rs");
    let known: BTreeSet<String> = warder::edge::METHODS.iter().map(|method| (*method).to_owned()).collect();
    assert_eq!(known, documented, "give each new method its place in the door's METHODS");
}

#[test]
fn every_twin_is_a_route_that_needs_a_token() {
    for row in rows() {
        let (method, pattern, ..) = row.twin;
        let found = ROUTES.iter().find(|route| (route.0, route.1) == (method, pattern));
        assert!(matches!(found, Some((.., Expect::Token(403, _)))), "{} names {method} {pattern}", row.method);
    }
}

/// `/package.Service/Method` of every protobuf file of the API.
fn documented() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/warder/v1");
    let mut methods = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "proto") {
            methods.extend(methods_of(&fs::read_to_string(path).unwrap()));
        }
    }
    methods
}

fn methods_of(text: &str) -> Vec<String> {
    let (mut package, mut service, mut found) = (String::new(), String::new(), Vec::new());
    let name =
        |rest: &str| rest.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '.').next().unwrap().to_owned();
    for line in text.lines().map(str::trim_start) {
        match line.split_once(' ') {
            Some(("package", rest)) => package = name(rest),
            Some(("rpc", rest)) => found.push(format!("/{package}.{service}/{}", name(rest))),
            Some(("service", rest)) => service = name(rest),
            _ => {}
        }
    }
    found
}

#[test]
fn methods_are_found_in_protobufs() {
    let text = "// rpc No(A) returns (B);\npackage a.b1;\nservice One {\n  rpc Get(A) returns (B);\n}\nservice Two{\n  rpc Put (A) returns (stream B) {}\n}\n";
    assert_eq!(methods_of(text), ["/a.b1.One/Get", "/a.b1.Two/Put"]);
}
