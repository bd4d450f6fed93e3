//! `MountService`: the same requests as `rest::sys` makes of mounts and plugins.

use std::collections::BTreeMap;

use serde::Deserialize;
use tonic::{Request, Response, Status};
use warder_core::request::{Fields, Operation};
use warder_proto::v1::{
    Mount, MountServiceDisableRequest as DisableRequest, MountServiceDisableResponse as DisableResponse,
    MountServiceEnableRequest as EnableRequest, MountServiceEnableResponse as EnableResponse,
    MountServiceGetRequest as GetRequest, MountServiceGetResponse as GetResponse,
    MountServiceListPluginsRequest as ListPluginsRequest, MountServiceListPluginsResponse as ListPluginsResponse,
    MountServiceListRequest as ListRequest, MountServiceListResponse as ListResponse,
    MountServiceTuneRequest as TuneRequest, MountServiceTuneResponse as TuneResponse, Plugin,
    mount_service_server::MountService,
};

use super::{
    super::problem::Refusal,
    call::{Call, Told},
    shape,
};

#[tonic::async_trait]
impl MountService for Call {
    async fn list(&self, _: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        self.tell(list(self).await)
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        self.tell(get(self, request.into_inner()).await)
    }

    async fn enable(&self, request: Request<EnableRequest>) -> Result<Response<EnableResponse>, Status> {
        self.tell(enable(self, request.into_inner()).await)
    }

    async fn tune(&self, request: Request<TuneRequest>) -> Result<Response<TuneResponse>, Status> {
        self.tell(tune(self, request.into_inner()).await)
    }

    async fn disable(&self, request: Request<DisableRequest>) -> Result<Response<DisableResponse>, Status> {
        self.tell(disable(self, request.into_inner()).await)
    }

    async fn list_plugins(&self, _: Request<ListPluginsRequest>) -> Result<Response<ListPluginsResponse>, Status> {
        self.tell(list_plugins(self).await)
    }
}

/// A mount as the broker shows it.
#[derive(Deserialize)]
struct Shown {
    plugin: String,
    description: String,
    accessor: String,
    uuid: String,
    options: BTreeMap<String, String>,
    created_at: String,
}

impl Shown {
    fn at(self, path: String) -> Mount {
        let Self { plugin, description, accessor, uuid, options, created_at } = self;
        let created_at = shape::moment(Some(&created_at));
        Mount { path, plugin, description, accessor, uuid, options, created_at }
    }
}

async fn list(call: &Call) -> Told<ListResponse> {
    let answered = call.canonical(Operation::Read, "sys/mounts", Fields::default()).await?;
    let shown: BTreeMap<String, Shown> = shape::typed(&answered)?;
    let mounts = shown.into_iter().map(|(path, shown)| shown.at(path)).collect();
    Ok((ListResponse { mounts }, answered))
}

async fn get(call: &Call, asked: GetRequest) -> Told<GetResponse> {
    let answered = call.canonical(Operation::Read, &canonical(&asked.path)?, Fields::default()).await?;
    let shown: Shown = shape::typed(&answered)?;
    let mount = Some(shown.at(format!("{}/", asked.path.trim_end_matches('/'))));
    Ok((GetResponse { mount }, answered))
}

async fn enable(call: &Call, asked: EnableRequest) -> Told<EnableResponse> {
    let path = canonical(&asked.path)?;
    let mut fields = Fields::default();
    let texts = [("plugin", &asked.plugin), ("description", &asked.description)];
    for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
        fields.set_string(name, text);
    }
    if !asked.options.is_empty() {
        fields.set("options", shape::object(&asked.options)?);
    }
    let answered = call.canonical(Operation::Update, &path, fields).await?;
    Ok((EnableResponse {}, answered))
}

async fn tune(call: &Call, asked: TuneRequest) -> Told<TuneResponse> {
    let path = format!("{}/tune", canonical(&asked.path)?);
    let mut fields = Fields::default();
    if let Some(description) = &asked.description {
        fields.set_string("description", description);
    }
    fields.set("options", shape::object(&asked.options)?);
    let answered = call.canonical(Operation::Update, &path, fields).await?;
    Ok((TuneResponse {}, answered))
}

async fn disable(call: &Call, asked: DisableRequest) -> Told<DisableResponse> {
    let answered = call.canonical(Operation::Delete, &canonical(&asked.path)?, Fields::default()).await?;
    Ok((DisableResponse {}, answered))
}

async fn list_plugins(call: &Call) -> Told<ListPluginsResponse> {
    #[derive(Deserialize)]
    struct Loaded {
        plugins: BTreeMap<String, String>,
    }
    let answered = call.canonical(Operation::Read, "sys/plugins", Fields::default()).await?;
    let loaded: Loaded = shape::typed(&answered)?;
    let plugins = loaded.plugins.into_iter().map(|(name, version)| Plugin { name, version }).collect();
    Ok((ListPluginsResponse { plugins }, answered))
}

/// The path of the broker that stands for a mount.
fn canonical(path: &str) -> Result<String, Refusal> {
    match path.trim_end_matches('/') {
        "" => Err(Refusal::invalid("path", "expected the path of a mount")),
        path => Ok(format!("sys/mounts/{path}")),
    }
}
