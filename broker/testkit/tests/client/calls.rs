//! What calls say: values, refusals, deadlines.

use std::{collections::BTreeMap, time::Duration};

use warder_client::{Client, Retry, Token, proto};
use warder_testkit::{Failure, Result, Warder};

use crate::{root, told, url};

#[tokio::test(flavor = "multi_thread")]
async fn secrets_have_a_whole_life() -> Result {
    let warder = Warder::dev().start()?;
    let client = root(&url(&warder))?;
    assert_eq!(told("put", client.put("app/db", r#"{"user":"admin","exact":1.10}"#).await)?.version, Some(1));
    assert_eq!(told("put_if", client.put_if("app/db", r#"{"user":"other"}"#, 1).await)?.version, Some(2));
    let refused = client.put_if("app/db", "{}", 1).await.err().ok_or("a stale write was taken")?;
    assert_eq!((refused.code(), refused.may_be_done()), ("precondition_failed", false));
    assert_eq!(told("patch", client.patch("app/db", r#"{"more":"x"}"#).await)?.version, Some(3));
    let secret = told("get", client.get("app/db").await)?;
    assert_eq!((secret.version, secret.value.expose()), (Some(3), &br#"{"user":"other","more":"x"}"#[..]));
    let value: BTreeMap<String, String> = secret.value.parse().map_err(|why| Failure::new("parse", why))?;
    assert_eq!(value["user"], "other");
    let first = told("get_version", client.get_version("app/db", 1).await)?;
    assert_eq!(first.value.expose(), br#"{"user":"admin","exact":1.10}"#);
    assert_eq!(told("list", client.list("").await)?, ["app/"]);
    told("delete", client.delete("app/db").await)?;
    let gone = client.get("app/db").await.err().ok_or("what was deleted is read")?;
    assert_eq!(
        (gone.code(), gone.metadata("version"), gone.metadata("destroyed")),
        ("not_found", Some("3"), Some("false"))
    );
    let kv = client.rotate("app/db").await.err().ok_or("kv rotates")?;
    assert_eq!((kv.code(), kv.metadata("plugin")), ("method_not_allowed", Some("kv")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_service_is_there_with_its_messages() -> Result {
    let warder = Warder::dev().start()?;
    let client = root(&url(&warder))?;
    let policy = "path \"secret/data/app/*\" { capabilities = [\"read\"] }".to_owned();
    told("policy", client.policies().put(proto::PolicyServicePutRequest { name: "app".to_owned(), policy }).await)?;
    let wanted =
        proto::TokenServiceCreateRequest { policies: vec!["app".to_owned()], ttl_seconds: 600, ..Default::default() };
    let issued = told("token", client.tokens().create(wanted).await)?.issued.ok_or("no token")?;
    let weak = told("build", Client::builder(url(&warder)).token(Token::new(issued.token)).build())?;
    let own = told("lookup", weak.tokens().lookup_self(proto::TokenServiceLookupSelfRequest {}).await)?;
    assert_eq!(own.token.unwrap_or_default().accessor, issued.accessor);
    let status = told("status", client.sys().status(proto::SysServiceStatusRequest {}).await)?.status;
    assert!(status.is_some_and(|status| status.initialized && !status.sealed));
    let mounts = told("mounts", client.mounts().list(proto::MountServiceListRequest {}).await)?;
    assert!(format!("{mounts:?}").contains("secret/"));
    told("sinks", client.audit().list_sinks(proto::AuditServiceListSinksRequest {}).await)?;
    let login = proto::AuthServiceLoginRequest { method: "none".to_owned(), ..Default::default() };
    let refused = client.auth().login(login).await.err().ok_or("somebody was logged in")?;
    assert_eq!(refused.code(), "unauthenticated");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_has_code_request_id_and_fields() -> Result {
    let warder = Warder::dev().start()?;
    let client = root(&url(&warder))?;
    let error = client.get("a//b").await.err().ok_or("a bad path was taken")?;
    assert_eq!((error.code(), error.violations().len()), ("invalid_request", 1));
    assert_eq!(error.violations()[0].field, "path");
    assert!(error.request_id().is_some_and(|id| id.len() == 36), "{error}");
    let stranger = told("build", Client::builder(url(&warder)).token(Token::new("hvs.hunter2")).build())?;
    let error = stranger.get("a").await.err().ok_or("a stranger reads")?;
    assert_eq!(error.code(), "unauthenticated");
    let shown = format!("{error:?} {error} {stranger:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    Ok(())
}

/// A server that takes connections and says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_ends_at_its_deadline() -> Result {
    let mute = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = format!("http://{}", mute.local_addr()?);
    let client = told("build", Client::builder(address).deadline(Duration::from_millis(300)).build())?;
    let error = client.put("a", "{}").await.err().ok_or("an answer came from nowhere")?;
    assert_eq!((error.code(), error.may_be_done()), ("deadline_exceeded", true));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_told_apart() -> Result {
    let folder = warder_testkit::temp_dir()?;
    let address = format!("unix:{}", folder.path().join("none").display());
    let once = Retry { attempts: 1, ..Retry::default() };
    let client = told("build", Client::builder(address).retry(once).build())?;
    let error = client.put("a", "{}").await.err().ok_or("an answer came from nowhere")?;
    assert_eq!((error.code(), error.may_be_done()), ("unreachable", false));
    Ok(())
}
