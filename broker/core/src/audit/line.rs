//! One record as one line of JSON, written by hand into a buffer that the worker reuses.

use std::net::IpAddr;

use super::{
    chain::{Chain, write_number},
    digest::{Keys, write_answer, write_hidden, write_hmac},
    entry::{Entry, Outcome, Phase, Record},
};
use crate::{
    clock::Timestamp,
    identity::{Identity, TokenKind},
    json::write_string,
    request::{Auth, Door, Fields, LeaseShown},
    secret::Secret,
};

/// Longest `detail` of an error, in bytes.
const MAX_DETAIL_BYTES: usize = 4096;

/// Writes lines; remembers the second that it wrote last, because many records share it.
#[derive(Default)]
pub(super) struct Formatter {
    second: Option<(u64, String)>,
    /// Told by the next line, and then 0: records that the sink did not take since the line before.
    pub(super) missed: u64,
}

impl Formatter {
    /// Appends a record of this time and content as the next line of `chain`.
    pub(super) fn write(&mut self, out: &mut Vec<u8>, chain: &mut Chain, time: Timestamp, content: &[u8]) {
        let start = out.len();
        out.extend_from_slice(b"{\"time\":");
        self.write_time(out, time);
        out.push(b',');
        chain.write_links(out);
        self.write_missed(out);
        out.extend_from_slice(content);
        chain.close(out, start);
    }

    fn write_missed(&mut self, out: &mut Vec<u8>) {
        if self.missed > 0 {
            out.extend_from_slice(b",\"missed\":");
            write_number(out, std::mem::take(&mut self.missed));
        }
    }

    fn write_time(&mut self, out: &mut Vec<u8>, time: Timestamp) {
        let (second, millis) = (time.0 / 1000, time.0 % 1000);
        if self.second.as_ref().is_none_or(|(known, _)| *known != second) {
            let text = Timestamp(second * 1000).rfc3339();
            self.second = Some((second, text.split('.').next().unwrap_or_default().to_owned()));
        }
        out.push(b'"');
        out.extend_from_slice(self.second.as_ref().map_or(&b""[..], |(_, text)| text.as_bytes()));
        out.push(b'.');
        out.extend([millis / 100, millis / 10 % 10, millis % 10].map(|digit| b"0123456789"[digit as usize]));
        out.extend_from_slice(b"Z\"");
    }
}

/// Everything between the links of the chain and the record's own hash.
pub(super) fn write_content(out: &mut Vec<u8>, keys: Option<&Keys>, record: &Record) {
    let (kind, outcome): (&[u8], _) = match &record.phase {
        Phase::Open => (b"\"open\"", None),
        Phase::Close(outcome) => (b"\"close\"", Some(outcome)),
        Phase::Combined(outcome) => (b"\"hit\"", Some(outcome)),
    };
    out.extend_from_slice(b",\"type\":");
    out.extend_from_slice(kind);
    write_entry(out, keys, &record.entry);
    if let Some(outcome) = outcome {
        write_outcome(out, keys, outcome);
    }
}

fn write_entry(out: &mut Vec<u8>, keys: Option<&Keys>, entry: &Entry) {
    member(out, "id", &entry.id);
    if let Some(door) = entry.door {
        member(out, "door", door_word(door));
    }
    member(out, "operation", entry.operation);
    member(out, "path", &entry.path);
    if let Some(mount) = &entry.mount {
        member(out, "mount", &mount.path);
        member(out, "plugin", &mount.plugin);
    }
    if let Some(address) = entry.remote_address {
        write_address(out, "remote_address", address);
    }
    if let Some(address) = entry.proxy_address {
        write_address(out, "proxy_address", address);
    }
    write_caller(out, keys, entry.token.as_ref(), entry.identity.as_deref());
    if let Some(fields) = &entry.fields {
        write_fields(out, keys, fields);
    }
}

fn write_address(out: &mut Vec<u8>, name: &str, address: IpAddr) {
    use std::io::Write as _;
    // Writing to a vector does not fail; digits, dots, colons and letters need no escape.
    let _ = write!(out, ",\"{name}\":\"{address}\"");
}

/// The caller: remembered for a stored token, whose identity is that of no other.
fn write_caller(out: &mut Vec<u8>, keys: Option<&Keys>, token: Option<&Secret>, identity: Option<&Identity>) {
    let known = identity.filter(|identity| token.is_some() && !identity.digest.is_empty());
    match (keys, known) {
        (Some(keys), Some(known)) => {
            known.recorded.write(keys.id, out, |out| write_auth(out, Some(keys), token, identity));
        }
        _ => write_auth(out, keys, token, identity),
    }
}

fn write_auth(out: &mut Vec<u8>, keys: Option<&Keys>, token: Option<&Secret>, identity: Option<&Identity>) {
    if token.is_none() && identity.is_none() {
        return;
    }
    out.extend_from_slice(b",\"auth\":{");
    if let Some(token) = token {
        out.extend_from_slice(b"\"token\":");
        write_hmac(out, keys, token.expose());
    }
    if let Some(identity) = identity {
        if token.is_some() {
            out.push(b',');
        }
        out.extend_from_slice(b"\"display_name\":");
        write_string(out, &identity.display_name);
        write_holder(out, keys, &identity.accessor, &identity.policies, identity.kind, identity.entity_id.as_deref());
    }
    out.push(b'}');
}

/// What the caller's `auth` and a new token's `issued` have in common.
fn write_holder(
    out: &mut Vec<u8>,
    keys: Option<&Keys>,
    accessor: &str,
    policies: &[String],
    kind: TokenKind,
    entity: Option<&str>,
) {
    if !accessor.is_empty() {
        out.extend_from_slice(b",\"accessor\":");
        write_hmac(out, keys, accessor.as_bytes());
    }
    out.extend_from_slice(b",\"policies\":[");
    for (i, policy) in policies.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_string(out, policy);
    }
    out.push(b']');
    member(out, "token_type", kind_word(kind));
    if let Some(entity) = entity {
        member(out, "entity_id", entity);
    }
}

fn write_fields(out: &mut Vec<u8>, keys: Option<&Keys>, fields: &Fields) {
    out.extend_from_slice(b",\"request\":");
    let start = out.len();
    out.push(b'{');
    for (i, (name, text)) in fields.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_string(out, name);
        out.push(b':');
        write_hidden(out, keys, text.expose());
    }
    out.push(b'}');
    if out.len() - start > super::digest::MAX_FORM_BYTES {
        out.truncate(start);
        write_hmac(out, keys, fields.to_json().expose());
    }
}

fn write_outcome(out: &mut Vec<u8>, keys: Option<&Keys>, outcome: &Outcome) {
    match outcome {
        Outcome::Done { answer, digest, issued, lease } => {
            if let Some(answer) = answer {
                out.extend_from_slice(b",\"response\":");
                write_answer(out, keys, answer, digest.as_deref());
            }
            if let Some(auth) = issued {
                write_issued(out, keys, auth);
            }
            if let Some(lease) = lease {
                write_lease(out, keys, lease);
            }
        }
        Outcome::Failed { kind, detail } => {
            out.extend_from_slice(b",\"error\":{\"code\":");
            write_string(out, kind.code());
            member(out, "detail", &detail[..detail.floor_char_boundary(MAX_DETAIL_BYTES)]);
            out.push(b'}');
        }
    }
}

fn write_issued(out: &mut Vec<u8>, keys: Option<&Keys>, auth: &Auth) {
    out.extend_from_slice(b",\"issued\":{\"token\":");
    write_hmac(out, keys, auth.token.expose());
    write_holder(out, keys, &auth.accessor, &auth.policies, auth.kind, auth.entity_id.as_deref());
    out.push(b'}');
}

fn write_lease(out: &mut Vec<u8>, keys: Option<&Keys>, lease: &LeaseShown) {
    out.extend_from_slice(b",\"lease\":{\"id\":");
    write_hmac(out, keys, lease.id.as_bytes());
    out.extend_from_slice(b",\"ttl_seconds\":");
    write_number(out, lease.ttl.as_secs());
    out.extend_from_slice(if lease.renewable { b",\"renewable\":true}" } else { b",\"renewable\":false}" });
}

/// `,"name":"value"`; names are ours and need no escape.
fn member(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    write_string(out, value);
}

const fn door_word(door: Door) -> &'static str {
    match door {
        Door::Native => "native",
        Door::Vault => "vault",
    }
}

const fn kind_word(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::Batch => "batch",
        TokenKind::Service => "service",
    }
}
