//! A plugin each of whose routes misbehaves in one way. `do/{what}` and `do/{what}/{arg}`: the
//! modules below hold the deeds, the runtime's tests hold what must come of them.
//!
//! It uses the generated bindings directly: a hostile author does not use the SDK.

mod bind;
mod forge;
mod keys;
mod launder;
mod limits;
mod observe;
mod scan;

use bind::exports::warder::plugin::backend::{
    Answer, Description, Field, FieldKind, Guest, Lease, MountKind, Request, Response, Route, SecretRoute, SecretView,
    Target, Verbs,
};
use bind::warder::plugin::{
    sealed::Value,
    store,
    types::{Error, ErrorKind},
};

struct Misbehave;

type Reply = Result<Response, Error>;

/// A request, taken apart.
struct Deed {
    what: String,
    arg: String,
    secrets: Vec<(String, Value)>,
}

impl Deed {
    /// The sealed value at this pointer.
    fn secret(&self, pointer: &str) -> Value {
        match self.secrets.iter().find(|(at, _)| at == pointer) {
            Some((_, value)) => value.duplicate(),
            None => panic!("the test gave no secret at {pointer}"),
        }
    }
}

impl Guest for Misbehave {
    fn describe() -> Description {
        let field = Field {
            name: "doc".into(),
            kind: FieldKind::Document,
            required: false,
            default: None,
            sensitive: true,
            endpoint: false,
            doc: String::new(),
        };
        let route = |pattern: &str| Route {
            pattern: pattern.into(),
            verbs: Verbs::READ | Verbs::CREATE | Verbs::UPDATE,
            fields: vec![field.clone()],
            doc: String::new(),
            public: false,
            privileged: false,
            issues_lease: false,
        };
        Description {
            name: "misbehave".into(),
            version: "0.1.0".into(),
            kind: MountKind::Secrets,
            doc: "Misbehaves".into(),
            routes: vec![route("do/{what}"), route("do/{what}/{arg}")],
            secret_routes: vec![secret_route("do/{what}"), secret_route("do/{what}/{arg}")],
            tasks: Vec::new(),
        }
    }

    fn exists(target: Target) -> Result<bool, Error> {
        match target.path.strip_prefix("do/exists-").unwrap_or_default() {
            "loop" => loop {
                std::hint::black_box(());
            },
            "panic" => panic!("it does not exist"),
            "write" => store::put("existed", b"x")?,
            _ => {}
        }
        Ok(store::get(&target.path)?.is_some())
    }

    fn handle(request: Request) -> Reply {
        let capture = |name: &str| {
            let found = request.target.captures.iter().find(|(had, _)| had == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let deed = Deed { what: capture("what"), arg: capture("arg"), secrets: request.secrets };
        limits::act(&deed)
            .or_else(|| observe::act(&deed))
            .or_else(|| launder::act(&deed))
            .or_else(|| keys::act(&deed))
            .or_else(|| scan::act(&deed))
            .or_else(|| forge::act(&deed))
            .unwrap_or_else(|| Err(error(ErrorKind::NotFound, "no such deed")))
    }

    fn renew(_: Lease) -> Result<u32, Error> {
        Err(error(ErrorKind::Unsupported, "no leases"))
    }

    fn revoke(_: Lease) -> Result<(), Error> {
        Err(error(ErrorKind::Unsupported, "no leases"))
    }

    fn run_task(_: String, _: u64) -> Result<(), Error> {
        Err(error(ErrorKind::Unsupported, "no tasks"))
    }
}

fn secret_route(pattern: &str) -> SecretRoute {
    SecretRoute {
        view: SecretView::Value,
        pattern: pattern.into(),
        route: pattern.into(),
        value_at: "/doc".into(),
        about_at: None,
        check_at: None,
    }
}

fn error(kind: ErrorKind, detail: &str) -> Error {
    Error { kind, detail: detail.into(), code: None, retry_after_ms: None, not_applied: None }
}

fn answer(answer: Answer) -> Reply {
    Ok(Response { answer, grant: None, fresh: None, version: None, warnings: Vec::new() })
}

/// What was found out, as the names of a listing.
fn told(words: impl IntoIterator<Item = String>) -> Reply {
    answer(Answer::Names(words.into_iter().collect()))
}

/// `ok`, or the kind and words of the refusal.
fn word<T>(result: Result<T, Error>) -> String {
    match result {
        Ok(_) => "ok".into(),
        Err(error) => format!("{:?}: {}", error.kind, error.detail),
    }
}

/// `sealed.compose` for borrowed names.
fn compose(plain: &[(&str, &str)], secret: &[(&str, &Value)]) -> Result<Value, Error> {
    let plain: Vec<_> = plain.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let secret: Vec<_> = secret.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    bind::warder::plugin::sealed::compose(&plain, &secret)
}

bind::export!(Misbehave with_types_in bind);
