//! The three doors, and what a refusal for want of a record must look like at each.

use std::time::Instant;

use serde_json::{Value, json};
use tonic::{Code, Request, Status, transport::Channel};
use tonic_types::StatusExt as _;
use warder_proto::v1::{
    SecretsServiceGetRequest as Get, SecretsServicePutRequest as Put, secrets_service_client::SecretsServiceClient,
};
use warder_testkit::{Failure, Reply, Result};

use crate::house::{House, PATIENCE};

/// A door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Grpc,
    Native,
    Vault,
}

pub(crate) const DOORS: [Door; 3] = [Door::Grpc, Door::Native, Door::Vault];

/// What a door said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// There is no such secret.
    Absent,
    /// Done, or shown.
    Done,
    /// No sink took a record; in these words.
    Refused(String),
}

impl Said {
    pub(crate) const fn refused(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

impl House {
    /// Stores a secret; anything but done or a proper refusal for want of a record is a failure.
    pub(crate) fn write(&self, door: Door, path: &str, value: &Value) -> Result<Said> {
        let start = Instant::now();
        let said = match door {
            Door::Native => said(&self.http().put(&format!("/api/v1/secrets/{path}")).json(value).send()?),
            Door::Vault => {
                let body = json!({"data": value});
                said_by_vault(&self.http().post(&format!("/v1/secret/data/{path}")).json(&body).send()?)
            }
            Door::Grpc => {
                let json = value.to_string().into_bytes().into();
                self.call(Put { path: path.to_owned(), json, expected_version: None }, async |mut client, message| {
                    client.put(message).await.map(drop)
                })
            }
        };
        in_time(start, said)
    }

    /// Reads a secret.
    pub(crate) fn read(&self, door: Door, path: &str) -> Result<Said> {
        let start = Instant::now();
        let said = match door {
            Door::Native => said(&self.http().get(&format!("/api/v1/secrets/{path}")).send()?),
            Door::Vault => said_by_vault(&self.http().get(&format!("/v1/secret/data/{path}")).send()?),
            Door::Grpc => {
                let message = Get { path: path.to_owned(), version: None, refresh: false };
                self.call(message, async |mut client, message| client.get(message).await.map(drop))
            }
        };
        in_time(start, said)
    }

    /// One call over a connection of its own.
    fn call<T>(
        &self,
        message: T,
        ask: impl AsyncFnOnce(SecretsServiceClient<Channel>, Request<T>) -> Result<(), Status>,
    ) -> Result<Said> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let address = format!("http://{}", self.address());
            let channel = Channel::from_shared(address).map_err(|e| Failure::new("address", e))?;
            let channel = channel.connect().await.map_err(|e| Failure::new("connect", e))?;
            let client = SecretsServiceClient::new(channel);
            let mut request = Request::new(message);
            let token = format!("Bearer {}", self.root()).parse().map_err(|e| Failure::new("token", e))?;
            request.metadata_mut().insert("authorization", token);
            ask(client, request).await.map_or_else(|status| said_by_grpc(&status), |()| Ok(Said::Done))
        })
    }
}

fn in_time(start: Instant, said: Result<Said>) -> Result<Said> {
    assert!(start.elapsed() < PATIENCE, "an answer after {:?}", start.elapsed());
    said
}

/// What the native door said.
pub(crate) fn said(reply: &Reply) -> Result<Said> {
    match reply.status {
        200 | 201 | 204 => return Ok(Said::Done),
        404 => return Ok(Said::Absent),
        503 => {}
        status => return Err(Failure::new(status, reply.text())),
    }
    let problem = reply.json()?;
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{problem}");
    assert_eq!(problem["code"], "audit_unavailable", "{problem}");
    assert_eq!(problem["status"], 503, "{problem}");
    // What was done must not be repeated blindly.
    let done = problem["done"] == true;
    assert_eq!(problem["retry_after_seconds"], if done { Value::Null } else { json!(1) }, "{problem}");
    assert_eq!(reply.header("retry-after"), (!done).then_some("1"), "{problem}");
    Ok(Said::Refused(problem["detail"].as_str().unwrap_or_default().to_owned()))
}

/// What Vault's door said; Vault answers 500 when it cannot record.
fn said_by_vault(reply: &Reply) -> Result<Said> {
    match reply.status {
        200 | 204 => return Ok(Said::Done),
        404 => return Ok(Said::Absent),
        500 => {}
        status => return Err(Failure::new(status, reply.text())),
    }
    let problem = reply.json()?;
    let words = problem["errors"][0].as_str().unwrap_or_default();
    assert!(words.contains("no audit sink took"), "another kind of 500: {problem}");
    let done = words.starts_with("it was done");
    assert_eq!(reply.header("retry-after"), (!done).then_some("1"), "{problem}");
    Ok(Said::Refused(words.to_owned()))
}

fn said_by_grpc(status: &Status) -> Result<Said> {
    if status.code() == Code::NotFound {
        return Ok(Said::Absent);
    }
    let details = status.get_error_details();
    let info = details.error_info();
    let done = info.is_some_and(|info| info.metadata.get("done").is_some_and(|done| done == "true"));
    // Clients repeat UNAVAILABLE by themselves.
    let code = if done { Code::Internal } else { Code::Unavailable };
    if (status.code(), info.map(|info| info.reason.as_str())) != (code, Some("audit_unavailable")) {
        return Err(Failure::from(format!("{status:?}")));
    }
    let retry = details.retry_info().and_then(|info| info.retry_delay);
    assert_eq!(retry.map(|delay| delay.as_secs()), (!done).then_some(1), "{status:?}");
    Ok(Said::Refused(status.message().to_owned()))
}
