//! `SecretsService`: the same requests as `rest::secrets` and `rest::batch` make.

use prost::Message as _;
use tonic::{Request, Response, Status};
use warder_core::{
    error::Error,
    json,
    path::Path,
    request::{Answer, Fields, Operation, Reply as Answered, SecretView},
    secret::Secret,
};
use warder_proto::v1::{
    SecretReadResult, SecretsServiceBatchGetRequest as BatchGetRequest,
    SecretsServiceBatchGetResponse as BatchGetResponse, SecretsServiceDeleteRequest as DeleteRequest,
    SecretsServiceDeleteResponse as DeleteResponse, SecretsServiceDestroyRequest as DestroyRequest,
    SecretsServiceDestroyResponse as DestroyResponse, SecretsServiceGetRequest as GetRequest,
    SecretsServiceGetResponse as GetResponse, SecretsServiceListRequest as ListRequest,
    SecretsServiceListResponse as ListResponse, SecretsServicePatchRequest as PatchRequest,
    SecretsServicePatchResponse as PatchResponse, SecretsServicePutRequest as PutRequest,
    SecretsServicePutResponse as PutResponse, SecretsServiceRotateRequest as RotateRequest,
    SecretsServiceRotateResponse as RotateResponse, SecretsServiceUndeleteRequest as UndeleteRequest,
    SecretsServiceUndeleteResponse as UndeleteResponse, SecretsServiceVersionsRequest as VersionsRequest,
    SecretsServiceVersionsResponse as VersionsResponse, SecretsServiceWatchRequest as WatchRequest,
    secret_read_result::Outcome, secrets_service_server::SecretsService,
};

use super::{
    super::{
        batch::{self, Read, Reader, question},
        parse_path,
        problem::Refusal,
        rest::{
            absent,
            secrets::{ROOT, bounded, document, parameters},
            shape as rest,
        },
    },
    call::{self, Call, Told},
    shape,
    watch::{self, Watching},
};

/// Largest number of a version in a condition or a list of versions.
const MAX_VERSION: u64 = 9_999_999_999;

#[tonic::async_trait]
impl SecretsService for Call {
    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        self.tell(get(self, request.into_inner()).await)
    }

    async fn batch_get(&self, request: Request<BatchGetRequest>) -> Result<Response<BatchGetResponse>, Status> {
        self.tell_reads(batch_get(self, request.into_inner()).await)
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        self.tell(put(self, request.into_inner()).await)
    }

    async fn patch(&self, request: Request<PatchRequest>) -> Result<Response<PatchResponse>, Status> {
        self.tell(patch(self, request.into_inner()).await)
    }

    async fn delete(&self, request: Request<DeleteRequest>) -> Result<Response<DeleteResponse>, Status> {
        self.tell(delete(self, request.into_inner()).await)
    }

    async fn undelete(&self, request: Request<UndeleteRequest>) -> Result<Response<UndeleteResponse>, Status> {
        self.tell(undelete(self, request.into_inner()).await)
    }

    async fn destroy(&self, request: Request<DestroyRequest>) -> Result<Response<DestroyResponse>, Status> {
        self.tell(destroy(self, request.into_inner()).await)
    }

    async fn rotate(&self, request: Request<RotateRequest>) -> Result<Response<RotateResponse>, Status> {
        self.tell(rotate(self, request.into_inner()).await)
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        self.tell(list(self, request.into_inner()).await)
    }

    async fn versions(&self, request: Request<VersionsRequest>) -> Result<Response<VersionsResponse>, Status> {
        self.tell(versions(self, request.into_inner()).await)
    }

    type WatchStream = Watching;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Watching>, Status> {
        self.tell_plain(watch::watch(self, request.into_inner()).await)
    }
}

async fn get(call: &Call, asked: GetRequest) -> Told<GetResponse> {
    let (path, fields) = question(&asked.path, asked.version)?;
    let answered = call.ask(Operation::Read, SecretView::Value, path, fields, asked.refresh).await?;
    if let Some(Made(response)) = answered.shown.as_ref().and_then(|kept| kept.get())
        && response.path == asked.path
    {
        return Ok((response.clone(), answered));
    }
    let response = shown(asked.path, &answered)?;
    if let Some(kept) = &answered.shown {
        kept.keep(Made(response.clone()));
    }
    Ok((response, answered))
}

/// A secret as it was shown: kept beside the cached answer that it was made of, its clones share text.
struct Made(GetResponse);

fn shown(path: String, answered: &Answered) -> Result<GetResponse, Refusal> {
    let cut = rest::cut(document(answered)?, answered)?;
    let value = cut.value.ok_or_else(|| Error::internal("the plugin's answer has no value where it said"))?;
    Ok(GetResponse {
        path,
        json: shape::held(value),
        version: shape::number(cut.known.version),
        created_at: shape::time(cut.known.created_at),
        deleted_at: shape::time(cut.known.deletion_time),
        metadata_json: shape::held(cut.known.custom.unwrap_or("{}")),
        warnings: answered.warnings.clone(),
        lease: answered.lease.as_ref().map(shape::lease),
    })
}

async fn batch_get(call: &Call, asked: BatchGetRequest) -> Result<BatchGetResponse, Refusal> {
    let reads: Vec<Read> =
        asked.reads.into_iter().map(|read| Read { path: read.path, version: read.version }).collect();
    let reader = Reader {
        edge: call.edge(),
        id: call.id(),
        credential: call.credential()?,
        peer: call.peer(),
        refresh: asked.refresh,
        time_left: call.time_left()?,
    };
    let show = |read: &Read, answered: &Answered| {
        let secret = shown(read.path.clone(), answered)?;
        let size = secret.encoded_len();
        Ok((secret, size))
    };
    let result = |(id, outcome): batch::Outcome<GetResponse>| {
        let outcome = match outcome {
            Ok(secret) => Outcome::Secret(secret),
            Err(refusal) => Outcome::Refusal(call.refuse_one(&refusal, &id)),
        };
        SecretReadResult { outcome: Some(outcome) }
    };
    let outcomes = reader.read(&reads, show).await?;
    Ok(BatchGetResponse { results: outcomes.into_iter().map(result).collect() })
}

async fn put(call: &Call, asked: PutRequest) -> Told<PutResponse> {
    let value = value(call, asked.json)?;
    let (answered, version, created_at) =
        write(call, Operation::Update, &asked.path, value, asked.expected_version).await?;
    let (created, warnings) = (answered.operation == Operation::Create, answered.warnings.clone());
    Ok((PutResponse { path: asked.path, version, created_at, created, warnings }, answered))
}

async fn patch(call: &Call, asked: PatchRequest) -> Told<PatchResponse> {
    let value = value(call, asked.json)?;
    let (answered, version, created_at) =
        write(call, Operation::Patch, &asked.path, value, asked.expected_version).await?;
    if matches!(answered.answer, Answer::Nothing) {
        return Err(absent());
    }
    let warnings = answered.warnings.clone();
    Ok((PatchResponse { path: asked.path, version, created_at, warnings }, answered))
}

async fn delete(call: &Call, asked: DeleteRequest) -> Told<DeleteResponse> {
    let answered = if asked.versions.is_empty() {
        let path = secret_path(&asked.path)?;
        call.ask(Operation::Delete, SecretView::Value, path, Fields::default(), false).await?
    } else {
        each(call, SecretView::Remove, &asked.path, &asked.versions).await?
    };
    Ok((DeleteResponse {}, answered))
}

async fn undelete(call: &Call, asked: UndeleteRequest) -> Told<UndeleteResponse> {
    let answered = each(call, SecretView::Undelete, &asked.path, &asked.versions).await?;
    let warnings = answered.warnings.clone();
    Ok((UndeleteResponse { path: asked.path, versions: asked.versions, warnings }, answered))
}

async fn destroy(call: &Call, asked: DestroyRequest) -> Told<DestroyResponse> {
    let answered = each(call, SecretView::Destroy, &asked.path, &asked.versions).await?;
    Ok((DestroyResponse {}, answered))
}

async fn rotate(call: &Call, asked: RotateRequest) -> Told<RotateResponse> {
    let path = secret_path(&asked.path)?;
    let params = call::take(asked.params_json);
    if params.len() > call.limits().body {
        return Err(call::too_large(call.limits().body));
    }
    let fields = if params.is_empty() { Fields::default() } else { parameters("params_json", &params)? };
    let answered = call.ask(Operation::Rotate, SecretView::Value, path, fields, false).await?;
    let (version, created_at) = written(&answered)?;
    let warnings = answered.warnings.clone();
    Ok((RotateResponse { path: asked.path, version, created_at, warnings }, answered))
}

async fn list(call: &Call, asked: ListRequest) -> Told<ListResponse> {
    let root = asked.path.is_empty();
    let folder = parse_path(if root { ROOT } else { &asked.path })?.to_folder();
    let mut fields = Fields::default();
    let limit = shape::page(asked.after.as_deref(), asked.limit, &mut fields)?;
    let answered = call.ask(Operation::List, SecretView::Listing, folder, fields, asked.refresh).await?;
    let (keys, next) = match &answered.answer {
        Answer::Names { keys } if !keys.is_empty() => shape::names(keys, limit),
        Answer::Names { .. } | Answer::Nothing if root => (Vec::new(), None),
        _ => return Err(absent()),
    };
    let warnings = answered.warnings.clone();
    Ok((ListResponse { keys, next, warnings }, answered))
}

async fn versions(call: &Call, asked: VersionsRequest) -> Told<VersionsResponse> {
    let path = secret_path(&asked.path)?;
    let answered = call.ask(Operation::Read, SecretView::Versions, path, Fields::default(), asked.refresh).await?;
    let known = document(&answered)?;
    let (versions, current_version) = shape::versions(known)?;
    let about = rest::about(&asked.path, known)?;
    let about_json = shape::held(about.expose_str().unwrap_or("{}"));
    let warnings = answered.warnings.clone();
    Ok((VersionsResponse { path: asked.path, versions, current_version, about_json, warnings }, answered))
}

/// The answer, the new version and when it was stored.
async fn write(
    call: &Call,
    operation: Operation,
    path: &str,
    value: Secret,
    expected: Option<u64>,
) -> Result<(Answered, Option<u64>, Option<prost_types::Timestamp>), Refusal> {
    let path = secret_path(path)?;
    let mut fields = Fields::default();
    fields.set("", value);
    if let Some(version) = expected {
        fields.set("cas", shape::within("expected_version", version, 0, MAX_VERSION)?.to_string());
    }
    let answered = call.ask(operation, SecretView::Value, path, fields, false).await?;
    let (version, created_at) = written(&answered)?;
    Ok((answered, version, created_at))
}

/// The new version, and when it was stored.
fn written(answered: &Answered) -> Result<(Option<u64>, Option<prost_types::Timestamp>), Refusal> {
    if matches!(answered.answer, Answer::Nothing) {
        return Ok((None, None));
    }
    let known = rest::cut(document(answered)?, answered)?.known;
    Ok((shape::number(known.version), shape::time(known.created_at)))
}

/// One operation on named versions.
async fn each(call: &Call, view: SecretView, path: &str, versions: &[u64]) -> Result<Answered, Refusal> {
    let path = secret_path(path)?;
    let fits = |number: &u64| (1..=MAX_VERSION).contains(number).then_some(*number);
    let mut fields = Fields::default();
    fields.set("versions", bounded(versions.iter().map(fits).collect())?);
    call.ask(Operation::Update, view, path, fields, false).await
}

fn secret_path(text: &str) -> Result<Path, Refusal> {
    let path = parse_path(text)?;
    if path.is_folder() {
        return Err(Refusal::invalid("path", "a path that ends in '/' is a folder: list it with List"));
    }
    Ok(path)
}

/// The whole secret, checked.
fn value(call: &Call, bytes: bytes::Bytes) -> Result<Secret, Refusal> {
    let value = call::take(bytes);
    let most = call.limits().body;
    if value.len() > most {
        return Err(call::too_large(most));
    }
    let text = json::check(value.expose()).map_err(|e| Error::invalid("json", e.to_string()))?;
    if json::kind(text) != json::Kind::Object {
        return Err(Refusal::invalid("json", "expected a JSON object: the secret itself"));
    }
    Ok(value)
}
