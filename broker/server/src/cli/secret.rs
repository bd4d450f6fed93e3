//! `get`, `put`, `patch`, `delete`, `list`, `versions`, `undelete`, `rotate`.

use clap::Args;
use http::{Method, header};
use serde_json::Value;
use warder_core::{json::compose, secret::Secret};

use super::{
    Shared,
    client::{Ask, Client, encoded, query},
    failure::Failure,
    input,
    output::{self, Format},
};

/// Read a secret.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  warder get database/postgres\n  warder get database/postgres --field password")]
pub(crate) struct Get {
    /// Path of the secret, such as database/postgres.
    path: String,
    /// Reads this version instead of the latest.
    #[arg(long)]
    version: Option<u32>,
    /// Writes the value of this field only.
    #[arg(long)]
    field: Option<String>,
}

impl Get {
    pub(super) async fn run(self, shared: &Shared) -> Result<(), Failure> {
        let parameters = query(&[("version", self.version.map(|v| v.to_string())), ("field", self.field.clone())]);
        let value = ask(shared, Ask::new(Method::GET, format!("secrets/{}{parameters}", path(&self.path)?))).await?;
        match (&self.field, shared.output) {
            (Some(_), Format::Table) => {
                output::bytes((output::plain(value.get("value").unwrap_or(&Value::Null)) + "\n").as_bytes())
            }
            _ => output::show(shared.output, &value),
        }
    }
}

/// Store a new version of a secret.
#[derive(Args, Debug)]
#[command(after_help = "Values never come from arguments:\n  \
    warder put database/postgres username=@user.txt password=@password.txt\n  \
    printf %s \"$PASSWORD\" | warder put database/postgres password=-\n  \
    warder put database/postgres @secret.json\n  \
    generate | warder put database/postgres -")]
pub(crate) struct Put {
    /// Path of the secret.
    path: String,
    /// name=@file, name=- (standard input), @file.json or - (a whole JSON object).
    #[arg(required = true, value_name = "VALUE")]
    values: Vec<String>,
    /// Only if this is the current version.
    #[arg(long, value_name = "VERSION", conflicts_with = "create_only")]
    cas: Option<u32>,
    /// Only if nothing is there.
    #[arg(long)]
    create_only: bool,
}

impl Put {
    pub(super) async fn run(self, shared: &Shared) -> Result<(), Failure> {
        let body = input::object(&self.values)?;
        let tag = self.cas.map(|version| format!("\"{version}\""));
        let mut request = Ask::new(Method::PUT, format!("secrets/{}", path(&self.path)?)).json(body);
        if let Some(tag) = &tag {
            request = request.header(header::IF_MATCH, tag);
        }
        if self.create_only {
            request = request.header(header::IF_NONE_MATCH, "*");
        }
        output::show(shared.output, &ask(shared, request).await?)
    }
}

/// Merge into the current version of a secret (RFC 7396).
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    warder patch database/postgres password=@new.txt\n  \
    echo '{\"username\":null}' | warder patch database/postgres -    (removes a field)")]
pub(crate) struct Patch {
    /// Path of the secret.
    path: String,
    /// name=@file, name=- (standard input), @file.json or - (a whole JSON object).
    #[arg(required = true, value_name = "VALUE")]
    values: Vec<String>,
    /// Only if this is the current version.
    #[arg(long, value_name = "VERSION")]
    cas: Option<u32>,
}

impl Patch {
    pub(super) async fn run(self, shared: &Shared) -> Result<(), Failure> {
        let body = input::object(&self.values)?;
        let tag = self.cas.map(|version| format!("\"{version}\""));
        let mut request = Ask::new(Method::PATCH, format!("secrets/{}", path(&self.path)?))
            .body("application/merge-patch+json", body);
        if let Some(tag) = &tag {
            request = request.header(header::IF_MATCH, tag);
        }
        output::show(shared.output, &ask(shared, request).await?)
    }
}

/// Delete the latest or named versions of a secret.
#[derive(Args, Debug)]
#[command(
    after_help = "Deleted versions can be restored with `warder undelete`; destroyed ones cannot.\n\nExamples:\n  \
    warder delete database/postgres\n  \
    warder delete database/postgres --versions 1,2 --destroy"
)]
pub(crate) struct Delete {
    /// Path of the secret.
    path: String,
    /// These versions instead of the latest, such as 1,2.
    #[arg(long, value_delimiter = ',')]
    versions: Vec<u32>,
    /// For good.
    #[arg(long, requires = "versions")]
    destroy: bool,
}

impl Delete {
    pub(super) async fn run(self, shared: &Shared) -> Result<(), Failure> {
        let versions = (!self.versions.is_empty()).then(|| joined(&self.versions));
        let parameters = query(&[("versions", versions), ("destroy", self.destroy.then(|| "true".to_owned()))]);
        ask(shared, Ask::new(Method::DELETE, format!("secrets/{}{parameters}", path(&self.path)?))).await?;
        output::done(if self.destroy { "destroyed" } else { "deleted" });
        Ok(())
    }
}

/// List names under a folder.
#[derive(Args, Debug)]
#[command(
    after_help = "Names that end in / are folders.\n\nExamples:\n  warder list\n  warder list database --limit 100"
)]
pub(crate) struct List {
    /// Folder; the top when left out.
    #[arg(default_value = "")]
    folder: String,
    /// Names after this one.
    #[arg(long)]
    after: Option<String>,
    /// At most so many names.
    #[arg(long)]
    limit: Option<u32>,
}

impl List {
    pub(super) async fn run(self, shared: &Shared) -> Result<(), Failure> {
        let folder = self.folder.trim_matches('/');
        let folder = if folder.is_empty() { String::new() } else { format!("{}/", encoded(folder)) };
        let limit = self.limit.map(|limit| limit.to_string());
        let parameters = query(&[("list", Some("true".to_owned())), ("after", self.after), ("limit", limit)]);
        let value = ask(shared, Ask::new(Method::GET, format!("secrets/{folder}{parameters}"))).await?;
        if value["keys"].as_array().is_some_and(Vec::is_empty) {
            output::done("nothing here yet: store a first secret with `warder put`");
        }
        output::show(shared.output, &value)
    }
}

/// Show the versions of a secret, without values.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  warder versions database/postgres")]
pub(crate) struct Versions {
    /// Path of the secret.
    path: String,
}

impl Versions {
    pub(super) async fn run(self, shared: &Shared) -> Result<(), Failure> {
        let request = Ask::new(Method::GET, format!("secrets/{}/versions", path(&self.path)?));
        output::show_as(shared.output, &ask(shared, request).await?, history)
    }
}

/// What holds for the secret, then a row for each version.
fn history(value: &Value) -> String {
    let mut about = value.clone();
    let versions = about.as_object_mut().and_then(|members| members.remove("versions")).unwrap_or_default();
    let mut rows: Vec<(u64, &Value)> = versions
        .as_object()
        .into_iter()
        .flatten()
        .map(|(number, version)| (number.parse().unwrap_or_default(), version))
        .collect();
    rows.sort_unstable_by_key(|(number, _)| *number);
    let rows = rows.into_iter().map(|(number, version)| {
        let [created, deleted, destroyed] = ["created_time", "deletion_time", "destroyed"].map(|name| {
            let text = output::plain(&version[name]);
            if text.is_empty() { "-".to_owned() } else { text }
        });
        [number.to_string(), created, deleted, destroyed]
    });
    let header = ["VERSION", "CREATED", "DELETED", "DESTROYED"];
    format!("{}\n{}", output::table(&about), output::columns(header, rows))
}

/// Restore deleted versions of a secret.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  warder undelete database/postgres --versions 1,2")]
pub(crate) struct Undelete {
    /// Path of the secret.
    path: String,
    /// Which versions, such as 1,2.
    #[arg(long, value_delimiter = ',', required = true)]
    versions: Vec<u32>,
}

impl Undelete {
    pub(super) async fn run(self, shared: &Shared) -> Result<(), Failure> {
        let body = format!("{{\"versions\":[{}]}}", joined(&self.versions));
        let request = Ask::new(Method::POST, format!("secrets/{}/undelete", path(&self.path)?)).json(body);
        output::show(shared.output, &ask(shared, request).await?)
    }
}

/// Have the backend replace a secret by a new value that it makes itself.
#[derive(Args, Debug)]
#[command(after_help = "Backends that make no values, such as kv, refuse it.\n\nExamples:\n  \
    warder rotate team/password\n  \
    echo '{\"length\":32}' | warder rotate team/password -    (what the backend takes along)")]
pub(crate) struct Rotate {
    /// Path of the secret.
    path: String,
    /// name=@file, name=- (standard input), @file.json or - (a whole JSON object).
    #[arg(value_name = "VALUE")]
    values: Vec<String>,
}

impl Rotate {
    pub(super) async fn run(self, shared: &Shared) -> Result<(), Failure> {
        let params = if self.values.is_empty() { Secret::from("{}") } else { input::object(&self.values)? };
        let body = compose([("params", params.expose_str().unwrap_or("{}"))]);
        let request = Ask::new(Method::POST, format!("secrets/{}/rotate", path(&self.path)?)).json(body);
        output::show(shared.output, &ask(shared, request).await?)
    }
}

async fn ask(shared: &Shared, request: Ask<'_>) -> Result<Value, Failure> {
    Client::new(shared)?.ask(request).await
}

/// Encoded, and refused where the server would take it for something else.
fn path(text: &str) -> Result<String, Failure> {
    match text.strip_prefix('/').unwrap_or(text) {
        "" => Err(Failure::usage("the path is empty")),
        folder if folder.ends_with('/') => {
            Err(Failure::usage("a path that ends in '/' is a folder: see `warder list`"))
        }
        path => Ok(encoded(path)),
    }
}

fn joined(versions: &[u32]) -> String {
    versions.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}
