//! A plugin's description: converted, and checked as a whole before anybody relies on it.

use std::{collections::HashSet, sync::Arc, time::Duration};

use warder_core::{
    json,
    port::backend::{Description, Field, FieldKind, MountKind, Route},
    request::{Operation, SecretRoute, SecretView},
    route::Pattern,
};

use crate::{bind::exports::warder::plugin::backend as wit, fault::bounded};

/// Most routes, fields of a route, secret routes and tasks.
const MOST: usize = 256;
/// Longest text for people, bytes.
const DOC_BYTES: usize = 4096;

/// What a plugin's name is.
pub(crate) const NAME_RULE: &str = "1 to 64 lower-case letters, digits and hyphens";

/// What is wrong with a description; the place and the rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {rule}")]
pub struct BadDescription {
    /// `route "data/{path...}"`, `secret-route value`, ...
    pub place: String,
    /// What must hold.
    pub rule: String,
}

fn bad(place: impl Into<String>, rule: impl Into<String>) -> BadDescription {
    BadDescription { place: place.into(), rule: rule.into() }
}

fn rule(holds: bool, place: &str, words: &str) -> Result<(), BadDescription> {
    if holds { Ok(()) } else { Err(bad(place, words)) }
}

/// The description in core's words; of a plugin with the wanted name, where one is wanted.
pub(crate) fn description(wanted: Option<&str>, from: wit::Description) -> Result<Description, BadDescription> {
    rule(is_name(&from.name), "name", &format!("{:?} must be {NAME_RULE}", bounded(&from.name, 64)))?;
    if let Some(name) = wanted {
        rule(from.name == name, "name", &format!("it says {:?}, but is loaded as {name:?}", from.name))?;
    }
    rule(is_version(&from.version), "version", "must be a semantic version such as 1.2.3")?;
    rule(from.doc.len() <= DOC_BYTES, "doc", "is too long")?;
    let counts = [from.routes.len(), from.secret_routes.len(), from.tasks.len()];
    rule(counts.iter().all(|count| *count <= MOST), "description", "has too many routes or tasks")?;
    let routes = routes(from.routes)?;
    let secret_routes = secret_routes(from.secret_routes, &routes)?;
    Ok(Description {
        name: from.name,
        version: from.version,
        kind: match from.kind {
            wit::MountKind::Secrets => MountKind::Secrets,
            wit::MountKind::Auth => MountKind::Auth,
        },
        doc: from.doc,
        routes,
        secret_routes,
        tasks: tasks(from.tasks)?,
    })
}

pub(crate) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

fn is_version(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<&str> = core.split('.').collect();
    text.len() <= 64 && numbers.len() == 3 && numbers.iter().all(|n| n.parse::<u32>().is_ok())
}

fn routes(from: Vec<wit::Route>) -> Result<Vec<Route>, BadDescription> {
    let mut seen = HashSet::new();
    let mut routes = Vec::with_capacity(from.len());
    for route in from {
        let place = format!("route {:?}", route.pattern);
        let pattern = parsed(&place, &route.pattern)?;
        rule(seen.insert(pattern.shape()), &place, "another route matches the same paths")?;
        rule(route.doc.len() <= DOC_BYTES, &place, "its doc is too long")?;
        let verbs = verbs(route.verbs);
        rule(!verbs.is_empty(), &place, "has no verb")?;
        rule(!(route.public && route.issues_lease), &place, "a lease belongs to a token: a public route issues none")?;
        routes.push(Route {
            fields: fields(&place, route.fields)?,
            pattern: route.pattern,
            verbs,
            doc: route.doc,
            public: route.public,
            privileged: route.privileged,
            issues_lease: route.issues_lease,
        });
    }
    Ok(routes)
}

fn verbs(from: wit::Verbs) -> Vec<Operation> {
    let all = [
        (wit::Verbs::READ, Operation::Read),
        (wit::Verbs::ENUMERATE, Operation::List),
        (wit::Verbs::CREATE, Operation::Create),
        (wit::Verbs::UPDATE, Operation::Update),
        (wit::Verbs::PATCH, Operation::Patch),
        (wit::Verbs::DELETE, Operation::Delete),
        (wit::Verbs::ROTATE, Operation::Rotate),
    ];
    all.into_iter().filter(|(flag, _)| from.contains(*flag)).map(|(_, operation)| operation).collect()
}

fn fields(route: &str, from: Vec<wit::Field>) -> Result<Vec<Field>, BadDescription> {
    rule(from.len() <= MOST, route, "has too many fields")?;
    let mut names = HashSet::new();
    let mut fields = Vec::with_capacity(from.len());
    for field in from {
        let place = format!("{route}, field {:?}", field.name);
        rule(!field.name.is_empty() && field.name.len() <= 128, &place, "a name is 1 to 128 bytes")?;
        rule(names.insert(field.name.clone()), &place, "is there twice")?;
        rule(!(field.sensitive && field.endpoint), &place, "an endpoint cannot be sensitive")?;
        if let Some(default) = &field.default {
            json::check(default.as_bytes()).map_err(|e| bad(&place, format!("its default: {e}")))?;
        }
        fields.push(Field {
            kind: field_kind(&place, field.kind)?,
            name: field.name,
            required: field.required,
            default: field.default,
            sensitive: field.sensitive,
            endpoint: field.endpoint,
            doc: field.doc,
        });
    }
    Ok(fields)
}

fn field_kind(place: &str, from: wit::FieldKind) -> Result<FieldKind, BadDescription> {
    Ok(match from {
        wit::FieldKind::Text => FieldKind::Text,
        wit::FieldKind::Integer => FieldKind::Integer,
        wit::FieldKind::Boolean => FieldKind::Boolean,
        wit::FieldKind::Duration => FieldKind::Duration,
        wit::FieldKind::TextList => FieldKind::TextList,
        wit::FieldKind::TextMap => FieldKind::TextMap,
        wit::FieldKind::Document => FieldKind::Document,
        wit::FieldKind::Choice(words) => {
            rule(!words.is_empty(), place, "a choice needs words to choose from")?;
            FieldKind::Choice(words)
        }
    })
}

fn secret_routes(from: Vec<wit::SecretRoute>, routes: &[Route]) -> Result<Vec<Arc<SecretRoute>>, BadDescription> {
    let mut seen = HashSet::new();
    let mut out = Vec::with_capacity(from.len());
    for route in from {
        let view = view(route.view);
        let place = format!("secret-route {} {:?}", view_word(view), route.pattern);
        let pattern = parsed(&place, &route.pattern)?;
        rule(seen.insert((view, pattern.shape())), &place, "another one has this view and pattern")?;
        let Some(target) = routes.iter().find(|known| known.pattern == route.route) else {
            return Err(bad(place, format!("there is no route {:?}", route.route)));
        };
        let answering = parsed(&place, &target.pattern)?;
        rule(captures(&pattern) == captures(&answering), &place, "its captures are not those of its route")?;
        rule(answers(view, &target.verbs), &place, "its route has no verb for this view")?;
        let pointers = [Some(&route.value_at), route.about_at.as_ref(), route.check_at.as_ref()];
        for pointer in pointers.into_iter().flatten() {
            json::split_pointer(pointer).map_err(|_| bad(&place, format!("{pointer:?} is no JSON pointer")))?;
        }
        out.push(Arc::new(SecretRoute {
            view,
            pattern: route.pattern,
            route: route.route,
            value_at: route.value_at,
            about_at: route.about_at,
            check_at: route.check_at,
        }));
    }
    Ok(out)
}

const fn view(from: wit::SecretView) -> SecretView {
    match from {
        wit::SecretView::Value => SecretView::Value,
        wit::SecretView::Listing => SecretView::Listing,
        wit::SecretView::Versions => SecretView::Versions,
        wit::SecretView::Remove => SecretView::Remove,
        wit::SecretView::Undelete => SecretView::Undelete,
        wit::SecretView::Destroy => SecretView::Destroy,
    }
}

const fn view_word(view: SecretView) -> &'static str {
    match view {
        SecretView::Value => "value",
        SecretView::Listing => "listing",
        SecretView::Versions => "versions",
        SecretView::Remove => "remove",
        SecretView::Undelete => "undelete",
        SecretView::Destroy => "destroy",
    }
}

/// Whether a route with these verbs can answer the view.
fn answers(view: SecretView, verbs: &[Operation]) -> bool {
    let any = |wanted: &[Operation]| verbs.iter().any(|verb| wanted.contains(verb));
    match view {
        SecretView::Value => true,
        SecretView::Listing => any(&[Operation::List]),
        SecretView::Versions => any(&[Operation::Read]),
        SecretView::Remove | SecretView::Undelete | SecretView::Destroy => {
            any(&[Operation::Create, Operation::Update, Operation::Delete])
        }
    }
}

fn tasks(from: Vec<wit::Task>) -> Result<Vec<(String, Duration)>, BadDescription> {
    let mut names = HashSet::new();
    for task in &from {
        let place = format!("task {:?}", task.name);
        rule(!task.name.is_empty() && task.name.len() <= 128, &place, "a name is 1 to 128 bytes")?;
        rule(names.insert(task.name.clone()), &place, "is there twice")?;
        rule(task.every > 0, &place, "its period is zero")?;
    }
    Ok(from.into_iter().map(|task| (task.name, Duration::from_secs(task.every.into()))).collect())
}

fn parsed(place: &str, text: &str) -> Result<Pattern, BadDescription> {
    Pattern::parse(text).map_err(|error| bad(place, error.to_string()))
}

/// Names of its captures, sorted: order and place do not matter.
fn captures(pattern: &Pattern) -> Vec<&str> {
    let mut names = pattern.names();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(pattern: &str) -> wit::Route {
        wit::Route {
            pattern: pattern.into(),
            verbs: wit::Verbs::READ | wit::Verbs::ENUMERATE | wit::Verbs::CREATE,
            fields: Vec::new(),
            doc: String::new(),
            public: false,
            privileged: false,
            issues_lease: false,
        }
    }

    fn field(name: &str) -> wit::Field {
        wit::Field {
            name: name.into(),
            kind: wit::FieldKind::Text,
            required: false,
            default: None,
            sensitive: false,
            endpoint: false,
            doc: String::new(),
        }
    }

    fn secret_route(pattern: &str, to: &str) -> wit::SecretRoute {
        wit::SecretRoute {
            view: wit::SecretView::Value,
            pattern: pattern.into(),
            route: to.into(),
            value_at: "/data".into(),
            about_at: None,
            check_at: None,
        }
    }

    fn plain(routes: Vec<wit::Route>) -> wit::Description {
        wit::Description {
            name: "kv".into(),
            version: "0.1.0".into(),
            kind: wit::MountKind::Secrets,
            doc: String::new(),
            routes,
            secret_routes: Vec::new(),
            tasks: Vec::new(),
        }
    }

    fn refused(description: wit::Description) -> String {
        super::description(Some("kv"), description).unwrap_err().to_string()
    }

    #[test]
    fn each_bad_pattern_has_its_reason() {
        for (pattern, words) in [
            ("a//b", "bad route pattern"),
            ("/a", "bad route pattern"),
            ("a/../b", "bad route pattern"),
            ("a/{}", "bad route pattern"),
            ("a/{b c}", "bad route pattern"),
            ("a/x{b}", "bad route pattern"),
            ("{a...}/b", "bad route pattern"),
            ("{a}/{a}", "each name once"),
        ] {
            assert!(refused(plain(vec![route(pattern)])).contains(words), "{pattern}");
        }
        assert!(refused(plain(vec![route("a/{x}"), route("a/{y}")])).contains("same paths"));
        assert!(refused(plain(vec![wit::Route { verbs: wit::Verbs::empty(), ..route("a") }])).contains("no verb"));
    }

    #[test]
    fn fields_are_checked_one_by_one() {
        let with = |fields| plain(vec![wit::Route { fields, ..route("a") }]);
        let default = wit::Field { default: Some("{".into()), ..field("a") };
        assert!(refused(with(vec![default])).contains("its default: malformed JSON"));
        assert!(refused(with(vec![field("a"), field("a")])).contains("twice"));
        let leak = wit::Field { sensitive: true, endpoint: true, ..field("a") };
        assert!(refused(with(vec![leak])).contains("endpoint"));
        let choice = wit::Field { kind: wit::FieldKind::Choice(Vec::new()), ..field("a") };
        assert!(refused(with(vec![choice])).contains("choose"));
    }

    #[test]
    fn secret_routes_must_fit_their_route() {
        let with = |secret| wit::Description { secret_routes: vec![secret], ..plain(vec![route("data/{path...}")]) };
        assert!(description(Some("kv"), with(secret_route("{path...}", "data/{path...}"))).is_ok());
        assert!(refused(with(secret_route("{path...}", "nope"))).contains("no route"));
        assert!(refused(with(secret_route("{other...}", "data/{path...}"))).contains("captures"));
        let pointer = wit::SecretRoute { value_at: "data".into(), ..secret_route("{path...}", "data/{path...}") };
        assert!(refused(with(pointer)).contains("no JSON pointer"));
        let narrow = wit::Route { verbs: wit::Verbs::CREATE, ..route("data/{path...}") };
        let listing =
            wit::SecretRoute { view: wit::SecretView::Listing, ..secret_route("{path...}", "data/{path...}") };
        let listed = wit::Description { secret_routes: vec![listing], ..plain(vec![narrow]) };
        assert!(refused(listed).contains("no verb for this view"));
    }

    #[test]
    fn name_version_and_tasks_are_checked() {
        assert!(refused(wit::Description { name: "other".into(), ..plain(Vec::new()) }).contains("loaded as \"kv\""));
        let odd = description(None, wit::Description { name: "Odd\n".into(), ..plain(Vec::new()) });
        assert_eq!(odd.unwrap_err().to_string(), format!("name: \"Odd \" must be {NAME_RULE}"));
        assert!(refused(wit::Description { version: "1".into(), ..plain(Vec::new()) }).contains("semantic version"));
        let task = wit::Task { name: "tidy".into(), every: 0 };
        assert!(refused(wit::Description { tasks: vec![task], ..plain(Vec::new()) }).contains("period"));
    }
}
