//! Every method of the gRPC door with every kind of token, each beside its REST twin. The list of
//! methods is read from the protobufs: a method without a row here fails the test, and so does one
//! that the door does not know, and an operation of `/api/v1` that is nobody's twin.

use std::{collections::BTreeSet, fs, path::Path, pin::Pin};

use tonic::{Code, Request, Status, transport::Channel};
use tonic_types::StatusExt as _;
use warder_proto::v1::{
    self, audit_service_client::AuditServiceClient, auth_service_client::AuthServiceClient,
    lease_service_client::LeaseServiceClient, limit_service_client::LimitServiceClient,
    mount_service_client::MountServiceClient, policy_service_client::PolicyServiceClient, secret_read_result::Outcome,
    secrets_service_client::SecretsServiceClient, sys_service_client::SysServiceClient,
    token_service_client::TokenServiceClient,
};

use crate::every_door::{Expect, House, ROUTES, UNKNOWN};

/// The word of what was answered.
type Asking = Pin<Box<dyn Future<Output = Result<String, Status>>>>;
/// Asks with this token; the accessor is that of a token made for the row.
type Ask = fn(Channel, String, String) -> Asking;

/// One method, and the row of its REST twin.
struct Row {
    method: &'static str,
    ask: Ask,
    /// Method and pattern in [`ROUTES`]; the rest is in the row there, unless it is here.
    twin: (&'static str, &'static str),
    target: Option<&'static str>,
}

macro_rules! row {
    ($client:ident, $method:literal, $call:ident($accessor:pat => $message:expr), $twin:expr) => {
        row!($client, $method, $call($accessor => $message), $twin, None)
    };
    ($client:ident, $method:literal, $call:ident($accessor:pat => $message:expr), $twin:expr, $target:expr) => {
        Row {
            method: concat!("/warder.v1.", $method),
            ask: |channel, token, accessor| {
                Box::pin(async move {
                    let $accessor = accessor;
                    let answered = $client::new(channel).$call(with_token($message, &token)).await;
                    answered.map(|answer| said(&answer.into_inner()))
                })
            },
            twin: $twin,
            target: $target,
        }
    };
}

const SECRET: &str = "/api/v1/secrets/{path...}";

fn rows() -> Vec<Row> {
    let rows = [secrets(), tokens(), policies(), leases(), limits(), mounts(), others()];
    rows.into_iter().flatten().collect()
}

fn secrets() -> Vec<Row> {
    use SecretsServiceClient as Client;
    let destroyed = Some("/api/v1/secrets/door?versions=1&destroy=true");
    vec![
        row!(Client, "SecretsService/BatchGet", batch_get(_ => reads()), ("POST", "/api/v1/secrets:batch")),
        row!(Client, "SecretsService/Delete", delete(_ => v1::SecretsServiceDeleteRequest { path: door(), versions: vec![] }), ("DELETE", SECRET)),
        row!(Client, "SecretsService/Destroy", destroy(_ => v1::SecretsServiceDestroyRequest { path: door(), versions: vec![1] }), ("DELETE", SECRET), destroyed),
        row!(Client, "SecretsService/Get", get(_ => v1::SecretsServiceGetRequest { path: door(), ..Default::default() }), ("GET", SECRET)),
        row!(Client, "SecretsService/List", list(_ => v1::SecretsServiceListRequest::default()), ("GET", "/api/v1/secrets/")),
        row!(Client, "SecretsService/Patch", patch(_ => v1::SecretsServicePatchRequest { path: door(), json: "{}".into(), expected_version: None }), ("PATCH", SECRET)),
        row!(Client, "SecretsService/Put", put(_ => v1::SecretsServicePutRequest { path: door(), json: "{}".into(), expected_version: None }), ("PUT", SECRET)),
        row!(Client, "SecretsService/Rotate", rotate(_ => v1::SecretsServiceRotateRequest { path: door(), params_json: bytes::Bytes::new() }), ("POST", "/api/v1/secrets/{path...}/rotate")),
        row!(Client, "SecretsService/Undelete", undelete(_ => v1::SecretsServiceUndeleteRequest { path: door(), versions: vec![1] }), ("POST", "/api/v1/secrets/{path...}/undelete")),
        row!(Client, "SecretsService/Versions", versions(_ => v1::SecretsServiceVersionsRequest { path: door(), refresh: false }), ("GET", "/api/v1/secrets/{path...}/versions")),
        row!(Client, "SecretsService/Watch", watch(_ => v1::SecretsServiceWatchRequest { prefix: door(), from_revision: None }), ("GET", "/api/v1/watch")),
    ]
}

fn tokens() -> Vec<Row> {
    use TokenServiceClient as Client;
    const ONE: &str = "/api/v1/auth/tokens/{accessor}";
    vec![
        row!(Client, "TokenService/Create", create(_ => v1::TokenServiceCreateRequest { ttl_seconds: 3600, ..Default::default() }), ("POST", "/api/v1/auth/tokens")),
        row!(Client, "TokenService/List", list(_ => v1::TokenServiceListRequest::default()), ("GET", "/api/v1/auth/tokens")),
        row!(Client, "TokenService/Lookup", lookup(accessor => v1::TokenServiceLookupRequest { accessor }), ("GET", ONE)),
        row!(Client, "TokenService/LookupSelf", lookup_self(_ => v1::TokenServiceLookupSelfRequest {}), ("GET", "/api/v1/auth/self")),
        row!(Client, "TokenService/Renew", renew(accessor => v1::TokenServiceRenewRequest { accessor, increment_seconds: None }), ("POST", "/api/v1/auth/tokens/{accessor}/renew")),
        row!(Client, "TokenService/RenewSelf", renew_self(_ => v1::TokenServiceRenewSelfRequest::default()), ("POST", "/api/v1/auth/renew")),
        row!(Client, "TokenService/Revoke", revoke(accessor => v1::TokenServiceRevokeRequest { accessor }), ("DELETE", ONE)),
        row!(Client, "TokenService/RevokeSelf", revoke_self(_ => v1::TokenServiceRevokeSelfRequest {}), ("POST", "/api/v1/auth/revoke")),
    ]
}

fn policies() -> Vec<Row> {
    use PolicyServiceClient as Client;
    const ONE: &str = "/api/v1/policies/{name}";
    vec![
        row!(Client, "PolicyService/Delete", delete(_ => v1::PolicyServiceDeleteRequest { name: door() }), ("DELETE", ONE)),
        row!(Client, "PolicyService/Explain", explain(_ => explain()), ("POST", "/api/v1/policies:explain")),
        row!(Client, "PolicyService/Get", get(_ => v1::PolicyServiceGetRequest { name: door() }), ("GET", ONE)),
        row!(Client, "PolicyService/List", list(_ => v1::PolicyServiceListRequest::default()), ("GET", "/api/v1/policies")),
        row!(Client, "PolicyService/Put", put(_ => v1::PolicyServicePutRequest { name: door(), policy: policy() }), ("PUT", ONE)),
    ]
}

fn leases() -> Vec<Row> {
    use LeaseServiceClient as Client;
    const ONE: &str = "/api/v1/leases/{lease_id...}";
    vec![
        row!(Client, "LeaseService/List", list(_ => v1::LeaseServiceListRequest::default()), ("GET", "/api/v1/leases")),
        row!(Client, "LeaseService/Lookup", lookup(_ => v1::LeaseServiceLookupRequest { lease_id: door() }), ("GET", ONE)),
        row!(Client, "LeaseService/Renew", renew(_ => v1::LeaseServiceRenewRequest { lease_id: door(), increment_seconds: None }), ("POST", "/api/v1/leases/{lease_id...}/renew")),
        row!(Client, "LeaseService/Revoke", revoke(_ => v1::LeaseServiceRevokeRequest { lease_id: door() }), ("DELETE", ONE)),
        row!(Client, "LeaseService/RevokePrefix", revoke_prefix(_ => v1::LeaseServiceRevokePrefixRequest { prefix: door(), force: false }), ("DELETE", "/api/v1/leases")),
    ]
}

fn limits() -> Vec<Row> {
    use LimitServiceClient as Client;
    const ONE: &str = "/api/v1/limits/{name}";
    vec![
        row!(Client, "LimitService/Delete", delete(_ => v1::LimitServiceDeleteRequest { name: door() }), ("DELETE", ONE)),
        row!(Client, "LimitService/Get", get(_ => v1::LimitServiceGetRequest { name: door() }), ("GET", ONE)),
        row!(Client, "LimitService/List", list(_ => v1::LimitServiceListRequest::default()), ("GET", "/api/v1/limits")),
        row!(Client, "LimitService/ListLockedUsers", list_locked_users(_ => v1::LimitServiceListLockedUsersRequest {}), ("GET", "/api/v1/locked-users")),
        row!(Client, "LimitService/UnlockUser", unlock_user(_ => v1::LimitServiceUnlockUserRequest { accessor: "kv_1".to_owned(), name: door() }), ("DELETE", "/api/v1/locked-users/{path...}")),
        row!(Client, "LimitService/Put", put(_ => v1::LimitServicePutRequest { limit: Some(limit()) }), ("PUT", ONE)),
    ]
}

/// One that nobody meets here.
fn limit() -> v1::Limit {
    v1::Limit { name: door(), rate: 1e6, ..Default::default() }
}

fn mounts() -> Vec<Row> {
    use MountServiceClient as Client;
    const ONE: &str = "/api/v1/mounts/{path...}";
    vec![
        row!(Client, "MountService/Disable", disable(_ => v1::MountServiceDisableRequest { path: door() }), ("DELETE", ONE)),
        row!(Client, "MountService/Enable", enable(_ => enable()), ("PUT", ONE)),
        row!(Client, "MountService/Get", get(_ => v1::MountServiceGetRequest { path: door() }), ("GET", ONE)),
        row!(Client, "MountService/List", list(_ => v1::MountServiceListRequest {}), ("GET", "/api/v1/mounts")),
        row!(Client, "MountService/Tune", tune(_ => v1::MountServiceTuneRequest { path: door(), ..Default::default() }), ("PATCH", ONE)),
        row!(Client, "MountService/ListPlugins", list_plugins(_ => v1::MountServiceListPluginsRequest {}), ("GET", "/api/v1/plugins")),
    ]
}

fn others() -> Vec<Row> {
    use SysServiceClient as Sys;
    vec![
        row!(AuditServiceClient, "AuditService/ListSinks", list_sinks(_ => v1::AuditServiceListSinksRequest {}), ("GET", "/api/v1/audit")),
        row!(AuthServiceClient, "AuthService/Login", login(_ => login()), ("POST", "/api/v1/auth/login")),
        row!(Sys, "SysService/Init", init(_ => v1::SysServiceInitRequest { shares: 1, threshold: 1 }), ("POST", "/api/v1/sys/init")),
        row!(Sys, "SysService/Status", status(_ => v1::SysServiceStatusRequest {}), ("GET", "/api/v1/sys/status")),
        row!(Sys, "SysService/Unseal", unseal(_ => v1::SysServiceUnsealRequest { key: String::new(), reset: true }), ("POST", "/api/v1/sys/unseal")),
        row!(Sys, "SysService/KeyStatus", key_status(_ => v1::SysServiceKeyStatusRequest {}), ("GET", "/api/v1/sys/key-status")),
        row!(Sys, "SysService/Rotate", rotate(_ => v1::SysServiceRotateRequest {}), ("POST", "/api/v1/sys/rotate")),
        row!(Sys, "SysService/GenerateRootStatus", generate_root_status(_ => v1::SysServiceGenerateRootStatusRequest {}), ("GET", "/api/v1/sys/generate-root")),
        row!(Sys, "SysService/StartGenerateRoot", start_generate_root(_ => v1::SysServiceStartGenerateRootRequest::default()), ("POST", "/api/v1/sys/generate-root")),
        row!(Sys, "SysService/GiveGenerateRootShare", give_generate_root_share(_ => v1::SysServiceGiveGenerateRootShareRequest { nonce: door(), key: door() }), ("POST", "/api/v1/sys/generate-root/shares")),
        row!(Sys, "SysService/CancelGenerateRoot", cancel_generate_root(_ => v1::SysServiceCancelGenerateRootRequest {}), ("DELETE", "/api/v1/sys/generate-root")),
        row!(Sys, "SysService/RekeyStatus", rekey_status(_ => v1::SysServiceRekeyStatusRequest {}), ("GET", "/api/v1/sys/rekey")),
        row!(Sys, "SysService/StartRekey", start_rekey(_ => v1::SysServiceStartRekeyRequest { shares: 1, threshold: 1, verify: false }), ("POST", "/api/v1/sys/rekey")),
        row!(Sys, "SysService/GiveRekeyShare", give_rekey_share(_ => v1::SysServiceGiveRekeyShareRequest { nonce: door(), key: door() }), ("POST", "/api/v1/sys/rekey/shares")),
        row!(Sys, "SysService/CancelRekey", cancel_rekey(_ => v1::SysServiceCancelRekeyRequest {}), ("DELETE", "/api/v1/sys/rekey")),
        row!(Sys, "SysService/RekeyVerificationStatus", rekey_verification_status(_ => v1::SysServiceRekeyVerificationStatusRequest {}), ("GET", "/api/v1/sys/rekey/verify")),
        row!(Sys, "SysService/GiveRekeyVerificationShare", give_rekey_verification_share(_ => v1::SysServiceGiveRekeyVerificationShareRequest { nonce: door(), key: door() }), ("POST", "/api/v1/sys/rekey/verify")),
        row!(Sys, "SysService/RestartRekeyVerification", restart_rekey_verification(_ => v1::SysServiceRestartRekeyVerificationRequest {}), ("DELETE", "/api/v1/sys/rekey/verify")),
        row!(Sys, "SysService/SaveSnapshot", save_snapshot(_ => v1::SysServiceSaveSnapshotRequest {}), ("GET", "/api/v1/sys/snapshot")),
        row!(Sys, "SysService/RestoreSnapshot", restore_snapshot(_ => no_pieces()), ("POST", "/api/v1/sys/restore")),
        row!(Sys, "SysService/Seal", seal(_ => v1::SysServiceSealRequest {}), ("POST", "/api/v1/sys/seal")),
    ]
}

fn door() -> String {
    "door".to_owned()
}

/// No file at all.
fn no_pieces() -> futures_util::stream::Empty<v1::SysServiceRestoreSnapshotRequest> {
    futures_util::stream::empty()
}

fn reads() -> v1::SecretsServiceBatchGetRequest {
    v1::SecretsServiceBatchGetRequest { reads: vec![v1::SecretRead { path: door(), version: None }], refresh: false }
}

fn policy() -> String {
    "path \"a\" { capabilities = [\"read\"] }".to_owned()
}

fn explain() -> v1::PolicyServiceExplainRequest {
    let (path, operation) = ("secret/data/a".to_owned(), v1::Operation::Read.into());
    v1::PolicyServiceExplainRequest { path, operation, ..Default::default() }
}

fn enable() -> v1::MountServiceEnableRequest {
    let (path, plugin) = ("made/grpc".to_owned(), "kv".to_owned());
    v1::MountServiceEnableRequest { path, plugin, ..Default::default() }
}

fn login() -> v1::AuthServiceLoginRequest {
    v1::AuthServiceLoginRequest { method: "none".to_owned(), ..Default::default() }
}

fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    if !token.is_empty() {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    request
}

/// The word of an answer: that of its only read, when it has one.
fn said(answer: &dyn std::any::Any) -> String {
    let reads = answer.downcast_ref::<v1::SecretsServiceBatchGetResponse>();
    match reads.map(|reads| reads.results[0].outcome.as_ref().unwrap()) {
        Some(Outcome::Refusal(refusal)) => refusal.reason.clone(),
        Some(Outcome::Secret(_)) | None => "ok".to_owned(),
    }
}

/// Over a connection that is gone afterwards: the server waits for those that are open.
fn grpc(house: &House, ask: Ask, token: &str, accessor: &str) -> Result<String, Status> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let channel = Channel::from_shared(format!("http://{}", house.warder.address)).unwrap();
        ask(channel.connect().await.unwrap(), token.to_owned(), accessor.to_owned()).await
    })
}

/// The word of the answer; a code that does not belong to it fails.
fn word(answered: Result<String, Status>) -> String {
    let status = match answered {
        Ok(word) => return word,
        Err(status) => status,
    };
    let details = status.get_error_details();
    let reason = details.error_info().unwrap_or_else(|| panic!("{status:?} has no reason")).reason.clone();
    let code = match reason.as_str() {
        "conflict" => Code::Aborted,
        "permission_denied" => Code::PermissionDenied,
        "unauthenticated" => Code::Unauthenticated,
        _ => status.code(),
    };
    assert_eq!(status.code(), code, "{status:?}");
    reason
}

/// The route of a row's twin, and what it expects.
fn route(row: &Row) -> (&'static str, &'static str, Expect) {
    let (method, pattern) = row.twin;
    let found = ROUTES.iter().find(|route| (route.0, route.1) == (method, pattern));
    let (.., target, body, expect) = found.unwrap_or_else(|| panic!("{} names {method} {pattern}", row.method));
    (row.target.unwrap_or(target), body, *expect)
}

#[test]
fn every_method_decides_as_its_rest_twin_for_every_kind_of_token() {
    let mut house = House::new();
    for row in rows() {
        let (target, body, expect) = route(&row);
        for kind in ["no", "unknown", "expired", "revoked", "weak", "good"] {
            // A token of its own for each question: some end it.
            let token = |house: &House| match kind {
                "no" => String::new(),
                "unknown" => UNKNOWN.to_owned(),
                "expired" => house.expired.clone(),
                "revoked" => house.revoked.clone(),
                "weak" => house.token(r#"{"policies":["default"],"ttl":"1h"}"#)[0].clone(),
                _ => house.token(r#"{"policies":["root"],"ttl":"1h"}"#)[0].clone(),
            };
            let [_, accessor] = house.furnish();
            let asked = word(grpc(&house, row.ask, &token(&house), &accessor));
            let sealed = |word: &str| word == "ok" && row.method.ends_with("/Seal");
            if sealed(&asked) {
                house = House::new();
            }
            let [_, accessor] = house.furnish();
            let (method, _) = row.twin;
            let (status, answer) = house.ask(method, &target.replace("$accessor", &accessor), body, &token(&house));
            let refusal = answer["code"].as_str().or_else(|| answer["results"][0]["error"]["code"].as_str());
            let twin = refusal.unwrap_or(if status < 300 { "ok" } else { "none" });
            assert_eq!(asked, twin, "{} with {kind} token: {answer}", row.method);
            let expected = match (expect, kind) {
                (Expect::Open(status), _) => status,
                (Expect::Guest(_), _) => panic!("{} is no twin", row.method),
                (Expect::Token(..), "no" | "unknown" | "expired" | "revoked") => 401,
                (Expect::Token(weak, _), "weak") => weak,
                (Expect::Token(_, good), _) => good,
            };
            assert_eq!(status, expected, "{} with {kind} token: {answer}", row.method);
            if sealed(twin) {
                house = House::new();
            }
        }
    }
}

/// A stranger and a weak token learn nothing: what is not there is refused like what is.
#[test]
fn a_refused_method_tells_nothing_about_what_is_there() {
    let house = House::new();
    house.furnish();
    let weak = house.token(r#"{"policies":["default"],"ttl":"1h"}"#)[0].clone();
    let get: Ask = |channel, token, path| {
        let get = v1::SecretsServiceGetRequest { path, ..Default::default() };
        Box::pin(
            async move { SecretsServiceClient::new(channel).get(with_token(get, &token)).await.map(|_| String::new()) },
        )
    };
    for token in ["", UNKNOWN, &house.expired, &house.revoked, &weak] {
        let told = |path| {
            let status = grpc(&house, get, token, path).unwrap_err();
            let details = status.get_error_details();
            let info = details.error_info().unwrap();
            let mut named: Vec<_> = info.metadata.iter().filter(|(name, _)| *name != "request_id").collect();
            named.sort();
            format!("{:?} {} {} {named:?}", status.code(), status.message(), info.reason)
        };
        assert_eq!(told("door"), told("nothing"));
    }
}

#[test]
fn every_method_of_the_protobufs_has_a_row_and_is_known_to_the_door() {
    let mut documented = documented();
    let rows: BTreeSet<String> = rows().iter().map(|row| row.method.to_owned()).collect();
    let ours: BTreeSet<String> = documented.iter().filter(|name| name.starts_with("/warder.v1.")).cloned().collect();
    assert!(ours.len() >= 30, "{ours:?}");
    assert_eq!(rows, ours, "give each new method its row in every_method.rs");
    // The older name of reflection has no protobufs of its own.
    documented.insert("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo".to_owned());
    let known: BTreeSet<String> = warder::edge::METHODS.iter().map(|method| method.path.to_owned()).collect();
    assert_eq!(known, documented, "give each new method its place in the door's METHODS");
}

#[test]
fn every_method_needs_a_token_when_its_twin_does() {
    for row in rows() {
        let method = warder::edge::METHODS.iter().find(|method| method.path == row.method).unwrap();
        let open = matches!(route(&row).2, Expect::Open(_));
        assert_eq!(method.public, open, "{}", row.method);
    }
    let others = warder::edge::METHODS.iter().filter(|method| !method.path.starts_with("/warder.v1."));
    assert!(others.clone().count() == 5 && others.clone().all(|method| method.public));
}

/// What describes a door has no twin in the other: there it is reflection.
const DESCRIPTION: &str = "/api/v1/openapi.json";

#[test]
fn every_operation_of_the_native_api_has_a_twin() {
    let twins: BTreeSet<_> = rows().iter().map(|row| row.twin).collect();
    for (method, pattern, ..) in ROUTES.iter().filter(|route| route.1.starts_with("/api/v1/") && route.1 != DESCRIPTION)
    {
        // The same operation by another name.
        let pattern = if *pattern == "/api/v1/secrets" { "/api/v1/secrets/" } else { pattern };
        assert!(twins.contains(&(*method, pattern)), "{method} {pattern} has no method of warder.v1");
    }
}

/// `/package.Service/Method` of every protobuf file.
fn documented() -> BTreeSet<String> {
    let mut methods = BTreeSet::new();
    for folder in ["warder/v1", "grpc/health/v1", "grpc/reflection/v1"] {
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto").join(folder)).unwrap() {
            methods.extend(methods_of(&fs::read_to_string(entry.unwrap().path()).unwrap()));
        }
    }
    methods
}

fn methods_of(text: &str) -> Vec<String> {
    let (mut package, mut service, mut found) = (String::new(), String::new(), Vec::new());
    let name =
        |rest: &str| rest.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '.').next().unwrap().to_owned();
    for line in text.lines().map(str::trim_start) {
        match line.split_once(' ') {
            Some(("package", rest)) => package = name(rest),
            Some(("rpc", rest)) => found.push(format!("/{package}.{service}/{}", name(rest))),
            Some(("service", rest)) => service = name(rest),
            _ => {}
        }
    }
    found
}

#[test]
fn methods_are_found_in_protobufs() {
    let text = "// rpc No(A) returns (B);\npackage a.b1;\nservice One {\n  rpc Get(A) returns (B);\n}\nservice Two{\n  rpc Put (A) returns (stream B) {}\n}\n";
    assert_eq!(methods_of(text), ["/a.b1.One/Get", "/a.b1.Two/Put"]);
}
