//! What those do who hold key shares, and snapshots: through all doors, given up half way, and ended.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use serde_json::{Value, json};
use tonic::{Code, transport::Channel};
use warder_proto::v1::{self, sys_service_client::SysServiceClient};
use warder_testkit::{Failure, Result};

use super::{Walk, grpc};
use crate::broker::unhex;

const ROOT: &str = "/api/v1/sys/generate-root";
const REKEY: &str = "/api/v1/sys/rekey";

pub(super) fn walk(walk: &mut Walk<'_>) -> Result {
    root(walk)?;
    rekey(walk)?;
    by_command(walk)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(by_grpc(walk))?;
    snapshots(walk)?;
    unended(walk)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl Walk<'_> {
    /// What the last answer showed, and must have.
    fn shown(&mut self, kind: &str, secret: &[u8]) -> Result {
        let name = self.kind(kind);
        self.marks.given(&name, secret);
        self.answers.last_mut().ok_or("no answer was kept")?.shows.push(name);
        Ok(())
    }

    /// The token that was made, which no answer shows.
    fn decoded(&mut self, kind: &str, encoded: &str, otp: &str) -> Result<String> {
        let mixed = STANDARD_NO_PAD.decode(encoded).map_err(|why| Failure::new("an encoded token", why))?;
        let token: String = mixed.iter().zip(otp.bytes()).map(|(one, pad)| char::from(one ^ pad)).collect();
        let name = self.kind(kind);
        self.marks.token(&name, &token);
        self.http.with_token(&token).get("/api/v1/auth/self").send()?.expect_status(200)?;
        Ok(token)
    }
}

/// Over `/api/v1` and `/v1` in turn.
fn root(walk: &mut Walk<'_>) -> Result {
    let (http, keys) = (walk.http.clone(), walk.keys);
    let begun = walk.ask(http.post(ROOT).json(&json!({})), 200, &[])?.json()?;
    let otp = text(&begun["otp"]);
    walk.shown("a one-time password", otp.as_bytes())?;
    walk.ask(http.get(ROOT), 200, &[])?;
    let wrong = walk.word("no share of a root token");
    for key in [&wrong, &keys.shares[0], &keys.shares[0]] {
        let body = json!({"nonce": begun["nonce"], "key": key});
        walk.send(http.post(&format!("{ROOT}/shares")).json(&body), &[])?;
    }
    let body = json!({"nonce": begun["nonce"], "key": keys.shares[1]});
    let done = walk.ask(http.put("/v1/sys/generate-root/update").json(&body), 200, &[])?.json()?;
    let encoded = text(&done["encoded_token"]);
    walk.shown("an encoded token", encoded.as_bytes())?;
    walk.decoded("a root token by a quorum", &encoded, &otp)?;
    let own: String = walk.word("a one-time password of one's own").chars().take(28).collect();
    walk.ask(http.put("/v1/sys/generate-root/attempt").json(&json!({ "otp": own })), 200, &[])?;
    walk.ask(http.delete(ROOT), 204, &[])?;
    let short = walk.word("a one-time password that is none");
    walk.ask(http.post(ROOT).json(&json!({ "otp": short })), 400, &[])?;
    Ok(())
}

/// Made and given up: the shares of the walk stay.
fn rekey(walk: &mut Walk<'_>) -> Result {
    let (http, keys) = (walk.http.clone(), walk.keys);
    let asked = json!({"shares": 2, "threshold": 2, "verify": true});
    let begun = walk.ask(http.post(REKEY).json(&asked), 200, &[])?.json()?;
    let body = |share: &str| json!({"nonce": begun["nonce"], "key": share});
    walk.ask(http.post(&format!("{REKEY}/shares")).json(&body(&keys.shares[2])), 200, &[])?;
    let done = walk.ask(http.put("/v1/sys/rekey/update").json(&body(&keys.shares[0])), 200, &[])?.json()?;
    let new: Vec<String> = done["keys"].as_array().into_iter().flatten().map(text).collect();
    for (at, share) in new.iter().enumerate() {
        walk.shown(&format!("a new share {at}"), &unhex(share)[..32])?;
    }
    let body = json!({"nonce": done["verification_nonce"], "key": new[1]});
    walk.ask(http.post(&format!("{REKEY}/verify")).json(&body), 200, &[])?;
    walk.ask(http.get(&format!("{REKEY}/verify")), 200, &[])?;
    walk.ask(http.delete(REKEY), 204, &[])?;
    Ok(())
}

fn by_command(walk: &mut Walk<'_>) -> Result {
    let root = |what: &'static str| ["operator", "generate-root", what, "--output", "json"];
    let begun = walk.told_by(&root("start"), "")?;
    let otp = text(&begun["otp"]);
    walk.shown("a one-time password of the command line", otp.as_bytes())?;
    let wrong = walk.word("no share by the command line");
    walk.run(&["operator", "generate-root", "share"], &wrong, 8, &[])?;
    let shares = walk.keys.shares.clone();
    walk.told_by(&root("share"), &shares[0])?;
    let done = walk.told_by(&root("share"), &shares[2])?;
    let encoded = text(&done["encoded_token"]);
    walk.shown("an encoded token of the command line", encoded.as_bytes())?;
    walk.decoded("a root token by the command line", &encoded, &otp)?;
    let both = format!("{encoded}\n{otp}\n");
    walk.run(&["operator", "generate-root", "decode"], &both, 0, &["a root token by the command line"])?;
    walk.run(&["operator", "generate-root", "decode"], &format!("{encoded}\n{wrong}\n"), 2, &[])?;
    walk.run(&["operator", "rekey", "start", "--shares", "1", "--threshold", "1"], "", 0, &[])?;
    walk.run(&["operator", "rekey", "share", "-"], &shares[1], 0, &[])?;
    walk.run(&["operator", "rekey", "cancel"], "", 0, &[])
}

async fn by_grpc(walk: &mut Walk<'_>) -> Result {
    let connect = Channel::from_shared(format!("http://{}", walk.broker.address()));
    let channel = connect.map_err(|why| why.to_string())?.connect().await.map_err(|why| Failure::new("gRPC", why))?;
    let client = &mut SysServiceClient::new(channel);
    let token = &walk.keys.root_token.clone();
    let otp: String = walk.word("a one-time password over gRPC").chars().take(28).collect();
    let start = v1::SysServiceStartGenerateRootRequest { otp: otp.clone() };
    let begun = client.start_generate_root(grpc::ask(start, token)?).await;
    let nonce = begun.as_ref().map(|begun| begun.get_ref().attempt.clone().unwrap_or_default().nonce);
    let nonce = nonce.unwrap_or_default();
    walk.told("StartGenerateRoot", begun, Code::Ok, &[])?;
    let wrong = walk.word("no share over gRPC");
    let give = |key: &str| v1::SysServiceGiveGenerateRootShareRequest { nonce: nonce.clone(), key: key.to_owned() };
    let told = client.give_generate_root_share(grpc::ask(give(&wrong), token)?).await;
    walk.told("GiveGenerateRootShare", told, Code::InvalidArgument, &[])?;
    let told = client.give_generate_root_share(grpc::ask(give(&walk.keys.shares[1]), token)?).await;
    walk.told("GiveGenerateRootShare", told, Code::Ok, &[])?;
    let told = client.give_generate_root_share(grpc::ask(give(&walk.keys.shares[2]), token)?).await;
    let encoded = told.as_ref().map(|told| told.get_ref().attempt.clone().unwrap_or_default().encoded_token);
    let encoded = encoded.unwrap_or_default();
    walk.told("GiveGenerateRootShare", told, Code::Ok, &[])?;
    walk.shown("an encoded token over gRPC", encoded.as_bytes())?;
    walk.decoded("a root token over gRPC", &encoded, &otp)?;
    let asked = v1::SysServiceSaveSnapshotRequest {};
    let saved =
        client.save_snapshot(grpc::ask(asked, token)?).await.map_err(|why| Failure::new("SaveSnapshot", why))?;
    let (mut pieces, mut all) = (saved.into_inner(), Vec::new());
    while let Some(piece) = pieces.message().await.map_err(|why| Failure::new("SaveSnapshot", why))? {
        all.extend_from_slice(&piece.data);
    }
    walk.heard("gRPC SaveSnapshot".to_owned(), Vec::new(), all, &[]);
    Ok(())
}

/// What is in them is looked through unpacked as well; one lies among the files of the broker.
fn snapshots(walk: &mut Walk<'_>) -> Result {
    let http = walk.http.clone();
    let bytes = walk.ask(http.get("/api/v1/sys/snapshot"), 200, &[])?.body;
    let damaged = [&bytes[..bytes.len() / 2], walk.word("in a file that is no snapshot").as_bytes()].concat();
    let restore = || http.post("/api/v1/sys/restore?dry_run=true").header("Content-Type", "application/gzip");
    walk.ask(restore().body(damaged), 400, &[])?;
    walk.ask(restore().body(bytes), 200, &[])?;
    let file = walk.broker.file("a.snap").display().to_string();
    walk.run(&["operator", "snapshot", "save", &file], "", 0, &[])?;
    walk.run(&["operator", "snapshot", "verify", &file], "", 0, &[])?;
    walk.run(&["operator", "snapshot", "restore", &file], "", 0, &[])
}

/// What is begun when the broker is sealed, or ends.
fn unended(walk: &mut Walk<'_>) -> Result {
    let (http, keys) = (walk.http.clone(), walk.keys);
    let begun = walk.ask(http.post(ROOT).json(&json!({})), 200, &[])?.json()?;
    walk.shown("a one-time password of nothing", text(&begun["otp"]).as_bytes())?;
    let body = json!({"nonce": begun["nonce"], "key": keys.shares[2]});
    walk.ask(http.post(&format!("{ROOT}/shares")).json(&body), 200, &[])?;
    let begun =
        walk.ask(http.post(REKEY).json(&json!({"shares": 3, "threshold": 2, "verify": true})), 200, &[])?.json()?;
    let body = |share: &str| json!({"nonce": begun["nonce"], "key": share});
    walk.ask(http.post(&format!("{REKEY}/shares")).json(&body(&keys.shares[0])), 200, &[])?;
    let done = walk.ask(http.post(&format!("{REKEY}/shares")).json(&body(&keys.shares[1])), 200, &[])?.json()?;
    for (at, share) in done["keys"].as_array().into_iter().flatten().enumerate() {
        walk.shown(&format!("a share {at} of nothing"), &unhex(&text(share))[..32])?;
    }
    Ok(())
}
