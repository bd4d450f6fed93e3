//! `PolicyService`: the same requests as `rest::policies` makes.

use serde::Deserialize;
use tonic::{Request, Response, Status};
use warder_core::request::{Fields, Operation as Asked};
use warder_proto::v1::{
    Decision, MatchedBy, Operation, PolicyServiceDeleteRequest as DeleteRequest,
    PolicyServiceDeleteResponse as DeleteResponse, PolicyServiceExplainRequest as ExplainRequest,
    PolicyServiceExplainResponse as ExplainResponse, PolicyServiceGetRequest as GetRequest,
    PolicyServiceGetResponse as GetResponse, PolicyServiceListRequest as ListRequest,
    PolicyServiceListResponse as ListResponse, PolicyServicePutRequest as PutRequest,
    PolicyServicePutResponse as PutResponse, policy_service_server::PolicyService,
};

use super::{
    super::{parse_path, problem::Refusal, reply, rest::policies::POLICIES},
    auth,
    call::{Call, Told},
    shape,
};

#[tonic::async_trait]
impl PolicyService for Call {
    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        self.tell(list(self, request.into_inner()).await)
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        self.tell(get(self, request.into_inner()).await)
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        self.tell(put(self, request.into_inner()).await)
    }

    async fn delete(&self, request: Request<DeleteRequest>) -> Result<Response<DeleteResponse>, Status> {
        self.tell(delete(self, request.into_inner()).await)
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        self.tell(explain(self, request.into_inner()).await)
    }
}

async fn list(call: &Call, asked: ListRequest) -> Told<ListResponse> {
    let mut fields = Fields::default();
    let limit = shape::page(asked.after.as_deref(), asked.limit, &mut fields)?;
    let answered = call.canonical(Asked::List, POLICIES, fields).await?;
    let (names, next) = shape::names(shape::listed(&answered)?, limit);
    Ok((ListResponse { names, next }, answered))
}

async fn get(call: &Call, asked: GetRequest) -> Told<GetResponse> {
    #[derive(Deserialize)]
    struct Shown {
        name: String,
        policy: String,
        updated_at: Option<String>,
    }
    let answered = call.canonical(Asked::Read, &path(&asked.name)?, Fields::default()).await?;
    let Shown { name, policy, updated_at } = shape::typed(&answered)?;
    Ok((GetResponse { name, policy, updated_at: shape::moment(updated_at.as_deref()) }, answered))
}

async fn put(call: &Call, asked: PutRequest) -> Told<PutResponse> {
    let mut fields = Fields::default();
    fields.set_string("policy", &asked.policy);
    let answered = call.canonical(Asked::Update, &path(&asked.name)?, fields).await?;
    Ok((PutResponse {}, answered))
}

async fn delete(call: &Call, asked: DeleteRequest) -> Told<DeleteResponse> {
    let answered = call.canonical(Asked::Delete, &path(&asked.name)?, Fields::default()).await?;
    Ok((DeleteResponse {}, answered))
}

async fn explain(call: &Call, asked: ExplainRequest) -> Told<ExplainResponse> {
    let fields = question(call, asked)?;
    let answered = call.canonical(Asked::Update, "sys/policies/explain", fields).await?;
    let Explained { path, operation, policies, decision } = shape::typed(&answered)?;
    let operation = operation_of(operation).into();
    Ok((ExplainResponse { path, operation, policies, decision: Some(decision.into()) }, answered))
}

/// What is asked, in the broker's words.
fn question(call: &Call, asked: ExplainRequest) -> Result<Fields, Refusal> {
    let mut fields = Fields::default();
    fields.set_string("path", &asked.path);
    let operation = word(asked.operation()).ok_or_else(|| Refusal::invalid("operation", "expected an operation"))?;
    fields.set_string("operation", operation);
    if let Some(policies) = &asked.policies {
        fields.set("policies", reply::quoted_list(policies.names.iter().map(String::as_str)));
    }
    if let Some(token) = &asked.token {
        fields.set_string("token", token);
    }
    fields.set("fields", auth::fields(call, asked.json)?.to_json());
    Ok(fields)
}

const fn word(operation: Operation) -> Option<&'static str> {
    Some(match operation {
        Operation::Unspecified => return None,
        Operation::Create => Asked::Create.word(),
        Operation::Delete => Asked::Delete.word(),
        Operation::List => Asked::List.word(),
        Operation::Patch => Asked::Patch.word(),
        Operation::Read => Asked::Read.word(),
        Operation::Rotate => Asked::Rotate.word(),
        Operation::Update => Asked::Update.word(),
    })
}

const fn operation_of(operation: Asked) -> Operation {
    match operation {
        Asked::Create => Operation::Create,
        Asked::Delete => Operation::Delete,
        Asked::List => Operation::List,
        Asked::Patch => Operation::Patch,
        Asked::Read => Operation::Read,
        Asked::Rotate => Operation::Rotate,
        Asked::Update => Operation::Update,
    }
}

#[derive(Deserialize)]
struct Explained {
    path: String,
    operation: Asked,
    policies: Vec<String>,
    decision: Decided,
}

#[derive(Deserialize)]
struct Decided {
    allowed: bool,
    capabilities: Vec<String>,
    reason: String,
    policies: Vec<String>,
    rule: Option<String>,
    matched_by: Option<Matched>,
    missing: Vec<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Matched {
    Exact,
    Prefix,
    Segment,
}

impl From<Decided> for Decision {
    fn from(decided: Decided) -> Self {
        let matched_by = match decided.matched_by {
            None => MatchedBy::Unspecified,
            Some(Matched::Exact) => MatchedBy::Exact,
            Some(Matched::Prefix) => MatchedBy::Prefix,
            Some(Matched::Segment) => MatchedBy::Segment,
        };
        Self {
            allowed: decided.allowed,
            capabilities: decided.capabilities,
            reason: decided.reason,
            policies: decided.policies,
            rule: decided.rule,
            matched_by: matched_by.into(),
            missing: decided.missing,
        }
    }
}

/// The canonical path of a policy.
fn path(name: &str) -> Result<String, Refusal> {
    if name.is_empty() || name.contains('/') {
        return Err(Refusal::invalid("name", "expected the name of a policy, without '/'"));
    }
    let path = format!("{POLICIES}{name}");
    parse_path(&path).map_err(|error| error.at("name"))?;
    Ok(path)
}
