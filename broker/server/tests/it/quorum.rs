//! What those who hold key shares do, and snapshots, through both native doors of one server: each
//! question is asked over gRPC and over REST, and the answers must be the same.

use serde_json::{Value, json};
use tonic::{Code, Request, Response, Status, transport::Channel};
use tonic_types::StatusExt as _;
use warder_proto::v1::{self, sys_service_client::SysServiceClient};

use crate::{raw, running::Running};

const PAD: &str = "0123456789012345678901234567";

/// Both doors of one Warder that is sealed by shares.
struct Doors {
    warder: Running,
    client: SysServiceClient<Channel>,
    _folder: tempfile::TempDir,
    shares: Vec<String>,
    token: String,
}

impl Doors {
    async fn open(shares: u32, threshold: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let warder = Running::serve(folder.path(), "");
        let mut client = client(&warder).await;
        let made = client.init(v1::SysServiceInitRequest { shares, threshold }).await.unwrap().into_inner();
        Self { warder, client, _folder: folder, shares: made.keys, token: made.root_token }
    }

    fn asked<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", format!("Bearer {}", self.token).parse().unwrap());
        request
    }

    /// What REST says; for a refusal its word and field.
    fn rest(&self, method: &str, target: &str, body: &[u8]) -> Value {
        let media = if target.starts_with("sys/restore") { "application/gzip" } else { "application/json" };
        let head = format!(
            "{method} /api/v1/{target} HTTP/1.1\r\nHost: w\r\nConnection: close\r\nX-Vault-Token: {}\r\n\
             Content-Type: {media}\r\nContent-Length: {}\r\n\r\n",
            self.token,
            body.len()
        );
        let answer = raw::send(self.warder.address, &[head.as_bytes(), body].concat());
        match (answer.status, answer.json()) {
            (0, _) => panic!("{method} {target}: no answer"),
            (400.., shown) => json!({"code": shown["code"], "field": shown["field"]}),
            (_, Value::Null) => json!({}),
            (_, shown) => shown,
        }
    }

    fn get(&self, target: &str) -> Value {
        self.rest("GET", target, b"")
    }

    fn post(&self, target: &str, body: &Value) -> Value {
        self.rest("POST", target, body.to_string().as_bytes())
    }

    async fn root_status(&mut self) -> Value {
        let asked = self.asked(v1::SysServiceGenerateRootStatusRequest {});
        said(self.client.generate_root_status(asked).await, |answer| root(answer.attempt))
    }

    async fn start_root(&mut self, otp: &str) -> Value {
        let asked = self.asked(v1::SysServiceStartGenerateRootRequest { otp: otp.to_owned() });
        said(self.client.start_generate_root(asked).await, |answer| root(answer.attempt))
    }

    async fn root_share(&mut self, nonce: &str, key: &str) -> Value {
        let (nonce, key) = (nonce.to_owned(), key.to_owned());
        let asked = self.asked(v1::SysServiceGiveGenerateRootShareRequest { nonce, key });
        said(self.client.give_generate_root_share(asked).await, |answer| root(answer.attempt))
    }

    async fn rekey_status(&mut self) -> Value {
        let asked = self.asked(v1::SysServiceRekeyStatusRequest {});
        said(self.client.rekey_status(asked).await, |answer| rekey(answer.attempt))
    }

    async fn start_rekey(&mut self, shares: u32, threshold: u32, verify: bool) -> Value {
        let asked = self.asked(v1::SysServiceStartRekeyRequest { shares, threshold, verify });
        said(self.client.start_rekey(asked).await, |answer| rekey(answer.attempt))
    }

    async fn rekey_share(&mut self, nonce: &str, key: &str) -> Value {
        let (nonce, key) = (nonce.to_owned(), key.to_owned());
        let asked = self.asked(v1::SysServiceGiveRekeyShareRequest { nonce, key });
        said(self.client.give_rekey_share(asked).await, |answer| match answer.complete {
            false => rekey(answer.attempt),
            true => json!({
                "complete": true, "nonce": answer.nonce, "keys": answer.keys, "keys_base64": answer.keys_base64,
                "verification_required": answer.verification_required, "verification_nonce": answer.verification_nonce,
            }),
        })
    }

    async fn verification(&mut self) -> Value {
        let asked = self.asked(v1::SysServiceRekeyVerificationStatusRequest {});
        said(self.client.rekey_verification_status(asked).await, |answer| verification(answer.verification))
    }

    async fn verify(&mut self, nonce: &str, key: &str) -> Value {
        let (nonce, key) = (nonce.to_owned(), key.to_owned());
        let asked = self.asked(v1::SysServiceGiveRekeyVerificationShareRequest { nonce, key });
        said(self.client.give_rekey_verification_share(asked).await, |answer| verification(answer.verification))
    }

    /// A snapshot over gRPC; each message is bounded.
    async fn save(&mut self) -> Vec<u8> {
        let asked = self.asked(v1::SysServiceSaveSnapshotRequest {});
        let mut pieces = self.client.save_snapshot(asked).await.unwrap().into_inner();
        let mut all = Vec::new();
        while let Some(piece) = pieces.message().await.unwrap() {
            assert!((1..=64 << 10).contains(&piece.data.len()), "{}", piece.data.len());
            all.extend_from_slice(&piece.data);
        }
        all
    }

    async fn restore(&mut self, bytes: &[u8], dry_run: bool, force: bool) -> Value {
        let mut pieces = bytes.chunks(100_000).map(bytes::Bytes::copy_from_slice);
        let first = v1::SysServiceRestoreSnapshotRequest { dry_run, force, data: pieces.next().unwrap_or_default() };
        let rest = pieces.map(|data| v1::SysServiceRestoreSnapshotRequest { data, ..Default::default() });
        self.send([first].into_iter().chain(rest).collect()).await
    }

    async fn send(&mut self, messages: Vec<v1::SysServiceRestoreSnapshotRequest>) -> Value {
        let asked = self.asked(futures_util::stream::iter(messages));
        said(self.client.restore_snapshot(asked).await, |found| {
            json!({
                "revision": found.revision, "records": found.records, "state_bytes": found.state_bytes,
                "created_at": found.created_at.unwrap().to_string(), "same_keyring": found.same_keyring,
                "authentic": found.authentic, "restored": found.restored,
            })
        })
    }

    async fn both(&mut self, bytes: &[u8], dry_run: bool, force: bool) -> Value {
        let grpc = self.restore(bytes, dry_run, force).await;
        let mut rest = self.rest("POST", &format!("sys/restore?dry_run={dry_run}&force={force}"), bytes);
        if let Some(text) = rest["created_at"].as_str() {
            rest["created_at"] = text.parse::<prost_types::Timestamp>().unwrap().to_string().into();
        }
        assert_eq!(grpc, rest);
        rest
    }
}

async fn client(warder: &Running) -> SysServiceClient<Channel> {
    let channel = Channel::from_shared(format!("http://{}", warder.address)).unwrap();
    SysServiceClient::new(channel.connect().await.unwrap())
}

/// An answer in REST's words.
fn said<T>(answered: Result<Response<T>, Status>, show: impl FnOnce(T) -> Value) -> Value {
    match answered {
        Ok(answer) => show(answer.into_inner()),
        Err(status) => {
            let details = status.get_error_details();
            let info = details.error_info().unwrap_or_else(|| panic!("{status:?} has no reason"));
            let field = details.bad_request().map(|bad| bad.field_violations[0].field.replace("data", "body"));
            json!({"code": info.reason, "field": field})
        }
    }
}

fn root(attempt: Option<v1::RootAttempt>) -> Value {
    let attempt = attempt.unwrap();
    json!({
        "started": attempt.started, "nonce": attempt.nonce, "progress": attempt.progress, "required": attempt.required,
        "complete": attempt.complete, "encoded_token": attempt.encoded_token, "otp": attempt.otp,
        "otp_length": attempt.otp_length,
    })
}

fn rekey(attempt: Option<v1::RekeyAttempt>) -> Value {
    let attempt = attempt.unwrap();
    json!({
        "complete": false, "started": attempt.started, "nonce": attempt.nonce, "shares": attempt.shares,
        "threshold": attempt.threshold, "progress": attempt.progress, "required": attempt.required,
        "verification_required": attempt.verification_required, "verification_nonce": attempt.verification_nonce,
    })
}

fn verification(verification: Option<v1::RekeyVerification>) -> Value {
    let shown = verification.unwrap();
    if shown.complete {
        return json!({"complete": true, "nonce": shown.nonce});
    }
    json!({
        "complete": false, "started": shown.started, "nonce": shown.nonce, "shares": shown.shares,
        "threshold": shown.threshold, "progress": shown.progress,
    })
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

fn word(value: &Value) -> (&str, Option<&str>) {
    (value["code"].as_str().unwrap_or("ok"), value["field"].as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_token_is_made_alike_through_both_doors() {
    use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
    let mut doors = Doors::open(3, 2).await;
    let (shares, at) = (doors.shares.clone(), "sys/generate-root");
    assert_eq!(doors.root_status().await, doors.get(at));
    for otp in ["short", &"x".repeat(29)] {
        let grpc = doors.start_root(otp).await;
        assert_eq!(word(&grpc), ("invalid_request", Some("otp")));
        assert_eq!(grpc, doors.post(at, &json!({ "otp": otp })));
    }
    let early = doors.root_share("a", &shares[0]).await;
    assert_eq!(word(&early), ("conflict", None));
    assert_eq!(early, doors.post("sys/generate-root/shares", &json!({"nonce": "a", "key": shares[0]})));

    let begun = doors.start_root(PAD).await;
    assert_eq!((begun["started"].as_bool(), text(&begun, "otp")), (Some(true), ""));
    assert_eq!((doors.root_status().await, doors.get(at)), (begun.clone(), begun.clone()));
    let again = doors.start_root("").await;
    assert_eq!((word(&again), &again), (("conflict", None), &doors.post(at, &json!({}))));
    let nonce = text(&begun, "nonce").to_owned();
    for (nonce, key, field) in [
        ("", "x", "nonce"),
        ("b", &*shares[0], "nonce"),
        (&*nonce, "", "key"),
        (&*nonce, "no share", "key"),
        (&*nonce, "abcd", "key"),
    ] {
        let grpc = doors.root_share(nonce, key).await;
        assert_eq!(word(&grpc), ("invalid_request", Some(field)), "{nonce} {key}");
        let mut body = json!({"nonce": nonce, "key": key});
        body.as_object_mut().unwrap().retain(|_, value| value != "");
        assert_eq!(grpc, doors.post("sys/generate-root/shares", &body));
    }
    let one = doors.root_share(&nonce, &shares[1]).await;
    assert_eq!((one["progress"].as_u64(), &one), (Some(1), &doors.get(at)));
    let twice = doors.root_share(&nonce, &shares[1]).await;
    assert_eq!(word(&twice), ("invalid_request", Some("key")));
    let done = doors.post("sys/generate-root/shares", &json!({"nonce": nonce, "key": shares[2]}));
    let mixed = STANDARD_NO_PAD.decode(text(&done, "encoded_token")).unwrap();
    let token: String = mixed.iter().zip(PAD.bytes()).map(|(one, pad)| char::from(one ^ pad)).collect();
    doors.token = token;
    assert_eq!(doors.get("auth/self")["policies"], json!(["root"]));

    // The other way round, and the server's own pad is told by both.
    let begun = doors.post(at, &json!({}));
    assert_eq!(text(&begun, "otp").len(), 28);
    let nonce = text(&begun, "nonce").to_owned();
    let one = doors.post("sys/generate-root/shares", &json!({"nonce": nonce, "key": shares[0]}));
    assert_eq!(one, doors.root_status().await);
    let done = doors.root_share(&nonce, &shares[1]).await;
    assert_eq!((done["complete"].as_bool(), text(&done, "encoded_token").len()), (Some(true), 38));
    doors.start_root("").await;
    let asked = doors.asked(v1::SysServiceCancelGenerateRootRequest {});
    doors.client.cancel_generate_root(asked).await.unwrap();
    assert_eq!((doors.get(at)["started"].as_bool(), doors.rest("DELETE", at, b"")), (Some(false), json!({})));
    let (bad, odd) = (doors.post(at, &json!({"otp": 1})), doors.post(at, &json!({"odd": 1})));
    assert_eq!((word(&bad), word(&odd)), (("invalid_request", Some("otp")), ("invalid_request", Some("odd"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn new_shares_are_made_alike_through_both_doors() {
    let mut doors = Doors::open(2, 2).await;
    let (old, at) = (doors.shares.clone(), "sys/rekey");
    assert_eq!(doors.rekey_status().await, doors.get(at));
    for (shares, threshold, field) in
        [(0, 1, "shares"), (1, 0, "threshold"), (256, 1, "shares"), (2, 3, "threshold"), (3, 1, "threshold")]
    {
        let grpc = doors.start_rekey(shares, threshold, false).await;
        assert_eq!(word(&grpc), ("invalid_request", Some(field)), "{shares} {threshold}");
        assert_eq!(grpc, doors.post(at, &json!({"shares": shares, "threshold": threshold})));
    }
    let nothing = doors.verification().await;
    assert_eq!((word(&nothing), &nothing), (("conflict", None), &doors.get("sys/rekey/verify")));
    let begun = doors.start_rekey(3, 2, true).await;
    assert_eq!((&begun, &begun), (&doors.rekey_status().await, &doors.get(at)));
    let nonce = text(&begun, "nonce").to_owned();
    let one = doors.rekey_share(&nonce, &old[0]).await;
    assert_eq!((one["progress"].as_u64(), &one), (Some(1), &doors.get(at)));
    let twice = doors.rekey_share(&nonce, &old[0]).await;
    assert_eq!(twice, doors.post("sys/rekey/shares", &json!({"nonce": nonce, "key": old[0]})));
    let made = doors.post("sys/rekey/shares", &json!({"nonce": nonce, "key": old[1]}));
    let new: Vec<String> =
        made["keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_owned()).collect();
    assert_eq!((new.len(), made["keys_base64"].as_array().unwrap().len()), (3, 3));
    assert_eq!(doors.verification().await, doors.get("sys/rekey/verify"));
    let nonce = text(&made, "verification_nonce").to_owned();
    let one = doors.post("sys/rekey/verify", &json!({"nonce": nonce, "key": new[2]}));
    assert_eq!(one, doors.verification().await);
    let asked = doors.asked(v1::SysServiceRestartRekeyVerificationRequest {});
    doors.client.restart_rekey_verification(asked).await.unwrap();
    let nonce = text(&doors.verification().await, "nonce").to_owned();
    doors.verify(&nonce, &new[0]).await;
    let done = doors.verify(&nonce, &new[1]).await;
    assert_eq!(done, json!({"complete": true, "nonce": nonce}));

    // Back, over gRPC alone, at once valid; then nothing is under way.
    let begun = doors.post(at, &json!({"shares": 1, "threshold": 1}));
    let nonce = text(&begun, "nonce").to_owned();
    doors.rekey_share(&nonce, &new[2]).await;
    let made = doors.rekey_share(&nonce, &new[1]).await;
    assert_eq!((made["complete"].as_bool(), made["keys"].as_array().unwrap().len()), (Some(true), 1));
    doors.start_rekey(1, 1, false).await;
    let asked = doors.asked(v1::SysServiceCancelRekeyRequest {});
    doors.client.cancel_rekey(asked).await.unwrap();
    assert_eq!(doors.rekey_status().await, doors.get(at));
    let asked = doors.asked(v1::SysServiceSealRequest {});
    doors.client.seal(asked).await.unwrap();
    let mut client = client(&doors.warder).await;
    for (key, sealed) in [(&new[0], None), (&made["keys"][0].as_str().unwrap().to_owned(), Some(false))] {
        let unsealed = client.unseal(v1::SysServiceUnsealRequest { key: key.clone(), reset: false }).await;
        assert_eq!(unsealed.ok().map(|answer| answer.into_inner().status.unwrap().sealed), sealed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_are_alike_through_both_doors() {
    let mut doors = Doors::open(1, 1).await;
    let mut other = Doors::open(1, 1).await;
    let large = json!({"a": "x".repeat(900_000)});
    assert_eq!(doors.rest("PUT", "secrets/a", large.to_string().as_bytes())["version"], 1);
    let bytes = doors.save().await;
    assert_eq!(doors.rest("PUT", "secrets/a", b"{}")["version"], 2);
    let found = doors.both(&bytes, true, false).await;
    assert_eq!(
        (&found["same_keyring"], &found["authentic"], &found["restored"]),
        (&json!(true), &json!(true), &json!(false))
    );
    assert_eq!(doors.get("secrets/a")["version"], 2);
    for (bytes, force, expected) in [
        (Vec::new(), false, ("invalid_request", Some("body"))),
        (bytes[..bytes.len() / 2].to_vec(), false, ("invalid_request", Some("body"))),
        (vec![b'x'; 300_000], true, ("invalid_request", Some("body"))),
        ([&bytes[..], b"x"].concat(), false, ("invalid_request", Some("body"))),
        (other.save().await, false, ("precondition_failed", None)),
    ] {
        for dry_run in [false, true] {
            let told = doors.both(&bytes, dry_run, force).await;
            // Looked at only, another's is what it is.
            let expected = if dry_run && expected.0 == "precondition_failed" { ("ok", None) } else { expected };
            assert_eq!(word(&told), expected);
        }
    }
    assert_eq!(doors.get("secrets/a")["version"], 2);
    let restored = doors.restore(&bytes, false, false).await;
    assert_eq!((&restored["restored"], &restored["revision"]), (&json!(true), &found["revision"]));
    assert_eq!(doors.get("secrets/a")["version"], 1);
    doors.token = "hvs.nobody".to_owned();
    assert_eq!(word(&doors.both(&bytes, false, false).await), ("unauthenticated", None));
    let saved = doors.client.save_snapshot(doors.asked(v1::SysServiceSaveSnapshotRequest {})).await;
    assert_eq!(saved.unwrap_err().code(), Code::Unauthenticated);
    other.token.clear();
    assert_eq!(word(&other.rest("GET", "sys/snapshot", b"")), ("unauthenticated", None));
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_of_a_snapshot_are_bounded() {
    let mut doors = Doors::open(1, 1).await;
    let bytes = bytes::Bytes::from(doors.save().await);
    let piece = |data: bytes::Bytes| v1::SysServiceRestoreSnapshotRequest { dry_run: true, data, ..Default::default() };
    let large = doors.send(vec![piece(vec![0x1f; (1 << 20) + 2048].into())]).await;
    assert_eq!(word(&large), ("too_large", Some("message")));
    let empty = doors.send(vec![piece(bytes.clone()), piece(bytes::Bytes::new())]).await;
    assert_eq!(word(&empty), ("invalid_request", Some("body")));
    // Its options may come by themselves.
    let late = doors.send(vec![piece(bytes::Bytes::new()), piece(bytes)]).await;
    assert_eq!(late["authentic"], true);
}
