//! The description of the API: that it has every route of the router and every path of the broker,
//! and what of it who may see. That it is true is the suite `openapi` of the testkit.

use std::collections::BTreeSet;

use serde_json::Value;
use warder::edge::routes;
use warder_core::{request::Operation, sys};

use crate::every_door::{House, ROOT, UNKNOWN};

const NATIVE: &str = "/api/v1/openapi.json";
const VAULT: &str = "/v1/sys/internal/specs/openapi";

/// The word that OpenAPI has for a method: none for `LIST`, which `?list=true` says as well.
fn method(word: &str) -> String {
    if word == "LIST" { "get".to_owned() } else { word.to_ascii_lowercase() }
}

/// Where a pattern's operation stands in the document.
fn place(method: &str, pattern: &str) -> String {
    let path = pattern.replace("...}", "}");
    if method == "LIST" && path.ends_with('}') { format!("{path}/") } else { path }
}

/// `METHOD path` of all operations in it.
fn operations(document: &Value) -> BTreeSet<(String, String)> {
    let verbs = ["get", "head", "put", "post", "patch", "delete"];
    let of = |(path, item): (&String, &Value)| {
        let here = verbs.iter().filter(|verb| item.get(**verb).is_some());
        here.map(|verb| ((*verb).to_owned(), path.clone())).collect::<Vec<_>>()
    };
    document["paths"].as_object().unwrap().iter().flat_map(of).collect()
}

fn ask(house: &House, target: &str, token: &str) -> Value {
    let (status, answer) = house.ask("GET", target, "", token);
    assert_eq!(status, 200, "{target}: {answer}");
    answer
}

#[test]
fn every_route_of_the_router_and_every_path_of_the_broker_is_described() {
    let house = House::new();
    let described = operations(&ask(&house, NATIVE, ""));
    let mut there: BTreeSet<_> =
        routes().iter().map(|route| (method(route.method), place(route.method, route.pattern))).collect();
    for (path, operations) in sys::table() {
        for operation in operations {
            let words: &[&str] = match operation {
                Operation::Delete => &["DELETE"],
                Operation::List => &["LIST"],
                Operation::Patch => &["PATCH"],
                Operation::Read => &["GET"],
                _ => &["POST", "PUT"],
            };
            there.extend(words.iter().map(|word| (method(word), format!("/v1/{}", place(word, path)))));
        }
    }
    let missing: Vec<_> = there.difference(&described).collect();
    assert!(missing.is_empty(), "give each its row in edge/openapi/table.rs: {missing:?}");
    let invented: Vec<_> = described.difference(&there).collect();
    assert!(invented.is_empty(), "described, but there is no such route: {invented:?}");
}

#[test]
fn every_reference_leads_somewhere_and_every_operation_has_a_name_of_its_own() {
    let house = House::new();
    let document = ask(&house, NATIVE, ROOT);
    let mut names = Vec::new();
    walk(&document, &mut |name, value| match (name, value.as_str()) {
        ("$ref", Some(to)) => assert!(document.pointer(to.trim_start_matches('#')).is_some(), "{to}"),
        ("operationId", Some(id)) => names.push(id.to_owned()),
        _ => {}
    });
    let unique: BTreeSet<_> = names.iter().collect();
    assert!(names.len() > 100 && unique.len() == names.len(), "{names:?}");
}

fn walk(value: &Value, see: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Object(members) => {
            for (name, inner) in members {
                see(name, inner);
                walk(inner, see);
            }
        }
        Value::Array(values) => values.iter().for_each(|inner| walk(inner, see)),
        _ => {}
    }
}

/// Paths of the document that lie below a mount.
fn below(document: &Value, mount: &str) -> usize {
    document["paths"].as_object().unwrap().keys().filter(|path| path.starts_with(mount)).count()
}

#[test]
fn a_mount_is_described_to_those_whose_policies_reach_it_and_to_nobody_else() {
    let house = House::new();
    house.furnish();
    let policy = r#"{"policy":"path \"door/data/a\" { capabilities = [\"read\"] }"}"#;
    assert_eq!(house.ask("PUT", "/api/v1/policies/near", policy, ROOT).0, 204);
    let near = house.token(r#"{"policies":["near"],"ttl":"1h"}"#)[0].clone();
    let weak = house.token(r#"{"policies":["default"],"ttl":"1h"}"#)[0].clone();
    for (token, door, secret) in [("", false, false), (&*weak, false, false), (&*near, true, false), (ROOT, true, true)]
    {
        let native = ask(&house, NATIVE, token);
        let seen = (below(&native, "/v1/door/") > 0, below(&native, "/v1/secret/") > 0);
        assert_eq!(seen, (door, secret), "{token:?}");
        let vault = ask(&house, VAULT, token);
        let seen = (below(&vault, "/door/") > 0, below(&vault, "/secret/") > 0);
        assert_eq!(seen, (door, secret), "{token:?} at the compatible door");
    }
    for token in [UNKNOWN, &house.expired, &house.revoked] {
        assert_eq!((house.ask("GET", NATIVE, "", token).0, house.ask("GET", VAULT, "", token).0), (401, 403));
    }
    // Nor is a mount that is not seen told from one that is not there.
    let told = |mount: &str| {
        let (status, mut answer) = house.ask("GET", &format!("{NATIVE}?mount={mount}"), "", &near);
        answer["request_id"] = Value::Null;
        (status, answer)
    };
    assert_eq!((told("door").0, told("secret/").0), (200, 404));
    assert_eq!(told("secret/").1, told("nothing/").1);
}

#[test]
fn a_mount_has_the_routes_and_fields_that_its_plugin_declares() {
    let house = House::new();
    let document = ask(&house, NATIVE, ROOT);
    let data = &document["paths"]["/v1/secret/data/{path}"];
    assert_eq!(data["get"]["operationId"], "mount.secret.data._path.read");
    let body = &data["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"];
    let shape = document.pointer(body.as_str().unwrap().trim_start_matches('#')).unwrap();
    assert_eq!(shape["properties"]["data"]["x-warder-sensitive"], true);
    assert_eq!(shape["properties"]["options"].get("x-warder-sensitive"), None);
    assert!(data["patch"]["requestBody"]["content"]["application/merge-patch+json"].is_object());
    assert_eq!(
        document["paths"]["/v1/secret/metadata/{path}/"]["get"]["operationId"],
        "mount.secret.metadata._path.list"
    );
}

#[test]
fn a_document_of_very_many_mounts_says_how_many_it_leaves_out() {
    let house = House::new();
    for number in 0..103 {
        let (status, answer) =
            house.ask("PUT", &format!("/api/v1/mounts/many/m{number:03}"), r#"{"plugin":"kv"}"#, ROOT);
        assert_eq!(status, 204, "{answer}");
    }
    let document = ask(&house, NATIVE, ROOT);
    assert_eq!(document["info"]["x-warder-mounts-left-out"], 4);
    assert_eq!((below(&document, "/v1/many/m099/") > 0, below(&document, "/v1/many/m102/")), (true, 0));
    assert!(below(&ask(&house, &format!("{NATIVE}?mount=many/m102"), ROOT), "/v1/many/m102/") > 0);
}
