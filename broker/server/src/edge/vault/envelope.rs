//! Vault's success envelope: always the same keys, in the same order.

use warder_core::{
    error::Error,
    identity::TokenKind,
    json,
    request::{Answer, Auth, Reply as Answered},
    secret::Secret,
};
use zeroize::Zeroizing;

use super::super::reply::{quoted, quoted_list};

/// Paths whose `data` is repeated at the top, for clients that predate the envelope.
const REPEATED: [&str; 25] = [
    "sys/audit",
    "sys/audit-hash",
    "sys/auth",
    "sys/mounts",
    "sys/policy",
    "sys/capabilities",
    "sys/config/cors",
    "sys/ha-status",
    "sys/key-status",
    "sys/remount",
    "sys/rotate",
    "sys/rotate/keyring",
    "sys/generate-root/attempt",
    "sys/generate-root/update",
    "sys/generate-root-token/attempt",
    "sys/generate-root-token/update",
    "sys/rekey/init",
    "sys/rekey/update",
    "sys/rekey/verify",
    "sys/rotate/root/init",
    "sys/rotate/root/update",
    "sys/rotate/root/verify",
    "sys/capabilities-self",
    "sys/capabilities-accessor",
    "sys/wrapping/wrap",
];

/// The envelope around an answer.
pub(super) fn write(id: &str, answered: &Answered) -> Result<Secret, Error> {
    let data = match &answered.answer {
        Answer::Document(document) | Answer::Gone(document) => {
            Some(document.expose_str().ok_or_else(|| Error::internal("an answer is not UTF-8"))?.to_owned())
        }
        Answer::Names { keys } => {
            let list = quoted_list(keys.iter().map(String::as_str));
            Some(format!("{{\"keys\":{}}}", String::from_utf8_lossy(&list)))
        }
        _ => None,
    };
    let data = Zeroizing::new(data);
    let text = data.as_deref();
    let mut out = Zeroizing::new(Vec::with_capacity(text.map_or(4, str::len) * 2 + 1024));
    out.extend_from_slice(br#"{"request_id":"#);
    json::write_string(&mut out, id);
    out.extend_from_slice(br#","lease_id":"#);
    let lease = answered.lease.as_ref();
    json::write_string(&mut out, lease.map_or("", |lease| &lease.id));
    let (renewable, seconds) = lease.map_or((false, 0), |lease| (lease.renewable, lease.ttl.as_secs()));
    out.extend_from_slice(format!(r#","renewable":{renewable},"lease_duration":{seconds},"data":"#).as_bytes());
    out.extend_from_slice(text.unwrap_or("null").as_bytes());
    out.extend_from_slice(br#","wrap_info":null,"warnings":"#);
    match answered.warnings.as_slice() {
        [] => out.extend_from_slice(b"null"),
        warnings => out.extend_from_slice(&quoted_list(warnings.iter().map(String::as_str))),
    }
    out.extend_from_slice(br#","auth":"#);
    match &answered.auth {
        None => out.extend_from_slice(b"null"),
        Some(auth) => write_auth(&mut out, auth)?,
    }
    if let Some(text) = text.filter(|_| repeated(answered.resolved.as_str())) {
        for (name, value) in json::members(text).unwrap_or_default() {
            out.push(b',');
            json::write_string(&mut out, &name);
            out.push(b':');
            out.extend_from_slice(value.as_bytes());
        }
    }
    out.extend_from_slice(b"}\n");
    Ok(Secret::from(out.as_slice()))
}

fn repeated(path: &str) -> bool {
    REPEATED.contains(&path)
}

fn write_auth(out: &mut Vec<u8>, auth: &Auth) -> Result<(), Error> {
    let metadata = match auth.metadata.is_empty() {
        true => b"null".to_vec(),
        false => serde_json::to_vec(&auth.metadata).map_err(Error::internal)?,
    };
    let policies = quoted_list(auth.policies.iter().map(String::as_str));
    let kind = if auth.kind == TokenKind::Batch { "batch" } else { "service" };
    out.extend_from_slice(br#"{"client_token":"#);
    json::write_string(out, auth.token.expose_str().unwrap_or_default());
    out.extend_from_slice(br#","accessor":"#);
    json::write_string(out, &auth.accessor);
    out.extend_from_slice(br#","policies":"#);
    out.extend_from_slice(&policies);
    out.extend_from_slice(br#","token_policies":"#);
    out.extend_from_slice(&policies);
    out.extend_from_slice(br#","metadata":"#);
    out.extend_from_slice(&metadata);
    let rest = format!(r#","lease_duration":{},"renewable":{},"entity_id":"#, auth.ttl.as_secs(), auth.renewable);
    out.extend_from_slice(rest.as_bytes());
    out.extend_from_slice(&quoted(auth.entity_id.as_deref().unwrap_or_default()));
    let rest = format!(
        r#","token_type":"{kind}","orphan":{},"mfa_requirement":null,"num_uses":{}}}"#,
        auth.orphan, auth.num_uses
    );
    out.extend_from_slice(rest.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use warder_core::{
        path::Path,
        request::{LeaseShown, Operation},
    };

    use super::*;

    fn answered(path: &str, answer: Answer) -> Answered {
        Answered::new(Operation::Read, Path::parse(path).unwrap(), answer)
    }

    fn text(answered: &Answered) -> String {
        write("r-1", answered).unwrap().expose_str().unwrap().to_owned()
    }

    #[test]
    fn keys_come_in_the_order_of_the_contract() {
        let document = answered("secret/data/a", Answer::Document(Secret::from(r#"{"k":1}"#)));
        assert_eq!(
            text(&document),
            concat!(
                r#"{"request_id":"r-1","lease_id":"","renewable":false,"lease_duration":0,"data":{"k":1},"#,
                r#""wrap_info":null,"warnings":null,"auth":null}"#,
                "\n"
            )
        );
    }

    #[test]
    fn a_lease_is_at_the_top() {
        let mut answered = answered("db/creds/a", Answer::Document(Secret::from("{}")));
        answered.lease = Some(LeaseShown {
            id: "db/creds/a/x".to_owned(),
            ttl: Duration::from_secs(60),
            renewable: true,
            expires: warder_core::clock::Timestamp(60_000),
        });
        let start = r#"{"request_id":"r-1","lease_id":"db/creds/a/x","renewable":true,"lease_duration":60,"data":{},"#;
        assert!(text(&answered).starts_with(start));
    }

    #[test]
    fn an_issued_token_is_in_its_block() {
        let mut answered = answered("auth/token/create", Answer::Nothing);
        answered.warnings = vec!["careful".to_owned()];
        answered.auth = Some(Auth {
            token: Secret::from("hvs.x"),
            accessor: "acc".to_owned(),
            policies: vec!["default".to_owned()],
            ttl: Duration::from_secs(60),
            renewable: true,
            entity_id: None,
            metadata: BTreeMap::new(),
            kind: TokenKind::Service,
            orphan: false,
            num_uses: 0,
        });
        let text = text(&answered);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["auth"]["client_token"], "hvs.x");
        assert_eq!(value["auth"]["metadata"], serde_json::Value::Null);
        assert_eq!(value["warnings"][0], "careful");
        assert!(text.contains(r#""data":null,"wrap_info":null"#));
    }

    #[test]
    fn old_clients_find_mounts_at_the_top() {
        let mounts = answered("sys/mounts", Answer::Document(Secret::from(r#"{"secret/":{"type":"kv"}}"#)));
        let value: serde_json::Value = serde_json::from_str(&text(&mounts)).unwrap();
        assert_eq!(value["secret/"]["type"], "kv");
        assert_eq!(value["data"]["secret/"]["type"], "kv");
    }
}
