//! What broker/fuzz sees of policies: the tree as JSON, and the rules as text to compare.

use super::{
    Policy, hcl, json,
    tree::{Member, Value},
};
use crate::json::write_string;

/// The tree of a text in either notation, as the JSON notation writes it.
#[must_use]
pub fn as_json(text: &str) -> Option<String> {
    let members = if text.trim_start().starts_with('{') { json::parse(text) } else { hcl::parse(text) }.ok()?;
    let mut out = Vec::new();
    object(&mut out, &members);
    String::from_utf8(out).ok()
}

/// Everything a policy's rules say.
#[must_use]
pub fn rules(policy: &Policy) -> String {
    format!("{:?}", policy.rules)
}

fn object(out: &mut Vec<u8>, members: &[Member]) {
    out.push(b'{');
    for (at, member) in members.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_string(out, &member.name);
        out.push(b':');
        value(out, &member.node.value);
    }
    out.push(b'}');
}

fn value(out: &mut Vec<u8>, from: &Value) {
    match from {
        Value::Boolean(flag) => out.extend_from_slice(flag.to_string().as_bytes()),
        Value::List(nodes) => {
            out.push(b'[');
            for (at, node) in nodes.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                value(out, &node.value);
            }
            out.push(b']');
        }
        Value::Null => out.extend_from_slice(b"null"),
        Value::Number(number) => out.extend_from_slice(format!("{number:?}").as_bytes()),
        Value::Object(members) => object(out, members),
        Value::Text(text) => write_string(out, text),
    }
}
