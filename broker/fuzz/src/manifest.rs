//! What a plugin says of itself, and paths that are then matched. Parts: a request path, then
//! lines of `kind choice flags text/text/..`, the texts split at `\t`.
//!
//! A description that is accepted compiles into routes; each path finds a route that takes it; a
//! native path resolves to one that its mount's route takes back.

use std::sync::Arc;

use warder_core::{
    json,
    path::Path,
    port::backend::Description,
    request::SecretView,
    route::{self, Routes},
};
use warder_runtime::fuzzing::{self, Line};

use crate::parts;

/// Feeds one input.
pub fn run(mut data: &[u8]) {
    let Some(path) = parts::text(&mut data) else { return };
    let mut lines = Vec::new();
    while !data.is_empty() && lines.len() < 300 {
        let mut part = parts::bytes(&mut data);
        let (kind, choice, flags) = (parts::byte(&mut part), parts::byte(&mut part), parts::byte(&mut part));
        let Ok(text) = std::str::from_utf8(part) else { return };
        let mut texts = text.split('\t');
        let texts = [(); 4].map(|()| texts.next().unwrap_or_default());
        lines.push(Line { kind, choice, flags, texts });
    }
    let Ok(description) = fuzzing::description(&lines) else { return };
    checked(&description);
    if let Ok(path) = Path::parse(path) {
        matched(&description, &path);
    }
}

fn checked(description: &Description) {
    assert!(description.name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')));
    for route in &description.routes {
        assert!(!route.verbs.is_empty());
        for field in &route.fields {
            assert!(!field.name.is_empty());
            assert!(!(field.sensitive && field.endpoint));
            assert!(field.default.as_ref().is_none_or(|text| json::check(text.as_bytes()).is_ok()));
        }
    }
    for secret in &description.secret_routes {
        assert!(description.routes.iter().any(|route| route.pattern == secret.route));
        assert!(json::split_pointer(&secret.value_at).is_ok());
    }
}

fn matched(description: &Description, path: &Path) {
    let routes = Arc::new(Routes::compile(description).expect("a checked description has good patterns"));
    if let Some((route, target)) = routes.find(path.as_str()) {
        assert_eq!(target.route, route.pattern);
        let fields = warder_core::request::Fields::default();
        let _ = route::lift(&route, &target.captures, &fields);
    }
    let record = serde_json::json!({
        "path": "secret/", "uuid": "1", "accessor": "kv_1", "plugin": "kv", "description": "", "created": 0,
        "fingerprint_key": "",
    });
    let (mount, _) = route::fuzzing::mount(record.to_string().as_bytes()).expect("a mount");
    let table = route::fuzzing::table([mount]);
    for view in [SecretView::Value, SecretView::Listing, SecretView::Versions, SecretView::Destroy] {
        let Ok(resolved) = route::resolve(&table, view, path, &|_| Some(Arc::clone(&routes))) else { continue };
        assert!(resolved.path.as_str().starts_with("secret/"), "{path} resolves to {}", resolved.path);
        let inside = &resolved.path.as_str()["secret/".len()..];
        let found =
            routes.find(inside).is_some() || inside.trim_end_matches('/').is_empty() || resolved.path.is_folder();
        assert!(found, "{path} resolves to {inside}, which no route takes");
    }
}
