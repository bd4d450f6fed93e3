//! `warder.v1`: each method, its refusals, and messages that are none.

use std::{fs, path::Path, process::Command};

use prost::Message;
use tonic::{
    Code, Request, Response, Status,
    metadata::{MetadataMap, MetadataValue},
    transport::Channel,
};
use warder_proto::v1::{
    AuthServiceLoginRequest, IssuedToken, PolicyServiceExplainRequest, SecretRead, SecretsServiceBatchGetRequest,
    SecretsServiceDeleteRequest, SecretsServiceDestroyRequest, SecretsServiceGetRequest, SecretsServiceListRequest,
    SecretsServicePatchRequest, SecretsServicePutRequest, SecretsServiceRotateRequest, SecretsServiceUndeleteRequest,
    SecretsServiceVersionsRequest, SysServiceUnsealRequest, TokenServiceCreateRequest, TokenServiceLookupSelfRequest,
    auth_service_client::AuthServiceClient, policy_service_client::PolicyServiceClient,
    secrets_service_client::SecretsServiceClient, sys_service_client::SysServiceClient,
    token_service_client::TokenServiceClient,
};
use warder_testkit::{Failure, Result, temp_dir};

use super::Walk;

pub(super) fn walk(walk: &mut Walk<'_>) -> Result {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(calls(walk))?;
    messages(walk)
}

async fn calls(walk: &mut Walk<'_>) -> Result {
    let connect = Channel::from_shared(format!("http://{}", walk.broker.address()));
    let channel = connect.map_err(|why| why.to_string())?.connect().await.map_err(|why| Failure::new("gRPC", why))?;
    let path = &format!("{}/grpc", walk.folder);
    tokens(walk, &channel).await?;
    let client = &mut SecretsServiceClient::new(channel);
    let (first, second) = (walk.value("gRPC Put"), walk.value("gRPC Patch"));
    let json = |value: &str| serde_json::json!({ "password": value }).to_string();
    let put = |json: String, expected_version| SecretsServicePutRequest {
        path: path.into(),
        json: json.into(),
        expected_version,
    };
    let root = walk.keys.root_token.clone();
    let as_root = &root;
    walk.told("Put", client.put(ask(put(json(&first), None), as_root)?).await, Code::Ok, &[])?;
    for refresh in [false, false, true] {
        let get = SecretsServiceGetRequest { path: path.into(), refresh, ..Default::default() };
        walk.told("Get", client.get(ask(get, as_root)?).await, Code::Ok, &["gRPC Put"])?;
    }
    let read = |path: &str| SecretRead { path: path.to_owned(), version: None };
    let batch = SecretsServiceBatchGetRequest { reads: vec![read("none"), read(path)], refresh: false };
    walk.told("BatchGet", client.batch_get(ask(batch, as_root)?).await, Code::Ok, &["gRPC Put"])?;
    let more = serde_json::json!({ "more": second }).to_string();
    let patch = |json: &str| SecretsServicePatchRequest {
        path: path.into(),
        json: json.to_owned().into(),
        ..Default::default()
    };
    walk.told("Patch", client.patch(ask(patch(&more), as_root)?).await, Code::Ok, &[])?;
    let get = SecretsServiceGetRequest { path: path.into(), ..Default::default() };
    walk.told("Get", client.get(ask(get.clone(), as_root)?).await, Code::Ok, &["gRPC Put", "gRPC Patch"])?;
    let folder = SecretsServiceListRequest { path: format!("{}/", walk.folder), ..Default::default() };
    walk.told("List", client.list(ask(folder, as_root)?).await, Code::Ok, &[])?;
    let versions = SecretsServiceVersionsRequest { path: path.into(), ..Default::default() };
    walk.told("Versions", client.versions(ask(versions, as_root)?).await, Code::Ok, &[])?;
    let delete = SecretsServiceDeleteRequest { path: path.into(), versions: vec![] };
    walk.told("Delete", client.delete(ask(delete, as_root)?).await, Code::Ok, &[])?;
    let undelete = SecretsServiceUndeleteRequest { path: path.into(), versions: vec![2] };
    walk.told("Undelete", client.undelete(ask(undelete, as_root)?).await, Code::Ok, &[])?;
    let destroy = SecretsServiceDestroyRequest { path: path.into(), versions: vec![1] };
    walk.told("Destroy", client.destroy(ask(destroy, as_root)?).await, Code::Ok, &[])?;

    let params_json = json(&walk.value("gRPC Rotate")).into();
    let rotate = SecretsServiceRotateRequest { path: path.into(), params_json };
    walk.told("Rotate", client.rotate(ask(rotate, as_root)?).await, Code::Unimplemented, &[])?;

    let (lost, bad, text) = (walk.value("gRPC cas lost"), walk.word("gRPC bad JSON"), walk.word("gRPC text"));
    walk.told("Put", client.put(ask(put(json(&lost), Some(9)), as_root)?).await, Code::FailedPrecondition, &[])?;
    for json in [format!("{{\"a\":\"{bad}\""), format!("{{\"a\":{bad}}}"), format!("{{\"{bad}\":1,\"{bad}\":2}}")] {
        walk.told("Put", client.put(ask(put(json.clone(), None), as_root)?).await, Code::InvalidArgument, &[])?;
        walk.told("Patch", client.patch(ask(patch(&json), as_root)?).await, Code::InvalidArgument, &[])?;
    }
    walk.told("Put", client.put(ask(put(format!("\"{text}\""), None), as_root)?).await, Code::InvalidArgument, &[])?;
    let large = walk.word("gRPC over the limit") + &"x".repeat(1 << 20);
    walk.told("Put", client.put(ask(put(json(&large), None), as_root)?).await, Code::ResourceExhausted, &[])?;
    let (wrong, unsaid) = (walk.word("gRPC wrong token"), walk.value("gRPC Put that was not allowed"));
    walk.told("Put", client.put(ask(put(json(&unsaid), None), &wrong)?).await, Code::Unauthenticated, &[])?;
    walk.told("Get", client.get(ask(get, &wrong)?).await, Code::Unauthenticated, &[])
}

/// Tokens and proofs that travel in messages.
async fn tokens(walk: &mut Walk<'_>, channel: &Channel) -> Result {
    let root = walk.keys.root_token.clone();
    let client = &mut TokenServiceClient::new(channel.clone());
    let create = TokenServiceCreateRequest { ttl_seconds: 600, policies: vec!["default".into()], ..Default::default() };
    let told = client.create(ask(create, &root)?).await;
    let issued = told.as_ref().map(|made| made.get_ref().issued.clone().unwrap_or_default());
    let IssuedToken { token, .. } = issued.unwrap_or_default();
    let name = walk.kind("a token over gRPC");
    walk.marks.token(&name, &token);
    walk.told("Create", told, Code::Ok, &["a token over gRPC"])?;
    let own = TokenServiceLookupSelfRequest {};
    walk.told("LookupSelf", client.lookup_self(ask(own, &token)?).await, Code::Ok, &[])?;
    let client = &mut PolicyServiceClient::new(channel.clone());
    let fields = walk.word("gRPC a parameter that is asked about");
    let explain = PolicyServiceExplainRequest {
        path: "secret/data/a".into(),
        operation: warder_proto::v1::Operation::Read.into(),
        token: Some(token),
        json: serde_json::json!({ "note": fields }).to_string().into(),
        ..Default::default()
    };
    walk.told("Explain", client.explain(ask(explain, &root)?).await, Code::Ok, &[])?;
    let proof = walk.word("gRPC a bad proof");
    let json = serde_json::json!({ "jwt": proof }).to_string().into();
    let login = AuthServiceLoginRequest { method: "kubernetes".into(), mount: None, json };
    let client = &mut AuthServiceClient::new(channel.clone());
    walk.told("Login", client.login(login).await, Code::Unauthenticated, &[])?;
    let key = format!("no share: {}", walk.word("gRPC a bad share"));
    let client = &mut SysServiceClient::new(channel.clone());
    walk.told("Unseal", client.unseal(SysServiceUnsealRequest { key, reset: false }).await, Code::InvalidArgument, &[])
}

/// Bytes that are no message, as no client library would send them.
fn messages(walk: &mut Walk<'_>) -> Result {
    let folder = temp_dir()?;
    let file = folder.path().join("message");
    for (kind, method, head) in [
        ("gRPC bytes that are no message", "Put", &[0, 0, 0, 0, 32][..]),
        ("gRPC a compressed message", "Put", &[1, 0, 0, 0, 32]),
        ("gRPC a message that ends early", "Put", &[0, 0, 0, 1, 0]),
        ("gRPC a message to nobody", "Nothing", &[0, 0, 0, 0, 32]),
    ] {
        let word = walk.word(kind);
        fs::write(&file, [head, word.as_bytes()].concat())?;
        let url = format!("http://{}/warder.v1.SecretsService/{method}", walk.broker.address());
        let told = answer(&url, &walk.keys.root_token, &file)?;
        let words = String::from_utf8_lossy(&told).into_owned();
        walk.heard(format!("curl {url}, {kind}"), told, Vec::new(), &[]);
        if !words.contains("grpc-status:") || words.contains("grpc-status: 0") {
            return Err(Failure::from(format!("{kind}: not refused: {words}")));
        }
    }
    Ok(())
}

/// Asked again where curl lost the answer: it takes a stream that the server ends before the whole
/// body came for broken, though RFC 9113, section 8.1, allows it.
fn answer(url: &str, token: &str, message: &Path) -> Result<Vec<u8>> {
    const BROKEN_STREAM: i32 = 92;
    let data = format!("@{}", message.display());
    for _ in 0..20 {
        let output = Command::new("curl")
            .args(["-s", "-i", "--http2-prior-knowledge", "-H", "content-type: application/grpc", "-H", "te: trailers"])
            .args(["-H", &format!("x-vault-token: {token}"), "--data-binary", &data, url])
            .output()
            .map_err(|why| Failure::new("curl (apt-get install curl)", why))?;
        if output.status.code() != Some(BROKEN_STREAM) {
            return Ok([output.stdout, output.stderr].concat());
        }
    }
    Err(Failure::from(format!("{url}: the answer was lost 20 times")))
}

impl Walk<'_> {
    pub(super) fn told<T: Message>(
        &mut self,
        method: &str,
        told: Result<Response<T>, Status>,
        code: Code,
        shows: &[&str],
    ) -> Result {
        let (seen, head, body) = match told {
            Ok(response) => (Code::Ok, lines(response.metadata()), response.get_ref().encode_to_vec()),
            Err(status) => {
                let head = lines(status.metadata()) + status.message() + &status.to_string();
                (status.code(), head, status.details().to_vec())
            }
        };
        let place = format!("gRPC {method}");
        let expected = if seen == code { Ok(()) } else { Err(Failure::from(format!("{place}: {seen:?}, {head}"))) };
        self.heard(place, head.into_bytes(), body, shows);
        expected
    }
}

fn lines(metadata: &MetadataMap) -> String {
    format!("{:?}\n", metadata.clone().into_headers())
}

pub(super) fn ask<T>(message: T, token: &str) -> Result<Request<T>> {
    let mut request = Request::new(message);
    let value = MetadataValue::try_from(format!("Bearer {token}")).map_err(|why| Failure::new("a token", why))?;
    request.metadata_mut().insert("authorization", value);
    Ok(request)
}
