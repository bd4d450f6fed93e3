//! What was acknowledged counts for the very next request, at every door, answers from memory
//! included.

use std::sync::{
    Barrier,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::json;
use tonic::{Code, Request, transport::Channel};
use warder_proto::v1::{SecretsServiceGetRequest, secrets_service_client::SecretsServiceClient};
use warder_testkit::{Failure, Http, Result, Suite, Warder};

use crate::clients::{self, CLIENTS};

const SECRET: &str = "next/request";
const POLICY: &str = "next-request";
/// Rounds of each kind: the short and the long form.
const ROUNDS: [usize; 2] = [6, 100];
/// Generations of a chain of tokens.
const GENERATIONS: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revocations_and_policy_changes_count_for_the_next_request_at_every_door() -> Result {
    let test = "next_request::revocations_and_policy_changes_count_for_the_next_request_at_every_door";
    let suite = Suite::new("history", test, 0x0e);
    let doors = Doors::open().await?;
    for round in 0..suite.pick(ROUNDS[0], ROUNDS[1]) {
        doors.allow(true)?;
        let (token, accessor) = doors.token()?;
        doors.warm(&token).await?;
        doors.allow(false)?;
        doors.expect(&token, [403, 403, Code::PermissionDenied as u16], "the policy was narrowed").await?;
        doors.allow(true)?;
        doors.warm(&token).await?;
        match round % 4 {
            0 => doors.root.delete("/v1/sys/policies/acl/next-request").send()?.expect_status(204)?,
            _ => doors.revoke(round, &token, &accessor)?,
        };
        let codes = match round % 4 {
            0 => [403, 403, Code::PermissionDenied as u16],
            _ => [401, 403, Code::Unauthenticated as u16],
        };
        doors.expect(&token, codes, "the token was revoked, or its policy deleted").await?;
    }
    clients::needs_cache_hits(&doors.warder, 20)
}

/// A second revocation of the same token may not be told "done" while the first is at the
/// descendants: once that was so for grandchildren, whose parent's entry was already gone.
#[test]
fn nobody_is_told_that_a_tree_is_revoked_before_all_of_it_is() -> Result {
    let suite = Suite::new("history", "next_request::nobody_is_told_that_a_tree_is_revoked_before_all_of_it_is", 0x7ee);
    let warder = Warder::dev().start()?;
    let root = warder.http();
    root.put(&format!("/api/v1/secrets/{SECRET}")).json(&json!({"k": "v"})).send()?.expect_status(201)?;
    write_policy(
        &root,
        &format!(
            "path \"secret/data/{SECRET}\" {{ capabilities = [\"read\"] }}\npath \"auth/token/create\" {{ capabilities = [\"update\"] }}"
        ),
    )?;
    for round in 0..suite.pick(ROUNDS[0], ROUNDS[1]) {
        let chain = chain(&root)?;
        let (first, last) = (&chain[0], &chain[GENERATIONS - 1]);
        let (gate, alive) = (Barrier::new(CLIENTS), AtomicUsize::new(0));
        let one = || -> Result {
            let (root, leaf) = (warder.http(), warder.stranger().with_token(last));
            let read = format!("/api/v1/secrets/{SECRET}");
            leaf.get(&read).send()?.expect_status(200)?;
            let body = json!({ "token": first });
            gate.wait();
            let reply = root.post("/v1/auth/token/revoke").json(&body).send()?;
            // Without an answer nothing was promised.
            if !clients::leaves_open(&reply) {
                reply.expect_status(204)?;
                alive.fetch_add(usize::from(leaf.get(&read).send()?.status == 200), Ordering::Relaxed);
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(one)).collect();
            threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a client panicked")?)
        })?;
        let alive = alive.into_inner();
        if alive > 0 {
            return Err(format!(
                "round {round}: after \"done\", {alive} of {CLIENTS} clients still used the youngest of \
                 {GENERATIONS} generations\nto see it again (the interleaving is the machine's): {suite}"
            )
            .into());
        }
    }
    Ok(())
}

/// Tokens, each the child of the one before.
fn chain(root: &Http) -> Result<Vec<String>> {
    let mut chain = Vec::<String>::new();
    for _ in 0..GENERATIONS {
        let above = chain.last().map_or_else(|| root.clone(), |token| root.with_token(token));
        chain.push(new_token(&above)?.0);
    }
    Ok(chain)
}

/// A token with the policy of this file: its text and its accessor.
fn new_token(above: &Http) -> Result<(String, String)> {
    let reply = above.post("/v1/auth/token/create").json(&json!({ "policies": [POLICY] })).send()?;
    let auth = reply.expect_status(200)?.json()?["auth"].clone();
    let text = |name: &str| auth[name].as_str().map(str::to_owned).ok_or_else(|| Failure::from("no token"));
    Ok((text("client_token")?, text("accessor")?))
}

fn write_policy(root: &Http, text: &str) -> Result {
    let body = json!({ "policy": text });
    root.put(&format!("/v1/sys/policies/acl/{POLICY}")).json(&body).send()?.expect_status(204).map(drop)
}

struct Doors {
    warder: Warder,
    root: Http,
    grpc: SecretsServiceClient<Channel>,
}

impl Doors {
    async fn open() -> Result<Self> {
        let warder = Warder::dev().start()?;
        let address = format!("http://{}", warder.address());
        let channel = Channel::from_shared(address).map_err(|why| why.to_string())?;
        let grpc = SecretsServiceClient::new(channel.connect().await.map_err(|why| why.to_string())?);
        let root = warder.http();
        root.put(&format!("/api/v1/secrets/{SECRET}")).json(&json!({"k": "v"})).send()?.expect_status(201)?;
        Ok(Self { warder, root, grpc })
    }

    /// What the policy says about the secret.
    fn allow(&self, allowed: bool) -> Result {
        let word = if allowed { "read" } else { "list" };
        write_policy(&self.root, &format!("path \"secret/data/{SECRET}\" {{ capabilities = [\"{word}\"] }}"))
    }

    fn token(&self) -> Result<(String, String)> {
        new_token(&self.root)
    }

    /// Reads through each door until the answer, the token and its rules are in memory.
    async fn warm(&self, token: &str) -> Result {
        for _ in 0..3 {
            self.expect(token, [200, 200, Code::Ok as u16], "allowed").await?;
        }
        Ok(())
    }

    /// In one of the ways there are.
    fn revoke(&self, round: usize, token: &str, accessor: &str) -> Result<warder_testkit::Reply> {
        let itself = self.root.with_token(token);
        match round % 3 {
            0 => itself.post("/api/v1/auth/revoke").send()?.expect_status(204),
            1 => self.root.delete(&format!("/api/v1/auth/tokens/{accessor}")).send()?.expect_status(204),
            _ => {
                let body = json!({ "token": token });
                self.root.post("/v1/auth/token/revoke").json(&body).send()?.expect_status(204)
            }
        }
    }

    /// Asks once through `/api/v1`, `/v1` and gRPC.
    async fn expect(&self, token: &str, codes: [u16; 3], why: &str) -> Result {
        let http = self.root.with_token(token);
        let native = http.get(&format!("/api/v1/secrets/{SECRET}")).send()?.status;
        let vault = http.get(&format!("/v1/secret/data/{SECRET}")).send()?.status;
        let message = SecretsServiceGetRequest { path: SECRET.to_owned(), version: None, refresh: false };
        let mut request = Request::new(message);
        let bearer = format!("Bearer {token}").parse().map_err(|_| "a token that is no header")?;
        request.metadata_mut().insert("authorization", bearer);
        let grpc = self.grpc.clone().get(request).await.map_or_else(|status| status.code(), |_| Code::Ok) as u16;
        let had = [native, vault, grpc];
        if had == codes { Ok(()) } else { Err(format!("{why}: expected {codes:?}, the doors say {had:?}").into()) }
    }
}
