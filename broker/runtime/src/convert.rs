//! Between core's plain types and the contract's: handles are made and consumed here.

use std::time::Duration;

use warder_core::{
    clock::Timestamp,
    port::backend::{Call, LeaseGrant, Leased, PluginAnswer, PluginReply, Target},
    request::Operation,
    sealed::SealedValue,
};
use wasmtime::component::Resource;

use crate::{
    bind::{exports::warder::plugin::backend as wit, warder::plugin::types::Operation as WitOperation},
    call::CallState,
    capability::sealed::Value,
    fault::{Misuse, bounded},
};

/// Most warnings of one reply, and their length in bytes.
const WARNINGS: (usize, usize) = (16, 512);

pub(crate) fn target(target: Target) -> wit::Target {
    wit::Target { path: target.path, route: target.route, captures: target.captures }
}

/// Puts the sealed values into the call's table.
pub(crate) fn request(state: &mut CallState, call: Call) -> wasmtime::Result<wit::Request> {
    let mut secrets = Vec::with_capacity(call.secrets.len());
    for (pointer, value) in call.secrets {
        secrets.push((pointer, state.table.push(Value::from(value))?));
    }
    Ok(wit::Request {
        id: call.id,
        operation: operation(call.operation),
        target: target(call.target),
        data: call.data,
        secrets,
        lease_id: call.lease_id,
        default_ttl: seconds(call.default_ttl),
        max_ttl: seconds(call.max_ttl),
    })
}

/// There is no journal yet, so nothing was noted.
pub(crate) fn lease(lease: Leased, now: Timestamp) -> wit::Lease {
    let Leased { id, path, issued, increment } = lease;
    wit::Lease { id, path, note: None, issued: issued.0, now: now.0, increment: seconds(increment) }
}

/// Takes the sealed values of an answer out of the call's table.
pub(crate) fn reply(state: &mut CallState, response: wit::Response) -> wasmtime::Result<PluginReply> {
    let answer = match response.answer {
        wit::Answer::Nothing => PluginAnswer::Nothing,
        wit::Answer::Document(document) => {
            PluginAnswer::Document { secrets: taken(state, document.secrets)?, data: document.data }
        }
        wit::Answer::Gone(document) => {
            PluginAnswer::Gone { secrets: taken(state, document.secrets)?, data: document.data }
        }
        wit::Answer::Names(names) => PluginAnswer::Names(names),
        wit::Answer::Raw(raw) => {
            let printable = raw.content_type.bytes().all(|byte| (b' '..=b'~').contains(&byte));
            if !(200..=599).contains(&raw.status) || !printable {
                return Err(Misuse::Raw.into());
            }
            PluginAnswer::Raw { status: raw.status, content_type: raw.content_type, body: raw.body }
        }
    };
    let grant = match response.grant {
        None => None,
        Some(wit::Grant::Lease(lease)) => Some(LeaseGrant {
            ttl: Duration::from_secs(lease.ttl.into()),
            max_ttl: Duration::from_secs(lease.max_ttl.into()),
            renewable: lease.renewable,
        }),
        Some(wit::Grant::Auth(_)) => return Err(Misuse::Grant.into()),
    };
    Ok(PluginReply {
        answer,
        grant,
        fresh: response.fresh.map(|seconds| Duration::from_secs(seconds.into())),
        version: response.version,
        warnings: response.warnings.iter().take(WARNINGS.0).map(|text| bounded(text, WARNINGS.1)).collect(),
    })
}

fn taken(
    state: &mut CallState,
    secrets: Vec<(String, Resource<Value>)>,
) -> wasmtime::Result<Vec<(String, SealedValue)>> {
    let mut values = Vec::with_capacity(secrets.len());
    for (pointer, handle) in secrets {
        values.push((pointer, state.table.delete(handle)?.into()));
    }
    Ok(values)
}

const fn operation(operation: Operation) -> WitOperation {
    match operation {
        Operation::Create => WitOperation::Create,
        Operation::Delete => WitOperation::Delete,
        Operation::List => WitOperation::Enumerate,
        Operation::Patch => WitOperation::Patch,
        Operation::Read => WitOperation::Read,
        Operation::Rotate => WitOperation::Rotate,
        Operation::Update => WitOperation::Update,
    }
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}
