//! What broker/fuzz sees of the runtime: what it decodes from a plugin before and after it runs.

use warder_core::{error::Error, port::backend::Description, secret::Secret};

use crate::{
    bind::exports::warder::plugin::backend as wit,
    capability::{keys, sealed, store},
    describe,
    fault::{self, WitError, WitKind},
    imports,
};

/// The imports of a component that may be compiled.
///
/// # Errors
/// Why it may not, in words.
pub fn component(bytes: &[u8]) -> Result<Vec<String>, String> {
    imports::check(bytes).map_err(|refused| refused.to_string())
}

/// One line of a description to be made: what it is, two bytes of choices, and texts.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// `r` a route, `f` a field of it, `s` a secret route, `t` a task, `v` the version, `n` the name.
    pub kind: u8,
    /// Verbs, kind of a field, view.
    pub choice: u8,
    /// Flags, period.
    pub flags: u8,
    /// Pattern, name; then what belongs to it.
    pub texts: [&'a str; 4],
}

/// The checked description that a plugin says of itself in these lines.
///
/// # Errors
/// What is wrong with it, in words.
pub fn description(lines: &[Line<'_>]) -> Result<Description, String> {
    let mut from = wit::Description {
        name: "kv".to_owned(),
        version: "1.2.3".to_owned(),
        kind: wit::MountKind::Secrets,
        doc: String::new(),
        routes: Vec::new(),
        secret_routes: Vec::new(),
        tasks: Vec::new(),
    };
    lines.iter().for_each(|line| add(&mut from, line));
    describe::description(None, from).map_err(|bad| bad.to_string())
}

fn add(to: &mut wit::Description, line: &Line<'_>) {
    let [first, second, third, fourth] = line.texts.map(str::to_owned);
    let flag = |bit: u8| line.flags & bit != 0;
    match line.kind {
        b'r' => to.routes.push(wit::Route {
            pattern: first,
            verbs: verbs(line.choice),
            fields: Vec::new(),
            doc: second,
            public: flag(1),
            privileged: flag(2),
            issues_lease: flag(4),
        }),
        b'f' => {
            let field = wit::Field {
                name: first,
                kind: field_kind(line.choice, second),
                required: flag(1),
                default: flag(2).then_some(third),
                sensitive: flag(4),
                endpoint: flag(8),
                doc: fourth,
            };
            to.routes.last_mut().into_iter().for_each(|route| route.fields.push(field.clone()));
        }
        b's' => to.secret_routes.push(wit::SecretRoute {
            view: VIEWS[usize::from(line.choice) % VIEWS.len()],
            pattern: first,
            route: second,
            value_at: third,
            about_at: flag(1).then(|| fourth.clone()),
            check_at: flag(2).then_some(fourth),
        }),
        b't' => to.tasks.push(wit::Task { name: first, every: line.flags.into() }),
        b'v' => to.version = first,
        _ => to.name = first,
    }
}

fn verbs(choice: u8) -> wit::Verbs {
    let all = [
        wit::Verbs::READ,
        wit::Verbs::ENUMERATE,
        wit::Verbs::CREATE,
        wit::Verbs::UPDATE,
        wit::Verbs::PATCH,
        wit::Verbs::DELETE,
        wit::Verbs::ROTATE,
    ];
    let chosen = all.into_iter().enumerate().filter(|(bit, _)| choice & (1 << bit) != 0);
    chosen.fold(wit::Verbs::empty(), |verbs, (_, verb)| verbs | verb)
}

fn field_kind(choice: u8, words: String) -> wit::FieldKind {
    match choice % 8 {
        0 => wit::FieldKind::Text,
        1 => wit::FieldKind::Integer,
        2 => wit::FieldKind::Boolean,
        3 => wit::FieldKind::Duration,
        4 => wit::FieldKind::TextList,
        5 => wit::FieldKind::TextMap,
        6 => wit::FieldKind::Document,
        _ => wit::FieldKind::Choice(words.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()),
    }
}

const VIEWS: [wit::SecretView; 6] = [
    wit::SecretView::Value,
    wit::SecretView::Listing,
    wit::SecretView::Versions,
    wit::SecretView::Remove,
    wit::SecretView::Undelete,
    wit::SecretView::Destroy,
];

/// A plugin's error as the caller gets it.
#[must_use]
pub fn refusal(kind: u8, detail: &str, code: Option<&str>) -> Error {
    let kinds = [
        WitKind::InvalidRequest,
        WitKind::NotFound,
        WitKind::Conflict,
        WitKind::Precondition,
        WitKind::Denied,
        WitKind::Throttled,
        WitKind::Integrity,
        WitKind::Other(detail.to_owned()),
    ];
    let kind = kinds[usize::from(kind) % kinds.len()].clone();
    let code = code.map(str::to_owned);
    fault::of_plugin(WitError {
        kind,
        detail: detail.to_owned(),
        code,
        retry_after_ms: Some(u32::MAX),
        not_applied: None,
    })
}

/// A stored key read and written again.
#[must_use]
pub fn key_record(bytes: &[u8]) -> Option<Secret> {
    keys::fuzzing::again(bytes)
}

/// Whether it is key material that some algorithm or scheme takes.
#[must_use]
pub fn is_key_material(bytes: &[u8]) -> bool {
    keys::fuzzing::is_material(bytes)
}

/// A plugin's stored record read and written again.
#[must_use]
pub fn store_record(bytes: &[u8]) -> Option<Secret> {
    store::fuzzing::again(bytes)
}

/// Where a plugin's key lies in its mount's storage.
#[must_use]
pub fn store_key(key: &str) -> Option<String> {
    store::fuzzing::key(key)
}

/// The bytes in one of four encodings.
#[must_use]
pub fn encode(encoding: u8, bytes: &[u8]) -> Secret {
    sealed::fuzzing::encode(encoding, bytes)
}

/// The bytes that a text in one of four encodings stands for.
#[must_use]
pub fn decode(encoding: u8, text: &[u8]) -> Option<Secret> {
    sealed::fuzzing::decode(encoding, text)
}
