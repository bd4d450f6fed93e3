//! The exported functions, given a plugin constant.

use super::bindings::{exports::warder::plugin::backend as contract, warder::plugin::types};
use super::imports;
use crate::{
    Answer, Error, ErrorKind, Field, FieldKind, Grant, Host, Lease, MountKind, Operation, Plugin, RawCall, Reply,
    Route, SecretRoute, SecretView, Target, Timestamp, Value,
};

type Result<T> = std::result::Result<T, types::Error>;

const HOST: Host = Host(imports::Host);

/// `describe`.
#[must_use]
pub fn describe(plugin: &Plugin) -> contract::Description {
    contract::Description {
        name: plugin.name.to_owned(),
        version: plugin.version.to_owned(),
        kind: match plugin.kind {
            MountKind::Auth => contract::MountKind::Auth,
            MountKind::Secrets => contract::MountKind::Secrets,
        },
        doc: plugin.doc.to_owned(),
        routes: plugin.routes.iter().map(route).collect(),
        secret_routes: plugin.secret_routes.iter().map(secret_route).collect(),
        tasks: plugin
            .tasks
            .iter()
            .map(|task| contract::Task { name: task.name.to_owned(), every: task.every_seconds })
            .collect(),
    }
}

/// `exists`.
///
/// # Errors
/// The plugin's.
pub fn exists(plugin: &Plugin, target: contract::Target) -> Result<bool> {
    plugin.exists(&HOST, &self::target(target)).map_err(error)
}

/// `handle`.
///
/// # Errors
/// The plugin's.
pub fn handle(plugin: &Plugin, request: contract::Request) -> Result<contract::Response> {
    plugin.handle(&HOST, call(request)).map(response).map_err(error)
}

/// `renew`.
///
/// # Errors
/// The plugin's.
pub fn renew(plugin: &Plugin, given: contract::Lease) -> Result<u32> {
    let renew = plugin.renew.ok_or_else(|| error(Error::unsupported("this plugin's leases cannot be renewed")))?;
    renew(&HOST, &lease(given)).map_err(error)
}

/// `revoke`.
///
/// # Errors
/// The plugin's.
pub fn revoke(plugin: &Plugin, given: contract::Lease) -> Result<()> {
    let revoke = plugin.revoke.ok_or_else(|| error(Error::unsupported("this plugin issues no leases")))?;
    revoke(&HOST, &lease(given)).map_err(error)
}

/// `run-task`.
///
/// # Errors
/// The plugin's.
pub fn run_task(plugin: &Plugin, name: &str, now: u64) -> Result<()> {
    let found = plugin.tasks.iter().find(|task| task.name == name);
    let task = found.ok_or_else(|| error(Error::unsupported(format!("this plugin has no task {name}"))))?;
    (task.run)(&HOST, Timestamp(now)).map_err(error)
}

fn route(route: &Route) -> contract::Route {
    let verbs = [
        (contract::Verbs::READ, route.read.is_some()),
        (contract::Verbs::ENUMERATE, route.list.is_some()),
        (contract::Verbs::CREATE, route.write.is_some() && route.exists.is_some()),
        (contract::Verbs::UPDATE, route.write.is_some()),
        (contract::Verbs::PATCH, route.patch.is_some()),
        (contract::Verbs::DELETE, route.delete.is_some()),
        (contract::Verbs::ROTATE, route.rotate.is_some()),
    ];
    contract::Route {
        pattern: route.pattern.to_owned(),
        verbs: verbs
            .into_iter()
            .filter(|(_, served)| *served)
            .fold(contract::Verbs::empty(), |all, (verb, _)| all | verb),
        fields: route.fields.iter().map(field).collect(),
        doc: route.doc.to_owned(),
        public: route.public,
        privileged: route.privileged,
        issues_lease: route.issues_lease,
    }
}

fn field(field: &Field) -> contract::Field {
    contract::Field {
        name: field.name.to_owned(),
        kind: match field.kind {
            FieldKind::Boolean => contract::FieldKind::Boolean,
            FieldKind::Choice(words) => contract::FieldKind::Choice(words.iter().map(|&w| w.to_owned()).collect()),
            FieldKind::Document => contract::FieldKind::Document,
            FieldKind::Duration => contract::FieldKind::Duration,
            FieldKind::Integer => contract::FieldKind::Integer,
            FieldKind::Text => contract::FieldKind::Text,
            FieldKind::TextList => contract::FieldKind::TextList,
            FieldKind::TextMap => contract::FieldKind::TextMap,
        },
        required: field.required,
        default: field.default.map(str::to_owned),
        sensitive: field.sensitive,
        endpoint: field.endpoint,
        doc: field.doc.to_owned(),
    }
}

fn secret_route(route: &SecretRoute) -> contract::SecretRoute {
    contract::SecretRoute {
        view: match route.view {
            SecretView::Destroy => contract::SecretView::Destroy,
            SecretView::Listing => contract::SecretView::Listing,
            SecretView::Remove => contract::SecretView::Remove,
            SecretView::Undelete => contract::SecretView::Undelete,
            SecretView::Value => contract::SecretView::Value,
            SecretView::Versions => contract::SecretView::Versions,
        },
        pattern: route.pattern.to_owned(),
        route: route.route.to_owned(),
        value_at: route.value_at.to_owned(),
        about_at: route.about_at.map(str::to_owned),
        check_at: route.check_at.map(str::to_owned),
    }
}

fn target(target: contract::Target) -> Target {
    Target { path: target.path, route: target.route, captures: target.captures }
}

fn call(request: contract::Request) -> RawCall {
    RawCall {
        id: request.id,
        operation: match request.operation {
            types::Operation::Create => Operation::Create,
            types::Operation::Delete => Operation::Delete,
            types::Operation::Enumerate => Operation::List,
            types::Operation::Patch => Operation::Patch,
            types::Operation::Read => Operation::Read,
            types::Operation::Rotate => Operation::Rotate,
            types::Operation::Update => Operation::Update,
        },
        target: target(request.target),
        input: request.data,
        lease_id: request.lease_id,
        default_ttl: request.default_ttl,
        max_ttl: request.max_ttl,
        secrets: request.secrets.into_iter().map(|(at, value)| (at, Value(imports::Value(value)))).collect(),
    }
}

fn lease(lease: contract::Lease) -> Lease {
    let contract::Lease { id, path, note, issued, now, increment } = lease;
    Lease { id, path, note, issued: Timestamp(issued), now: Timestamp(now), increment }
}

fn response(reply: Reply) -> contract::Response {
    let document = |data, secrets: Vec<(String, Value)>| contract::Document {
        data,
        secrets: secrets.into_iter().map(|(at, value)| (at, value.0.0)).collect(),
    };
    contract::Response {
        answer: match reply.answer {
            Answer::Document(data, secrets) => contract::Answer::Document(document(data, secrets)),
            Answer::Gone(data, secrets) => contract::Answer::Gone(document(data, secrets)),
            Answer::Names(names) => contract::Answer::Names(names),
            Answer::Nothing => contract::Answer::Nothing,
            Answer::Raw { status, content_type, body } => {
                contract::Answer::Raw(contract::RawBody { status, content_type, body })
            }
        },
        grant: reply.grant.map(grant),
        fresh: reply.fresh,
        version: reply.version,
        warnings: reply.warnings,
    }
}

fn grant(grant: Grant) -> contract::Grant {
    match grant {
        Grant::Lease(lease) => contract::Grant::Lease(contract::LeaseGrant {
            ttl: lease.ttl,
            max_ttl: lease.max_ttl,
            renewable: lease.renewable,
        }),
        Grant::Auth(auth) => contract::Grant::Auth(contract::AuthGrant {
            display_name: auth.display_name,
            alias: auth.alias,
            policies: auth.policies,
            metadata: auth.metadata,
            ttl: auth.ttl,
            max_ttl: auth.max_ttl,
            period: auth.period,
            num_uses: auth.num_uses,
            bound_cidrs: auth.bound_cidrs,
            renewable: auth.renewable,
            batch: auth.batch,
            note: auth.note,
        }),
    }
}

fn error(error: Error) -> types::Error {
    use types::ErrorKind as K;
    let kind = match error.kind {
        ErrorKind::Conflict => K::Conflict,
        ErrorKind::Denied => K::Denied,
        ErrorKind::Integrity => K::Integrity,
        ErrorKind::InvalidRequest => K::InvalidRequest,
        ErrorKind::LimitExceeded => K::LimitExceeded,
        ErrorKind::NotFound => K::NotFound,
        ErrorKind::Other(word) => K::Other(word),
        ErrorKind::Precondition => K::Precondition,
        ErrorKind::Throttled => K::Throttled,
        ErrorKind::Unavailable => K::Unavailable,
        ErrorKind::Unsupported => K::Unsupported,
    };
    let Error { detail, code, retry_after_ms, not_applied, .. } = error;
    types::Error { kind, detail, code, retry_after_ms, not_applied }
}
