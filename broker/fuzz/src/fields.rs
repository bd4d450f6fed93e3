//! Request bodies on their way to a plugin or to `sys`: a body, pointers of a secret route, a duration.
//!
//! A lifted body is JSON without its sensitive fields, and lifting it again changes nothing;
//! every field is known, sensitive or named as unknown.

use std::time::Duration;

use warder_core::{
    authn::CreateToken,
    duration,
    json::{self, Kind},
    port::backend::{Field, FieldKind, Route},
    request::{Fields, SecretRoute, SecretView},
    route,
};

use crate::parts;

/// Feeds one input.
pub fn run(mut data: &[u8]) {
    let body = parts::bytes(&mut data);
    let (value_at, check_at, span) = (parts::text(&mut data), parts::text(&mut data), parts::text(&mut data));
    if let Some(span) = span {
        spoken(span);
    }
    let fields = match Fields::from_json(body) {
        Ok(fields) => fields,
        Err(error) => {
            let object = json::check(body).is_ok_and(|text| json::kind(text) == Kind::Object);
            assert!(!object, "{error}");
            return;
        }
    };
    lifted(&fields);
    if let Err(error) = fields.parse::<CreateToken>() {
        assert!(error.detail.len() < 512, "{error}");
    }
    if let (Some(value_at), Some(check_at)) = (value_at, check_at) {
        shaped(fields, value_at, check_at);
    }
}

fn spoken(text: &str) {
    let Ok(parsed) = duration::parse(text) else { return };
    assert_eq!(duration::parse(&format!("{}ms", parsed.as_millis())).ok(), fits(parsed), "{text:?}");
    if parsed.subsec_nanos() == 0 {
        assert_eq!(duration::parse(&parsed.as_secs().to_string()), Ok(parsed), "{text:?}");
    }
}

/// Milliseconds are read as 64 bits.
fn fits(parsed: Duration) -> Option<Duration> {
    u64::try_from(parsed.as_millis()).is_ok().then_some(parsed)
}

fn lifted(fields: &Fields) {
    let route = route(true);
    let Ok(lifted) = route::lift(&route, &[("captured".to_owned(), "x".to_owned())], fields) else { return };
    let again = Fields::from_json(lifted.data.as_bytes()).expect("lifted data is an object");
    for (name, _) in again.iter() {
        let field = route.fields.iter().find(|field| field.name == name).expect("only fields of the route are lifted");
        assert!(!field.sensitive && name != "captured", "{name} is in the data");
    }
    let names = |(pointer, _): &(String, _)| pointer.trim_start_matches('/').to_owned();
    let secret: Vec<String> = lifted.secrets.iter().map(names).collect();
    for (name, _) in fields.iter() {
        let places = [
            again.get(name).is_some(),
            secret.iter().any(|had| had == name),
            lifted.unknown.iter().any(|had| had == name),
        ];
        let found = places.iter().filter(|place| **place).count();
        assert_eq!(found, usize::from(name != "captured"), "{name} is in {found} places");
    }
    let twice = route::lift(&self::route(false), &[], &again).expect("lifted data fits its route");
    assert!(again.to_json().ct_eq(twice.data.as_bytes()), "lifting again changes {}", lifted.data);
}

/// A field of every kind, one that is captured, and two that are sealed.
fn route(strict: bool) -> Route {
    let kinds = [
        ("boolean", FieldKind::Boolean),
        ("choice", FieldKind::Choice(vec!["a".to_owned(), "b".to_owned()])),
        ("document", FieldKind::Document),
        ("duration", FieldKind::Duration),
        ("integer", FieldKind::Integer),
        ("text", FieldKind::Text),
        ("list", FieldKind::TextList),
        ("map", FieldKind::TextMap),
        ("captured", FieldKind::Text),
        ("sealed", FieldKind::Text),
        ("data", FieldKind::Document),
    ];
    let field = |(name, kind): (&str, FieldKind)| Field {
        name: name.to_owned(),
        kind,
        required: strict && name == "text",
        default: (name == "integer").then(|| "7".to_owned()),
        sensitive: matches!(name, "sealed" | "data"),
        endpoint: false,
        doc: String::new(),
    };
    Route {
        pattern: "{captured}".to_owned(),
        verbs: Vec::new(),
        fields: kinds.into_iter().map(field).collect(),
        doc: String::new(),
        public: false,
        privileged: false,
        issues_lease: false,
    }
}

fn shaped(mut fields: Fields, value_at: &str, check_at: &str) {
    if [value_at, check_at].iter().any(|pointer| json::split_pointer(pointer).is_err()) {
        return;
    }
    let view = SecretRoute {
        view: SecretView::Value,
        pattern: "{path...}".to_owned(),
        route: "data/{path...}".to_owned(),
        value_at: value_at.to_owned(),
        about_at: None,
        check_at: Some(check_at.to_owned()),
    };
    let value = fields.to_json();
    fields = Fields::default();
    fields.set("", value.clone());
    let shaped = route::shape(&view, fields).expect("a whole value has a place").to_json();
    let text = json::check(shaped.expose());
    let Ok(text) = text else {
        assert_eq!(text, Err(json::JsonError::TooDeep));
        return;
    };
    let found = json::project(text, value_at).expect("the pointer was checked").expect("the value is where it was put");
    assert!(value.ct_eq(found.as_bytes()), "{text} at {value_at}");
}
